"""The addresses of the pages about rights, which name objects and actors in their queries."""

from urllib.parse import urlencode

from django.urls import reverse

from apps.access import policy
from apps.access.models import KeyRule
from apps.access.policy import Place
from apps.core.actor import Actor
from apps.engine.paths import Path, format_path


def place_url(place: Place, key: Path | None = None) -> str:
    """The page that says who may do what at a place, or with a key there."""
    asked = {
        "service": str(place.service or ""),
        "environment": str(place.environment or ""),
        "key": format_path(key) if key else "",
    }
    query = urlencode({name: text for name, text in asked.items() if text})
    return f"{reverse('admin:rights')}?{query}" if query else reverse("admin:rights")


def actor_url(name: str) -> str:
    """The page that says what somebody may do: ``user:ada``, ``group:shop`` …"""
    return f"{reverse('admin:rights-of')}?{urlencode({'who': name})}"


def rule_url(rule: KeyRule) -> str:
    """The page of a key rule."""
    return reverse("admin:key-rule", args=[rule.pk])


def may_ask(actor: Actor, place: Place) -> bool:
    """Whether the actor may open the page that says who may do what at ``place``."""
    return any(policy.allowed(actor, verb, place) for verb in ("audit", "manage"))

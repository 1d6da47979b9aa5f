"""The sidebar: what a person may open."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.engine.errors import UnauthenticatedError
from apps.portal.shared import actor_of

LINKS = (
    ("Configurations", "tune", "admin:index", ""),
    ("Services", "apps", "admin:registry_service_changelist", ""),
    ("Environments", "public", "admin:registry_environment_changelist", ""),
    ("Templates", "content_copy", "admin:configs_template_changelist", ""),
    ("Service accounts", "smart_toy", "admin:access_serviceaccount_changelist", "manage"),
    ("People", "group", "admin:core_user_changelist", "manage"),
    ("Rights", "key", "admin:rights", "manage"),
    ("Ledger", "menu_book", "admin:ledger", "audit"),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """One group of links, in the order of use."""
    try:
        actor = actor_of(request)
    except UnauthenticatedError:
        return []
    items = [
        {"title": title, "icon": icon, "link": reverse(name)}
        for title, icon, name, verb in LINKS
        if not verb or policy.allowed(actor, verb, EVERYWHERE)
    ]
    return [{"title": "", "items": items}]

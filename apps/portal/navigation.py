"""The sidebar: what a person may open."""

from dataclasses import replace
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from apps.access import holds, policy
from apps.access.policy import EVERYWHERE
from apps.access.rights import generation
from apps.core.actor import Actor
from apps.engine.errors import SecondFactorRequiredError, UnauthenticatedError
from apps.portal.shared import actor_of

GLOBAL, SOMEWHERE = True, False
LINKS: tuple[tuple[str, str, str, str, bool], ...] = (
    ("Configurations", "tune", "admin:index", "", SOMEWHERE),
    ("Services", "apps", "admin:registry_service_changelist", "list", SOMEWHERE),
    ("Environments", "public", "admin:registry_environment_changelist", "list", SOMEWHERE),
    ("Templates", "content_copy", "admin:configs_template_changelist", "list", SOMEWHERE),
    ("Rules", "rule", "admin:configs_rule_changelist", "list", SOMEWHERE),
    ("Flags", "flag", "admin:flags", "read", SOMEWHERE),
    ("Experiments", "science", "admin:experiments", "read", SOMEWHERE),
    ("Secrets", "lock", "admin:secrets", "", SOMEWHERE),
    ("Restore", "history", "admin:restore", "rollback", SOMEWHERE),
    ("Import and export", "swap_vert", "admin:exchange", "read", SOMEWHERE),
    (
        "Service accounts",
        "smart_toy",
        "admin:access_serviceaccount_changelist",
        "manage audit",
        SOMEWHERE,
    ),
    ("People", "group", "admin:core_user_changelist", "manage audit", GLOBAL),
    ("Groups", "groups", "admin:auth_group_changelist", "manage audit", GLOBAL),
    ("Rights", "key", "admin:rights", "manage audit", GLOBAL),
    ("Roles", "badge", "admin:roles", "secure audit", SOMEWHERE),
    ("Key rules", "vpn_key", "admin:key-rules", "secure audit", SOMEWHERE),
    ("Connections", "hub", "admin:core_connection_changelist", "manage", GLOBAL),
    ("GraphQL console", "terminal", "graphql", "", SOMEWHERE),
    ("Jobs", "schedule", "admin:jobs", "manage audit", GLOBAL),
    ("Backups", "archive", "admin:backups", "manage audit", GLOBAL),
    ("Ledger", "menu_book", "admin:ledger", "audit", GLOBAL),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """One group of links, in the order of use."""
    try:
        actor = actor_of(request)
    except (UnauthenticatedError, SecondFactorRequiredError):
        return []
    if holds.waits(request.session):
        confirm = {"title": "Confirm rights", "icon": "verified_user"}
        return [{"title": "", "items": [{**confirm, "link": reverse("admin:confirm-rights")}]}]
    if not actor.is_superuser:
        actor = replace(actor, generation=generation())  # one reading of rights for all links
    items = [
        {"title": title, "icon": icon, "link": reverse(name)}
        for title, icon, name, verb, is_global in LINKS
        if not verb or any(_holds(actor, each, is_global) for each in verb.split())
    ]
    return [{"title": "", "items": items}]


def _holds(actor: Actor, verb: str, is_global: bool) -> bool:
    if is_global:
        return policy.allowed(actor, verb, EVERYWHERE)
    return policy.holds_anywhere(actor, verb)

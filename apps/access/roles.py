"""Roles: named bundles of verbs, the same for people, groups and service accounts."""

from apps.registry.models import VERBS as VERBS_WITH_TITLES

VERBS = tuple(verb for verb, _title in VERBS_WITH_TITLES)

_VIEWER = ("list", "read")
_DEVELOPER = (*_VIEWER, "edit")
_OPERATOR = (*_DEVELOPER, "publish", "rollback", "approve")

ROLES: dict[str, tuple[str, ...]] = {
    "consumer": (*_VIEWER, "reveal"),
    "viewer": _VIEWER,
    "developer": _DEVELOPER,
    "operator": _OPERATOR,
    "auditor": (*_VIEWER, "audit"),
    "security-officer": (*_VIEWER, "reveal", "audit", "secure"),
    "administrator": VERBS,
}
ROLE_TITLES: dict[str, str] = {
    "consumer": "An application: fetches and watches, reveals secrets",
    "viewer": "Sees names and values",
    "developer": "Sees, and writes drafts",
    "operator": "Writes, publishes, rolls back, approves",
    "auditor": "Sees, and reads the ledger and histories",
    "security-officer": "Sees, writes and reveals secrets, reads the ledger",
    "administrator": "Everything",
}

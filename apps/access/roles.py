"""Roles: named bundles of verbs, the same for people, groups and service accounts."""

from apps.engine.errors import invalid
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


def verbs_of(role: str, verb: str) -> tuple[str, ...]:
    """The verbs of a role, or the one verb. Raises :class:`InvalidError` for what is neither."""
    if bool(role) == bool(verb):
        raise invalid("/role", "role_or_verb", "Give either a role or a verb.")
    if role and role not in ROLES:
        raise invalid("/role", "role", f"There is no such role: use one of {', '.join(ROLES)}.")
    if verb and verb not in VERBS:
        raise invalid("/verb", "verb", f"There is no such verb: use one of {', '.join(VERBS)}.")
    return ROLES[role] if role else (verb,)

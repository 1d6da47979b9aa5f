"""Roles: named bundles of verbs, the same for people, groups and service accounts."""

from dataclasses import dataclass

from apps.access.models import Role
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


@dataclass(frozen=True, slots=True)
class Bundle:
    """A role as it is now: built in, or one's own."""

    name: str
    description: str
    verbs: tuple[str, ...]
    row: Role | None = None

    @property
    def is_built_in(self) -> bool:
        """Whether it never changes."""
        return self.row is None


BUILT_IN = tuple(Bundle(name, ROLE_TITLES[name], verbs) for name, verbs in ROLES.items())


def list_roles() -> list[Bundle]:
    """The built-in roles in the order of their rights, then one's own by name."""
    return [*BUILT_IN, *map(_bundle, Role.objects.order_by("slug"))]


def find_role(name: str) -> Bundle | None:
    """The role of that name, or ``None``."""
    if name in ROLES:
        return next(each for each in BUILT_IN if each.name == name)
    row = Role.objects.filter(slug=name).first()
    return _bundle(row) if row else None


def _bundle(row: Role) -> Bundle:
    return Bundle(row.slug, row.description, tuple(row.verbs), row)


def verbs_of(role: str, verb: str) -> tuple[str, ...]:
    """The verbs of a role as it is now, or the one verb.

    Raises :class:`InvalidError` for what is neither.
    """
    if bool(role) == bool(verb):
        raise invalid("/role", "role_or_verb", "Give either a role or a verb.")
    if verb:
        if verb not in VERBS:
            raise invalid("/verb", "verb", f"There is no such verb: use one of {', '.join(VERBS)}.")
        return (verb,)
    found = find_role(role)
    if found is None:
        known = f"use one of {', '.join(ROLES)}, or one that was made here"
        raise invalid("/role", "role", f"There is no such role: {known}.")
    return found.verbs

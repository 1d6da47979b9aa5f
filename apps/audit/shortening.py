"""What events say of documents: their digests, and the names of keys, and which of these are lists.

A digest of a document lets its reader try out what he may not see of it, and so does the hash of an
event that holds it. So each such event carries a random ``salt``: who is shown neither digest nor
salt can try out nothing, and the hash still links the event to its neighbours.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from apps.audit.models import AuditEvent
from apps.engine.values import Tree, canonical

SALT: Final = "salt"
DIGESTS: Final = frozenset(
    {"checksum", "source", "texts", "schema", "condition", "parameters", "extends", "definition"}
)
LISTS: Final = "lists"
KEYS: Final = frozenset({"keys", "key", LISTS})
SALT_BYTES: Final = 16


def salted(data: Mapping[str, Tree]) -> dict[str, Tree]:
    """``data`` of a new event, with a salt where it says anything of a document."""
    if data.keys().isdisjoint(DIGESTS | KEYS):
        return dict(data)
    return {**data, SALT: secrets.token_hex(SALT_BYTES)}


@dataclass(frozen=True, slots=True)
class Shown:
    """An event as somebody is shown it: ``data`` is what was hashed, unless it is ``shortened``."""

    event: AuditEvent
    data: str
    shortened: bool = False


View = Callable[[AuditEvent], Shown | None]
"""How somebody sees events; ``None`` for one that he finds only by what he may not see."""


def shorten(event: AuditEvent, data: Mapping[str, Tree], seen: Callable[[str], bool]) -> Shown:
    """The event without digests and salt, with the names of those keys alone that are ``seen``."""
    return Shown(event, canonical(_shortened(data, seen)), shortened=True)


def _shortened(data: Mapping[str, Tree], seen: Callable[[str], bool]) -> dict[str, Tree]:
    kept: dict[str, Tree] = {}
    for name, value in data.items():
        if name in KEYS and isinstance(value, list):
            kept[name] = [key for key in value if seen(key)]
        elif isinstance(value, dict):
            kept[name] = _shortened(value, seen)
        elif name not in DIGESTS | {SALT} and (name not in KEYS or seen(str(value))):
            kept[name] = value
    return kept

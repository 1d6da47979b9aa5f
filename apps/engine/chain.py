"""The ledger's hash chain.

Each event's hash is SHA-256 over the canonical JSON of its fields and of its predecessor's
hash, so changing, removing, inserting or reordering any event breaks every link after it (the
construction of Haber and Stornetta, 1991).
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from apps.engine.values import Tree, canonical

GENESIS: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Link:
    """One event as the verifier reads it: the fields that the hash covers, and the two hashes."""

    fields: Mapping[str, Tree]
    previous: str
    hash: str


def event_hash(previous: str, fields: Mapping[str, Tree]) -> str:
    """The hash (lower-case hex) of an event with these fields after the event hashed ``previous``.

    ``fields`` are ``number, revision, at, actor, action, target, data``; ``data`` is the stored
    canonical text, taken as text.
    """
    text = canonical({"previous": previous, "event": dict(fields)})
    return hashlib.sha256(text.encode()).hexdigest()


def find_break(links: Iterable[Link], previous: str = GENESIS, number: int = 0) -> int | None:
    """The number of the first event that does not hold, or ``None`` when all of them do.

    Begins after event ``number`` whose hash is ``previous``. Checks that numbers are
    consecutive, that each link names its predecessor's hash and hashes to its own, and that the
    events of one act share their last number as ``revision`` and their time, which moves forward
    from act to act.
    """
    act_ends = number
    last_at = ""
    for link in links:
        number += 1
        fields = link.fields
        sound = (
            fields["number"] == number
            and link.previous == previous
            and link.hash == event_hash(previous, fields)
            and _in_act(fields, act_ends, last_at)
        )
        if not sound:
            return number
        previous, act_ends, last_at = link.hash, fields["revision"], fields["at"]
    return number if act_ends > number else None


def _in_act(fields: Mapping[str, Tree], act_ends: int, last_at: str) -> bool:
    if fields["number"] <= act_ends:  # inside an act that began before
        return bool(fields["revision"] == act_ends and fields["at"] == last_at)
    return bool(fields["revision"] >= fields["number"] and fields["at"] > last_at)

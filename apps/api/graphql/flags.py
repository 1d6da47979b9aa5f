"""Flags: what is defined, and what a context's unit gets, as OFREP says it."""

from collections.abc import Iterable
from typing import Any, Final, Self

import strawberry

from apps.api.graphql.context import Info, Peers
from apps.api.graphql.fields import field, node
from apps.api.graphql.scalars import Json
from apps.api.ofrep.answers import check_context, value_text
from apps.core import clock
from apps.delivery.reads import note_read
from apps.engine.errors import LimitError, Problem
from apps.engine.flags.evaluation import MESSAGES
from apps.engine.values import parse_canonical
from apps.rollouts.flags import ServiceFlags, find_staleness, list_flags

MAX_FIELDS: Final = 50_000
"""Of flags, in one request. How many flags there are is known only once they are read, so that the
cost of a query cannot say it beforehand.
"""


@node
class FlagEvaluation:
    """What a unit gets of a flag, by the terms of OpenFeature."""

    reason: str = strawberry.field(
        description="STATIC, TARGETING_MATCH, SPLIT, DISABLED or UNKNOWN."
    )
    variant: str | None
    value: Json | None = strawberry.field(description="Null for a flag that is switched off too.")
    rule: int | None = strawberry.field(description="The place of the rule that decided, from 0.")
    error_code: str | None
    error_details: str | None


@node
class Flag:
    """A flag of a configuration."""

    of: strawberry.Private[ServiceFlags]
    key: str = strawberry.field(description="What it is asked for by.")
    name: str
    section: str
    enabled: bool | None = strawberry.field(description="Null where it cannot be evaluated.")
    definition: Json | None = strawberry.field(description="Likewise.")
    stale: str | None = strawberry.field(
        description="Why it could go: it has expired, or everyone gets the same."
    )

    @classmethod
    def named(cls, flags: ServiceFlags, key: str) -> Self:
        """The flag of that key."""
        found = flags.keys[key]
        made = found.definition
        return cls(
            of=flags,
            key=key,
            name=found.name,
            section=found.section,
            enabled=made.enabled if made else None,
            definition=made.flag if made else None,
            stale=find_staleness(found, clock.now()) or None,
        )

    @field()
    def evaluation(self, context: Json | None = None) -> FlagEvaluation | None:
        """What the context's unit gets. The context is an object, with a 'targetingKey' for shares."""
        found = self.of.evaluate(self.key, check_context(context, clock.now()))
        text = value_text(self.of.keys[self.key], found)
        return FlagEvaluation(
            reason=found.reason,
            variant=found.variant or None,
            value=None if text is None else parse_canonical(text),
            rule=found.rule,
            error_code=found.error or None,
            error_details=MESSAGES[found.error] if found.error else None,
        )


def flags_of(
    info: Info, peers: Peers, here: Any, *, keys: list[str] | None, stale: bool
) -> list[Flag] | None:
    """The flags of a configuration, found for all its peers at once."""
    actor, place = info.context.actor, here.place
    found = peers.get(
        "flags",
        place,
        lambda rows: list_flags(actor=actor, places=[each.place for each in rows]),
    )
    if found is None:
        return None
    note_read(actor=actor, place=place, version=found.version, keys=list(found.sections))
    wanted = found if keys is None else [each for each in keys if each in found.keys]
    flags = [Flag.named(found, key) for key in wanted]
    if stale:
        flags = [each for each in flags if each.stale]
    _spend(info, len(flags) * sum(_fields_below(each.selections) for each in info.selected_fields))
    return flags


def _fields_below(selections: Iterable[Any]) -> int:
    """How many fields are asked for, with those of fragments."""
    return sum(1 + _fields_below(each.selections) for each in selections)


def _spend(info: Info, fields: int) -> None:
    info.context.flag_fields += fields
    if info.context.flag_fields > MAX_FIELDS:
        message = (
            f"The query asks for {info.context.flag_fields} fields of flags, at most {MAX_FIELDS} are"
            " allowed: name the flags ('keys'), or ask for less at once."
        )
        raise LimitError(message, [Problem("", "cost", message)])

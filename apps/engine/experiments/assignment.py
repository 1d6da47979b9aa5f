"""Which variant of an experiment a unit gets: the same at every node, and at every fetch.

Experiments that exclude each other are a group, which shares the ``SLOTS`` of one seed. A unit in
an experiment's holdout is not in it: each has its own percentage, by the group's seed, so that a
smaller holdout lies within a larger one. One in an experiment's slots is in that one, if it belongs
to its audience, and gets a variant by the weights. With ``slot`` and ``Split`` of ``bucketing``::

    slot("holdout/GROUP", unit) < holdout    not this experiment
    slot("group/GROUP", unit) in slots       this experiment, else another or none
    Split(EXPERIMENT, weights).choose(unit)  the variant

GROUP is the group's name in lower case, EXPERIMENT the experiment's id as 32 hexadecimal digits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from apps.engine.bucketing import SLOTS, Split, slot
from apps.engine.flags.conditions import Context, Predicate, Segments, make_condition
from apps.engine.values import Tree

Span = tuple[int, int]
"""The first slot, and one beyond the last."""

_NO_SEGMENTS: Final = Segments(None)


@dataclass(frozen=True, slots=True)
class Assignment:
    """An experiment as far as it says who gets what. ``audience`` is ``None`` for everyone."""

    group: str
    holdout: int
    slots: tuple[Span, ...]
    audience: Predicate | None
    split: Split

    @classmethod
    def of(
        cls,
        *,
        seed: str,
        group: str,
        holdout: float,
        slots: Iterable[Iterable[int]],
        audience: Tree,
        weights: Mapping[str, float],
    ) -> "Assignment":
        """From what is stored: ``holdout`` is a percentage, ``audience`` a condition."""
        return cls(
            group.lower(),
            slots_of(holdout),
            tuple((first, beyond) for first, beyond in slots),
            make_condition(audience, _NO_SEGMENTS) if audience else None,
            Split(seed, weights),
        )

    def choose(self, context: Context) -> str | None:
        """The variant that the context's unit gets; ``None``: it is in no variant."""
        unit = context.targeting_key
        if unit is None or slot(f"holdout/{self.group}", unit) < self.holdout:
            return None
        mine = slot(f"group/{self.group}", unit)
        if not any(first <= mine < beyond for first, beyond in self.slots):
            return None
        if self.audience is not None and not self.audience(context):
            return None
        return self.split.choose(unit)


def slots_of(percentage: float) -> int:
    """How many slots a percentage of the units is, to the next hundredth of a percent."""
    return round(percentage * SLOTS / 100)


def find_free(taken: Iterable[Span], wanted: int) -> list[Span]:
    """The first ``wanted`` slots that nobody has; less than that where there are not enough."""
    found: list[Span] = []
    start = 0
    for first, beyond in [*sorted(taken), (SLOTS, SLOTS)]:
        free = min(first - start, wanted)
        if free > 0:
            found.append((start, start + free))
            wanted -= free
        start = max(start, beyond)
    return found

"""Which variant of a configuration a fetch is served, and that it was."""

import hashlib
import re
import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from apps.configs.selectors.configurations import Published, in_variant
from apps.core import clock
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine.errors import invalid
from apps.engine.experiments.assignment import Assignment
from apps.engine.flags.conditions import Context
from apps.engine.values import Tree, parse_canonical
from apps.rollouts.groups import group_of
from apps.rollouts.models import Experiment, Exposure

MAX_WAITING: Final = 50_000
MAX_KNOWN: Final = 200_000
IN_A_STATEMENT: Final = 500
_UNIT: Final = re.compile(r"[^\x00-\x1f\x7f]{1,256}")

Key = tuple[uuid.UUID, str]

_lock = threading.Lock()
_waiting: dict[Key, tuple[str, datetime]] = {}
_known: OrderedDict[Key, str] = OrderedDict()


def check_unit(unit: str) -> str:
    """``unit`` when it is 1 to 256 characters without control characters, else
    :class:`InvalidError`.
    """
    if not _UNIT.fullmatch(unit):
        message = "A unit is 1 to 256 characters without control characters."
        raise invalid("", "unit", message)
    return unit


def read_unit(header: str | None, parameter: str | None) -> str:
    """The unit that a request names, by ``X-Config-Unit`` (UTF-8) or in the query; empty: none.

    Raises :class:`InvalidError` for what is no UTF-8.
    """
    if not header:
        return parameter or ""
    try:  # frameworks read headers as ISO 8859-1
        return header.encode("latin-1").decode()
    except UnicodeError:
        raise invalid("", "unit", "X-Config-Unit is UTF-8.") from None


def digest_of(experiment: uuid.UUID, unit: str) -> str:
    """What is kept of a unit's name: 32 hexadecimal digits, others in every experiment."""
    return hashlib.sha256(f"{experiment.hex}\0{unit}".encode()).hexdigest()[:32]


def as_assigned(*, actor: Actor, published: Published, unit: str, instance: str = "") -> Published:
    """What is live as a ``unit`` is served it: in its variant where it is in an experiment.

    Whoever then serves it says so by :func:`note_served`.
    """
    check_unit(unit)
    choices = choices_of(published)
    variant = choices.choose(actor=actor, unit=unit, instance=instance)
    return in_variant(published, variant, choices.overlays[variant]) if variant else published


@dataclass(frozen=True, slots=True)
class Choices:
    """The experiments that run over a configuration, oldest first, with their ids; and the overlays
    of their variants, which are called ``EXPERIMENT/NAME``.
    """

    running: tuple[tuple[uuid.UUID, Assignment], ...]
    overlays: Mapping[str, uuid.UUID | None]

    @property
    def size(self) -> int:
        """Bytes, about."""
        return 200 + 1_000 * len(self.overlays)

    def choose(self, *, actor: Actor, unit: str, instance: str) -> str:
        """The variant that the unit is served; empty: none."""
        if not self.running:
            return ""
        attributes: dict[str, Tree] = {
            "targetingKey": unit,
            "account": actor.name.partition(":")[2],
        }
        if instance:
            attributes["instance"] = instance
        context = Context(attributes, clock.now())
        for pk, assignment in self.running:
            name = assignment.choose(context)
            if name is not None:
                return f"{pk}/{name}"
        return ""


def choices_of(published: Published) -> Choices:
    """What runs over a configuration now."""
    rows = Experiment.objects.select_related(
        "configuration__service", "configuration__environment"
    ).prefetch_related("variants")
    running = rows.filter(
        configuration=published.row.configuration_id, state=Experiment.RUNNING
    ).order_by("created_at")
    return Choices(
        tuple((each.pk, assignment_of(each)) for each in running),
        {
            f"{each.pk}/{variant.name}": variant.overlay_id
            for each in running
            for variant in each.variants.all()
        },
    )


def note_served(published: Published, unit: str) -> None:
    """Count the unit as exposed to the variant that it was served, if it was one."""
    note_variant(published.variant, unit)


def note_variant(variant: str, unit: str) -> None:
    """The same by the variant's name; an empty one is none."""
    if variant:
        experiment, _slash, name = variant.partition("/")
        pk = uuid.UUID(experiment)
        note_exposure(pk, digest_of(pk, unit), name)


def assignment_of(experiment: Experiment) -> Assignment:
    """Who gets what of a running experiment."""
    return Assignment.of(
        seed=experiment.pk.hex,
        group=group_of(experiment),
        holdout=experiment.holdout,
        slots=parse_canonical(experiment.slots),
        audience=parse_canonical(experiment.audience),
        weights={each.name: each.weight for each in experiment.variants.all()},
    )


# Exposures: counted in memory first, once for each unit, and written every few seconds


def note_exposure(experiment: uuid.UUID, unit: str, variant: str) -> None:
    """Remember that a unit was given a variant."""
    key = (experiment, unit)
    with _lock:
        if _known.get(key) == variant:
            _known.move_to_end(key)
        elif len(_waiting) < MAX_WAITING:
            _waiting.setdefault(key, (variant, clock.now()))


def flush() -> int:
    """Write what was noted since the last time; gives the number of exposures.

    A unit that was given another variant before is marked: it tells nothing any more.
    """
    with _lock:
        taken = dict(_waiting)
        _waiting.clear()
    if not taken:
        return 0
    with writing():
        there = set(
            Experiment.objects.filter(pk__in={key[0] for key in taken}).values_list("pk", flat=True)
        )
        rows = [
            Exposure(experiment_id=experiment, unit=unit, variant=variant, first_at=at)
            for (experiment, unit), (variant, at) in sorted(taken.items())
            if experiment in there
        ]
        Exposure.objects.bulk_create(rows, ignore_conflicts=True, batch_size=IN_A_STATEMENT)
        for experiment in there:
            _mark_mixed(experiment, {k[1]: v[0] for k, v in taken.items() if k[0] == experiment})
    with _lock:
        _known.update({key: variant for key, (variant, _at) in taken.items()})
        while len(_known) > MAX_KNOWN:
            _known.popitem(last=False)
    return len(taken)


def _mark_mixed(experiment: uuid.UUID, given: dict[str, str]) -> None:
    units = sorted(given)
    for start in range(0, len(units), IN_A_STATEMENT):
        part = units[start : start + IN_A_STATEMENT]
        rows = Exposure.objects.filter(experiment=experiment, unit__in=part, mixed=False)
        other = [
            pk for pk, unit, had in rows.values_list("pk", "unit", "variant") if had != given[unit]
        ]
        if other:
            Exposure.objects.filter(pk__in=other).update(mixed=True)


def forget_written() -> None:
    """Forget which exposures were written: another database may not have them."""
    with _lock:
        _known.clear()


def forget_known() -> None:
    """The same, and those that are to be written: for tests, which empty the tables."""
    forget_written()
    with _lock:
        _waiting.clear()

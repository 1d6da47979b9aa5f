"""Experiments as they were after an act: rows of their history, with the variants that the ledger names."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from apps.audit.selectors import Point, last_states, list_events_on
from apps.configs.models import Overlay
from apps.core.actor import Actor
from apps.engine.errors import NOTHING_HERE, NotFoundError
from apps.engine.values import parse_canonical
from apps.rollouts.groups import target_of
from apps.rollouts.models import Experiment, Variant
from apps.rollouts.selectors import read_id, readable

WRITES: Final = ("experiment.created", "experiment.updated")
ACTIONS: Final = (*WRITES, "experiment.started", "experiment.stopped", "experiment.deleted")
"""Each act on an experiment writes one row of its history."""


@dataclass(frozen=True, slots=True)
class Past:
    """An experiment as of a point, and its variants then."""

    row: Experiment
    variants: Sequence[Variant]


def list_experiments_at(
    *, actor: Actor, point: Point, service: str = "", environment: str = ""
) -> list[Past]:
    """The experiments that there were as of ``point``, over configurations that the actor may read
    now, newest first; deleted drafts too.
    """
    history = Experiment.history.select_related(
        "configuration__service", "configuration__environment"
    )
    states: dict[str, list[Any]] = defaultdict(list)
    seen: Any = readable(history, actor, service, environment)
    for state in seen.order_by("history_id"):
        states[target_of(state)].append(state)
    rows = []
    for state in last_states(states, actions=ACTIONS, point=point):
        if state.history_type != "-":
            row = state.instance
            row.configuration = state.configuration
            rows.append(row)
    variants = _variants_of(rows, point)
    rows.sort(key=lambda each: each.created_at, reverse=True)
    return [Past(each, variants[each.pk]) for each in rows]


def get_experiment_at(*, actor: Actor, pk: str, point: Point) -> Past:
    """One by its id. Raises :class:`NotFoundError`, for one that the actor may not read too."""
    wanted = read_id(pk)
    for each in list_experiments_at(actor=actor, point=point):
        if each.row.pk == wanted:
            return each
    raise NotFoundError(NOTHING_HERE)


def _variants_of(rows: Sequence[Experiment], point: Point) -> dict[UUID, list[Variant]]:
    """The variants of each as of ``point``. Where no act by then names them, as those of before this
    was kept, they are those of now.
    """
    told: dict[UUID, Any] = {}
    targets = [target_of(each) for each in rows]
    for event in list_events_on(targets=targets, actions=WRITES, until=point.revision):
        data = parse_canonical(event.data)
        if "variants" in data:
            told[UUID(data["id"])] = data["variants"]
    overlays = Overlay.objects.select_related("patch").in_bulk(
        {each["overlay"] for variants in told.values() for each in variants} - {None}
    )
    found: dict[UUID, list[Variant]] = {each.pk: [] for each in rows}
    older = Variant.objects.filter(experiment__in=found.keys() - told.keys())
    for variant in older.select_related("overlay__patch"):
        found[variant.experiment_id].append(variant)
    for pk, variants in told.items():
        found[pk] = [
            Variant(
                name=each["name"],
                weight=float(each["weight"]),
                overlay=overlays[UUID(each["overlay"])] if each["overlay"] else None,
            )
            for each in variants
        ]
    return found

"""Where an experiment is, and which units it gets beside the others of its group."""

from typing import Final

from apps.access.policy import Place
from apps.engine.errors import invalid
from apps.engine.experiments.assignment import find_free, slots_of
from apps.engine.values import parse_canonical
from apps.rollouts.models import Experiment

MAX_RUNNING: Final = 20
"""Experiments that run over one configuration at a time: each variant is one more document that
every publish makes.
"""


def place_of(experiment: Experiment) -> Place:
    """Where it is: what the rights on it hang on."""
    configuration = experiment.configuration
    return Place(configuration.service, configuration.environment)


def target_of(experiment: Experiment) -> str:
    """What the ledger calls it."""
    return f"experiment:{place_of(experiment)}/{experiment.name}"


def group_of(experiment: Experiment) -> str:
    """The group of experiments whose units exclude each other."""
    return experiment.exclusion or str(place_of(experiment))


def take_slots(row: Experiment) -> list[tuple[int, int]]:
    """The slots of its group that it gets. Raises :class:`InvalidError` when too few are free."""
    running = Experiment.objects.select_related(
        "configuration__service", "configuration__environment"
    ).filter(
        state=Experiment.RUNNING,
        configuration__service__deleted_at__isnull=True,
        configuration__environment__deleted_at__isnull=True,
    )
    group = group_of(row).lower()
    here = [each for each in running if each.configuration_id == row.configuration_id]
    if len(here) >= MAX_RUNNING:
        raise invalid("", "limit", f"At most {MAX_RUNNING} experiments run over a configuration.")
    if any(group_of(each).lower() != group for each in here):
        raise invalid(
            "/exclusion",
            "exclusion",
            "Experiments over one configuration exclude each other: name the same group.",
        )
    taken = [
        (first, beyond)
        for each in running
        if group_of(each).lower() == group
        for first, beyond in parse_canonical(each.slots)
    ]
    wanted = slots_of(row.share)
    found = find_free(taken, wanted)
    free = sum(beyond - first for first, beyond in found)
    if free < wanted:
        raise invalid(
            "/share",
            "share",
            f"Only {free / 100:g} % of the units are free in the group '{group_of(row)}': stop "
            "another experiment, or take a smaller share.",
        )
    return found

"""Loading the demonstration's experiments, with units that took part before anybody looks."""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from apps.access.policy import Place
from apps.access.selectors import person
from apps.core import clock
from apps.core.models import User
from apps.engine.flags.conditions import Context
from apps.registry.selectors import get_environment, get_service
from apps.rollouts.assigning import assignment_of, digest_of
from apps.rollouts.experiments import create_experiment, start_experiment
from apps.rollouts.models import Experiment, Exposure, Outcome

MEMBERS: Final = ("description", "holdout", "share", "metrics", "variants")
SPREAD: Final = 0.4
"""Of the logarithm of values."""
IN_A_STATEMENT: Final = 500


def load_experiments(manifest: Path, progress: Callable[[str], None]) -> None:
    """Load ``manifest`` over the demonstration's configurations, as the people whose work it is."""
    for given in yaml.safe_load(manifest.read_text())["experiments"]:
        progress(f"  the experiment {given['name']}")
        author = person(User.objects.get(username=given["author"]))
        place = Place(get_service(given["service"]), get_environment(given["environment"]))
        members = {name: given[name] for name in MEMBERS}
        row = create_experiment(actor=author, place=place, name=given["name"], **members)
        row = start_experiment(actor=author, experiment=row)
        began = clock.now() - timedelta(days=given["days"])
        Experiment.objects.filter(pk=row.pk).update(created_at=began, started_at=began)
        history = Experiment.history.filter(id=row.pk)
        history.update(created_at=began)
        history.exclude(started_at=None).update(started_at=began)
        _imitate(row, given, began)


def _imitate(row: Experiment, given: dict[str, Any], began: datetime) -> None:
    """Exposures and outcomes of units that are served the very variants that they are written with."""
    chance = random.Random(row.name)  # noqa: S311 - the same at every start, and no secret
    exposures, outcomes = [], []
    for name, unit, at in _units(row, given, began, chance):
        exposures.append(Exposure(experiment=row, unit=unit, variant=name, first_at=at))
        for metric, does in given["outcomes"][name].items():
            if chance.random() < does["share"]:
                value = does.get("value", 1) * chance.lognormvariate(0, SPREAD)
                total = round(value, 2) if "value" in does else 1
                fields = {"metric": metric, "count": 1, "total": total, "last_at": at}
                outcomes.append(Outcome(experiment=row, unit=unit, **fields))
    Exposure.objects.bulk_create(exposures, batch_size=IN_A_STATEMENT)
    Outcome.objects.bulk_create(outcomes, batch_size=IN_A_STATEMENT)


def _units(
    row: Experiment, given: dict[str, Any], began: datetime, chance: random.Random
) -> Iterator[tuple[str, str, datetime]]:
    assignment = assignment_of(row)
    span = clock.now() - began
    for number in range(given["units"]):
        unit = f"visitor-{number}"
        name = assignment.choose(Context({"targetingKey": unit}, clock.now()))
        if name is not None:
            yield name, digest_of(row.pk, unit), began + span * chance.random()

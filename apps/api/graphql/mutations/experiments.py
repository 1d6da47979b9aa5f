"""Making, starting and stopping experiments, and what came of them."""

from enum import Enum
from typing import Any

import strawberry

from apps.api.experiments import (
    ExperimentOutcomesView,
    ExperimentPublishView,
    ExperimentStartView,
    ExperimentStopView,
    ExperimentsView,
    ExperimentView,
)
from apps.api.graphql.acts import ACT, absent, perform
from apps.api.graphql.context import Info
from apps.api.graphql.experiments import Experiment
from apps.api.graphql.fields import field, given, node
from apps.api.graphql.inputs import Given, Uuid
from apps.api.graphql.mutations.configurations import OnDependents
from apps.api.graphql.outcomes import Outcome
from apps.api.graphql.scalars import Json, Time
from apps.rollouts.groups import place_of
from apps.rollouts.selectors import get_experiment


@strawberry.enum(description="What a metric counts.")
class MetricKind(Enum):
    """What a metric counts."""

    CONVERSION = "conversion"
    VALUE = "value"


@strawberry.enum(description="Which way is better.")
class Goal(Enum):
    """Which way is better."""

    INCREASE = "increase"
    DECREASE = "decrease"


@given
class MetricInput:
    """What is measured of units."""

    name: str
    kind: MetricKind | None = absent("Absent: CONVERSION.")
    goal: Goal | None = absent("Absent: INCREASE.")


@given
class VariantInput:
    """A variant: the first is the control, and has no patch."""

    name: str
    weight: float | None = absent("Against the others'. Absent: 1.")
    patch: Json | None = absent("A merge patch over what is live.")


@given
class ExperimentPatch:
    """What is set of an experiment. What is absent stays."""

    description: str | None = absent()
    audience: Json | None = absent("A condition. Empty: everyone.")
    holdout: float | None = absent("Percent of the group's units that are kept out.")
    share: float | None = absent("Percent of the group's units.")
    exclusion: str | None = absent("The group of experiments that exclude each other.")
    metrics: list[MetricInput] | None = absent("The first is the one that decides.")
    alpha: float | None = absent()
    tuned_for: int | None = absent("Units in each variant at which intervals are narrowest.")
    variants: list[VariantInput] | None = absent()
    starts_at: Time | None = absent()
    ends_at: Time | None = absent()


@given
class ExperimentInput(ExperimentPatch):
    """A new experiment, and over what it is."""

    service: str
    name: str
    environment: str | None = absent("As in REST: absent, the account's own, else the default one.")


@given
class StartInput:
    """How it is started."""

    dry_run: bool | None = absent("Compose and validate every variant, and store nothing.")


@given
class WinnerInput:
    """What is published for everybody, and why."""

    variant: str
    message: str | None = absent("Why.")
    base_version: int | None = absent("The version that this is a change of.")
    dependents: OnDependents | None = absent("Absent: REFUSE.")
    dry_run: bool | None = absent("Say what would follow, and store nothing.")


@given
class HappenedInput:
    """What a unit did."""

    unit: str
    metric: str
    value: float | None = absent("Absent: 1.")


@given
class OutcomesInput:
    """Up to 1,000 of them, all or none."""

    outcomes: list[HappenedInput]


@node
class Mutations:
    """What can be done with them."""

    @field(cost=ACT)
    def create_experiment(self, info: Info, input_: Given[ExperimentInput]) -> Experiment | None:
        """Make a draft. Nothing is served of it yet."""
        return _told(perform(info, ExperimentsView, "post", input_))

    @field(cost=ACT)
    def update_experiment(
        self, info: Info, id_: Uuid, input_: Given[ExperimentPatch]
    ) -> Experiment | None:
        """Change an experiment: all of a draft, description and end of a running one."""
        return _told(perform(info, ExperimentView, "patch", input_, pk=id_))

    @field(cost=ACT)
    def delete_experiment(self, info: Info, id_: Uuid) -> bool | None:
        """Delete a draft."""
        perform(info, ExperimentView, "delete", pk=id_)
        return True

    @field(cost=ACT)
    def start_experiment(
        self, info: Info, id_: Uuid, input_: Given[StartInput | None] = None
    ) -> Experiment | None:
        """Start an experiment, once each variant is valid as a version would be."""
        return _told(perform(info, ExperimentStartView, "post", input_ or {}, pk=id_))

    @field(cost=ACT)
    def stop_experiment(self, info: Info, id_: Uuid) -> Experiment | None:
        """Serve everybody what is live, from now on."""
        return _told(perform(info, ExperimentStopView, "post", {}, pk=id_))

    @field(cost=ACT)
    def publish_variant(self, info: Info, id_: Uuid, input_: Given[WinnerInput]) -> Outcome | None:
        """Stop an experiment and publish a variant of it for everybody, in one act."""
        told = perform(info, ExperimentPublishView, "post", input_, pk=id_)
        place = place_of(get_experiment(actor=info.context.caller, pk=id_))
        return Outcome.of(told, str(place.service), str(place.environment))

    @field(cost=ACT)
    def record_outcomes(self, info: Info, id_: Uuid, input_: Given[OutcomesInput]) -> int | None:
        """Record what units did. How many outcomes were recorded."""
        told: dict[str, Any] = perform(info, ExperimentOutcomesView, "post", input_, pk=id_)
        return int(told["recorded"])


def _told(told: Any) -> Experiment:
    return Experiment.told({name: each for name, each in told.items() if name != "dry_run"})

"""Experiments: variants of a configuration for shares of its units, and what came of them."""

from typing import Any, Self

import strawberry

from apps.api.experiments import present_experiment, present_results
from apps.api.graphql.context import Info, Peers, find
from apps.api.graphql.fields import field, node
from apps.api.graphql.inputs import Uuid
from apps.api.graphql.paging import Connection, Page, connect
from apps.api.graphql.scalars import Json, Time
from apps.rollouts import selectors
from apps.rollouts.results import list_results

RESULTS = 50
"""What the results of one experiment count: they are summed over all its units."""


@node
class Variant:
    """A variant: the first is the control, and lays nothing."""

    name: str
    weight: float
    patch: Json | None = strawberry.field(description="As far as one sees its keys.")


@node
class Metric:
    """What is measured of units."""

    name: str
    kind: str = strawberry.field(description="conversion or value.")
    goal: str = strawberry.field(description="increase or decrease.")


@node
class Inference:
    """How sure a lift is. Intervals are ``[low, high]``."""

    absolute: list[float] | None
    relative: list[float] | None
    p_value: float
    corrected_p_value: float


@node
class Comparison:
    """A variant against the control by one metric."""

    metric: str
    variant: str
    control_mean: float | None
    variant_mean: float | None
    absolute_lift: float | None
    relative_lift: float | None
    fixed_horizon: Inference = strawberry.field(description="For one look at the end.")
    always_valid: Inference = strawberry.field(description="For any number of looks.")

    @classmethod
    def of(cls, told: Any) -> Self:
        """The comparison that REST tells of."""
        judged = {name: Inference(**told[name]) for name in ("fixed_horizon", "always_valid")}
        return cls(**{**told, **judged})


@node
class Units:
    """How many units there are of a variant, and how many there would be by its weight."""

    variant: str
    count: int
    expected: float


@node
class DayUnits:
    """How many units a variant was first given to on a day."""

    variant: str
    count: int


@node
class Day:
    """A day (UTC) on which units were first given variants."""

    day: str
    units: list[DayUnits]

    @classmethod
    def of(cls, told: Any) -> Self:
        """The day that REST tells of."""
        units = [DayUnits(variant=name, count=count) for name, count in told["units"].items()]
        return cls(day=told["day"], units=units)


@node
class Results:
    """What an experiment found so far."""

    units: list[Units]
    mixed: int = strawberry.field(
        description="Units that were given two variants: they count for none."
    )
    mismatch: bool = strawberry.field(
        description="Units were not split as intended: believe nothing."
    )
    split_p_value: float = strawberry.field(description="Of the split; 1 with too few units.")
    comparisons: list[Comparison]
    days: list[Day]

    @classmethod
    def of(cls, told: Any) -> Self:
        """The results that REST tells of."""
        ratio = told["sample_ratio"]
        return cls(
            units=[
                Units(variant=name, count=count, expected=ratio["expected"][name])
                for name, count in told["units"].items()
            ],
            mixed=told["mixed"],
            mismatch=ratio["mismatch"],
            split_p_value=ratio["p_value"],
            comparisons=[Comparison.of(each) for each in told["comparisons"]],
            days=[Day.of(each) for each in told["days"]],
        )


@node
class Experiment:
    """An experiment over a configuration."""

    row: strawberry.Private[Any]
    peers: strawberry.Private[Peers | None]
    id: strawberry.ID
    service: str
    environment: str
    name: str
    description: str
    state: str = strawberry.field(description="draft, running or stopped.")
    audience: Json
    holdout: float = strawberry.field(description="Percent of the group's units.")
    share: float = strawberry.field(description="Percent of the group's units.")
    exclusion: str = strawberry.field(description="The group. Empty: the configuration's own.")
    metrics: list[Metric]
    alpha: float
    tuned_for: int
    variants: list[Variant]
    winner: str
    created_at: Time
    starts_at: Time | None
    ends_at: Time | None
    started_at: Time | None
    stopped_at: Time | None

    @classmethod
    def told(cls, told: Any, row: Any = None, peers: Peers | None = None) -> Self:
        """The experiment that REST tells of."""
        made = {
            "metrics": [Metric(**each) for each in told["metrics"]],
            "variants": [Variant(**each) for each in told["variants"]],
            "id": strawberry.ID(told["id"]),
        }
        return cls(**{**told, **made, "row": row, "peers": peers})

    @field(cost=RESULTS)
    def results(self, info: Info) -> Results | None:
        """What it found so far."""
        actor = info.context.actor
        row = self.row or selectors.get_experiment(actor=actor, pk=str(self.id))
        found = (self.peers or Peers([row])).get(
            "results", row.pk, lambda rows: list_results(actor=actor, experiments=rows)
        )
        return None if found is None else Results.of(present_results(row, found))


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True)
    def experiments(
        self, info: Info, page: Page, service: str = "", environment: str = ""
    ) -> Connection[Experiment] | None:
        """Experiments over configurations that the caller may read, newest first."""
        actor = info.context.actor
        rows = selectors.list_experiments(actor=actor, service=service, environment=environment)

        def shown(row: Any, peers: Peers) -> Experiment:
            return Experiment.told(present_experiment(row, actor), row, peers)

        return connect(rows, page, shown)

    @field()
    def experiment(self, info: Info, id_: Uuid) -> Experiment | None:
        """One experiment. ``None`` for one that is missing or hidden."""
        actor = info.context.actor

        def shown() -> Experiment:
            row = selectors.get_experiment(actor=actor, pk=str(id_))
            return Experiment.told(present_experiment(row, actor), row)

        return find(info, shown)

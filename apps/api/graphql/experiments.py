"""Experiments: variants of a configuration for shares of its units, and what came of them."""

from typing import Any, Self

import strawberry

from apps.api.base import NO_PAST, bad_member
from apps.api.experiments import present_experiment, present_past, present_results
from apps.api.graphql.context import Info, Peers, find
from apps.api.graphql.fields import AT_COST, field, node
from apps.api.graphql.inputs import Uuid
from apps.api.graphql.paging import Connection, Page, connect
from apps.api.graphql.scalars import Json, Time
from apps.api.points import read_point
from apps.rollouts import past, selectors
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
    lacks: str | None = strawberry.field(
        description="Why nothing is said: units, values (units with one other than 0) or spread."
    )


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
    is_past: strawberry.Private[bool] = False
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

    @classmethod
    def then(cls, then: past.Past, info: Info) -> Self:
        """The experiment as it was."""
        found = cls.told(present_past(then, info.context.actor))
        found.is_past = True
        return found

    @field(cost=RESULTS)
    def results(self, info: Info) -> Results | None:
        """What it found so far. An error for one of the past: they are counted up to now."""
        if self.is_past:
            raise bad_member("at", NO_PAST)
        actor = info.context.actor
        row = self.row or selectors.get_experiment(actor=actor, pk=str(self.id))
        found = (self.peers or Peers([row])).get(
            "results", row.pk, lambda rows: list_results(actor=actor, experiments=rows)
        )
        return None if found is None else Results.of(present_results(row, found))


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True, cost_with=AT_COST)
    def experiments(
        self,
        info: Info,
        page: Page,
        *,
        service: str = "",
        environment: str = "",
        at: str | None = None,
    ) -> Connection[Experiment] | None:
        """Experiments over configurations that the caller may read, newest first; with ``at`` as they
        were.
        """
        actor, point = info.context.actor, read_point(at)
        within = {"service": service, "environment": environment}
        if point is not None:
            then = past.list_experiments_at(actor=actor, point=point, **within)
            return connect(then, page, lambda each, _peers: Experiment.then(each, info))

        def shown(row: Any, peers: Peers) -> Experiment:
            return Experiment.told(present_experiment(row, actor), row, peers)

        return connect(selectors.list_experiments(actor=actor, **within), page, shown)

    @field(cost_with=AT_COST)
    def experiment(self, info: Info, id_: Uuid, at: str | None = None) -> Experiment | None:
        """One experiment; with ``at`` as it was. ``None`` for one that is missing or hidden."""
        actor, point = info.context.actor, read_point(at)

        def shown() -> Experiment:
            if point is not None:
                then = past.get_experiment_at(actor=actor, pk=str(id_), point=point)
                return Experiment.then(then, info)
            row = selectors.get_experiment(actor=actor, pk=str(id_))
            return Experiment.told(present_experiment(row, actor), row)

        return find(info, shown)

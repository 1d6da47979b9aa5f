"""``/experiments``: variants of a configuration for shares of its units, and what came of them."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse

from apps.access import policy
from apps.access.policy import Place
from apps.api.base import (
    ApiView,
    answer_json,
    bad_member,
    paged,
    read_members,
    typed,
)
from apps.api.documentation import (
    EXPERIMENT,
    EXPERIMENTS,
    OUTCOMES,
    READ_AT,
    RESULTS,
    documented,
)
from apps.api.points import point_of
from apps.api.writing import OPTION_MEMBERS, answer_outcome, environment_of, read_options
from apps.configs.selectors.configurations import resolve_place
from apps.core import clock
from apps.engine.errors import MalformedError, Problem
from apps.engine.experiments.inference import Inference
from apps.engine.experiments.statistics import Comparison
from apps.engine.section_types.section_type import find_number
from apps.engine.values import Tree, parse_canonical
from apps.rollouts import experiments, outcomes, past, results, selectors
from apps.rollouts.definitions import MEMBERS
from apps.rollouts.groups import place_of
from apps.rollouts.outcomes import MAX_BATCH, Happened

EXPERIMENT_MEMBERS = ("service", "environment", "name", *MEMBERS)
ENVIRONMENT_OPTION = tuple(each for each in OPTION_MEMBERS if each != "environment")


def present_experiment(row: Any, actor: Any, then: Sequence[Any] | None = None) -> dict[str, Tree]:
    """An experiment in the actor's view: patches without the keys that he may not see. ``then`` are
    the variants of one of the past.
    """
    patches = selectors.seen_patches(actor=actor, experiment=row, variants=then)
    variants: list[Tree] = [
        {"name": each.name, "weight": each.weight, "patch": patches.get(each.name)}
        for each in (row.variants.all() if then is None else then)
    ]
    place = place_of(row)
    times = ("created_at", "starts_at", "ends_at", "started_at", "stopped_at")
    return {
        "id": str(row.pk),
        "service": str(place.service),
        "environment": str(place.environment),
        "name": row.name,
        "description": row.description,
        "state": row.state,
        "audience": parse_canonical(row.audience),
        "holdout": row.holdout,
        "share": row.share,
        "exclusion": row.exclusion,
        "metrics": parse_canonical(row.metrics),
        "alpha": row.alpha,
        "tuned_for": row.tuned_for,
        "variants": variants,
        "winner": row.winner,
        **{name: _time(getattr(row, name)) for name in times},
    }


def present_past(then: past.Past, actor: Any) -> dict[str, Tree]:
    """An experiment of the past, likewise."""
    return present_experiment(then.row, actor, then.variants)


def _time(moment: Any) -> str | None:
    return None if moment is None else clock.rfc3339(moment)


def present_results(row: Any, found: results.Results) -> dict[str, Tree]:
    """What was found. Rates are 0 to 1, intervals ``[low, high]`` or ``null``; ``lacks`` is why nothing
    is said (``units``, ``values``, ``spread``), or ``null``.
    """
    return {
        "experiment": str(row.pk),
        "state": row.state,
        "alpha": row.alpha,
        "units": dict(found.units),
        "mixed": found.mixed,
        "sample_ratio": {
            "expected": dict(found.sample_ratio.expected),
            "p_value": found.sample_ratio.p_value,
            "mismatch": found.sample_ratio.mismatch,
        },
        "comparisons": [_comparison(each) for each in found.comparisons],
        "days": [{"day": each.day.isoformat(), "units": dict(each.units)} for each in found.days],
    }


def _comparison(each: Comparison) -> Tree:
    return {
        "metric": each.metric,
        "variant": each.treatment,
        "control_mean": each.control_mean,
        "variant_mean": each.treatment_mean,
        "absolute_lift": each.absolute_lift,
        "relative_lift": each.relative_lift,
        "fixed_horizon": _inference(each.fixed_horizon),
        "always_valid": _inference(each.always_valid),
    }


def _inference(said: Inference) -> Tree:
    return {
        "absolute": None if said.absolute is None else list(said.absolute),
        "relative": None if said.relative is None else list(said.relative),
        "p_value": said.p_value,
        "corrected_p_value": said.corrected_p_value,
        "lacks": said.lacks and said.lacks.value,
    }


class ExperimentsView(ApiView):
    """Experiments."""

    @documented("List experiments", EXPERIMENTS)
    def get(self, request: Any) -> HttpResponse:
        """A page of those over configurations that the caller may read, newest first; with ``at=``
        those that there were, as they were then.
        """
        within = {name: request.GET.get(name, "") for name in ("service", "environment")}
        point = point_of(request)
        if point is not None:
            then = past.list_experiments_at(actor=self.actor, point=point, **within)
            return paged(request, then, lambda each: present_past(each, self.actor))
        rows = selectors.list_experiments(actor=self.actor, **within)
        return paged(request, rows, lambda row: present_experiment(row, self.actor))

    @documented("Make a draft of an experiment", EXPERIMENT)
    def post(self, request: Any) -> HttpResponse:
        """Needs ``publish``, and on each key that a variant sets. Nothing is served of it yet."""
        return self.once(lambda: self._create(request), lambda: self._place(request))

    def _create(self, request: Any) -> HttpResponse:
        members = read_members(request, EXPERIMENT_MEMBERS)
        place = self._place(request)
        made = experiments.create_experiment(
            actor=self.actor,
            place=place,
            name=members.get("name"),  # type: ignore[arg-type] # checked by the service
            **_own(members),
        )
        location = {"Location": f"{request.path}/{made.pk}"}
        return answer_json(present_experiment(made, self.actor), 201, location)

    def _place(self, request: Any) -> Place:
        members = read_members(request, EXPERIMENT_MEMBERS)
        service = typed(members, "service", str)
        if not service:
            raise bad_member("service", "Name the service whose configuration it is about.")
        place = resolve_place(
            actor=self.actor,
            service=service,
            environment=environment_of(request, members),
            verb="publish",
        )
        policy.require(self.actor, "publish", place)
        return place


class OneExperimentView(ApiView):
    """Base of the views of one experiment."""

    def find(self, pk: str) -> Any:
        """The experiment that the address names; 404 for who may not read its configuration."""
        return selectors.get_experiment(actor=self.actor, pk=pk)

    def require(self, pk: str, verb: str) -> None:
        """The right that an act on it needs."""
        policy.require(self.actor, verb, place_of(self.find(pk)))

    def shown(self, row: Any) -> HttpResponse:
        """It, as it is after an act."""
        return answer_json(present_experiment(self.find(str(row.pk)), self.actor))


class ExperimentView(OneExperimentView):
    """One experiment."""

    @documented("Fetch an experiment", READ_AT)
    def get(self, request: Any, pk: str) -> HttpResponse:
        """Its members, with the patches as far as the caller sees their keys; with ``at=`` as they
        were then.
        """
        point = point_of(request)
        if point is not None:
            then = past.get_experiment_at(actor=self.actor, pk=pk, point=point)
            return answer_json(present_past(then, self.actor))
        return answer_json(present_experiment(self.find(pk), self.actor))

    @documented("Change an experiment", EXPERIMENT)
    def patch(self, request: Any, pk: str) -> HttpResponse:
        """Change the given members: of a draft all, of a running one description and end."""
        row = self.find(pk)
        members = read_members(request, MEMBERS)
        made = experiments.update_experiment(actor=self.actor, experiment=row, **_own(members))
        return self.shown(made)

    @documented("Delete the draft of an experiment", EXPERIMENT)
    def delete(self, _request: Any, pk: str) -> HttpResponse:
        """One that has run is kept."""
        experiments.delete_experiment(actor=self.actor, experiment=self.find(pk))
        return HttpResponse(status=204)


class ExperimentStartView(OneExperimentView):
    """Starting an experiment."""

    @documented("Start an experiment", EXPERIMENT)
    def post(self, request: Any, pk: str) -> HttpResponse:
        """Every variant is composed and validated first; ``"dry_run":true`` does that alone."""
        return self.once(lambda: self._start(request, pk), lambda: self.require(pk, "publish"))

    def _start(self, request: Any, pk: str) -> HttpResponse:
        members = read_members(request, ("dry_run",)) if request.body else {}
        dry_run = typed(members, "dry_run", bool, False)
        row = experiments.start_experiment(
            actor=self.actor, experiment=self.find(pk), dry_run=dry_run
        )
        if dry_run:
            data = present_experiment(self.find(pk), self.actor)
            return answer_json({**data, "dry_run": True})
        return self.shown(row)


class ExperimentStopView(OneExperimentView):
    """Stopping an experiment."""

    @documented("Stop an experiment", EXPERIMENT)
    def post(self, request: Any, pk: str) -> HttpResponse:
        """Everybody is served what is live, from now on."""
        return self.once(lambda: self._stop(request, pk), lambda: self.require(pk, "publish"))

    def _stop(self, request: Any, pk: str) -> HttpResponse:
        if request.body:
            read_members(request, ())
        return self.shown(experiments.stop_experiment(actor=self.actor, experiment=self.find(pk)))


class ExperimentPublishView(OneExperimentView):
    """Publishing what a variant lays."""

    @documented("Publish a variant of an experiment, which stops it", EXPERIMENT)
    def post(self, request: Any, pk: str) -> HttpResponse:
        """``{"variant"}`` and the members that every write has; answers as a publish does. One that
        is stopped already can be published still.
        """
        return self.once(lambda: self._publish(request, pk), lambda: self.require(pk, "publish"))

    def _publish(self, request: Any, pk: str) -> HttpResponse:
        members = read_members(request, ("variant", *ENVIRONMENT_OPTION))
        row = self.find(pk)
        place = place_of(row)
        outcome = experiments.publish_variant(
            actor=self.actor,
            experiment=row,
            variant=typed(members, "variant", str, ""),
            options=read_options(request, members),
        )
        return answer_outcome(outcome, place, f"/config/{place.service}")


class ExperimentOutcomesView(OneExperimentView):
    """What units did."""

    @documented("Record what units of an experiment did", OUTCOMES)
    def post(self, request: Any, pk: str) -> HttpResponse:
        """``{"outcomes":[{"unit","metric","value"}]}``, all of them or none. Send an
        ``Idempotency-Key``: the same batch again would count again.
        """
        return self.once(lambda: self._record(request, pk), lambda: self.require(pk, "read"))

    def _record(self, request: Any, pk: str) -> HttpResponse:
        given = typed(read_members(request, ("outcomes",)), "outcomes", list)
        if not given or len(given) > MAX_BATCH:
            raise bad_member("outcomes", f"'outcomes' is a list of 1 to {MAX_BATCH} outcomes.")
        happened = [_happened(index, each) for index, each in enumerate(given)]
        count = outcomes.record_outcomes(
            actor=self.actor, experiment=self.find(pk), happened=happened
        )
        return answer_json({"recorded": count})


class ExperimentResultsView(OneExperimentView):
    """What an experiment found."""

    @documented("Fetch the results of an experiment", RESULTS)
    def get(self, _request: Any, pk: str) -> HttpResponse:
        """Units, lifts, intervals and p-values so far."""
        row = self.find(pk)
        found = results.find_results(actor=self.actor, experiment=row)
        return answer_json(present_results(row, found))


def _own(members: dict[str, Tree]) -> dict[str, Tree]:
    return {name: members[name] for name in MEMBERS if name in members}


def _happened(index: int, given: Tree) -> Happened:
    if not isinstance(given, dict) or given.keys() - {"unit", "metric", "value"}:
        raise _bad_outcome(index, "An outcome is an object: unit, metric, value.")
    value = find_number(given.get("value", 1))
    unit, metric = given.get("unit"), given.get("metric")
    if value is None or not isinstance(unit, str) or not isinstance(metric, str):
        message = "An outcome has a unit and a metric, which are text, and a number."
        raise _bad_outcome(index, message)
    return Happened(unit, metric, value)


def _bad_outcome(index: int, message: str) -> MalformedError:
    return MalformedError(message, [Problem(f"/outcomes/{index}", "type", message)])

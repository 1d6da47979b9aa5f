"""Reading experiments."""

import uuid
from collections.abc import Iterable

from django.db.models import OuterRef, QuerySet, Subquery

from apps.access import policy
from apps.configs.selectors.configurations import scope_filter
from apps.core.actor import Actor
from apps.engine.errors import NOTHING_HERE, NotFoundError
from apps.engine.guarding import visible
from apps.engine.values import Tree, parse_canonical, same
from apps.rollouts.groups import place_of
from apps.rollouts.models import Experiment, Variant


def list_experiments(
    *, actor: Actor, service: str = "", environment: str = ""
) -> QuerySet[Experiment]:
    """The experiments over configurations that the actor may read, newest first."""
    rows = Experiment.objects.select_related(
        "configuration__service", "configuration__environment"
    ).prefetch_related("variants__overlay__patch")
    begun = Experiment.history.filter(id=OuterRef("pk"), state=Experiment.RUNNING)
    begun = begun.order_by("history_date", "history_id").values("ends_at")
    rows = rows.annotate(planned_end=Subquery(begun[:1]))  # type: ignore[no-redef] # the model tells its type
    return readable(rows, actor, service, environment)


def readable(
    rows: QuerySet[Experiment], actor: Actor, service: str = "", environment: str = ""
) -> QuerySet[Experiment]:
    """Those of experiments, or of their histories, over configurations that the actor may read; of a
    service, in an environment, where they are named.
    """
    rows = rows.filter(
        scope_filter(actor, "read", "configuration__"),
        configuration__service__deleted_at__isnull=True,
        configuration__environment__deleted_at__isnull=True,
    )
    if service:
        rows = rows.filter(configuration__service__slug__lower=service.lower())
    if environment:
        rows = rows.filter(configuration__environment__slug__lower=environment.lower())
    return rows


def get_experiment(*, actor: Actor, pk: str) -> Experiment:
    """One by its id. Raises :class:`NotFoundError`, for one that the actor may not read too."""
    found = list_experiments(actor=actor).filter(pk=read_id(pk)).first()
    if found is None:
        raise NotFoundError(NOTHING_HERE)
    return found


def read_id(text: str) -> uuid.UUID:
    """The id of an experiment. Raises :class:`NotFoundError` for what is none."""
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise NotFoundError(NOTHING_HERE) from error


def seen_patches(
    *, actor: Actor, experiment: Experiment, variants: Iterable[Variant] | None = None
) -> dict[str, Tree]:
    """What each variant (of ``variants``: of then) lays, without the keys that the actor may not see;
    the control nothing.
    """
    reads = policy.guard(actor, "read", place_of(experiment))
    return {
        each.name: visible(parse_canonical(each.overlay.patch.content), reads)
        for each in (experiment.variants.all() if variants is None else variants)
        if each.overlay is not None
    }


def partly_seen(*, actor: Actor, experiment: Experiment) -> set[str]:
    """The variants of whose patches key rules hide a part, or all, from the actor."""
    seen = seen_patches(actor=actor, experiment=experiment)
    return {
        each.name
        for each in experiment.variants.all()
        if each.overlay is not None
        and not same(seen[each.name], parse_canonical(each.overlay.patch.content))
    }

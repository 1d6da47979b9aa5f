"""Lists of experiments: all that one may read, and those over one configuration."""

from typing import Any, Final

from django.core.paginator import Paginator
from django.db.models import Case, QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from apps.access import policy
from apps.access.policy import Place
from apps.configs.selectors.places import list_environments, list_services
from apps.core.actor import Actor
from apps.portal.experiment_results import standing_of
from apps.portal.experiment_shown import is_overdue
from apps.portal.shared import page as guarded_page
from apps.portal.shared import place_of, reader_of, render, tabs
from apps.rollouts.groups import place_of as place_of_experiment
from apps.rollouts.models import Experiment
from apps.rollouts.results import find_standings
from apps.rollouts.selectors import list_experiments

PAGE: Final = 20
ORDER: Final = (Experiment.RUNNING, Experiment.DRAFT, Experiment.STOPPED)
"""What is to be looked after comes first, the newest first of each."""


@guarded_page
def overall(request: HttpRequest) -> HttpResponse:
    """The experiments over all configurations that the person may read."""
    actor = reader_of(request)
    policy.require_anywhere(actor, "read")
    return _listed(
        request,
        actor,
        None,
        title="Experiments",
        services=list_services(actor=actor),
        environments=list_environments(actor=actor),
    )


@guarded_page
def page(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The experiments over one configuration."""
    place = place_of(request, service, environment, "read")
    actor = reader_of(request)
    return _listed(
        request,
        actor,
        place,
        title=f"{service} · {environment}",
        may_make=policy.allowed(actor, "publish", place),
        tabs=tabs(request, place, "config-experiments"),
    )


def _listed(request: HttpRequest, actor: Actor, place: Place | None, **more: Any) -> HttpResponse:
    names = ("q", "state", "service", "environment")
    asked = {name: request.GET.get(name, "").strip() for name in names}
    rows = _filtered(actor, place, asked)
    paged = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    shown = list(paged)
    standings = find_standings(shown)
    return render(
        request,
        "portal/experiments.html",
        place=place,
        rows=[_row(each, standings.get(each.pk)) for each in shown],
        page=paged,
        asked=asked,
        is_filtered=any(asked.values()),
        states=Experiment.STATES,
        **more,
    )


def _filtered(actor: Actor, place: Place | None, asked: dict[str, str]) -> QuerySet[Experiment]:
    rows = list_experiments(
        actor=actor,
        service=str(place.service) if place else asked["service"],
        environment=str(place.environment) if place else asked["environment"],
    )
    if asked["state"]:
        rows = rows.filter(state=asked["state"])
    order = [When(state=state, then=place) for place, state in enumerate(ORDER)]
    rows = rows.order_by(Case(*order), "-created_at")
    return rows.filter(name__icontains=asked["q"]) if asked["q"] else rows


def _row(row: Experiment, found: Any) -> dict[str, Any]:
    since = row.stopped_at or row.started_at or row.created_at
    return {
        "row": row,
        "is_overdue": is_overdue(row),
        "place": place_of_experiment(row),
        "url": reverse("admin:experiment", args=[row.pk]),
        "since": since,
        "units": found.units if found else None,
        "mismatch": bool(found and found.mismatch),
        "standing": standing_of(row, found),
    }

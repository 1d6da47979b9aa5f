"""Making and changing an experiment: a form whose problems come back at their fields."""

from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.access import policy
from apps.access.policy import Place
from apps.core.actor import Actor
from apps.engine import formats
from apps.engine import overlays as laying
from apps.engine.errors import DomainError
from apps.engine.values import parse_canonical
from apps.portal.experiment_shown import audience_of, difference_of, live_at, text_of
from apps.portal.experiment_typed import FIELDS, ROWS, patch_format, read_form, read_members
from apps.portal.shared import actor_of, answers_json, note, place_of, render, said, tabs
from apps.portal.shared import page as guarded_page
from apps.rollouts import experiments, selectors
from apps.rollouts.definitions import (
    CONTEXT,
    GOALS,
    KINDS,
    MAX_METRICS,
    MAX_VARIANTS,
)
from apps.rollouts.groups import place_of as place_of_experiment
from apps.rollouts.models import Experiment

_NEW: Final[dict[str, Any]] = {
    **dict.fromkeys(FIELDS, ""),
    "holdout": "0",
    "share": "100",
    "alpha": "0.05",
    "tuned_for": "5000",
    "variants": [
        {"name": "control", "weight": "50", "patch": ""},
        {"name": "treatment", "weight": "50", "patch": ""},
    ],
    "metrics": [{"name": "", "kind": "conversion", "goal": "increase"}],
}


@guarded_page
def make(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The form of a new experiment; a POST makes its draft."""
    place = place_of(request, service, environment, "publish")
    if request.method != "POST":
        return _render(request, place, None, _NEW)
    given = {**_NEW, **read_form(request.POST)}
    try:
        row = experiments.create_experiment(
            actor=actor_of(request), place=place, name=given["name"], **read_members(given, {})
        )
    except DomainError as error:
        return _render(request, place, None, given, error)
    return _saved(request, row, place)


@guarded_page
def change(request: HttpRequest, pk: str) -> HttpResponse:
    """The form of a draft, or of what may change of one that runs; a POST saves it."""
    actor = actor_of(request)
    row = selectors.get_experiment(actor=actor, pk=pk)
    place = place_of_experiment(row)
    policy.require(actor, "publish", place)
    before = _known(actor, row)
    if request.method != "POST":
        return _render(request, place, row, before)
    given = {**before, **read_form(request.POST), "name": row.name}
    try:
        members = read_members(given, before)
        experiments.update_experiment(actor=actor, experiment=row, **members)
    except DomainError as error:
        return _render(request, place, row, given, error)
    return _saved(request, row, place)


def _saved(request: HttpRequest, row: Experiment, place: Place) -> HttpResponse:
    if not policy.allowed(actor_of(request), "read", place):
        messages.success(request, f"{row.name} is saved. Who may read here can look at it.")
        return HttpResponseRedirect(reverse("admin:index"))
    if request.POST.get("act") == "check":
        return HttpResponseRedirect(reverse("admin:experiment-start", args=[row.pk]))
    messages.success(request, f"{row.name} is saved.")
    return HttpResponseRedirect(reverse("admin:experiment", args=[row.pk]))


def _known(actor: Actor, row: Experiment) -> dict[str, Any]:
    """The texts of the form for what is kept, as far as the actor sees it."""
    patches = selectors.seen_patches(actor=actor, experiment=row)
    partial = selectors.partly_seen(actor=actor, experiment=row)
    rows = list(row.variants.all())
    return {
        "name": row.name,
        "description": row.description,
        "audience": audience_of(row),
        "holdout": f"{row.holdout:g}",
        "share": f"{row.share:g}",
        "exclusion": row.exclusion,
        "alpha": f"{row.alpha:g}",
        "tuned_for": str(row.tuned_for),
        "starts_at": _time(row.starts_at),
        "ends_at": _time(row.ends_at),
        "variants": [
            {
                "name": each.name,
                "weight": share,
                "patch": text_of(patches[each.name]) if patches.get(each.name) else "",
                "is_partial": each.name in partial,
            }
            for each, share in zip(rows, _shares([each.weight for each in rows]), strict=True)
        ],
        "metrics": parse_canonical(row.metrics),
    }


def _shares(weights: list[float]) -> list[str]:
    """Weights as percentages, which make a hundred together."""
    hundredths = [round(10_000 * each / sum(weights)) for each in weights]
    hundredths[-1] += 10_000 - sum(hundredths)
    return [f"{each / 100:g}" for each in hundredths]


def _time(moment: Any) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M") if moment else ""


def _render(
    request: HttpRequest,
    place: Place,
    row: Experiment | None,
    given: dict[str, Any],
    error: DomainError | None = None,
) -> HttpResponse:
    if error is not None:
        note(request, error)
    problems, rest = _by_field(error, given)
    reads = policy.allowed(actor_of(request), "read", place)
    answer = render(
        request,
        "portal/experiment_form.html",
        title=f"{place.service} · {place.environment}",
        place=place,
        row=row,
        is_draft=row is None or row.state == Experiment.DRAFT,
        given=given,
        problems=problems,
        refusal=error,
        rest=rest,
        variants=_listed("variants", given, problems),
        metrics=_listed("metrics", given, problems),
        kinds=KINDS,
        goals=GOALS,
        attributes=list(CONTEXT),
        limits={"variants": MAX_VARIANTS, "metrics": MAX_METRICS},
        reads=reads,
        tabs=tabs(request, place, "config-experiments"),
    )
    answer.status_code = 422 if error else 200
    return answer


def _listed(name: str, given: dict[str, Any], problems: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            **each,
            "problems": {
                member: problems.get(f"{name}/{index}/{member}", "") for member in ROWS[name]
            },
        }
        for index, each in enumerate(given[name])
    ]


def _by_field(error: DomainError | None, given: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
    """What is wrong by the field that it is about, ``variants/1/patch``; and what is about none."""
    found: dict[str, str] = {}
    rest: list[str] = []
    if error is None:
        return found, rest
    for each in error.problems:
        name, *inside = each.pointer.removeprefix("/").split("/")
        if name in ROWS and len(inside) > 1 and inside[0].isdigit():
            field, below = f"{name}/{inside[0]}/{inside[1]}", inside[2:]
        else:
            field, below = name, inside
        words = f"{'.'.join(below)}: {each.message}" if below else each.message
        if name in FIELDS or name in ROWS:
            found[field] = f"{found[field]} {words}" if field in found else words
        else:
            rest.append(words)
    if not error.problems:
        rest.append(said(error))
    return found, rest


@require_POST
@answers_json
def preview(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """What a patch that is being written makes another of what is live."""
    place = place_of(request, service, environment, "publish")
    text = request.POST.get("patch", "").replace("\r\n", "\n").strip()
    patch = formats.parse(text or "{}", patch_format(text)).tree
    laying.check_patch(patch)
    actor = actor_of(request)
    live = live_at(actor, place) if policy.allowed(actor, "read", place) else None
    if live is None:
        return JsonResponse({"changes": None})
    return JsonResponse(difference_of(place, live, patch))

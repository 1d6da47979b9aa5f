"""Making and changing an experiment: a form whose problems come back at their fields."""

import re
from collections.abc import Mapping
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.access import policy
from apps.access.policy import Place
from apps.configs.selectors.configurations import Published, find_live
from apps.core.actor import Actor
from apps.engine import formats
from apps.engine import overlays as laying
from apps.engine.errors import DomainError, InvalidError, Problem
from apps.engine.values import Tree, parse_canonical
from apps.portal.experiment_shown import audience_of, difference_of, text_of
from apps.portal.shared import actor_of, answers_json, note, place_of, render, said, tabs
from apps.portal.shared import page as guarded_page
from apps.rollouts import experiments, selectors
from apps.rollouts.definitions import CONTEXT, GOALS, KINDS, MAX_METRICS, MAX_VARIANTS
from apps.rollouts.experiments import place_of as place_of_experiment
from apps.rollouts.models import Experiment

FIELDS: Final = (
    "name",
    "description",
    "audience",
    "holdout",
    "share",
    "exclusion",
    "alpha",
    "tuned_for",
    "starts_at",
    "ends_at",
)
ROWS: Final = {"variants": ("name", "weight", "patch"), "metrics": ("name", "kind", "goal")}
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
_MINUTE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")


@guarded_page
def make(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The form of a new experiment; a POST makes its draft."""
    place = place_of(request, service, environment, "publish")
    if request.method != "POST":
        return _render(request, place, None, _NEW)
    given = {**_NEW, **_given(request)}
    try:
        row = experiments.create_experiment(
            actor=actor_of(request), place=place, name=given["name"], **_members(given, {})
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
    given = {**before, **_given(request), "name": row.name}
    try:
        members = _members(given, before)
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


def _given(request: HttpRequest) -> dict[str, Any]:
    """What was typed, as it was typed; fields that the form did not have are left out."""
    sent = request.POST
    given: dict[str, Any] = {
        name: sent[name].replace("\r\n", "\n") for name in FIELDS if name in sent
    }
    for name, members in ROWS.items():
        columns = [
            [each.replace("\r\n", "\n") for each in sent.getlist(f"{name}_{member}")]
            for member in members
        ]
        if columns[0]:
            given[name] = [
                dict(zip(members, row, strict=True)) for row in zip(*columns, strict=False)
            ]
    if "metrics" not in given and "variants" in given:
        given["metrics"] = []
    return given


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


def _members(given: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Tree]:
    """The members to send, of those that are others than ``before``: a variant of which the person
    sees nothing is not to be written by him.

    Raises :class:`InvalidError` with all that cannot be read.
    """
    problems: list[Problem] = []
    members: dict[str, Tree] = {
        name: _read(name, str(given[name]), problems)
        for name in FIELDS[1:]
        if given[name] != before.get(name)
    }
    variants = [_bare(each) for each in given["variants"]]
    if variants != [_bare(each) for each in before.get("variants", [])]:
        members["variants"] = [
            _variant(index, each, problems) for index, each in enumerate(variants)
        ]
    metrics = [each for each in given["metrics"] if each["name"]]
    if metrics != before.get("metrics"):
        members["metrics"] = metrics
    if problems:
        raise InvalidError("Some of it cannot be read.", problems)
    return members


def _bare(variant: Mapping[str, Any]) -> dict[str, str]:
    return {name: variant[name].strip() for name in ROWS["variants"]}


def _read(name: str, text: str, problems: list[Problem]) -> Tree:
    text = text.strip() if name != "description" else text
    if name == "audience":
        return _parsed(text or "{}", "json", "/audience", problems)
    if name in ("starts_at", "ends_at"):
        return f"{text}:00Z" if _MINUTE.fullmatch(text) else text
    return _number(text) if name in ("holdout", "share", "alpha", "tuned_for") else text


def _number(text: str) -> Tree:
    """A number, or the text itself, which is then refused as one."""
    try:
        return float(text)
    except ValueError:
        return text


def _variant(index: int, given: Mapping[str, str], problems: list[Problem]) -> Tree:
    text, patch = given["patch"], None
    if index:
        kind = "json" if text.startswith("{") else "yaml"
        patch = _parsed(text or "{}", kind, f"/variants/{index}/patch", problems)
    return {"name": given["name"], "weight": _number(given["weight"]), "patch": patch}


def _parsed(text: str, kind: str, at: str, problems: list[Problem]) -> Tree:
    try:
        return formats.parse(text, kind).tree
    except DomainError as error:
        line = error.problems[0].line if error.problems else None
        problems.append(
            Problem(at, error.code, f"{f'Line {line}: ' if line else ''}{error.detail}")
        )
        return {}


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
    patch = formats.parse(text or "{}", "json" if text.startswith("{") else "yaml").tree
    laying.check_patch(patch)
    live: Published | None = None
    if policy.allowed(actor_of(request), "read", place):
        live = find_live(actor=actor_of(request), place=place)
    if live is None or live.row.retired:
        return JsonResponse({"changes": None})
    return JsonResponse(difference_of(place, live, patch))

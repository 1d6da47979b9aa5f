"""One experiment: what it is, what it found, and starting, stopping and publishing it."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import get_script_prefix, reverse
from django.utils.http import urlencode

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.configs.services.bases import Base, Options
from apps.configs.services.kernel import Outcome
from apps.core.actor import Actor
from apps.engine import values
from apps.engine.errors import DomainError, Problem
from apps.engine.values import parse_canonical
from apps.portal import experiment_shown
from apps.portal.editor import followed
from apps.portal.experiment_results import results_of
from apps.portal.figures import number
from apps.portal.reviewing import others_of
from apps.portal.shared import actor_of, address, note, reader_of, render, tabs, tell
from apps.portal.shared import page as guarded_page
from apps.portal.timeline import shown
from apps.rollouts import experiments
from apps.rollouts.groups import group_of, place_of
from apps.rollouts.models import Experiment
from apps.rollouts.results import find_results
from apps.rollouts.selectors import get_experiment


@guarded_page
def page(request: HttpRequest, pk: str) -> HttpResponse:
    """Everything of it; a POST stops it or deletes its draft."""
    actor = reader_of(request)
    row = get_experiment(actor=actor, pk=pk)
    if request.method == "POST":
        return _act(request, row)
    live = experiment_shown.live_at(actor, place_of(row))
    ran = row.state != Experiment.DRAFT
    asked = {name: request.GET.get(name, "") for name in ("metric", "effect")}
    found = results_of(row, find_results(actor=actor, experiment=row), asked) if ran else None
    variants = experiment_shown.variants_of(actor, row, live)
    if found:
        expected = found["found"].sample_ratio.expected
        for each in variants:
            each["units"] = found["found"].units[each["name"]]
            each["expected"] = round(expected[each["name"]])
    return render(
        request,
        "portal/experiment.html",
        **_common(request, actor, row, variants),
        results=found,
        live=live,
        base=request.build_absolute_uri(get_script_prefix()).rstrip("/"),
        ledger=_ledger(actor, row),
    )


def _common(
    request: HttpRequest, actor: Actor, row: Experiment, variants: list[dict[str, Any]]
) -> dict[str, Any]:
    """What all pages of one experiment show."""
    place = place_of(row)
    return {
        "title": f"{place.service} · {place.environment}",
        "row": row,
        "is_overdue": experiment_shown.is_overdue(row),
        "place": place,
        "may_write": policy.allowed(actor, "publish", place),
        "variants": variants,
        "shares": experiment_shown.shares_of(row, variants),
        "audience": experiment_shown.audience_of(row),
        "group": group_of(row),
        "holdout": number(row.holdout),
        "share": number(row.share),
        "metrics": parse_canonical(row.metrics),
        "tabs": tabs(request, place, "config-experiments"),
    }


def _ledger(actor: Actor, row: Experiment) -> str:
    if not policy.allowed(actor, "audit", EVERYWHERE):
        return ""
    target = urlencode({"target": f"experiment:{place_of(row)}/{row.name}"})
    return f"{reverse('admin:ledger')}?{target}"


def _act(request: HttpRequest, row: Experiment) -> HttpResponse:
    actor, act = actor_of(request), request.POST.get("act", "")
    here = HttpResponseRedirect(reverse("admin:experiment", args=[row.pk]))
    try:
        if act == "stop":
            experiments.stop_experiment(actor=actor, experiment=row)
            messages.success(request, "It is stopped: everybody is served what is live.")
        elif act == "delete":
            place = place_of(row)
            experiments.delete_experiment(actor=actor, experiment=row)
            messages.success(request, f"The draft {row.name} is deleted.")
            return HttpResponseRedirect(address("config-experiments", place))
    except DomainError as error:
        tell(request, error)
    return here


@guarded_page
def start(request: HttpRequest, pk: str) -> HttpResponse:
    """Whether it could start, and who would get what; a POST starts it."""
    actor = reader_of(request)
    row = get_experiment(actor=actor, pk=pk)
    policy.require(actor, "publish", place_of(row))
    starting = request.method == "POST"
    here = reverse("admin:experiment", args=[row.pk])
    if row.state != Experiment.DRAFT:
        messages.info(request, f"It is {row.state} already.")
        return HttpResponseRedirect(here)
    refusal: DomainError | None = None
    try:
        experiments.start_experiment(actor=actor_of(request), experiment=row, dry_run=not starting)
        if starting:
            messages.success(request, f"{row.name} runs: units get their variants from now on.")
            return HttpResponseRedirect(here)
    except DomainError as error:
        refusal = error
        note(request, error)
    live = experiment_shown.live_at(actor, place_of(row))
    variants = experiment_shown.variants_of(actor, row, live)
    answer = render(
        request,
        "portal/experiment_start.html",
        **_common(request, actor, row, variants),
        live=live,
        refusal=refusal,
        problems=_beyond(refusal),
    )
    answer.status_code = 422 if starting else 200
    return answer


def _beyond(refusal: DomainError | None) -> Sequence[Problem]:
    """What is wrong where, unless that is the refusal itself."""
    found = refusal.problems if refusal else ()
    return [] if refusal and [each.message for each in found] == [refusal.detail] else found


@guarded_page
def publish(request: HttpRequest, pk: str, variant: str) -> HttpResponse:
    """What publishing a variant for everybody would change; a POST does it."""
    actor = reader_of(request)
    row = get_experiment(actor=actor, pk=pk)
    place = place_of(row)
    policy.require(actor, "publish", place)
    preview: Outcome | None = None
    refusal: DomainError | None = None
    try:
        outcome = experiments.publish_variant(
            actor=actor_of(request),
            experiment=row,
            variant=variant,
            options=_options(request),
        )
        if request.method == "POST":
            return _published(request, row, variant, outcome)
        preview = outcome
    except DomainError as error:
        refusal = error
        note(request, error)
    found = results_of(row, find_results(actor=actor, experiment=row), {})
    live = experiment_shown.live_at(actor, place_of(row))
    answer = render(
        request,
        "portal/experiment_publish.html",
        title=f"{place.service} · {place.environment}",
        row=row,
        place=place,
        variant=variant,
        live=live,
        preview=preview,
        refusal=refusal,
        problems=_beyond(refusal),
        changes=[shown(each) for each in preview.changes] if preview else [],
        others=others_of(preview.affected) if preview else None,
        message=request.POST.get("message", f"{variant}, by the experiment {row.name}"),
        dependents=request.POST.get("dependents") or request.GET.get("dependents", ""),
        said=[
            {"metric": metric["name"], **each}
            for metric in found["metrics"]
            for each in metric["rows"]
            if each["name"].lower() == variant.lower()
        ],
        tabs=tabs(request, place, "config-experiments"),
    )
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


def _options(request: HttpRequest) -> Options:
    doing = request.method == "POST"
    asked = request.POST if doing else request.GET
    return Options(
        message=asked.get("message", ""),
        base=Base(values.whole(asked.get("base_version", ""))),
        dependents=asked.get("dependents") or "refuse",
        dry_run=not doing,
    )


def _published(
    request: HttpRequest, row: Experiment, variant: str, outcome: Outcome
) -> HttpResponse:
    if outcome.unchanged:
        said = f"Everybody has {variant} already: no new version was made."
        messages.info(request, f"{said} The experiment is stopped.")
    else:
        said = f"Version {outcome.version} is live: everybody is served {variant}."
        messages.success(request, f"{said}{followed(outcome.affected)}")
    for warning in outcome.warnings[:5]:
        messages.warning(request, f"{warning.pointer} {warning.message}")
    return HttpResponseRedirect(reverse("admin:experiment", args=[row.pk]))

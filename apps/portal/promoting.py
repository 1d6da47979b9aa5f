"""Promoting in the portal: choose where from and which keys, look at what it does, then do it."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict

from apps.access import policy
from apps.access.policy import Place
from apps.configs.selectors.configurations import find_live, list_live, read_origin
from apps.configs.services.bases import Base, Options
from apps.configs.services.kernel import Outcome
from apps.configs.services.promoting import Promotion, promote
from apps.core.actor import Actor
from apps.engine import values
from apps.engine.errors import ConflictError, DomainError, InvalidError
from apps.portal.editor import followed, sides_of
from apps.portal.shared import actor_of, address, place_of, render, tabs
from apps.portal.shared import page as guarded_page
from apps.portal.timeline import shown

CHOICE = "choice:"


@guarded_page
def page(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """What promoting would do, once an environment is chosen; a POST does it."""
    place = place_of(request, service, environment, "publish")
    actor = actor_of(request)
    asked = request.POST if request.method == "POST" else request.GET
    preview, refusal = None, None
    pinned = _pinned(actor, place, asked.get("from", ""))
    if pinned:
        try:
            if request.method == "POST":
                return _promote(request, actor, place)
            preview = _try(actor, place, asked, pinned)
        except (ConflictError, InvalidError) as error:
            refusal = error
    origins = [
        each
        for each in list_live(actor=actor, service=place.service)
        if each.configuration.environment_id != _key(place)
        and policy.allowed(actor, "read", Place(place.service, each.configuration.environment))
    ]
    return render(
        request,
        "portal/promote.html",
        title=f"{service} · {environment}",
        place=place,
        live=find_live(actor=actor, place=place) if policy.allowed(actor, "read", place) else None,
        origins=origins,
        asked={name: asked.get(name, "") for name in ("from", "keys", "message")},
        merging=bool(asked.get("merge")),
        preview=preview,
        pinned=pinned,
        changes=[shown(each) for each in preview.changes] if preview else [],
        refusal=refusal,
        conflicts=_conflicts(refusal, asked),
        chosen=[each for each in asked.items() if each[0].startswith(CHOICE)],
        tabs=tabs(request, place, "config"),
    )


def _key(place: Place) -> int | None:
    return place.environment.pk if place.environment else None


def _pinned(actor: Actor, place: Place, text: str) -> str:
    """``ENV@N`` for what is shown: what is done afterwards is the same, whatever moves meanwhile."""
    if not text or "@" in text:
        return text
    origin, _number = read_origin(actor=actor, place=place, text=text)
    live = find_live(actor=actor, place=origin)
    return f"{text}@{live.version}" if live else text


def _try(actor: Actor, place: Place, asked: QueryDict, origin: str) -> Outcome:
    return promote(
        actor=actor,
        place=place,
        promotion=_promotion(actor, place, asked, origin),
        options=_options(asked, dry_run=True),
    )


def _promote(request: HttpRequest, actor: Actor, place: Place) -> HttpResponse:
    asked = request.POST
    outcome = promote(
        actor=actor,
        place=place,
        promotion=_promotion(actor, place, asked, str(asked["from"])),
        options=_options(asked, dry_run=False),
    )
    if outcome.unchanged:
        messages.info(request, "Nothing differs: no new version was made.")
    else:
        said = f"Version {outcome.version} is live, with {len(outcome.changes)} change(s) from "
        messages.success(request, f"{said}{asked['from']}.{followed(outcome.affected)}")
    for warning in outcome.warnings[:5]:
        messages.warning(request, f"{warning.pointer} {warning.message}")
    return HttpResponseRedirect(address("config", place))


def _promotion(actor: Actor, place: Place, asked: QueryDict, text: str) -> Promotion:
    origin, number = read_origin(actor=actor, place=place, text=text)
    choices = {
        name.removeprefix(CHOICE): str(side)
        for name, side in asked.items()
        if name.startswith(CHOICE)
    }
    return Promotion(origin, number, asked.get("keys", "").split(), choices)


def _options(asked: QueryDict, *, dry_run: bool) -> Options:
    base = values.whole(asked.get("base_version", ""))
    return Options(
        message=asked.get("message", ""),
        base=Base(base),
        on_stale="merge" if asked.get("merge") else "reject",
        dry_run=dry_run,
    )


def _conflicts(refusal: DomainError | None, asked: QueryDict) -> list[dict[str, Any]]:
    """The clashes with their sides; what was chosen before is chosen still."""
    if refusal is None:
        return []
    found: Any = refusal.extra.get("conflicts", [])
    return [
        {**sides_of(clash), "chosen": asked.get(f"{CHOICE}{clash['pointer']}", "ours")}
        for clash in found
    ]

"""Going back in the portal: a configuration as it was at a time, and restoring a point in time."""

import hashlib
import re
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.urls import reverse

from apps.access import policy
from apps.access.policy import Place
from apps.audit.selectors import Point, find_point
from apps.configs.selectors.comparing import Comparison, merge_keys_of
from apps.configs.selectors.configurations import find_live, get_as_of, resolve_scope
from apps.configs.selectors.history import list_marks
from apps.configs.selectors.places import list_environments, list_services
from apps.configs.services.bases import Options
from apps.configs.services.kernel import Outcome
from apps.configs.services.point_in_time import LEAVE, Restored, Wanted, restore
from apps.core import clock
from apps.delivery.points import find_revision, is_revision
from apps.delivery.reads import note_given
from apps.engine import paths
from apps.engine.errors import DomainError, ForbiddenError, InvalidError, NotFoundError, invalid
from apps.portal.reviewing import others_of
from apps.portal.shared import actor_of, address, may, place_of, render, tabs
from apps.portal.shared import page as guarded_page
from apps.portal.timeline import difference, shown

_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.]*")
SHOWN = 100
"""How many configurations a preview shows in full."""


@guarded_page
def then(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The configuration as it was at a time, beside what is live; a part of a page for the slider."""
    place = place_of(request, service, environment, "read")
    actor = actor_of(request)
    given = request.GET.get("at", "").strip()
    point = read_point(given) if given else None
    found = refusal = None
    if point is not None:
        try:
            found = get_as_of(actor=actor, place=place, revision=point.revision)
        except DomainError as error:
            if isinstance(error, ForbiddenError):
                raise
            refusal = error
    live = find_live(actor=actor, place=place)
    if found is not None:
        note_given(actor=actor, given=[found])
    is_part = "part" in request.GET
    return render(
        request,
        "portal/then_shown.html" if is_part else "portal/then.html",
        title=f"{service} · {environment}",
        place=place,
        asked=given,
        point=point,
        then=found,
        refusal=refusal,
        live=live,
        may=may(request, place),
        tabs=[] if is_part else tabs(request, place, "config-history"),
        **(difference(Comparison(found, live, merge_keys_of(place))) if found and live else {}),
    )


@guarded_page
def marks(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """What the slider stops at: versions with their times, the oldest first, thinned out evenly."""
    place = place_of(request, service, environment, "read")
    return JsonResponse(
        {
            "marks": [
                {
                    "version": each.number,
                    "revision": each.revision,
                    "at": clock.rfc3339(each.published_at),
                    "cause": each.cause,
                    "author": each.author,
                }
                for each in list_marks(actor=actor_of(request), place=place)
            ]
        }
    )


def read_point(text: str) -> Point:
    """A time (RFC 3339; without an offset in UTC) or a revision that a person wrote."""
    text = text.strip()
    if is_revision(text):
        found = find_revision(text)
    else:
        try:
            is_local = _LOCAL.fullmatch(text) is not None
            moment = clock.read_rfc3339(f"{text}Z" if is_local else text)
        except ValueError as error:
            raise invalid(
                "/at", "at", "Write a time as 2026-11-24T09:30:00Z, or a revision."
            ) from error
        found = find_point(at=moment)
    if found is None:
        raise NotFoundError("Nothing had been done by then.")
    return found


@guarded_page
def page(request: HttpRequest) -> HttpResponse:
    """What restoring would change, once a point is chosen; a POST does it."""
    actor = actor_of(request)
    if not policy.holds_anywhere(actor, "rollback"):
        policy.require(actor, "rollback", policy.EVERYWHERE)
    asked = request.POST if request.method == "POST" else request.GET
    found, refusal, point = None, None, None
    if asked.get("at", "").strip():
        try:
            point = read_point(asked["at"])
            found = restore(
                actor=actor, wanted=_wanted(request, asked, point), options=Options(dry_run=True)
            )
            if request.method == "POST" and asked.get("seen") == _digest(found):
                return _restore(request, asked, point)
        except DomainError as error:
            refusal = error
    return render(
        request,
        "portal/restore.html",
        title="Restore a point in time",
        asked={each: asked.get(each, "") for each in FIELDS},
        services=list(list_services(actor=actor)),
        environments=list(list_environments(actor=actor)),
        point=point,
        found=found,
        moved=request.method == "POST" and refusal is None,
        rows=[_row(each) for each in found.outcomes[:SHOWN]] if found else [],
        more=max(0, len(found.outcomes) - SHOWN) if found else 0,
        others=others_of(found.affected) if found and found.affected else None,
        seen=_digest(found) if found else "",
        refusal=refusal,
    )


FIELDS = ("at", "service", "environment", "keys", "absent", "message")


def _wanted(request: HttpRequest, asked: QueryDict, point: Point) -> Wanted:
    keys = asked.get("keys", "").split()
    paths.parse_globs(keys)
    scope: Place = resolve_scope(
        actor=actor_of(request),
        service=asked.get("service") or None,
        environment=asked.get("environment") or None,
        verb="rollback",
    )
    return Wanted(scope, point, keys, asked.get("absent") or LEAVE)


def _digest(found: Restored) -> str:
    """What a preview was of: the live versions that would be replaced. It is asked again for others."""
    names = [f"{each.service}@{each.environment}@{each.version}" for each in found.outcomes]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _row(outcome: Outcome) -> dict[str, Any]:
    return {"outcome": outcome, "changes": list(map(shown, outcome.changes))}


def _restore(request: HttpRequest, asked: QueryDict, point: Point) -> HttpResponse:
    done = restore(
        actor=actor_of(request),
        wanted=_wanted(request, asked, point),
        options=Options(message=asked.get("message", "")),
    )
    if done.revision is None:
        raise InvalidError("Everything is as it was then: there is nothing to restore.")
    count = len(done.outcomes)
    said = f"{count} configuration{'' if count == 1 else 's'} restored as of revision "
    messages.success(request, f"{said}{point.revision}, in revision {done.revision}.")
    for each in done.outcomes:
        for warning in each.warnings[:3]:
            where = f"{each.service}@{each.environment} {warning.pointer}"
            messages.warning(request, f"{where} {warning.message}")
    if asked.get("service") and asked.get("environment"):
        scope = _wanted(request, asked, point).scope
        return HttpResponseRedirect(address("config-history", scope))
    return HttpResponseRedirect(reverse("admin:index"))

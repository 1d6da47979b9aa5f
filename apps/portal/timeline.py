"""A configuration's history: the timeline, any two versions compared, rolling back."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_POST

from apps.access.policy import Place
from apps.configs.selectors import comparing
from apps.configs.selectors.comparing import Comparison, merge_keys_of
from apps.configs.selectors.configurations import Published, find_live, get_version
from apps.configs.selectors.history import Entry, Filters, list_history
from apps.configs.selectors.redactions import redacted_among
from apps.configs.services import publishing
from apps.configs.services.bases import Base, Options
from apps.configs.services.rollback import rollback
from apps.engine import diff, formats, values
from apps.engine.diff import Change
from apps.engine.errors import DomainError, UnrepresentableError
from apps.engine.values import canonical
from apps.portal.shared import (
    actor_of,
    address,
    may,
    place_of,
    render,
    tabs,
    tell,
)
from apps.portal.shared import (
    page as guarded_page,
)

PAGE = 30
SHOWN_KEYS = 6


@guarded_page
def page(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """Who published what, when and why."""
    place = place_of(request, service, environment)
    asked = {name: request.GET.get(name, "").strip() for name in ("key", "author")}
    found = list_history(
        actor=actor_of(request),
        place=place,
        filters=Filters(key=asked["key"], author=asked["author"]),
        before=values.whole(request.GET.get("before", "")),
        size=PAGE,
    )
    redacted = redacted_among(entry.row for entry in found.versions)
    rows = [_row(entry, is_redacted=entry.row.pk in redacted) for entry in found.versions]
    return render(
        request,
        "portal/history.html",
        title=f"{service} · {environment}",
        place=place,
        rows=rows,
        asked=asked,
        next_before=found.next_before,
        may=may(request, place),
        live=find_live(actor=actor_of(request), place=place)
        if may(request, place)["read"]
        else None,
        tabs=tabs(request, place, "config-history"),
    )


def _row(entry: Entry, *, is_redacted: bool) -> dict[str, Any]:
    keys = entry.keys
    return {
        "version": entry.row,
        "keys": keys[:SHOWN_KEYS],
        "more": max(0, len(keys) - SHOWN_KEYS),
        "is_redacted": is_redacted,
    }


@guarded_page
def compare(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The difference between any two versions, environments or times."""
    place = place_of(request, service, environment, "read")
    actor = actor_of(request)
    since, to = request.GET.get("from", ""), request.GET.get("to", "live") or "live"
    if not since:
        live = find_live(actor=actor, place=place)
        since = str(max(1, live.version - 1)) if live else "live"
    found = comparing.compare(actor=actor, place=place, sides=(since, to))
    return render(
        request,
        "portal/diff.html",
        title=f"{service} · {environment}",
        place=place,
        sides=(since, to),
        tabs=tabs(request, place, "config-history"),
        **difference(found),
    )


def difference(found: Comparison) -> dict[str, Any]:
    """What a page shows of a difference: changes by key, and the documents as text."""
    old, new = found.old, found.new
    return {
        "old": old,
        "new": new,
        "changes": list(map(shown, found.changes())),
        "texts": {"old": _text(old), "new": _text(new), "format": "yaml"},
        "source_diff": diff.unified(
            old.source, new.source, f"version {old.version}", f"version {new.version}"
        ),
    }


def shown(change: Change) -> dict[str, Any]:
    """A change as pages show it: values as JSON; of an item that moved, which it was and is,
    counted from 1; of an item known by a member, its name.
    """
    old = "" if change.kind == "added" else canonical(change.old)
    new = "" if change.kind == "removed" else canonical(change.new)
    if change.kind == "moved":
        old, new = f"item {change.origin + 1}", f"item {int(change.steps[-1]) + 1}"
    return {
        "key": change.path,
        "kind": change.kind,
        "old": old,
        "new": new,
        "item": f"{change.item.member} {change.item.name}" if change.item else "",
    }


def _text(published: Published) -> str:
    try:
        return formats.render(published.tree, "yaml")
    except UnrepresentableError:
        return formats.render(published.tree, "json")


@guarded_page
def roll_back(request: HttpRequest, service: str, environment: str, number: int) -> HttpResponse:
    """Show what rolling back would change; do it on confirmation."""
    place = place_of(request, service, environment, "rollback")
    actor = actor_of(request)
    live = find_live(actor=actor, place=place)
    if request.method == "POST":
        return _roll_back(request, place, number)
    target = get_version(actor=actor, place=place, number=number)
    preview = rollback(actor=actor, place=place, options=Options(dry_run=True), to_version=number)
    return render(
        request,
        "portal/rollback.html",
        title=f"{service} · {environment}",
        place=place,
        live=live,
        target=target,
        preview=preview,
        tabs=tabs(request, place, "config-history"),
        **(difference(Comparison(live, target, merge_keys_of(place))) if live else {}),
    )


def _roll_back(request: HttpRequest, place: Place, number: int) -> HttpResponse:
    options = Options(
        message=request.POST.get("message", ""),
        base=Base(values.whole(request.POST.get("base_version", ""))),
    )
    try:
        outcome = rollback(actor=actor_of(request), place=place, options=options, to_version=number)
    except DomainError as error:
        tell(request, error)
        return HttpResponseRedirect(address("config-rollback", place, number))
    messages.success(
        request, f"Version {outcome.version} is live: it is what version {number} was."
    )
    for warning in outcome.warnings[:5]:
        messages.warning(request, f"{warning.pointer} {warning.message}")
    return HttpResponseRedirect(address("config-history", place))


@require_POST
@guarded_page
def refresh(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """Take up newer templates and parents."""
    place = place_of(request, service, environment, "publish")
    try:
        outcome = publishing.refresh(
            actor=actor_of(request),
            place=place,
            options=Options(message=request.POST.get("message", "") or "Brought up to date"),
        )
    except DomainError as error:
        tell(request, error)
    else:
        text = "It was up to date." if outcome.unchanged else f"Version {outcome.version} is live."
        messages.success(request, text)
    return HttpResponseRedirect(address("config", place))

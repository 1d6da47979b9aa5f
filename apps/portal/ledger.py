"""The ledger, for auditors: filtered, one timeline per object, to take away and to verify."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.access import policy
from apps.access.ledger_view import LedgerView
from apps.access.policy import EVERYWHERE
from apps.audit import downloads, verification
from apps.audit.refusals import KEPT
from apps.audit.selectors import (
    EventFilters,
    head,
    list_checkpoints,
    list_refused_reads,
    list_verifications,
)
from apps.audit.sending import list_sinks
from apps.audit.shortening import SALT
from apps.core import clock
from apps.engine import values
from apps.engine.errors import NotFoundError, invalid
from apps.engine.values import parse_canonical
from apps.portal.shared import actor_of, render
from apps.portal.shared import page as guarded_page
from apps.vault.checkpoint_webhook import list_checkpoint_sinks

PAGE = 50
LAST = 10
TEXTS = ("actor", "action", "target", "key")
TIMES = ("since", "until")


@guarded_page
def page(request: HttpRequest) -> HttpResponse:
    """Events, newest first."""
    policy.require(actor_of(request), "audit", EVERYWHERE)
    asked = {name: request.GET.get(name, "").strip() for name in (*TEXTS, *TIMES)}
    beyond = values.whole(request.GET.get("before", ""))
    view = LedgerView(actor_of(request), asked["key"])
    found = view.page(_filters(asked), beyond, PAGE + 1)
    rows = [
        {
            "event": each.event,
            "data": _shown(parse_canonical(each.data)),
            "shortened": each.shortened,
        }
        for each in found[:PAGE]
    ]
    given = {name: value for name, value in asked.items() if value}
    title = f"Timeline of {asked['target']}" if asked["target"] else "Ledger"
    return render(
        request,
        "portal/ledger.html",
        title=title,
        rows=rows,
        asked=asked,
        query=urlencode(given),
        head=head(),
        last=list_verifications().first(),
        next_before=found[PAGE - 1].event.number if len(found) > PAGE else None,
        tabs=ledger_tabs("ledger"),
    )


def _shown(data: dict[str, Any]) -> list[tuple[str, str]]:
    """What an event holds, as people read it; what is empty says nothing."""
    return [
        (name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        for name, value in sorted(data.items())
        if value not in (None, "", [], {}) and name != SALT
    ]


def ledger_tabs(active: str) -> list[dict[str, Any]]:
    """The tabs of the auditors' pages."""
    names = (
        ("ledger", "Events"),
        ("ledger-refused", "Refused reads"),
        ("ledger-proof", "Proof"),
        ("rights-past", "Who could do what"),
    )
    return [
        {"title": title, "url": reverse(f"admin:{name}"), "active": name == active}
        for name, title in names
    ]


def _filters(asked: dict[str, str]) -> EventFilters:
    since, until = (_moment(asked[name], name) for name in TIMES)
    if until is not None and len(asked["until"]) == len("2026-11-24"):
        until += timedelta(days=1) - timedelta(microseconds=1)
    return EventFilters(
        actor=asked["actor"],
        action=asked["action"],
        target=asked["target"],
        key=asked["key"],
        since=since,
        until=until,
    )


def _moment(text: str, name: str) -> datetime | None:
    """A day or a time, in UTC unless it says otherwise. Raises :class:`InvalidError`."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise invalid(f"/{name}", "time", "Write a day such as 2026-11-24, or a time.") from error


@guarded_page
def refused_reads(request: HttpRequest) -> HttpResponse:
    """Who was refused to read what: counts by day."""
    policy.require(actor_of(request), "audit", EVERYWHERE)
    asked = {name: request.GET.get(name, "").strip() for name in ("actor", "target")}
    return render(
        request,
        "portal/ledger_refused.html",
        title="Refused reads",
        asked=asked,
        page=Paginator(list_refused_reads(**asked), PAGE).get_page(request.GET.get("page")),
        days=KEPT.days,
        tabs=ledger_tabs("ledger-refused"),
    )


@guarded_page
def proof(request: HttpRequest) -> HttpResponse:
    """Verifications, checkpoints, sinks, and everything to take away."""
    policy.require(actor_of(request), "audit", EVERYWHERE)
    return render(
        request,
        "portal/ledger_proof.html",
        title="Proof of the ledger",
        running=verification.find_running(),
        verifications=list_verifications()[:LAST],
        checkpoints=[parse_canonical(row.line) for row in list_checkpoints()[:LAST]],
        sinks=[*list_sinks(), *list_checkpoint_sinks()],
        head=head(),
        tabs=ledger_tabs("ledger-proof"),
    )


@require_POST
@guarded_page
def verify(request: HttpRequest) -> HttpResponse:
    """Have the ledger verified now."""
    actor = actor_of(request)
    policy.require(actor, "audit", EVERYWHERE)
    started = verification.start_verification(actor=actor)
    text = "The ledger is being verified." if started else "It is being verified already."
    messages.success(request, text)
    return HttpResponseRedirect(reverse("admin:ledger-proof"))


@guarded_page
def download(request: HttpRequest, what: str) -> HttpResponseBase:
    """One of the files, or all of them as an archive; the ledger as the filters say."""
    actor = actor_of(request)
    policy.require(actor, "audit", EVERYWHERE)
    if what in ("ledger.jsonl", "ledger.csv"):
        asked = {name: request.GET.get(name, "").strip() for name in (*TEXTS, *TIMES)}
        filters = replace(_filters(asked), ascending=True)
        form, view = what.rpartition(".")[2], LedgerView(actor, filters.key)
        taken = downloads.export(actor=actor, filters=filters, form=form, view=view)
        return _attached(taken.chunks, taken.name, taken.media_type)
    if what == "bundle.zip":
        name = f"ledger-{clock.now():%Y-%m-%d}.zip"
        return _attached(
            downloads.bundle(actor=actor, view=LedgerView(actor)), name, "application/zip"
        )
    texts = {
        "checkpoints.jsonl": (downloads.checkpoint_lines, "application/jsonl"),
        "keys.json": (downloads.keys_text, "application/jwk-set+json"),
        "verifier.py": (verification.program_text, "text/x-python; charset=utf-8"),
    }
    if what not in texts:
        raise NotFoundError("There is no such file.")
    make, media_type = texts[what]
    return _attached([make()], what, media_type)


def _attached(
    chunks: Iterable[str] | Iterable[bytes], name: str, media_type: str
) -> StreamingHttpResponse:
    answer = StreamingHttpResponse(chunks, content_type=media_type)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "no-store"
    return answer

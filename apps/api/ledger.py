"""The ledger over REST."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse

from apps.access import policy
from apps.access.ledger_view import LedgerView
from apps.access.policy import EVERYWHERE
from apps.api.base import (
    ApiView,
    answer_json,
    bad_member,
    page_link,
    page_size,
    paged,
    read_position,
    read_time,
)
from apps.api.documentation import (
    AUDIT,
    AUDIT_CHECKPOINTS,
    AUDIT_EXPORT,
    AUDIT_FILE,
    VERIFY,
    documented,
)
from apps.audit.downloads import MEDIA_TYPES, checkpoint_lines, export
from apps.audit.selectors import EventFilters, list_checkpoints, list_verifications
from apps.audit.shortening import Shown
from apps.audit.verification import find_running, program_text, start_verification
from apps.core import clock
from apps.engine.values import Tree, parse_canonical


class AuditView(ApiView):
    """The ledger."""

    @documented("Read the ledger", AUDIT)
    def get(self, request: Any) -> HttpResponse:
        """A page of events, newest first (``order=asc`` for oldest first)."""
        policy.require(self.actor, "audit", EVERYWHERE)
        size = page_size(request)
        number, backwards = read_position(request)
        ascending = (request.GET.get("order") == "asc") != backwards
        filters = replace(read_filters(request.GET), ascending=ascending)
        found = LedgerView(self.actor, filters.key).page(filters, number, size + 1)
        shown, goes_on = found[:size], len(found) > size
        if backwards:
            shown.reverse()
        following = shown[-1].event.number if shown and (goes_on or backwards) else None
        came_from = goes_on if backwards else number is not None
        before = -shown[0].event.number if shown and came_from else None
        return answer_json(
            {
                "results": [present_event(each) for each in shown],
                "next": page_link(request, following),
                "previous": page_link(request, before),
            }
        )


def read_filters(asked: Mapping[str, Any]) -> EventFilters:
    """What the ledger is narrowed to."""
    return EventFilters(
        actor=asked.get("actor") or "",
        action=asked.get("action") or "",
        target=asked.get("target") or "",
        key=asked.get("key") or "",
        since=read_time(asked.get("since"), "since"),
        until=read_time(asked.get("until"), "until"),
    )


class AuditExportView(ApiView):
    """The ledger as a file."""

    @documented("Download the ledger", AUDIT_EXPORT)
    def get(self, request: Any) -> StreamingHttpResponse:
        """JSON lines for the verifier, or CSV; sent as it is read. An act of its own."""
        policy.require(self.actor, "audit", EVERYWHERE)
        form = request.GET.get("format", "jsonl")
        if form not in MEDIA_TYPES:
            raise bad_member("format", "'format' must be jsonl or csv.")
        filters = read_filters(request.GET)
        view = LedgerView(self.actor, filters.key)
        taken = export(actor=self.actor, filters=filters, form=form, view=view)
        answer = StreamingHttpResponse(taken.chunks, content_type=taken.media_type)
        answer["Content-Disposition"] = f'attachment; filename="{taken.name}"'
        answer["X-Event-Count"] = str(taken.count)
        answer["Cache-Control"] = "no-store"
        return answer


class CheckpointsView(ApiView):
    """Signed statements of where the ledger ended."""

    @documented("List the signed checkpoints", AUDIT_CHECKPOINTS)
    def get(self, request: Any) -> HttpResponse:
        """A page, newest first; ``format=jsonl``: all of them, as the verifier takes them."""
        policy.require(self.actor, "audit", EVERYWHERE)
        if request.GET.get("format") == "jsonl":
            answer = HttpResponse(checkpoint_lines(), content_type=MEDIA_TYPES["jsonl"])
            answer["Content-Disposition"] = 'attachment; filename="checkpoints.jsonl"'
            return answer
        return paged(request, list_checkpoints(), lambda row: parse_canonical(row.line))


class VerifierView(ApiView):
    """The verifier, a program of one file."""

    @documented("Download the verifier", AUDIT_FILE)
    def get(self, _request: Any) -> HttpResponse:
        """Run it as ``python3 verifier.py ledger.jsonl --checkpoint FILE --keys FILE``."""
        policy.require(self.actor, "audit", EVERYWHERE)
        answer = HttpResponse(program_text(), content_type="text/x-python; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="verifier.py"'
        return answer


class VerificationView(ApiView):
    """Verifying the ledger on the server, and what came out last."""

    @documented("What the last verifications found, newest first", AUDIT_CHECKPOINTS)
    def get(self, request: Any) -> HttpResponse:
        """A page of results; a header says whether one is running."""
        policy.require(self.actor, "audit", EVERYWHERE)
        answer = paged(request, list_verifications(), present_verification)
        running = find_running()
        answer["X-Verification"] = running.subject if running else "none is running"
        return answer

    @documented("Verify the ledger now", VERIFY)
    def post(self, _request: Any) -> HttpResponse:
        """Have the job runner do it: 202, also when it is about to do so already."""

        def authorize() -> None:
            policy.require(self.actor, "audit", EVERYWHERE)

        def act() -> HttpResponse:
            authorize()
            return answer_json({"started": start_verification(actor=self.actor)}, 202)

        return self.once(act, authorize)


def present_verification(row: Any) -> dict[str, Tree]:
    """What a verification found."""
    return {
        "at": clock.rfc3339(row.at),
        "actor": row.actor,
        "ok": row.ok,
        "revision": row.revision,
        "events": row.events,
        "checkpoints": row.checkpoints,
        "outcome": row.outcome,
    }


def present_event(shown: Shown) -> dict[str, Tree]:
    """An event as the contract writes it; one that is not whole says so."""
    event = shown.event
    told: dict[str, Tree] = {
        "number": event.number,
        "revision": event.revision,
        "at": clock.rfc3339(event.at),
        "actor": event.actor,
        "action": event.action,
        "target": event.target,
        "data": parse_canonical(shown.data),
        "hash": event.hash,
        "previous": event.previous,
    }
    return {**told, "shortened": True} if shown.shortened else told

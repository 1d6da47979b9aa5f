"""The ledger over REST."""

from typing import Any

from django.http import HttpResponse

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.api.base import ApiView, answer_json, page_link, page_size, read_position, read_time
from apps.api.documentation import AUDIT, documented
from apps.audit.selectors import EventFilters, list_events
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
        filters = EventFilters(
            actor=request.GET.get("actor", ""),
            action=request.GET.get("action", ""),
            target=request.GET.get("target", ""),
            since=read_time(request.GET.get("since"), "since"),
            until=read_time(request.GET.get("until"), "until"),
            ascending=(request.GET.get("order") == "asc") != backwards,
        )
        found = list(list_events(filters, beyond=number)[: size + 1])
        shown, goes_on = found[:size], len(found) > size
        if backwards:
            shown.reverse()
        following = shown[-1].number if shown and (goes_on or backwards) else None
        came_from = goes_on if backwards else number is not None
        before = -shown[0].number if shown and came_from else None
        return answer_json(
            {
                "results": [present_event(event) for event in shown],
                "next": page_link(request, following),
                "previous": page_link(request, before),
            }
        )


def present_event(event: Any) -> Tree:
    """An event as the contract writes it."""
    return {
        "number": event.number,
        "revision": event.revision,
        "at": clock.rfc3339(event.at),
        "actor": event.actor,
        "action": event.action,
        "target": event.target,
        "data": parse_canonical(event.data),
        "hash": event.hash,
        "previous": event.previous,
    }

"""The ledger, for auditors: read-only, filtered, page by page."""

from django.http import HttpRequest, HttpResponse

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.audit.selectors import EventFilters, head, list_events
from apps.engine import values
from apps.engine.values import parse_canonical
from apps.portal.shared import actor_of, render
from apps.portal.shared import page as guarded_page

PAGE = 50


@guarded_page
def page(request: HttpRequest) -> HttpResponse:
    """Events, newest first."""
    policy.require(actor_of(request), "audit", EVERYWHERE)
    asked = {name: request.GET.get(name, "").strip() for name in ("actor", "action", "target")}
    beyond = values.whole(request.GET.get("before", ""))
    found = list(
        list_events(EventFilters(asked["actor"], asked["action"], asked["target"]), beyond=beyond)[
            : PAGE + 1
        ]
    )
    rows = [
        {"event": event, "data": sorted(parse_canonical(event.data).items())}
        for event in found[:PAGE]
    ]
    return render(
        request,
        "portal/ledger.html",
        title="Ledger",
        rows=rows,
        asked=asked,
        head=head(),
        next_before=found[PAGE - 1].number if len(found) > PAGE else None,
    )

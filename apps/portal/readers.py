"""Who reads a configuration or a key of it, and which keys nobody reads."""

from django.http import HttpRequest, HttpResponse

from apps.delivery.reads import list_readers, list_unread
from apps.engine.errors import MalformedError
from apps.portal.shared import actor_of, place_of, render, tabs
from apps.portal.shared import page as guarded_page

DAYS = 90
MAX_SHOWN = 500


@guarded_page
def page(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """From the counters; needs ``audit`` there."""
    place = place_of(request, service, environment, "audit")
    actor, key, wrong = actor_of(request), request.GET.get("key", "").strip(), ""
    try:
        found = list_readers(actor=actor, place=place, key=key)
    except MalformedError as error:
        found, wrong = [], error.detail
    unread = list_unread(actor=actor, place=place, days=DAYS)
    return render(
        request,
        "portal/readers.html",
        title=f"{service} · {environment}",
        place=place,
        key=key,
        wrong=wrong,
        readers=found,
        unread=unread[:MAX_SHOWN],
        more=max(0, len(unread) - MAX_SHOWN),
        days=DAYS,
        tabs=tabs(request, place, "config-readers"),
    )

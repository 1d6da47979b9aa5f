"""The flags of all configurations, those that could go first."""

from typing import Final

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse

from apps.access import policy
from apps.configs.selectors.places import list_environments, list_services
from apps.portal.shared import page as guarded_page
from apps.portal.shared import reader_of, render
from apps.rollouts.flag_list import list_everywhere

PAGE: Final = 50
VIEWS: Final = (("stale", "Could go"), ("all", "All flags"))


@guarded_page
def page(request: HttpRequest) -> HttpResponse:
    """The flags that the person may read; without ``?view=all`` those that could be taken out."""
    actor = reader_of(request)
    policy.require_anywhere(actor, "read")
    asked = {name: request.GET.get(name, "").strip() for name in ("q", "service", "environment")}
    shown = "all" if request.GET.get("view") == "all" else "stale"
    rows = list_everywhere(
        actor=actor,
        service=asked["service"],
        environment=asked["environment"],
        stale=shown == "stale",
    )
    if asked["q"]:
        rows = [each for each in rows if asked["q"].lower() in each.key.lower()]
    paged = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "portal/flag_list.html",
        title="Flags",
        page=paged,
        rows=list(paged),
        asked=asked,
        is_filtered=any(asked.values()),
        view=shown,
        views=VIEWS,
        services=list_services(actor=actor),
        environments=list_environments(actor=actor),
    )

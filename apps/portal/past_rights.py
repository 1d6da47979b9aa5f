"""Who could do what at a place on a day."""

from datetime import date

from django.http import HttpRequest, HttpResponse

from apps.access.past import PastRights, rights_on
from apps.access.policy import Place
from apps.configs.selectors.places import list_environments, list_services
from apps.core import clock
from apps.engine.errors import InvalidError, invalid
from apps.portal.ledger import ledger_tabs
from apps.portal.shared import actor_of, render
from apps.portal.shared import page as guarded_page
from apps.registry.selectors import get_environment, get_service


@guarded_page
def page(request: HttpRequest) -> HttpResponse:
    """The question, and its answer for a place and a day (UTC)."""
    actor = actor_of(request)
    service, environment = request.GET.get("service"), request.GET.get("environment")
    place = Place(
        get_service(service) if service else None,
        get_environment(environment) if environment else None,
    )
    text = request.GET.get("day", "").strip() or clock.now().date().isoformat()
    wrong, found = "", PastRights([], [])
    try:
        found = rights_on(actor=actor, place=place, day=_day(text))
    except InvalidError as error:
        wrong = error.detail
    return render(
        request,
        "portal/past_rights.html",
        title=f"Who could do what on {text}",
        place=place,
        day=text,
        wrong=wrong,
        found=found,
        services=list_services(actor=actor),
        environments=list_environments(actor=actor),
        tabs=ledger_tabs("rights-past"),
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise invalid("/day", "day", "Write a day such as 2026-11-24.") from error

"""Retiring a configuration, and what stands in the way of taking away what hangs on places."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from apps.access import policy
from apps.access.policy import Place
from apps.configs.selectors.configurations import list_live
from apps.configs.selectors.standing import Standing, list_referring_to
from apps.configs.services.bases import Base, Options
from apps.configs.services.publishing import retire
from apps.core.actor import Actor
from apps.engine import values
from apps.engine.errors import DomainError, InvalidError
from apps.portal.editor import followed
from apps.portal.shared import actor_of, address, place_of, render, tabs, tell
from apps.portal.shared import page as guarded_page


@guarded_page
def page(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """What retiring does, and who refers to it; it is done on confirmation."""
    place = place_of(request, service, environment, "publish")
    actor = actor_of(request)
    if request.method == "POST":
        return _retire(request, actor, place)
    live = list_live(actor=actor, service=place.service).filter(
        configuration__environment=place.environment
    )
    preview, refusal = None, None
    try:
        preview = retire(actor=actor, place=place, options=Options(dry_run=True))
    except InvalidError as error:
        refusal = error
    return render(
        request,
        "portal/retire.html",
        title=f"{service} · {environment}",
        place=place,
        live=live.first(),
        refusal=refusal,
        follows=len(preview.affected) if preview else 0,
        obstacles=[_referring(actor, place)],
        tabs=tabs(request, place, "config"),
    )


def _referring(actor: Actor, place: Place) -> dict[str, Any]:
    found = list_referring_to(actor=actor, place=place)
    return obstacle(actor, "Live configurations that refer to it", found, "config-graph")


def _retire(request: HttpRequest, actor: Actor, place: Place) -> HttpResponse:
    base = Base(values.whole(request.POST.get("base_version", "")))
    options = Options(message=request.POST.get("message", ""), base=base)
    try:
        outcome = retire(actor=actor, place=place, options=options)
    except DomainError as error:
        tell(request, error)
        return HttpResponseRedirect(address("config-retire", place))
    text = f"{place} is retired since version {outcome.version}."
    messages.success(request, f"{text}{followed(outcome.affected)}")
    return HttpResponseRedirect(address("config", place))


def obstacle(actor: Actor, title: str, found: Standing, name: str = "") -> dict[str, Any]:
    """What stands in the way, with a link for each: to where it is retired, unless a page is named."""
    rows = [(each, Place(each.service, each.environment)) for each in found.shown]
    return {
        "title": title,
        "rows": [
            {"title": str(each), "url": address(name or _retiring(actor, there), there)}
            for each, there in rows
        ],
        "hidden": found.hidden,
    }


def _retiring(actor: Actor, place: Place) -> str:
    return "config-retire" if policy.allowed(actor, "publish", place) else "config"

"""Who may do what here, and why: one page for every object, with our verbs and roles."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from apps.access import policy, selectors, services
from apps.access.policy import Place
from apps.access.roles import ROLE_TITLES, ROLES, VERBS
from apps.configs.selectors.places import list_environments, list_services
from apps.engine import values
from apps.engine.errors import DomainError
from apps.portal.shared import actor_of, render, tabs, tell
from apps.portal.shared import page as guarded_page
from apps.registry.selectors import get_environment, get_service


@guarded_page
def page(request: HttpRequest) -> HttpResponse:
    """The grants that decide at a place; giving and taking them back."""
    actor = actor_of(request)
    service, environment = request.GET.get("service"), request.GET.get("environment")
    place = Place(
        get_service(service) if service else None,
        get_environment(environment) if environment else None,
    )
    if not policy.allowed(actor, "audit", place):
        policy.require(actor, "manage", place)
    if request.method == "POST":
        return _change(request, place)
    rows = [
        _row(place, each) for each in selectors.list_grants_on(place.service, place.environment)
    ]
    return render(
        request,
        "portal/rights.html",
        title=f"Rights on {place}" if service or environment else "Rights everywhere",
        place=place,
        rows=rows,
        verbs=VERBS,
        roles=[(name, ROLE_TITLES[name], ROLES[name]) for name in ROLES],
        holders=selectors.list_holders(),
        may_manage=policy.allowed(actor, "manage", place),
        services=list_services(actor=actor),
        environments=list_environments(actor=actor),
        may_audit=policy.allowed(actor, "audit", place),
        tabs=tabs(place, "rights") if service and environment else [],
    )


def _row(place: Place, grant: Any) -> dict[str, Any]:
    verbs = ROLES[grant.role] if grant.role else (grant.verb,)
    here = (grant.service, grant.environment) == (place.service, place.environment)
    return {
        "grant": grant,
        "holder": selectors.holder_name(grant),
        "what": grant.role or grant.verb,
        "where": str(Place(grant.service, grant.environment)),
        "here": here,
        "marks": [verb in verbs for verb in VERBS],
    }


def _change(request: HttpRequest, place: Place) -> HttpResponse:
    actor = actor_of(request)
    try:
        withdrawn = values.whole(request.POST.get("withdraw", ""))
        if withdrawn is not None:
            services.withdraw_grant(actor=actor, grant=selectors.get_grant(withdrawn))
            messages.success(request, "The grant was taken back.")
        else:
            what = request.POST.get("what", "")
            made = services.grant(
                actor=actor,
                to=request.POST.get("to", ""),
                role=what if what in ROLES else "",
                verb="" if what in ROLES else what,
                on=place,
            )
            name = selectors.holder_name(made)
            messages.success(request, f"{name} now has '{what}' on {place}.")
    except DomainError as error:
        tell(request, error)
    return HttpResponseRedirect(request.get_full_path())

"""Roles: the built-in ones, and making, changing and ending one's own."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from apps.access import own_roles, policy, selectors
from apps.access.policy import EVERYWHERE
from apps.access.roles import Bundle, find_role, list_roles
from apps.core.actor import Actor
from apps.engine.errors import NOTHING_HERE, DomainError, NotFoundError
from apps.portal import giving
from apps.portal.shared import actor_of, reader_of, render, tell
from apps.portal.shared import page as guarded_page
from apps.registry.models import VERBS as TITLES

PAGE = 50


def _reader(request: HttpRequest) -> Actor:
    """Who asks, when he manages, secures or audits something: others give no roles."""
    actor = reader_of(request)
    if not any(policy.holds_anywhere(actor, verb) for verb in policy.KNOWN_TO):
        policy.require_anywhere(actor, "manage")
    return actor


@guarded_page
def page(request: HttpRequest) -> HttpResponse:
    """Every role with its verbs, and making one."""
    actor = _reader(request)
    name = request.POST.get("name", "").strip()
    if request.method == "POST":
        found = find_role(name)
        if found is not None:
            messages.error(
                request, f"There is a role '{found.name}' already: open it to change it."
            )
        elif _put(request, name):
            messages.success(request, f"The role '{name}' is made. Give it on a rights page.")
            return HttpResponseRedirect(reverse("admin:role", args=[name]))
    answer = render(
        request,
        "portal/roles.html",
        title="Roles",
        roles=list_roles(),
        verbs=TITLES,
        may_make=policy.allowed(actor, "manage", EVERYWHERE),
        given=_given(request, None),
    )
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


@guarded_page
def one(request: HttpRequest, name: str) -> HttpResponse:
    """A role: its verbs and who has it; changing or ending one of one's own."""
    actor = _reader(request)
    role = find_role(name)
    if role is None:
        raise NotFoundError(NOTHING_HERE)
    if request.method == "POST":
        done = _change(request, role)
        if done is not None:
            return done
    grants = [
        each
        for each in selectors.list_grants().filter(role=role.name)
        if policy.may_know_grant(actor, each)
    ]
    paged = Paginator(grants, PAGE).get_page(request.GET.get("page"))
    answer = render(
        request,
        "portal/role.html",
        title=f"Role {role.name}",
        role=role,
        verbs=TITLES,
        may_change=not role.is_built_in and policy.allowed(actor, "manage", EVERYWHERE),
        given=_given(request, role),
        asked={"q": ""},
        page=paged,
        rows=[giving.grant_row(actor, each) for each in paged],
    )
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


def _given(request: HttpRequest, role: Bundle | None) -> dict[str, Any]:
    if request.method == "POST" and "withdraw" not in request.POST:
        names = ("name", "description")
        typed: dict[str, Any] = {each: request.POST.get(each, "") for each in names}
        return {**typed, "verbs": request.POST.getlist("verb")}
    known = {"name": role.name, "description": role.description} if role else {}
    return {**known, "verbs": list(role.verbs) if role else []}


def _put(request: HttpRequest, name: str) -> bool:
    try:
        own_roles.put_role(
            actor=actor_of(request),
            name=name,
            verbs=request.POST.getlist("verb"),
            description=request.POST.get("description", ""),
        )
    except DomainError as error:
        tell(request, error)
        return False
    return True


def _change(request: HttpRequest, role: Bundle) -> HttpResponse | None:
    """Do what the page's forms ask; ``None`` when it was refused."""
    here = HttpResponseRedirect(reverse("admin:role", args=[role.name]))
    if "withdraw" in request.POST:
        return here if giving.change(request) else None
    if role.row is None:
        messages.error(request, "A built-in role stays as it is.")
        return None
    if request.POST.get("act") != "delete":
        if not _put(request, role.name):
            return None
        messages.success(request, "The role is changed, and with it what was given of it.")
        return here
    try:
        own_roles.delete_role(actor=actor_of(request), role=role.row)
    except DomainError as error:
        tell(request, error)
        return None
    messages.success(request, f"The role '{role.name}' has ended.")
    return HttpResponseRedirect(reverse("admin:roles"))

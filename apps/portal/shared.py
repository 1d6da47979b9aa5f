"""What the pages share: the actor, the place, rendering, and showing refusals."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render as render_template
from django.urls import reverse

from apps.access import policy
from apps.access.policy import Place
from apps.access.rights import generation
from apps.access.selectors import actor_of_user
from apps.configs.selectors.configurations import resolve_place
from apps.core.actor import Actor
from apps.core.models import User
from apps.engine import values
from apps.engine.errors import (
    DomainError,
    ForbiddenError,
    NotFoundError,
    Problem,
    TooManyAttemptsError,
    UnauthenticatedError,
    UnavailableError,
)
from apps.portal.addresses import may_ask, place_url

Page = Callable[..., HttpResponseBase]


def actor_of(request: HttpRequest) -> Actor:
    """Who is logged in. Raises :class:`UnauthenticatedError`."""
    if not isinstance(request.user, User):
        raise UnauthenticatedError("Log in first.")
    return actor_of_user(request.user, address=request.META.get("REMOTE_ADDR"))


def reader_of(request: HttpRequest) -> Actor:
    """The same, with the rights as of now for the whole page, which long lists ask row by row."""
    return replace(actor_of(request), generation=generation())


def place_of(request: HttpRequest, service: str, environment: str, verb: str = "list") -> Place:
    """The configuration that the address names, once the person has ``verb`` there."""
    return resolve_place(
        actor=actor_of(request), service=service, environment=environment, verb=verb
    )


def may(request: HttpRequest, place: Place) -> dict[str, bool]:
    """What the person may do at ``place``, by verb."""
    verbs = ("read", "edit", "publish", "rollback", "manage", "audit", "secure")
    return {verb: policy.allowed(actor_of(request), verb, place) for verb in verbs}


def render(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    """A page inside the portal's frame."""
    from apps.portal.site import site

    return render_template(request, template, {**site.each_context(request), **context})


def page(view: Page) -> Page:
    """Turn refusals of a page into a page that says what to do next."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            _check_form(request)
            return view(request, *args, **kwargs)
        except DomainError as error:
            return refused(request, error)

    return guarded


def _check_form(request: HttpRequest) -> None:
    """Refuse what no database can hold, whatever field it is in."""
    values.check([value for _name, found in request.POST.lists() for value in found])


def refused(request: HttpRequest, error: DomainError) -> HttpResponse:
    """The page for a refusal."""
    note(request, error)
    statuses = {
        NotFoundError: 404,
        ForbiddenError: 403,
        TooManyAttemptsError: 429,
        UnavailableError: 503,
    }
    status = next((code for kind, code in statuses.items() if isinstance(error, kind)), 400)
    answer = render(request, "portal/refused.html", title=error.title, error=error)
    answer.status_code = status
    if "retry_after" in error.extra:
        answer["Retry-After"] = str(error.extra["retry_after"])
    return answer


def answers_json(view: Page) -> Page:
    """Turn refusals of a background request into JSON with the contract's codes."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            _check_form(request)
            return view(request, *args, **kwargs)
        except DomainError as error:
            problems = [problem.as_dict() for problem in error.problems]
            data = {"code": error.code, "detail": error.detail, "errors": problems}
            note(request, error)
            statuses = {ForbiddenError: 403, UnavailableError: 503}
            found = (code for kind, code in statuses.items() if isinstance(error, kind))
            return JsonResponse(data, status=next(found, 422))

    return guarded


def note(request: HttpRequest, error: DomainError) -> None:
    """Let the boundary of the process know of a refusal, which it records."""
    request.refusal = error  # type: ignore[attr-defined] # read by apps.access.middleware


def tell(request: HttpRequest, error: DomainError) -> None:
    """Show a refusal, with what is wrong where, above the next page."""
    note(request, error)
    messages.error(request, said(error))


def said(error: DomainError) -> str:
    """A refusal as one text, and what is wrong where; what is the refusal itself is said once."""
    if [each.message for each in error.problems] == [error.detail]:
        return _in_line(error.problems[0]) + error.detail
    places = [f"{_in_line(each)}{each.pointer} {each.message}" for each in error.problems[:10]]
    return " ".join([error.detail, *places])


def _in_line(problem: Problem) -> str:
    return f"line {problem.line}: " if problem.line else ""


def address(name: str, place: Place, *more: Any) -> str:
    """The address of one of a configuration's pages."""
    return reverse(f"admin:{name}", args=[str(place.service), str(place.environment), *more])


def tabs(request: HttpRequest, place: Place, active: str) -> list[dict[str, Any]]:
    """The tabs of a configuration's pages: those that the person may open."""
    actor = reader_of(request)
    links = [
        {"title": title, "url": address(name, place), "active": name == active}
        for name, title, verbs in TABS
        if any(policy.allowed(actor, verb, place) for verb in verbs)
    ]
    if may_ask(actor, place):
        links.append({"title": "Rights", "url": place_url(place), "active": active == "rights"})
    return links


TABS = (
    ("config", "Configuration", ("read",)),
    ("config-history", "History", ("read", "audit")),
    ("config-explain", "Origins", ("read",)),
    ("config-across", "Environments", ("read",)),
    ("config-graph", "Graph", ("read",)),
    ("config-experiments", "Experiments", ("read",)),
    ("config-secrets", "Secrets", ("list",)),
    ("config-use", "Use this", ("read",)),
    ("config-readers", "Readers", ("audit",)),
)
"""Pages, titles, and the rights of which one opens each."""

"""The one place where errors become HTTP answers: problem+json after RFC 9457."""

import logging
import sys
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from rest_framework.exceptions import APIException

from apps.core.reaching import AWAY
from apps.engine import errors
from apps.engine.values import compact

logger = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
STATUSES: dict[type[errors.DomainError], int] = {
    errors.MalformedError: 400,
    errors.UnauthenticatedError: 401,
    errors.ForbiddenError: 403,
    errors.NotFoundError: 404,
    errors.UnrepresentableError: 406,
    errors.ConflictError: 409,
    errors.GoneError: 410,
    errors.PreconditionFailedError: 412,
    errors.TooLargeError: 413,
    errors.InvalidError: 422,
    errors.PreconditionRequiredError: 428,
    errors.TooManyAttemptsError: 429,
    errors.UnavailableError: 503,
    errors.IntegrityError: 500,
}
CODES = {400: "malformed", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}
CODES |= {406: "not_acceptable", 415: "unsupported_media_type", 429: "too_many_requests"}


def handle(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """DRF's exception handler: every error of a view becomes a problem."""
    return response(error, context["request"])


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says of an error: its status, the members of the problem, and headers."""

    status: int
    members: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


def response(error: Exception, request: Any) -> HttpResponse:
    """The answer to ``error``. What nobody raised on purpose is logged, and shows nothing."""
    if isinstance(error, errors.DomainError):
        # the boundary of the process records refusals (apps.access.middleware)
        getattr(request, "_request", request).refusal = error
    told = tell(error)
    if told.status == 401 and isinstance(error, errors.DomainError) and wants_html(request):  # noqa: PLR2004 - HTTP's own number
        return HttpResponseRedirect(
            f"{reverse('admin:login')}?next={quote(request.get_full_path())}"
        )
    return answer_problem(told)


def tell(error: Exception) -> Told:
    """``error`` as every interface tells of it. What nobody raised on purpose is logged here."""
    if isinstance(error, errors.DomainError):
        return _domain(error)
    if isinstance(error, APIException):
        code = CODES.get(error.status_code, str(error.get_codes()))
        headers = dict(getattr(error, "auth_header", {}))
        return _told(error.status_code, code, str(error.detail), headers)
    if isinstance(error, Http404):
        return _told(404, "not_found", "Not found.")
    if isinstance(error, PermissionDenied):
        return _told(403, "forbidden", "This is not allowed.")
    if isinstance(error, (SuspiciousOperation, BadRequest)):
        return _told(400, "malformed", "The request cannot be read.")
    logger.error("A request failed", exc_info=error)
    return _unintended(error)


def failed(request: HttpRequest) -> HttpResponse:
    """Django's ``handler500``: what was raised on a page of the portal, or before any view, and is
    logged already. People get a page that needs no database.
    """
    told = _unintended(sys.exception())
    answer = answer_problem(told)
    if wants_html(request):
        answer.content = render_to_string("failed.html", told.members)
        answer["Content-Type"] = "text/html; charset=utf-8"
    return answer


def _unintended(error: BaseException | None) -> Told:
    """What nobody raised on purpose."""
    if isinstance(error, AWAY):
        return _told(503, "unavailable", "The database is away. Try again.", {"Retry-After": "1"})
    return _told(500, "internal", "The server failed; its log has the reason.")


def _domain(error: errors.DomainError) -> Told:
    status = next(code for kind, code in STATUSES.items() if isinstance(error, kind))
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}  # noqa: PLR2004 - HTTP's own number
    headers |= {"Retry-After": "1"} if status == 503 or error.code == "not_reached" else {}  # noqa: PLR2004
    if "retry_after" in error.extra:
        headers["Retry-After"] = str(error.extra["retry_after"])
    extra = {"errors": [each.as_dict() for each in error.problems]} if error.problems else {}
    return _told(
        status, error.code, error.detail, headers, title=error.title, extra=extra | error.extra
    )


def _told(
    status: int,
    code: str,
    detail: str,
    headers: dict[str, str] | None = None,
    *,
    title: str = "",
    extra: dict[str, Any] | None = None,
) -> Told:
    members = {
        "type": "about:blank",
        "title": title or code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "errors": [],
        **(extra or {}),
    }
    return Told(status, members, headers or {})


def answer_problem(told: Told) -> HttpResponse:
    """A problem answer (RFC 9457)."""
    answer = HttpResponse(compact(told.members).encode(), content_type=PROBLEM, status=told.status)
    answer["Cache-Control"] = "no-store"
    for name, value in told.headers.items():
        answer[name] = value
    return answer


def wants_html(request: HttpRequest) -> bool:
    """Whether a browser asks for a page."""
    return request.method == "GET" and "text/html" in request.headers.get("Accept", "")

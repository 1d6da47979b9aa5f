"""The one place where errors become HTTP answers: problem+json after RFC 9457."""

import logging
from typing import Any
from urllib.parse import quote

from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from rest_framework.exceptions import APIException

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


def response(error: Exception, request: Any) -> HttpResponse:
    """The answer to ``error``. What nobody raised on purpose is logged, and shows nothing."""
    if isinstance(error, errors.DomainError):
        # the boundary of the process records refusals (apps.access.middleware)
        getattr(request, "_request", request).refusal = error
        return _domain(error, request)
    if isinstance(error, APIException):
        code = CODES.get(error.status_code, str(error.get_codes()))
        answer = problem(error.status_code, code, str(error.detail))
        for name, value in getattr(error, "auth_header", {}).items():
            answer[name] = value
        return answer
    if isinstance(error, Http404):
        return problem(404, "not_found", "Not found.", title="Not found")
    if isinstance(error, PermissionDenied):
        return problem(403, "forbidden", "This is not allowed.")
    if isinstance(error, (SuspiciousOperation, BadRequest)):
        return problem(400, "malformed", "The request cannot be read.")
    logger.error("A request failed", exc_info=error)
    if isinstance(error, (OperationalError, InterfaceError)):
        detail = "The database is away. Try again."
        return problem(503, "unavailable", detail, {"Retry-After": "1"})
    return problem(500, "internal", "The server failed; its log has the reason.")


def _domain(error: errors.DomainError, request: Any) -> HttpResponse:
    status = next(code for kind, code in STATUSES.items() if isinstance(error, kind))
    if status == 401 and wants_html(request):  # noqa: PLR2004 - HTTP's own number
        return HttpResponseRedirect(
            f"{reverse('admin:login')}?next={quote(request.get_full_path())}"
        )
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}  # noqa: PLR2004 - as above
    headers |= {"Retry-After": "1"} if status == 503 or error.code == "not_reached" else {}  # noqa: PLR2004
    if "retry_after" in error.extra:
        headers["Retry-After"] = str(error.extra["retry_after"])
    extra = {"errors": [each.as_dict() for each in error.problems]} if error.problems else {}
    return problem(
        status, error.code, error.detail, headers, title=error.title, extra=extra | error.extra
    )


def problem(
    status: int,
    code: str,
    detail: str,
    headers: dict[str, str] | None = None,
    *,
    title: str = "",
    extra: dict[str, Any] | None = None,
) -> HttpResponse:
    """A problem answer (RFC 9457)."""
    body = {
        "type": "about:blank",
        "title": title or code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "errors": [],
        **(extra or {}),
    }
    answer = HttpResponse(compact(body).encode(), content_type=PROBLEM, status=status)
    answer["Cache-Control"] = "no-store"
    for name, value in (headers or {}).items():
        answer[name] = value
    return answer


def wants_html(request: HttpRequest) -> bool:
    """Whether a browser asks for a page."""
    return request.method == "GET" and "text/html" in request.headers.get("Accept", "")

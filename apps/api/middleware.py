"""What holds for every address: no trailing slashes, no credentials in queries, only problems."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import get_script_prefix

from apps.api.errors import response
from apps.delivery.requests import holds_credentials
from apps.engine.errors import MalformedError, UnauthenticatedError

DJANGO_PATHS = ("admin/", "accounts/", "static/")
FLAG_KEYS = "ofrep/v1/evaluate/flags/"
"""A flag's key follows, which may end with a slash of its own."""


class ContractMiddleware:
    """Applies the contract's common rules before and after Django's views."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Refuse or redirect what the common rules say, else go on."""
        path = request.path_info.lstrip("/")
        if path.startswith(DJANGO_PATHS) or path in ("admin", "accounts"):
            if "%00" in request.META.get("QUERY_STRING", "") or "\x00" in path:
                return HttpResponse("An address holds no NUL.", "text/plain", status=400)
            return self.get_response(request)
        if path.endswith("/") and not _ends_with_a_flag(path):
            return _without_slash(request, path)
        if _is_preflight(request):
            return _without_body(HttpResponse(status=204))
        try:
            _check_address(request)
        except (UnauthenticatedError, MalformedError, SuspiciousOperation) as error:
            return response(error, request)
        return _without_body(self.get_response(request))

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Errors of plain Django views outside the portal are problems too."""
        if request.path_info.startswith(("/admin/", "/accounts/")):
            return None
        return response(error, request)


def _without_body(answer: HttpResponseBase) -> HttpResponseBase:
    """The answer; where it has no body without what would tell of one (RFC 9110, 8.6 and 15.4.5)."""
    if answer.status_code in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        for name in ("Content-Type", "Content-Length"):
            del answer[name]
    return answer


def _ends_with_a_flag(path: str) -> bool:
    return bool(path.partition(FLAG_KEYS)[2])


def _without_slash(request: HttpRequest, path: str) -> HttpResponse:
    query = request.META.get("QUERY_STRING", "")
    answer = HttpResponse(status=308)
    target = quote(path.strip("/"), safe="/~:@!$&'()*+,;=")
    answer["Location"] = f"{get_script_prefix()}{target}{'?' + query if query else ''}"
    return answer


def _is_preflight(request: HttpRequest) -> bool:
    """Whether a browser asks if a page of another origin may (WHATWG Fetch, 4.8): it may not."""
    asks = "Origin" in request.headers and "Access-Control-Request-Method" in request.headers
    return request.method == "OPTIONS" and asks


def _check_address(request: HttpRequest) -> None:
    request.get_host()  # raises for a name that is not this server's
    if "\x00" in request.path_info:
        raise MalformedError("An address holds no NUL.")
    raw = request.META.get("QUERY_STRING", "")
    if not raw:
        return
    if holds_credentials(raw, request.GET):
        raise UnauthenticatedError("Credentials go into the Authorization header, not the address.")
    values: list[Any] = [*request.GET, *(v for each in request.GET.lists() for v in each[1])]
    if any("\ufffd" in value or "\x00" in value for value in values):
        raise MalformedError("The query string is not UTF-8 text.")

"""What holds for every address: no trailing slashes, no credentials in queries, only problems."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import get_script_prefix

from apps.api.errors import response
from apps.engine.errors import MalformedError, UnauthenticatedError

DJANGO_PATHS = ("admin/", "accounts/", "static/")
FORBIDDEN_PARAMETERS = frozenset({"token", "access_token", "api_key", "apikey", "authorization"})


class ContractMiddleware:
    """Applies the contract's common rules before and after Django's views."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Refuse or redirect what the common rules say, else go on."""
        path = request.path_info.lstrip("/")
        if path.startswith(DJANGO_PATHS) or path in ("admin", "accounts"):
            return self.get_response(request)
        if path.endswith("/"):
            return _without_slash(request, path)
        try:
            _check_address(request)
        except (UnauthenticatedError, MalformedError) as error:
            return response(error, request)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Errors of plain Django views outside the portal are problems too."""
        if request.path_info.startswith("/admin/"):
            return None
        return response(error, request)


def _without_slash(request: HttpRequest, path: str) -> HttpResponse:
    query = request.META.get("QUERY_STRING", "")
    answer = HttpResponse(status=308)
    answer["Location"] = f"{get_script_prefix()}{path.strip('/')}{'?' + query if query else ''}"
    return answer


def _check_address(request: HttpRequest) -> None:
    if "\x00" in request.path_info:
        raise MalformedError("An address holds no NUL.")
    raw = request.META.get("QUERY_STRING", "")
    if not raw:
        return
    if "csk_" in raw or FORBIDDEN_PARAMETERS & {name.lower() for name in request.GET}:
        raise UnauthenticatedError("Credentials go into the Authorization header, not the address.")
    values: list[Any] = [*request.GET, *(v for each in request.GET.lists() for v in each[1])]
    if any("\ufffd" in value or "\x00" in value for value in values):
        raise MalformedError("The query string is not UTF-8 text.")

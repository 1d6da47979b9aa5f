"""The boundary of the process, where refusals of every interface are seen once."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from apps.audit import refusals
from apps.core.actor import Actor, stranger
from apps.core.models import User
from apps.engine.errors import DomainError, ForbiddenError, NotFoundError, UnauthenticatedError
from apps.engine.values import Tree

REFUSED = {401: "unauthenticated", 403: "forbidden", 404: "not_found"}
WAIT = 429
READING = ("GET", "HEAD", "OPTIONS")
READ_BY_POST = ("/validate", "/schema")
EVALUATION = "/ofrep/v1/evaluate/"
LOGIN = ("/accounts/", "/admin/login/")
MAX_ADDRESS = 200
REFUSALS = (ForbiddenError, NotFoundError, UnauthenticatedError)
_PART = re.compile(r"<\w+:(\w+)>")  # of Django's routes; people read {service}


@dataclass(frozen=True, slots=True)
class Refused:
    """What was refused of an answer that gives other things: at which of its fields."""

    error: DomainError
    field: str
    writes: bool


class RefusalMiddleware:
    """Records refused writes and reveals, counts refused reads; by then all is rolled back.

    A refusal shows in the answer's status, or in ``request.refusal`` where a page is answered.
    What is hidden and what does not exist are recorded alike, so that they take the same time.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, and record when the answer is a refusal."""
        answer = self.get_response(request)
        code = _code(request, answer.status_code)
        if code:
            _record(request, code)
        for each in getattr(request, "refusals", ()):
            _record_one(request, each)
        return answer


def _code(request: HttpRequest, status: int) -> str:
    error = getattr(request, "refusal", None)
    if isinstance(error, REFUSALS):
        return error.code
    if status == WAIT and request.path_info.startswith(LOGIN):
        return "too_many_requests"
    return REFUSED.get(status, "")


def _record(request: HttpRequest, code: str) -> None:
    actor, path = _actor(request), request.path_info.removeprefix("/api/v1")[:MAX_ADDRESS]
    error: Any = getattr(request, "refusal", None)
    subject = error.subject if isinstance(error, DomainError) else ""
    if code == "too_many_requests":
        data: dict[str, Tree] = {"step": "wait"}
        refusals.record(actor=actor, action="login.failed", target="user:(unknown)", data=data)
        return
    reveals = path.rstrip("/").endswith("/reveal") or request.GET.get("reveal") in ("true", "1")
    reads = request.method in READING or path in READ_BY_POST or EVALUATION in path
    if reads and not reveals:
        match = request.resolver_match
        if match is not None:
            refusals.count_read(actor=actor.name, target=subject or _PART.sub(r"{\1}", match.route))
        return
    data = {"code": code, "method": str(request.method), "address": path}
    if isinstance(error, DomainError) and error.extra.get("right"):
        data["right"] = str(error.extra["right"])
    action = "refused.reveal" if reveals else "refused.write"
    refusals.record(actor=actor, action=action, target=subject or path, data=data)


def _record_one(request: HttpRequest, refused: Refused) -> None:
    if not isinstance(refused.error, REFUSALS):
        return
    actor, error = _actor(request), refused.error
    address = f"{request.path_info.removeprefix('/api/v1')}#{refused.field}"[:MAX_ADDRESS]
    if not refused.writes:
        refusals.count_read(actor=actor.name, target=error.subject or address)
        return
    data: dict[str, Tree] = {"code": error.code, "method": str(request.method), "address": address}
    if error.extra.get("right"):
        data["right"] = str(error.extra["right"])
    action = "refused.reveal" if refused.field.startswith("reveal") else "refused.write"
    refusals.record(actor=actor, action=action, target=error.subject or address, data=data)


def _actor(request: HttpRequest) -> Actor:
    """Who was refused: the account, the person, else the address."""
    known = getattr(request, "auth", None)
    if isinstance(known, Actor):
        return known
    address = request.META.get("REMOTE_ADDR")
    user = getattr(request, "user", None)
    if isinstance(user, User):
        return Actor(name=f"user:{user.get_username()}", address=address)
    return stranger(address)

"""How a mutation is done: by the view of REST that does the same.

The view reads the same members, asks for the same rights, calls the same service and raises the
same problems, so that the two interfaces cannot differ. It is called in this process, with a
request that holds what was sent; nothing of HTTP is in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, Final
from urllib.parse import quote

import strawberry
from django.http import HttpRequest, HttpResponse, QueryDict
from rest_framework.request import Request
from strawberry.types import has_object_definition

from apps.api.base import ApiView
from apps.api.graphql.context import Info, find
from apps.core.actor import Actor
from apps.engine.values import Tree, compact, parse_canonical

ACT: Final = 1_000
"""What a mutation counts: some twenty of them are done in one request."""


def absent(description: str = "", *, name: str | None = None) -> Any:
    """A member of an input that is not sent on when it is not given; null is."""
    return strawberry.field(default=strawberry.UNSET, description=description or None, name=name)


def members_of(given: Any) -> Tree:
    """What was given, as REST's body writes it."""
    if isinstance(given, Enum):
        return given.value
    if isinstance(given, list):
        return [members_of(each) for each in given]
    if not has_object_definition(type(given)):
        return given
    named = {each.name.rstrip("_"): getattr(given, each.name) for each in fields(given)}
    return {
        name: members_of(value) for name, value in named.items() if value is not strawberry.UNSET
    }


def query_of(members: Mapping[str, Tree]) -> dict[str, str | list[str]]:
    """Members as the query of an address writes them."""
    found: dict[str, str | list[str]] = {}
    for name, value in members.items():
        if isinstance(value, bool):
            found[name] = "true" if value else "false"
        elif value is not None:
            found[name] = list(value) if isinstance(value, list) else str(value)
    return found


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent where it is more than a JSON body: the body, the query and the media type."""

    body: object = None
    query: Mapping[str, str | list[str]] = field(default_factory=dict)
    kind: str = "application/json"


def perform(info: Info, view: type[ApiView], method: str, given: object = None, **at: str) -> Any:
    """Do one act: ``method`` of ``view`` at an address; gives the body of its answer, parsed.

    ``given`` is an input, or :class:`Sent`. A request's ``Idempotency-Key`` holds for each of its
    acts by itself, as it does for the same POST of REST.
    """
    request = _request(info, view, method, given, at)
    return _parsed(info.context.write(lambda actor: _answer(actor, view, request, at)))


def inquire(info: Info, view: type[ApiView], given: object, **at: str) -> Any:
    """What a POST answers that stores nothing: it is a query, with ``None`` for REST's 404."""
    request = _request(info, view, "post", given, at)
    found = find(info, lambda: _answer(info.context.actor, view, request, at))
    return None if found is None else _parsed(found)


def _request(
    info: Info, view: type[ApiView], method: str, given: object, at: Mapping[str, str]
) -> Request:
    sent = given if isinstance(given, Sent) else Sent(given)
    query = QueryDict(mutable=True)
    for name, value in sent.query.items():
        query.setlist(name, value if isinstance(value, list) else [value])
    request = HttpRequest()
    request.method = method.upper()
    steps = ("graphql", str(info.path.key), view.__name__, *at.values())
    request.path = request.path_info = "".join(f"/{quote(each)}" for each in steps)
    request.GET = query  # type: ignore[assignment] # as Django's own test client does
    request.META = {"CONTENT_TYPE": sent.kind, "QUERY_STRING": query.urlencode()}
    if info.context.idempotency_key is not None and method == "post":
        request.META["HTTP_IDEMPOTENCY_KEY"] = info.context.idempotency_key
    body = sent.body if isinstance(sent.body, bytes) else compact(members_of(sent.body)).encode()
    request._body = body  # noqa: SLF001 - as Django keeps what it has read
    return Request(request)


def _answer(
    actor: Actor, view: type[ApiView], request: Request, at: Mapping[str, str]
) -> HttpResponse:
    request.auth = actor
    handler: Any = getattr(view(request=request), str(request.method).lower())
    answer: HttpResponse = handler(request, **at)
    return answer


def _parsed(answer: HttpResponse) -> Any:
    return parse_canonical(answer.content.decode()) if answer.content else None

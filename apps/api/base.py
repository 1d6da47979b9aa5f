"""What the views share: reading bodies and parameters, and writing answers."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.message import Message
from types import MappingProxyType
from typing import Any, Final

from django.conf import settings
from django.http import HttpResponse
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.views import APIView

from apps.access import idempotency
from apps.core import clock
from apps.core.actor import Actor
from apps.core.bodies import most_bytes
from apps.engine import formats, values
from apps.engine.errors import MalformedError, Problem, TooLargeError
from apps.engine.values import Tree, compact
from apps.vault.wrapping import with_keys_ahead

MAX_INTEGER = 2**63 - 1
BESIDE_JSON = ("environment",)
"""What may stand in the query of an address whose members are in a JSON body."""
NO_PAST: Final = "This has no state as of a time or revision: ask without 'at'."
NOTHING: Final[Mapping[str, Tree]] = MappingProxyType({})


class ApiView(APIView):
    """Base of all views: parse, call one service or selector, render."""

    @property
    def actor(self) -> Actor:
        """Who calls."""
        actor: Actor = self.request.auth  # type: ignore[assignment] # HasActor has seen to it
        return actor

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Refuse to tell of the past what is told of the present alone."""
        super().initial(request, *args, **kwargs)
        handler = getattr(self, request.method.lower(), None)
        is_read = request.method in ("GET", "HEAD")
        if is_read and "at" in request.GET and not getattr(handler, "takes_at", True):
            raise bad_member("at", NO_PAST)

    def once(
        self, act: Callable[[], HttpResponse], authorize: Callable[[], object]
    ) -> HttpResponse:
        """Do ``act``, at most once for one ``Idempotency-Key``.

        ``authorize`` asks for the act's rights: before a remembered answer is given out too.
        """
        key = self.request.headers.get("Idempotency-Key")
        if key is None:
            return act()
        authorize()
        path = self.request.get_full_path()
        found, repeated = with_keys_ahead(
            lambda: idempotency.run(
                actor=self.actor,
                key=key,
                path=path,
                body=read_body(self.request),
                act=lambda: _remember(act()),
            )
        )
        answer = HttpResponse(found.body.encode(), status=found.status)
        for name, value in found.headers.items():
            answer[name] = value
        if repeated:
            answer["Idempotent-Replay"] = "true"
        return answer


REMEMBERED_HEADERS = ("Content-Type", "Location", "ETag")


def _remember(answer: HttpResponse) -> idempotency.Remembered:
    headers = {name: answer[name] for name in REMEMBERED_HEADERS if name in answer}
    credential = getattr(answer, "credential_id", "")
    return idempotency.Remembered(answer.status_code, answer.content.decode(), headers, credential)


def answer_json(
    data: Tree, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """A JSON answer; numbers keep their digits."""
    answer = HttpResponse(compact(data).encode(), content_type="application/json", status=status)
    for name, value in (headers or {}).items():
        answer[name] = value
    return answer


def read_body(request: Any) -> bytes:
    """The request's body. Raises :class:`TooLargeError` above the limit."""
    body: bytes = request._request.body  # noqa: SLF001 - DRF's own parsers are not used
    most = most_bytes(request._request.path_info)  # noqa: SLF001 - as above
    if len(body) > most:
        raise TooLargeError(f"A body has at most {most} bytes here.")
    return body


def content_type(request: Any) -> str:
    """The media type of the body, without its parameters. Refuses charsets other than UTF-8."""
    message = Message()
    message["content-type"] = request.META.get("CONTENT_TYPE") or "application/json"
    charset = message.get_param("charset", "utf-8")
    if str(charset).lower() not in ("utf-8", "utf8") or request.headers.get("Content-Encoding"):
        raise UnsupportedMediaType(str(charset), "Send UTF-8, without a content coding.")
    return message.get_content_type()


def read_json(request: Any) -> Tree:
    """The body as JSON, digits kept. Raises :class:`MalformedError` with the position."""
    kind = content_type(request)
    if kind != "application/json":
        raise UnsupportedMediaType(kind)
    return formats.parse(read_body(request), "json").tree


def read_members(request: Any, known: Sequence[str]) -> dict[str, Tree]:
    """The body as an object with members among ``known``; others are refused by name."""
    tree = read_json(request)
    if not isinstance(tree, dict):
        raise MalformedError("The body is a JSON object.")
    refuse_unknown(tree, known)
    refuse_unknown(request.GET, BESIDE_JSON)
    return tree


def refuse_unknown(members: Mapping[str, Tree], known: Sequence[str]) -> None:
    """Raise :class:`MalformedError` for a member that is not known."""
    unknown = [name for name in members if name not in known]
    if unknown:
        problems = [
            Problem(f"/{values.escape(name)}", "unknown_member", "There is no such member.")
            for name in unknown
        ]
        message = f"Unknown member '{unknown[0][:100]}'. Known are: {', '.join(known)}."
        raise MalformedError(message, problems, code="unknown_member")


def typed(members: Mapping[str, Tree], name: str, kind: type, default: Any = None) -> Any:
    """A member of the given type (``null`` counts as absent). Raises :class:`MalformedError`."""
    value = members.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise bad_member(name, f"'{name}' must be {_KINDS[kind]}.")
    if isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise bad_member(name, f"'{name}' is too large.")
    return value


def read_texts(members: Mapping[str, Tree], name: str) -> list[str]:
    """A member that is a list of texts; empty when it is absent."""
    found = typed(members, name, list, [])
    if not all(isinstance(each, str) for each in found):
        raise bad_member(name, f"'{name}' is a list of texts.")
    return list(found)


_KINDS = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def bad_member(name: str, message: str) -> MalformedError:
    """A :class:`MalformedError` about one member or parameter."""
    return MalformedError(message, [Problem(f"/{values.escape(name)}", "type", message)])


def read_flag(text: str | None, name: str) -> bool:
    """A boolean query parameter."""
    if text in (None, "", "false", "0"):
        return False
    if text in ("true", "1"):
        return True
    raise bad_member(name, f"'{name}' must be true or false.")


def read_number(text: str | None, name: str) -> int | None:
    """A whole number from the query, at least 0."""
    if text is None or text == "":
        return None
    number = values.whole(text)
    if number is None:
        raise bad_member(name, f"'{name}' must be a whole number.")
    return number


def read_time(text: object, name: str) -> datetime | None:
    """An RFC 3339 time with its offset."""
    if text is None or text == "":
        return None
    try:
        return clock.read_rfc3339(str(text).replace(" ", "+"))
    except ValueError as error:
        message = f"'{name}' must be a time such as 2026-11-24T09:30:00Z."
        raise bad_member(name, message) from error


def page_size(request: Any) -> int:
    """``page_size``, from 1 to the limit."""
    size = read_number(request.GET.get("page_size"), "page_size")
    if size is None:
        return int(settings.PAGE_SIZE)
    if not 1 <= size <= settings.MAX_PAGE_SIZE:
        raise bad_member("page_size", f"'page_size' is 1 to {settings.MAX_PAGE_SIZE}.")
    return size


def read_position(request: Any) -> tuple[int | None, bool]:
    """``cursor`` of a list that goes on from a number: ``45`` is beyond it, ``-45`` back from it.

    Returns the number, and whether the page before it is asked for.
    """
    text = request.GET.get("cursor", "")
    return read_number(text.removeprefix("-"), "cursor"), text.startswith("-")


def page_link(request: Any, cursor: object) -> str | None:
    """The address of another page, or ``None``."""
    if cursor is None:
        return None
    query = request.GET.copy()
    query["cursor"] = str(cursor)
    return f"{request.path}?{query.urlencode()}"


def paged(
    request: Any, rows: Any, present: Callable[[Any], Tree], more: Mapping[str, Tree] = NOTHING
) -> HttpResponse:
    """A page of an ordered queryset; the cursor is an offset, for lists that people keep short.
    ``more`` are further members of the answer.
    """
    return paged_together(request, rows, lambda found: [present(row) for row in found], more)


def paged_together(
    request: Any,
    rows: Any,
    present: Callable[[list[Any]], list[Tree]],
    more: Mapping[str, Tree] = NOTHING,
) -> HttpResponse:
    """The same where the rows of a page are looked up together."""
    size = page_size(request)
    offset = read_number(request.GET.get("cursor"), "cursor") or 0
    found = list(rows[offset : offset + size + 1])
    following = offset + size if len(found) > size else None
    previous = max(0, offset - size) if offset else None
    return answer_json(
        {
            "results": present(found[:size]),
            "next": page_link(request, following),
            "previous": page_link(request, previous),
            **more,
        }
    )

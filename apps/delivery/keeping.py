"""Answers as memory keeps them, and how Django's views offer theirs to be kept."""

import hashlib
import math
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from apps.access.policy import Place
from apps.access.rights import rights_end
from apps.configs.selectors.configurations import Published
from apps.core import clock
from apps.core.actor import Actor
from apps.delivery.http import Send
from apps.delivery.memory import Body, Dated, Entry, PlaceKey, Text
from apps.delivery.reads import Reading
from apps.rollouts.assigning import Choices
from apps.vault.disclosing import SealedAnswer

Headers = list[tuple[bytes, bytes]]

OFFER: Final = "configsvc.offer"
"""Where a view finds, in the ASGI scope, who would keep its answer."""
REVISION: Final = b"x-config-revision"
LENGTH: Final = b"content-length"
WHOLE: Final = 200
NOT_MODIFIED: Final = 304
KEPT_STATUSES: Final = (WHOLE, NOT_MODIFIED)
KEPT_CACHING: Final = (b"cache-control", b"private, no-cache")


@dataclass(frozen=True, slots=True)
class Served:
    """Whose answer it is, of which versions at which places, narrowed to which keys; and until when he
    may have it. ``sealed``: its body, where secrets are in it. ``variant`` is what a unit was served,
    and ``choices`` says what others are.
    """

    actor: Actor
    given: Sequence[tuple[PlaceKey, int]]
    keys: Sequence[str]
    until: datetime | None
    sealed: SealedAnswer | None = None
    variant: str = ""
    choices: Choices | None = None

    @property
    def places(self) -> list[PlaceKey]:
        """Where it is from, as memory knows it."""
        return [place for place, _version in self.given]


def _place_key(place: Place) -> PlaceKey:
    assert place.service is not None  # noqa: S101 - a published version is of one configuration
    assert place.environment is not None  # noqa: S101 - as above
    return place.service.pk, place.environment.pk


class Offer:
    """What a view says of the answer that it gives; nothing: it is not to be kept. ``token_id``: it is asked
    ahead, by this process, for whoever has that token.
    """

    def __init__(self, token_id: str | None = None) -> None:
        self.token_id = token_id
        self.served: Served | None = None


def asked_ahead_for(scope: Any) -> str | None:
    """The id of the token for which a question is asked that nobody has asked yet; else ``None``."""
    found: Offer | None = scope.get(OFFER) if scope else None
    return found.token_id if found is not None else None


def offer(
    scope: Any,
    *,
    actor: Actor,
    given: Sequence[Published],
    keys: Sequence[str] = (),
    sealed: SealedAnswer | None = None,
    choices: Callable[[], Choices] | None = None,
) -> None:
    """Let the answer about what was ``given`` be given to ``actor`` again, where somebody would keep it.

    What is pinned or outdated is not kept: these marks may go without an act.
    """
    found = scope.get(OFFER) if scope else None
    if found is None or actor.token_id is None:
        return
    if any(each.pinned or each.outdated for each in given):
        return
    ends = (actor.expires_at, None if actor.is_superuser else rights_end(actor))
    found.served = Served(
        actor=actor,
        given=tuple({(_place_key(each.place), each.version): None for each in given}),
        keys=tuple(keys),
        until=min((each for each in ends if each is not None), default=None),
        sealed=sealed,
        variant=given[0].variant,
        choices=choices() if choices else None,
    )


class Heard:
    """Sends on what an application sends, and remembers it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.headers: Headers = []
        self.body = b""
        self.is_whole = False

    async def __call__(self, message: Any) -> None:
        """Send on one message."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            self.is_whole = not message.get("more_body", False)
        await self._send(message)

    def may_be_kept(self, served: Served) -> bool:
        """Whether it is whole, and one of the answers that are kept: no error, no value of a secret."""
        return (
            self.is_whole
            and self.status in KEPT_STATUSES
            and (
                KEPT_CACHING in self.headers
                or self.status == NOT_MODIFIED
                or served.sealed is not None
            )
        )

    def body_of(self, served: Served, *, is_dated: bool) -> Body:
        """Its body as it is kept. ``is_dated``: it begins with epoch and revision; :class:`ValueError`
        is raised for one that does not.
        """
        if served.sealed is not None:
            return served.sealed
        if not is_dated or self.status == NOT_MODIFIED:
            return Text(bytes(self.body))
        revision = dict(self.headers)[REVISION]
        mark = b'"revision":%b,"results":' % revision
        before, found, after = self.body.partition(mark)
        if not found or before.count(b":") != 1:  # the epoch stands before it, and nothing else
            raise ValueError("The answer does not begin with epoch and revision.")
        return Dated(before + b'"revision":', b',"results":' + after)


class Kept:
    """An answer as it was sent, but for its body, which is kept once for all who get the same.

    It may be given until ``until``, and is asked for again at ``again_at``, if Django can answer. ``times``:
    how often it was given again since somebody set that to 0.
    """

    __slots__ = (
        *("_has_length", "_lines", "again_at", "body", "is_framed", "is_private"),
        *("readings", "served", "size", "status", "times", "until"),
    )

    def __init__(
        self,
        heard: Heard,
        served: Served,
        body: Entry[Body],
        again_after: timedelta | None = None,
    ) -> None:
        self.status = heard.status
        self.times = 0
        self._lines = _lines_of((n, v) for n, v in heard.headers if n not in (REVISION, LENGTH))
        self._has_length = LENGTH in dict(heard.headers)
        self.is_framed = heard.status == NOT_MODIFIED or self._has_length
        self.is_private = KEPT_CACHING in heard.headers  # it has no value of a secret
        self.body = body
        self.served = served
        self.readings = tuple(
            Reading(*place, actor=served.actor, version=version, keys=served.keys)
            for place, version in served.given
        )
        self.until = served.until.timestamp() if served.until else math.inf
        self.again_at = (clock.now() + again_after).timestamp() if again_after else math.inf
        self.size = 2_000 + len(self._lines) + 300 * len(self.readings)

    def headers_at(self, revision: int, length: int) -> Headers:
        """The headers, with how far this process has read by now, and with the body's length."""
        lines = self._lines_at(revision, length).split(b"\r\n")[:-1]
        pairs = (line.partition(b": ") for line in lines)
        return [(name, value) for name, _colon, value in pairs]

    def head_at(self, revision: int, length: int, status_line: bytes, more: Headers) -> bytes:
        """The head of an answer in HTTP/1.1, with the server's ``more`` headers first."""
        lines = self._lines_at(revision, length)
        return b"%b%b%b\r\n" % (status_line, _server_lines(more), lines)

    def _lines_at(self, revision: int, length: int) -> bytes:
        if not self._has_length:
            return b"%b: %d\r\n%b" % (REVISION, revision, self._lines)
        return b"%b: %d\r\n%b: %d\r\n%b" % (REVISION, revision, LENGTH, length, self._lines)


def _lines_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


_server: tuple[Headers, bytes] = [], b""


def _server_lines(more: Headers) -> bytes:
    """The server's own headers, which it makes anew each second, for everybody."""
    global _server  # noqa: PLW0603 - one pair, so that nobody sees half of it
    known, lines = _server
    if known is not more:
        lines = _lines_of(more)
        _server = more, lines
    return lines


def name_of(body: Body) -> bytes:
    """What a body is called in memory; one with values of secrets is nobody else's."""
    if isinstance(body, Text):
        return hashlib.sha256(body.data).digest()
    if isinstance(body, Dated):
        return hashlib.sha256(b"%b\n%b" % (body.before, body.after)).digest()
    return secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class Assigner:
    """Who of an account's units is in which variant of what runs over a configuration."""

    actor: Actor
    choices: Choices

    @property
    def size(self) -> int:
        """Bytes, about."""
        return 1_000 + self.choices.size

    def variant_of(self, unit: str, instance: str) -> str:
        """The unit's variant; empty: none."""
        return self.choices.choose(actor=self.actor, unit=unit, instance=instance)

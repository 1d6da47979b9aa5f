"""The server's side of one configuration: fetching with validators, and its event stream."""

import json
import random
import time
import urllib.parse
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from configsvc_client.envelopes import is_envelope
from configsvc_client.errors import AwayError, ConfigError, NoStreamError
from configsvc_client.events import Event, EventReader, Position
from configsvc_client.sections import env_keys, following
from configsvc_client.signatures import Signatures
from configsvc_client.timing import Timing
from configsvc_client.wire import Reply, Wire

OK: Final = 200
UNCHANGED: Final = (204, 304)
PASSING: Final = (408, 412, 425, 429)
NO_STREAM: Final = (404, 405, 406, 501)
SERVER_ERRORS: Final = 500
MAX_RETRY: Final = 300.0
_CODED: Final = '-gzip"'


@dataclass(frozen=True, slots=True)
class Answer:
    """The state as the server knows it; without ``envelope`` it is what the caller has already.

    ``position`` is how far the server was, ``stale`` whether it answers without its database.
    ``env_sections`` are the keys of the sections of type environment variables; ``None``: not asked.
    """

    envelope: dict[str, Any] | None
    etag: str
    position: Position | None
    stale: bool
    env_sections: tuple[str, ...] | None = None


class Remote:
    """One configuration on one server. ``token`` is asked before each request.

    To the server an instance runs what it fetches; without ``fetches_as_instance`` fetches do not name
    it, and what it runs is for it to say. With ``reveal`` the values of its secrets are in it. With
    ``asks_sections``, which may be set later, each new answer says which sections are environment
    variables. ``retry`` is the reconnection time that the last stream gave, in seconds.
    """

    def __init__(
        self,
        wire: Wire,
        token: Callable[[], str],
        *,
        service: str,
        environment: str | None,
        instance: str | None,
        unit: str | None,
        timing: Timing,
        signatures: Signatures | None = None,
        reveal: bool = False,
        fetches_as_instance: bool = True,
        asks_sections: bool = False,
        loads: Callable[[bytes], Any] = json.loads,
    ) -> None:
        self._signatures, self._reveal, self._loads = signatures, reveal, loads
        self._wire, self._token, self._timing = wire, token, timing
        self.service = service
        self._query = {"environment": environment} if environment else {}
        self._headers = {"User-Agent": "configsvc-client/0.1"}
        named = {"X-Config-Instance": instance} if instance else {}
        self._fetching = named if fetches_as_instance else {}
        self._streaming = named
        if unit:
            self._headers["X-Config-Unit"] = unit
        self.asks_sections, self._sections_due = asks_sections, 0.0
        self.retry: float | None = None

    def cut(self) -> None:
        """End what is under way, from any thread; nothing is asked after it."""
        self._wire.cut()

    def fetch(
        self,
        etag: str = "",
        *,
        at_least: Position | None = None,
        after: Position | None = None,
        wait: float = 0.0,
    ) -> Answer:
        """The configuration, when it is not the one that ``etag`` names. Entity tags are those of the
        answer without a content coding, whatever coding it came in.

        ``at_least`` is a revision that the server must have seen; with ``after`` and ``wait`` it is a
        long poll. Raises :class:`ConfigError` for what is refused and :class:`AwayError` for all that
        may pass.
        """
        etag = _uncoded(etag)
        query: dict[str, str] = dict(self._query)
        if self._reveal:
            query["reveal"] = "true"
        if at_least is not None:
            query["min_revision"] = str(at_least)
        if after is not None and wait > 0:
            query |= {"after": str(after), "wait": f"{wait:g}"}
        else:
            wait = 0.0
        headers = self._authorized(
            {**self._fetching, "Accept": "application/json", "Accept-Encoding": "gzip"}
        )
        if etag:
            headers["If-None-Match"] = etag
        path = f"/config/{urllib.parse.quote(self.service, safe='')}"
        deadline = time.monotonic() + self._timing.fetch_timeout + wait
        with self._wire.get(path, query, headers, self._timing.fetch_timeout + wait) as reply:
            answer = self._read(reply, etag, deadline)
        if not (self.sections_are_due or (self.asks_sections and answer.envelope is not None)):
            return answer
        return replace(answer, env_sections=self.fetch_env_sections())

    def _read(self, reply: Reply, etag: str, deadline: float) -> Answer:
        stale, position = bool(reply.header("X-Config-Stale")), _position(reply)
        if reply.status in UNCHANGED:
            return Answer(None, etag, position, stale)
        body = reply.read_all(deadline)
        if reply.status != OK:
            raise refusal(reply, body)
        envelope = _envelope(body, self._loads)
        if self._signatures is not None:
            self._signatures.check(reply, body, envelope)
        return Answer(envelope, _uncoded(reply.header("ETag")), position, stale)

    @property
    def sections_are_due(self) -> bool:
        """Whether to ask for them also where the document is the same: no event tells of them."""
        return self.asks_sections and time.monotonic() >= self._sections_due

    def fetch_env_sections(self) -> tuple[str, ...]:
        """The keys of the service's sections of type environment variables, in the server's order.

        They are declared for the service, and hold for whatever version is live. Raises what
        :meth:`fetch` raises.
        """
        path = f"/services/{urllib.parse.quote(self.service, safe='')}/sections"
        limit, found, cursor = self._timing.fetch_timeout, list[str](), ""
        deadline = time.monotonic() + limit
        while True:
            headers = self._authorized({"Accept": "application/json", "Accept-Encoding": "gzip"})
            query = {"page_size": "200"} | ({"cursor": cursor} if cursor else {})
            with self._wire.get(path, query, headers, limit) as reply:
                body = reply.read_all(deadline)
                if reply.status != OK:
                    raise refusal(reply, body)
            found += env_keys(body)
            cursor = following(body)
            if not cursor:
                break
        pause = random.uniform(0.5, 1.0) * self._timing.sections_every  # noqa: S311 - spreads clients
        self._sections_due = time.monotonic() + pause
        return tuple(found)

    def stream(
        self, cursor: Position | None, services: Sequence[str] = ()
    ) -> Generator[Event, None, None]:
        """Events after ``cursor`` until the server ends the stream, of this service or of ``services``.

        Raises what :meth:`fetch` raises, :class:`NoStreamError` where there are no streams, and
        :class:`AwayError` when one says nothing at its start or goes silent.
        """
        headers = self._authorized(
            {**self._streaming, "Accept": "text/event-stream", "Cache-Control": "no-store"}
        )
        if cursor is not None:
            headers["Last-Event-ID"] = str(cursor)
        query = {**self._query, "service": services or self.service}
        limit = self._timing.ready_within
        with self._wire.get("/stream", query, headers, limit) as reply:
            if reply.status in NO_STREAM:
                raise NoStreamError(f"The server answers {reply.status} for a stream.")
            if reply.status != OK:
                raise refusal(reply, reply.read_all(time.monotonic() + limit))
            if reply.media_type != "text/event-stream":
                raise NoStreamError("There is something else at the stream's address.")
            yield from self._events(reply)

    def _events(self, reply: Reply) -> Iterator[Event]:
        reader = EventReader()
        deadline: float | None = time.monotonic() + self._timing.ready_within
        while piece := reply.read_some(
            self._timing.heartbeat if deadline is None else deadline - time.monotonic()
        ):
            try:
                for event in reader.feed(piece):
                    deadline = None
                    self.retry = reader.retry
                    yield event
            except ValueError as error:
                raise AwayError(str(error)) from error

    def _authorized(self, headers: dict[str, str]) -> dict[str, str]:
        return {**self._headers, **headers, "Authorization": f"Bearer {self._token()}"}


def _uncoded(etag: str) -> str:
    """The entity tag of the same without its content coding, which servers add to it."""
    return f'{etag.removesuffix(_CODED)}"' if etag.endswith(_CODED) else etag


def _position(reply: Reply) -> Position | None:
    try:
        return Position.parse(
            f"{reply.header('X-Config-Epoch')}-{reply.header('X-Config-Revision')}"
        )
    except ValueError:
        return None


def _envelope(body: bytes, loads: Callable[[bytes], Any]) -> dict[str, Any]:
    try:
        envelope = loads(body)
    except (ValueError, RecursionError) as error:
        raise AwayError("The answer is not JSON: a proxy's page?") from error
    if not is_envelope(envelope):
        raise AwayError("The answer is not one of a configuration service.")
    return dict(envelope)


def refusal(reply: Reply, body: bytes) -> Exception:
    """What a status that is none of the wanted ones means."""
    status = reply.status
    detail, code = _problem(body)
    if status >= SERVER_ERRORS or status in PASSING:
        seconds = reply.header("Retry-After")
        after = float(seconds) if seconds.isascii() and seconds.isdigit() else 0.0
        return AwayError(f"{status}: {detail}", min(after, MAX_RETRY))
    if status < 300:  # noqa: PLR2004 - HTTP's own number
        return AwayError(f"The answer is {status}, which no configuration service gives.")
    if status < 400:  # noqa: PLR2004 - HTTP's own number
        return ConfigError(status, "The server leads elsewhere: is the URL right?")
    return ConfigError(status, detail or "The server gives no reason.", code)


def _problem(body: bytes) -> tuple[str, str]:
    """``detail`` and ``code`` of a problem (RFC 9457), empty for another body."""
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(problem, dict):
        return "", ""
    return str(problem.get("detail", "")), str(problem.get("code", ""))

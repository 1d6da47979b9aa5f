"""The thread that keeps configurations up to date: by one stream, and by polls where that fails."""

import contextlib
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from configsvc_client.errors import AwayError, ConfigError, NoStreamError
from configsvc_client.events import Event, Position
from configsvc_client.remote import Remote
from configsvc_client.state import State
from configsvc_client.timing import Timing

logger = logging.getLogger(__name__)

CONFLICT = 409
GONE = 410
AT_ONCE = 1.0
MAX_DOUBLINGS = 16
SHORTEST_WAIT = 1.0


Tell = Callable[[Position | None, Sequence[str] | None], object]


class Watcher:
    """Follows configurations from ``start`` to ``stop``; used once.

    All are of one server and environment and share a wire: one stream tells of them. One alone is
    also followed by long polls; several are polled in turn. ``tell`` is called once all up to a position
    is fetched, with the messages up to there; with ``None`` where it is not known what has happened.
    """

    def __init__(
        self,
        followed: Sequence[tuple[Remote, State]],
        timing: Timing,
        tell: Tell = lambda _position, _messages: None,
    ) -> None:
        self._followed, self._timing, self._tell = list(followed), timing, tell
        self._remote = self._followed[0][0]
        self._services = sorted({remote.service for remote, _state in self._followed})
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="configsvc-client", daemon=True)
        self._cursor: Position | None = None
        self._pending: list[tuple[Remote, State]] = []
        self._messages: list[str] = []
        self._failures = 0
        self._failing_since: float | None = None
        self._stream_failures = 0
        self._stream_worked = False
        self._poll_until: float | None = None
        self._poll_wait = timing.poll_wait
        self._refused = ""

    def start(self) -> None:
        """Begin, in a daemon thread."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for the thread, but for a callback of its own that stops it."""
        self._stopping.set()
        self._remote.cut()
        if self._thread is not threading.current_thread():
            self._thread.join(self._timing.fetch_timeout)

    @property
    def cursor(self) -> Position | None:
        """How far all was read and fetched."""
        return self._cursor

    @property
    def silent_for(self) -> float:
        """For how many seconds nothing was heard of the server; 0 while all is well."""
        since = self._failing_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def is_running(self) -> bool:
        """Whether its thread lives; not in a process forked off since."""
        return self._thread.is_alive() and not self._stopping.is_set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause = self._attempt()
            self._stopping.wait(pause)

    def _attempt(self) -> float:
        """One stream, or one poll; returns how long to wait before the next."""
        try:
            if self._poll_until is not None and time.monotonic() < self._poll_until:
                return self._poll()
            return self._follow()
        except ConfigError as error:
            self._note_refusal(error)
            self._note_failure(error)
            self._tell(self._cursor, None)  # the others may have moved
            return self._spread(self._timing.longest_pause)
        except AwayError as error:
            if not self._stopping.is_set():
                logger.info("Watching was interrupted: %s", error)
            self._note_failure(error)
            return error.retry_after + self._back_off()
        except Exception as error:
            logger.exception("Watching failed; it goes on.")
            self._note_failure(error)
            return self._spread(self._timing.longest_pause)

    # -- the stream ------------------------------------------------------------------------

    def _follow(self) -> float:
        """Read one stream; its end is an :class:`AwayError`, as is what cuts it."""
        self._poll_until, self._pending, self._messages = None, [], []
        opened = time.monotonic()
        with contextlib.closing(self._remote.stream(self._cursor, self._services)) as events:
            for event in events:
                self._take(event)
                if time.monotonic() - opened >= self._timing.stable:
                    self._note_success()
                    self._stream_failures, self._stream_worked = 0, True
        raise AwayError("The stream ended.")

    def _take(self, event: Event) -> None:
        """Act on an event. The cursor moves when all up to its id was read and fetched, not before:
        a stream cut within a revision is resumed in front of it."""
        if event.kind == "ready":
            self._take_ready(_position(event.data))
        elif event.kind == "resync":
            position = _position(event.data)
            self._stopping.wait(random.uniform(0, self._timing.resync_jitter))  # noqa: S311 - spreads clients
            self._refresh(position, self._followed)
            self._move(position, None)
        elif event.kind == "changed":
            self._messages.append(event.data)
            self._pending += [each for each in self._about(event.data) if each not in self._pending]
        if event.id:
            position = _read_position(event.id)
            wanted = self._followed if self._cursor is None else self._pending
            due = [each for each in self._followed if each[0].sections_are_due]
            self._refresh(position, [*wanted, *(each for each in due if each not in wanted)])
            self._move(position, self._messages)

    def _move(self, position: Position, messages: Sequence[str] | None) -> None:
        self._cursor, self._pending, self._messages = position, [], []
        self._tell(position, messages)

    def _about(self, data: str) -> list[tuple[Remote, State]]:
        """Which of those that are followed an event is about; all, when it does not say."""
        if len(self._followed) == 1:
            return self._followed
        named = str(_members(data).get("service", "")).lower()
        found = [each for each in self._followed if each[0].service.lower() == named]
        return found or self._followed

    def _take_ready(self, position: Position) -> None:
        """Look once at each opening; a stream that could not be resumed says ``resync`` next."""
        cursor = self._cursor
        if cursor is None or (
            position.epoch == cursor.epoch and position.revision >= cursor.revision
        ):
            self._refresh(position, self._followed)
        if cursor is None:
            self._move(position, None)

    def _refresh(self, at_least: Position, followed: Iterable[tuple[Remote, State]]) -> None:
        """Fetch states that are no older than ``at_least``; a refusal of one keeps none from the others."""
        refused = []
        for remote, state in followed:
            try:
                self._fetch(remote, state, at_least)
            except ConfigError as error:
                refused.append(error)
        if refused:
            raise refused[0]

    def _fetch(self, remote: Remote, state: State, at_least: Position) -> None:
        etag = state.snapshot.etag
        try:
            try:
                answer = remote.fetch(etag, at_least=at_least)
            except ConfigError as error:
                if error.status != CONFLICT:
                    raise
                answer = remote.fetch(etag)  # the epoch moved on meanwhile
        except ConfigError as error:
            if error.status != GONE:
                raise
            state.retire()
            return
        state.take(answer)

    # -- polls -----------------------------------------------------------------------------

    def _poll(self) -> float:
        """One long poll, or a plain one where there is nothing to wait after, or of several in turn."""
        if len(self._followed) > 1:
            return self._poll_in_turn()
        [(remote, state)] = self._followed
        began = time.monotonic()
        etag, after = state.snapshot.etag, self._cursor
        try:
            answer = remote.fetch(etag, after=after, wait=self._poll_wait)
        except ConfigError as error:
            if error.status != GONE:
                raise
            state.retire()
            self._note_poll()
            return self._spread(self._timing.poll_every)
        except AwayError:
            halved = self._poll_wait / 2  # a proxy may not let requests wait for long
            self._poll_wait = halved if halved >= SHORTEST_WAIT else 0.0
            raise
        moved = state.take(answer)
        self._cursor = answer.position
        self._note_poll()
        if moved:
            return self._spread(self._timing.first_pause)
        waited = time.monotonic() - began >= AT_ONCE
        may_wait = after is None and self._cursor is not None and self._poll_wait > 0
        return 0.0 if waited or may_wait else self._spread(self._timing.poll_every)

    def _poll_in_turn(self) -> float:
        """A plain poll of each. The cursor is as far as the first of them was."""
        positions, refused = [], []
        for remote, state in self._followed:
            try:
                answer = remote.fetch(state.snapshot.etag)
                state.take(answer)
                positions.append(answer.position)
            except ConfigError as error:
                if error.status == GONE:
                    state.retire()
                else:
                    refused.append(error)
        if refused:
            raise refused[0]
        self._cursor = positions[0] if positions else self._cursor
        self._note_poll()
        return self._spread(self._timing.poll_every)

    def _note_poll(self) -> None:
        """After an outage a stream that worked before it is tried at once."""
        if self._failures and self._stream_worked:
            self._poll_until = None
        self._note_success()
        self._tell(self._cursor, None)

    # -- failures --------------------------------------------------------------------------

    def _note_success(self) -> None:
        if self._refused:
            logger.info("The server serves the configuration again.")
        self._failures, self._refused, self._failing_since = 0, "", None

    def _note_refusal(self, error: ConfigError) -> None:
        if str(error) != self._refused:  # said once, not at each attempt
            self._refused = str(error)
            logger.error("The server refuses (%s): the last state stays in use.", error)

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        if self._failing_since is None:
            self._failing_since = time.monotonic()
        if self._poll_until is not None:  # it was a poll
            return
        self._stream_failures += 1
        limit = self._timing.stream_failures
        if isinstance(error, NoStreamError) or self._stream_failures >= limit:
            logger.info("Streams do not get through; polling for a while.")
            self._stream_failures = limit - 1  # then one more failure leads back to polls
            self._poll_wait = self._timing.poll_wait
            self._poll_until = time.monotonic() + self._spread(self._timing.stream_again)

    def _back_off(self) -> float:
        """Exponential, with full jitter: anything from nothing to the limit."""
        first = self._remote.retry or self._timing.first_pause
        limit = first * 2 ** min(self._failures - 1, MAX_DOUBLINGS)
        return random.uniform(0, min(limit, self._timing.longest_pause))  # noqa: S311 - spreads clients

    def _spread(self, seconds: float) -> float:
        return random.uniform(seconds / 2, seconds)  # noqa: S311 - spreads clients


def _members(data: str) -> dict[str, Any]:
    try:
        return dict(json.loads(data))
    except (ValueError, TypeError, RecursionError) as error:
        raise AwayError("An event of the stream cannot be read.") from error


def _position(data: str) -> Position:
    members = _members(data)
    try:
        return Position(str(members["epoch"]), int(members["revision"]))
    except (ValueError, KeyError, TypeError) as error:
        raise AwayError("An event of the stream cannot be read.") from error


def _read_position(text: str) -> Position:
    try:
        return Position.parse(text)
    except ValueError as error:
        raise AwayError("An id of the stream cannot be read.") from error

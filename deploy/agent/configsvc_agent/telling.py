"""Telling of a version that is in use: a URL of the process, then the server, in this order."""

import http.client
import json
import logging
import random
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from configsvc_agent.errors import UsageError
from configsvc_agent.websocket import connected
from configsvc_client.errors import AwayError, ConfigError
from configsvc_client.wire import Wire

logger = logging.getLogger(__name__)

TIMEOUT: Final = 10.0
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
_MAX_DOUBLINGS: Final = 10


@dataclass(frozen=True, slots=True)
class News:
    """A version that was brought to the process; ``calls``: the URL must still hear of it."""

    service: str
    environment: str
    version: int
    calls: bool = False


class Hook:
    """A URL that is POSTed to; anything but a 2xx answer is a failure, redirects too."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise UsageError(
                f"--on-change url: wants a URL like http://127.0.0.1:9000/reload: {url}"
            )
        self._parts = parts

    def call(self, news: News) -> None:
        """POST the service, environment and version as JSON. Raises :class:`AwayError`."""
        parts = self._parts
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        members = {"service": news.service, "environment": news.environment}
        body = json.dumps({**members, "version": news.version})
        headers = {"Content-Type": "application/json", "User-Agent": "configsvc-agent/0.1"}
        connection = kind(str(parts.hostname), parts.port, timeout=TIMEOUT)
        try:
            connection.request("POST", target, body, headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise AwayError(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's own numbers
            raise AwayError(f"it answers {status}")


class Report:
    """Says to the server that this ``instance`` runs a version (``applied``, section 4 of the contract)."""

    def __init__(self, wire: Wire, token: Callable[[], str], instance: str) -> None:
        self._wire, self._token, self._instance = wire, token, instance

    def say(self, news: News) -> None:
        """Raises :class:`AwayError`, or :class:`ConfigError` for what the server refuses."""
        headers = {
            "Authorization": f"Bearer {self._token()}",
            "X-Config-Instance": self._instance,
            "User-Agent": "configsvc-agent/0.1",
        }
        members: dict[str, Any] = {"type": "applied", "service": news.service}
        members |= {"environment": news.environment, "version": news.version}
        with connected(self._wire, "/ws/config", headers, TIMEOUT) as socket:
            socket.send(json.dumps(members))
            socket.send(json.dumps({"type": "ping"}))  # answered in order: then it is known
            answer = json.loads(socket.receive())
        if answer.get("type") == "error":
            raise ConfigError(400, str(answer.get("detail")), str(answer.get("code")))


class Teller:
    """A daemon thread that tells of the latest version until it was heard; an older one is dropped."""

    def __init__(self, report: Callable[[News], None] | None, hook: Hook | None) -> None:
        self._report, self._hook = report, hook
        self._moved = threading.Condition()
        self._news: News | None = None
        self._busy = False
        self._ended = False

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="configsvc-agent-telling", daemon=True).start()

    def tell(self, news: News) -> None:
        """Tell this from now on; a call that an earlier version still owes is owed by it."""
        with self._moved:
            owed = self._news is not None and self._news.calls
            self._news = News(
                news.service, news.environment, news.version, calls=news.calls or owed
            )
            self._moved.notify_all()

    def close(self, within: float = 0.0) -> None:
        """End, once all was told, or after ``within`` s."""
        with self._moved:
            self._moved.wait_for(lambda: self._news is None and not self._busy, within)
            self._ended = True
            self._moved.notify_all()

    def _run(self) -> None:
        failures = 0
        while (news := self._next()) is not None:
            heard = self._try(news, failures)
            failures = 0 if heard else failures + 1
            with self._moved:
                self._busy = False
                if heard and self._news is not None and self._news.version == news.version:
                    self._news = None
                self._moved.notify_all()
                if not heard:
                    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, _MAX_DOUBLINGS))
                    pause = random.uniform(longest / 2, longest)  # noqa: S311 - spreads agents
                    self._moved.wait_for(lambda: self._ended or self._is_newer(news), pause)

    def _is_newer(self, news: News) -> bool:
        return self._news is not None and self._news.version != news.version

    def _next(self) -> News | None:
        with self._moved:
            self._moved.wait_for(lambda: self._ended or self._news is not None)
            if self._ended:
                return None
            self._busy = True
            return self._news

    def _try(self, news: News, failures: int) -> bool:
        """Whether all heard of it; a failure is logged at its first time."""
        level = logging.DEBUG if failures else logging.WARNING
        try:
            if news.calls and self._hook is not None:
                self._hook.call(news)
                self._note_called(news)
        except AwayError as error:
            logger.log(level, "The URL did not take version %s: %s.", news.version, error)
            return False
        try:
            if self._report is not None:
                self._report(news)
                logger.info("The server knows that version %s is in use.", news.version)
        except ConfigError as error:
            logger.log(level, "The server does not take the report: %s", error)
            return error.status != 401  # noqa: PLR2004 - a token may be replaced
        except (AwayError, ValueError) as error:
            logger.log(level, "Version %s could not be reported: %s", news.version, error)
            return False
        return True

    def _note_called(self, news: News) -> None:
        with self._moved:
            if self._news is not None and self._news.version == news.version:
                self._news = News(news.service, news.environment, news.version)

"""The HTTP part: fetching with validators, and reading the event stream."""

import http.client
import json
import ssl
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

FETCH_TIMEOUT = 10.0
STREAM_SILENCE = 45.0  # bookmarks come every 15 s


class ConfigError(Exception):
    """The server refuses (``status``), and asking again will not help."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status


class AwayError(Exception):
    """The server cannot be reached or is not well; asking again may help."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer: the envelope, and the tag to ask with next time."""

    envelope: dict[str, Any]
    etag: str
    epoch: str


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event; a bookmark has an ``id`` and no ``kind``."""

    kind: str
    data: dict[str, Any]
    id: str


class Remote:
    """One server, one configuration, one token."""

    def __init__(
        self, url: str, token: str, service: str, environment: str | None, instance: str | None
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        self._https = parts.scheme == "https"
        self._host = parts.netloc
        self._prefix = parts.path.rstrip("/")
        self._query = {"environment": environment} if environment else {}
        self._service = service
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": "configsvc-client/0.1"}
        if instance:
            self._headers["X-Config-Instance"] = instance

    def fetch(self, etag: str | None, *, after: str = "", wait: int = 0) -> Fetched | None:
        """The configuration, or ``None`` when it is still what ``etag`` names.

        With ``after`` and ``wait`` it is a long poll. Raises :class:`ConfigError` for 4xx and
        :class:`AwayError` for everything that may pass.
        """
        query = {**self._query, **({"after": after, "wait": str(wait)} if wait else {})}
        headers = {"If-None-Match": etag} if etag else {}
        path = f"/config/{urllib.parse.quote(self._service)}"
        connection, answer = self._open(path, query, headers, FETCH_TIMEOUT + wait)
        try:
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise AwayError(str(error)) from error
        finally:
            connection.close()
        if answer.status in (204, 304):
            return None
        _refuse(answer.status, body)
        try:
            given = answer.headers
            epoch = given.get("X-Config-Epoch", "")
            return Fetched(json.loads(body), given.get("ETag", ""), epoch)
        except ValueError as error:
            raise AwayError("The answer is not JSON: a proxy's page?") from error

    def stream(self, cursor: str) -> Iterator[Event]:
        """Events from ``cursor`` (``EPOCH-REVISION``) on, until the connection ends.

        Raises what :meth:`fetch` raises; silence for 45 s is an :class:`AwayError`.
        """
        query = {**self._query, "service": self._service}
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": cursor} if cursor else {})
        connection, answer = self._open("/stream", query, headers, STREAM_SILENCE)
        try:
            if answer.status != 200:  # noqa: PLR2004 - HTTP's own number
                _refuse(answer.status, answer.read())
            if "text/event-stream" not in answer.headers.get("Content-Type", ""):
                raise AwayError("There is no stream at this address.")
            yield from _events(answer)
        except (OSError, http.client.HTTPException) as error:
            raise AwayError(str(error)) from error
        finally:
            connection.close()

    def _open(
        self, path: str, query: dict[str, str], headers: dict[str, str], timeout: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection: http.client.HTTPConnection
        if self._https:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(self._host, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(self._host, timeout=timeout)
        target = f"{self._prefix}{path}?{urllib.parse.urlencode(query)}"
        try:
            connection.request("GET", target, headers={**self._headers, **headers})
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise AwayError(str(error)) from error


def _refuse(status: int, body: bytes) -> None:
    if status < 400:  # noqa: PLR2004 - HTTP's own number
        return
    try:
        detail = str(json.loads(body).get("detail", ""))
    except (ValueError, AttributeError):
        detail = ""
    if status >= 500 or status in (408, 412, 429):  # noqa: PLR2004 - HTTP's own numbers
        raise AwayError(f"{status}: {detail}")
    raise ConfigError(status, detail)


def _events(lines: Any) -> Iterator[Event]:
    """Server-sent events (WHATWG HTML, section 9.2.6) from an iterable of lines."""
    kind, id_ = "", ""
    data: list[str] = []
    for raw in lines:
        line = raw.decode("utf-8").rstrip("\r\n")
        if not line:
            if data or id_:
                yield Event(kind if data else "", json.loads("\n".join(data) or "{}"), id_)
            kind, data, id_ = "", [], ""
            continue
        name, _colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            id_ = value

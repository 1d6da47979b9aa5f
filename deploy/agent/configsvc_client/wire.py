"""One request over HTTP or HTTPS with deadlines, which another thread may cut short."""

import contextlib
import http.client
import os
import socket
import ssl
import threading
import time
import urllib.parse
import zlib
from collections.abc import Iterator, Mapping, Sequence

from configsvc_client.errors import AwayError

MAX_BODY = 64 * 1024 * 1024
CONNECT_TIMEOUT = 10.0
_PIECE = 65_536
_GZIP = 16 + zlib.MAX_WBITS

Verify = bool | str | os.PathLike[str]


class Reply:
    """An answer whose body is still to be read."""

    def __init__(self, response: http.client.HTTPResponse, sock: socket.socket) -> None:
        self._response, self._socket = response, sock
        self.status = response.status
        self.media_type = response.headers.get_content_type()

    @property
    def socket(self) -> socket.socket:
        """The connection itself, for what follows a 101 (Switching Protocols)."""
        return self._socket

    def header(self, name: str) -> str:
        """A header's value, or an empty text."""
        return self._response.headers.get(name, "")

    def read_some(self, within: float) -> bytes:
        """The next bytes, at the end none. Raises :class:`AwayError` after ``within`` s of silence."""
        if within <= 0:
            raise AwayError("The answer took too long.")
        if self._response.isclosed():  # with the last byte, and its socket: Python 3.14 does so
            return b""
        with _away():
            self._socket.settimeout(within)
            piece = self._response.read1(_PIECE)
        if not piece and self._response.length:
            raise AwayError("The answer was cut off.")
        return piece

    def read_all(self, deadline: float) -> bytes:
        """The whole body, without its gzip coding. Raises :class:`AwayError`."""
        body = bytearray()
        while piece := self.read_some(deadline - time.monotonic()):
            body += piece
            if len(body) > MAX_BODY:
                raise AwayError("The answer is too long.")
        return _unzip(bytes(body)) if self.header("Content-Encoding") == "gzip" else bytes(body)


class Wire:
    """One server. ``url`` may have a path in front of the contract's own; redirects are not followed.

    ``verify`` is ``True`` (the system's authorities), the path of a file of authorities, or ``False``
    (any certificate). Raises :class:`ValueError` for a URL that is none of HTTP, :class:`OSError`
    for a file of authorities that cannot be read.
    """

    def __init__(self, url: str, verify: Verify = True) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("The URL of the server is like https://config.example:8000")
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._context = _context(verify) if parts.scheme == "https" else None
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()  # a stream, and a fetch while it is open
        self._cut = False

    def cut(self) -> None:
        """End the requests under way, and every later one; callable from any thread."""
        with self._lock:
            self._cut = True
            for sock in self._sockets:
                with contextlib.suppress(OSError):  # around TLS, which another thread is reading
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    @contextlib.contextmanager
    def get(
        self,
        path: str,
        query: Mapping[str, str | Sequence[str]],
        headers: Mapping[str, str],
        timeout: float,
    ) -> Iterator[Reply]:
        """The answer to one GET. Raises :class:`AwayError` when there is none in ``timeout`` s."""
        with self._ask("GET", self._target(path, query), headers, timeout) as reply:
            yield reply

    @contextlib.contextmanager
    def post(
        self, path: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> Iterator[Reply]:
        """The answer to one POST, likewise."""
        with self._ask("POST", self._target(path, {}), headers, timeout, body) as reply:
            yield reply

    def _target(self, path: str, query: Mapping[str, str | Sequence[str]]) -> str:
        target = f"{self._prefix}{path}"
        return f"{target}?{urllib.parse.urlencode(query, doseq=True)}" if query else target

    @contextlib.contextmanager
    def _ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        timeout: float,
        body: bytes | None = None,
    ) -> Iterator[Reply]:
        connection = self._connection(min(timeout, CONNECT_TIMEOUT))
        try:
            with _away():
                connection.connect()
            with self._kept(connection.sock) as sock:
                with _away():
                    sock.settimeout(timeout)
                    connection.request(method, target, body=body, headers=dict(headers))
                    response = connection.getresponse()
                with response:
                    yield Reply(response, sock)
        finally:
            connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=timeout, context=self._context
        )

    @contextlib.contextmanager
    def _kept(self, sock: socket.socket) -> Iterator[socket.socket]:
        """Known to ``cut`` while it is used; ``http.client`` itself may forget it earlier."""
        with self._lock:
            if self._cut:
                raise AwayError("The client was closed.")
            self._sockets.add(sock)
        try:
            yield sock
        finally:
            with self._lock:
                self._sockets.discard(sock)


@contextlib.contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise AwayError(f"{type(error).__name__}: {error}") from error


def _context(verify: Verify) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if isinstance(verify, bool) else verify)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _unzip(body: bytes) -> bytes:
    reader = zlib.decompressobj(_GZIP)
    try:
        text = reader.decompress(body, MAX_BODY)
    except zlib.error as error:
        raise AwayError("The answer's gzip coding is broken.") from error
    if not reader.eof:
        raise AwayError("The answer was cut off, or is too long.")
    return text

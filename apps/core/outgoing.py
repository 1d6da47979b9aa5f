"""Calling a named Connection over HTTPS: to the address that was judged, and to no other."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ClassVar, Final
from urllib.parse import parse_qs, unquote, urlsplit

import certifi
import urllib3

from apps.core.addresses import find_address
from apps.engine.errors import UnavailableError, invalid

HTTPS_PORT: Final = 443
CONNECT_WITHIN: Final = 5.0
READ_WITHIN: Final = 20.0
MAX_ANSWER: Final = 262_144
CHUNK: Final = 16_384


@dataclass(frozen=True, slots=True)
class HttpsAddress:
    """An ``https`` address in its parts."""

    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What stands in the ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == HTTPS_PORT else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. The body may hold anything: it is never shown."""

    status: int
    body: bytes


def read_https(text: str) -> HttpsAddress:
    """The parts of an ``https`` address. Raises :class:`InvalidError`."""
    wrong = invalid("/address", "address", "This is https://HOST/PATH, without user and password.")
    try:
        parts = urlsplit(text)
        port = parts.port or HTTPS_PORT
    except ValueError:
        raise wrong from None
    plain = parts.hostname and parts.username is None and not parts.fragment
    if parts.scheme != "https" or not plain or not text.isprintable() or " " in text:
        raise wrong
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return HttpsAddress(str(parts.hostname), port, path)


@dataclass(frozen=True, slots=True)
class S3Address:
    """Where the archives are: ``https://HOST[:PORT]``, the bucket, what names begin with, the region."""

    endpoint: str
    host: str
    port: int
    bucket: str
    prefix: str
    region: str | None


def read_s3(text: str) -> S3Address:
    """The parts of an address. Raises :class:`InvalidError`."""
    target = read_https(text)
    parts = urlsplit(text)
    bucket, _slash, rest = unquote(parts.path).strip("/").partition("/")
    asked = parse_qs(parts.query, keep_blank_values=True)
    if (
        not bucket
        or asked.keys() - {"region"}
        or any(step in ("", "..") for step in rest.split("/") if rest)
    ):
        raise invalid("/address", "address", "This is https://HOST/BUCKET[/PREFIX][?region=NAME].")
    host = target.authority
    prefix = f"{rest}/" if rest else ""
    return S3Address(
        f"https://{host}", target.host, target.port, bucket, prefix, asked.get("region", [None])[0]
    )


def tls_context(authorities: str) -> ssl.SSLContext:
    """Certificates are verified: by ``authorities`` (PEM) when there are any, else the usual ones.

    Raises :class:`InvalidError` for text that holds no certificate.
    """
    try:
        if authorities:
            return ssl.create_default_context(cadata=authorities)
        return ssl.create_default_context(cafile=certifi.where())
    except (ssl.SSLError, ValueError, TypeError):
        raise invalid("/authorities", "certificate", "These are not certificates (PEM).") from None


def post(address: str, *, authorities: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """POST to an ``https`` address; redirects are not followed.

    The address is looked up once and judged; the certificate must be that of the host's name.
    Raises :class:`UnavailableError`, :class:`InvalidError` (code ``address``).
    """
    target = read_https(address)
    pool = urllib3.HTTPSConnectionPool(
        find_address(target.host, target.port),
        target.port,
        server_hostname=target.host,
        assert_hostname=target.host,
        ssl_context=tls_context(authorities),
        timeout=urllib3.Timeout(connect=CONNECT_WITHIN, read=READ_WITHIN),
        retries=False,
    )
    pool.ConnectionCls = _Connection
    sent = {**headers, "Host": target.authority, "User-Agent": "configsvc"}
    opened: list[socket.socket] = []
    late = threading.Event()
    _Connection.opened.set(opened)
    timer = threading.Timer(CONNECT_WITHIN + READ_WITHIN, _cut, [opened, late])
    timer.daemon = True
    timer.start()
    try:
        answer = pool.urlopen(
            "POST", target.path, body, sent, redirect=False, preload_content=False
        )
        made = Answer(answer.status, _read(answer))
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnavailableError(f"The call failed ({type(error).__name__}).") from None
    finally:
        timer.cancel()
        pool.close()
    if late.is_set():  # what was cut off may look like an answer
        raise UnavailableError("The call took too long.")
    return made


class _Connection(urllib3.connection.HTTPSConnection):
    """A connection whose socket is known, so that a call ends when its time is over."""

    opened: ClassVar[ContextVar[list[socket.socket]]] = ContextVar("opened")

    def connect(self) -> None:
        """Connect, and note the socket."""
        super().connect()
        self.opened.get().append(self.sock)


def _cut(opened: list[socket.socket], late: threading.Event) -> None:
    """End a call that takes too long, wherever it waits: a byte now and then is no progress."""
    late.set()
    for each in opened:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(each, socket.SHUT_RDWR)


def _read(answer: urllib3.BaseHTTPResponse) -> bytes:
    """The body, which ends within a size."""
    found = b""
    while chunk := answer.read(CHUNK):
        found += chunk
        if len(found) > MAX_ANSWER:
            raise UnavailableError("The answer is too long.")
    return found

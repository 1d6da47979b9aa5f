"""The contract's reads for the processes of this host, from memory, over loopback or a Unix socket."""

import contextlib
import hmac
import ipaddress
import logging
import os
import secrets
import socket
import socketserver
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

from configsvc_agent.asking import (
    VARY,
    Question,
    Refusal,
    Reply,
    StreamQuestion,
    is_stream,
    problem,
    sections,
    sections_asked,
)
from configsvc_agent.errors import UsageError
from configsvc_agent.streaming import MOST_STREAMS, Reader
from configsvc_agent.upstream import Upstream
from configsvc_client.events import Position
from configsvc_client.files import replace
from configsvc_client.state import Snapshot, State

logger = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 512
REVISION_WAIT: Final = 5.0
SECTIONS_WAIT: Final = 5.0
IDLE: Final = 75.0
SILENCE: Final = 60.0
"""Answers are marked stale once the server was not heard for so long."""
LOOK_EVERY: Final = 0.1
_TOKEN_BYTES: Final = 32
_PATH_LENGTH: Final = 100


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: a loopback address and port, or a Unix socket with its mode."""

    host: str = ""
    port: int = 0
    path: Path | None = None
    mode: int = 0o600


def parse_address(text: str, mode: int = 0o600) -> Address:
    """``127.0.0.1:8100``, ``[::1]:8100``, ``localhost:8100`` or ``unix:/run/x.sock``.

    Raises :class:`UsageError` for everything that other hosts could reach.
    """
    if text.startswith("unix:"):
        path = Path(text.removeprefix("unix:"))
        if not path.is_absolute() or len(os.fsencode(path)) > _PATH_LENGTH:
            raise UsageError(
                f"A socket's path is absolute, of {_PATH_LENGTH} bytes at most: {text}"
            )
        return Address(path=path, mode=mode)
    host, _colon, port = text.rpartition(":")
    host = "127.0.0.1" if host.lower() == "localhost" else host.strip("[]")
    try:
        address = ipaddress.ip_address(host)
        number = int(port)
    except ValueError as error:
        raise UsageError(f"--listen wants 127.0.0.1:PORT or unix:PATH: {text}") from error
    if not address.is_loopback:
        raise UsageError(
            f"The agent listens on loopback alone, not on {host}: what it serves is for this host."
        )
    return Address(host=str(address), port=number)


def local_token(path: Path) -> str:
    """The token in the file at ``path``, which is made (0600) where there is none.

    Raises :class:`UsageError` when others may read it.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(path, f"csl_{secrets.token_urlsafe(_TOKEN_BYTES)}\n".encode())
        logger.info("Made the token of local processes: %s", path)
    if stat.S_IMODE(path.stat().st_mode) & 0o007:
        raise UsageError(f"Everybody may read {path}: chmod o= it first.")
    token = path.read_text(encoding="utf-8").strip()
    if not token:
        raise UsageError(f"There is no token in {path}.")
    return token


class LocalServer:
    """Answers until closed. ``token`` is asked before each request; on a Unix socket ``None`` leaves
    it to the socket's mode who may ask. With ``reveals``, ``reveal=true`` is answered.
    """

    def __init__(
        self,
        address: Address,
        upstream: Upstream,
        token: Callable[[], str] | None,
        *,
        reveals: bool = False,
    ) -> None:
        if address.path is None and token is None:
            raise UsageError("Over TCP local processes need a token: --local-token-file PATH.")
        self._address = address
        bound = type("Bound", (_Handler,), {"local": _Local(upstream, token, reveals)})
        self._listener: _TcpListener | _UnixListener
        if address.path is None:
            kind = _TcpListenerOn6 if ":" in address.host else _TcpListener
            self._listener = kind((address.host, address.port), bound)
        else:
            self._listener = _unix(address.path, address.mode, bound)

    @property
    def url(self) -> str:
        """Where it answers."""
        if isinstance(self._listener, _UnixListener):
            return f"unix:{self._address.path}"
        port = self._listener.socket.getsockname()[1]
        host = self._address.host
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Answer, in daemon threads."""
        threading.Thread(
            target=self._listener.serve_forever, args=(0.1,), name="configsvc-agent", daemon=True
        ).start()

    def close(self) -> None:
        """Stop; a Unix socket is removed."""
        self._listener.shutdown()
        self._listener.server_close()
        if self._address.path is not None:
            self._address.path.unlink(missing_ok=True)


class _Threads(socketserver.ThreadingMixIn):
    """A thread for each connection, up to a limit."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n")
            self.shutdown_request(request)  # type: ignore[attr-defined] # of the server that it is mixed into
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("A local connection broke.")


class _TcpListener(_Threads, socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 128


class _TcpListenerOn6(_TcpListener):
    address_family = socket.AF_INET6


class _UnixListener(_Threads, socketserver.UnixStreamServer):
    request_queue_size = 128


def _unix(path: Path, mode: int, handler: Any) -> _UnixListener:
    """Listen at ``path``; a socket that nobody answers any more is replaced."""
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise UsageError(f"{path} is there already, and no socket.")
        with socket.socket(socket.AF_UNIX) as other, contextlib.suppress(OSError):
            other.connect(str(path))
            raise UsageError(f"Another process answers at {path}.")
        path.unlink()
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    before = os.umask(0o777 & ~mode)
    try:
        return _UnixListener(str(path), handler)
    finally:
        os.umask(before)


@dataclass(frozen=True, slots=True)
class _Local:
    """What each request needs."""

    upstream: Upstream
    token: Callable[[], str] | None
    reveals: bool

    def reply(self, question: Question) -> Reply:
        """The answer, once it is time for one. Raises :class:`Refusal`."""
        state = self._find(question)
        if question.needs_sections:
            self._learn_sections(question.service, revealed=question.revealed)
        self._wait_until_reached(question)
        is_new = self._wait_for_news(question, state)
        reached = self._reached(question)  # first: the snapshot is as new, or newer
        snapshot = state.snapshot
        if snapshot.retired:
            raise Refusal(410, "retired", "The configuration is retired.")
        headers = self._headers(question, snapshot, reached)
        if question.is_known(snapshot):
            return Reply(304, b"", headers)
        if not is_new:
            return Reply(204, b"", headers)
        plain = self.upstream.find(question.service) or state
        made = question.answer(snapshot, plain.snapshot)
        return Reply(made.status, made.body, {**headers, **made.headers})

    def sections(self, service: str) -> Reply:
        """Which of its sections are environment variables. Raises :class:`Refusal`."""
        state = self._find_plain(service, "")
        self._learn_sections(service, revealed=False)
        return sections(state.snapshot.env_sections or ())

    def _learn_sections(self, service: str, *, revealed: bool) -> None:
        if not self.upstream.learn_sections(service, revealed=revealed, within=SECTIONS_WAIT):
            detail = "It is not known which sections are environment variables: ask again."
            raise Refusal(503, "sections_unknown", detail, Retry_After="5")

    def stream(self, question: StreamQuestion, check: Callable[[], None]) -> Reply:
        """What happens from now on, or after what was asked. Raises :class:`Refusal`."""
        news = self.upstream.news
        services = question.services or self.upstream.services
        for each in services:
            self._find_plain(each, "" if question.environment == "*" else question.environment)
        if news.readers >= MOST_STREAMS:
            raise Refusal(503, "busy", "So many streams are open: ask again.", Retry_After="5")
        complete = self._with_config if question.with_config else None
        pieces = Reader(news, services, complete).read(question.after, check)
        return Reply(200, b"", _STREAM, pieces)

    def _with_config(self, message: dict[str, Any]) -> dict[str, Any]:
        """The message with its document, where that is still what is live."""
        state = self.upstream.find(str(message["service"]))
        snapshot = state.snapshot if state else None
        if snapshot is None or snapshot.retired or snapshot.version != message.get("version"):
            return message
        return {**message, "config": snapshot.document}

    def _find_plain(self, service: str, wanted: str) -> State:
        state = self.upstream.find(service)
        environment = str(state.snapshot.envelope["environment"]) if state else ""
        if state is None or (wanted and wanted.lower() != environment.lower()):
            raise Refusal(404, "not_found", "This agent does not follow that configuration.")
        return state

    def _find(self, question: Question) -> State:
        state = self._find_plain(question.service, question.environment)
        if not question.revealed:
            return state
        revealed = self.upstream.find(question.service, revealed=True) if self.reveals else None
        if revealed is None:
            raise Refusal(
                403, "forbidden", "This agent reveals no secrets: start it with --reveal."
            )
        return revealed

    def _reached(self, question: Question) -> Position:
        """How far the configuration is that is asked for."""
        return self.upstream.reached(question.service, revealed=question.revealed)

    def _wait_until_reached(self, question: Question) -> None:
        needed = question.needed
        if needed is None:
            return
        ends = time.monotonic() + REVISION_WAIT
        while True:
            head = self._reached(question)
            if needed.epoch not in ("", head.epoch):
                raise Refusal(409, "epoch", "That revision is of another epoch: ask without it.")
            if head.revision >= needed.revision:
                return
            if time.monotonic() >= ends:
                raise Refusal(412, "not_reached", "The agent is not so far yet.", Retry_After="1")
            with self.upstream.moved:
                self.upstream.moved.wait(LOOK_EVERY)

    def _wait_for_news(self, question: Question, state: State) -> bool:
        """Whether there is an answer, or the time of a long poll is over without one."""
        after = question.after
        if after is None:
            return True
        ends = time.monotonic() + question.wait

        def has_news() -> bool:
            head = self._reached(question)
            beyond = after.epoch not in ("", head.epoch) or after.revision > head.revision
            moved_at = self.upstream.moved_at(question.service, revealed=question.revealed)
            other = bool(question.etags) and not question.is_known(state.snapshot)
            return beyond or other or moved_at > after.revision or state.snapshot.retired

        with self.upstream.moved:
            while not has_news():
                left = ends - time.monotonic()
                if left <= 0:
                    return False
                self.upstream.moved.wait(left)
        return True

    def _headers(self, question: Question, snapshot: Snapshot, reached: Position) -> dict[str, str]:
        headers = {
            "ETag": question.etag(snapshot),
            "X-Config-Version": str(snapshot.version),
            "X-Config-Revision": str(reached.revision),
            "X-Config-Epoch": reached.epoch,
            "Cache-Control": "no-store" if question.revealed else "private, no-cache",
            "Vary": VARY,
        }
        silent = self.upstream.silent_for()
        if snapshot.stale or silent >= SILENCE:
            headers["X-Config-Stale"] = str(int(silent))
        return headers


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "configsvc-agent"
    sys_version = ""
    timeout = IDLE
    wbufsize = -1  # head and body in one packet
    local: _Local

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the library's name
        logger.debug("%s", format % arguments)

    def address_string(self) -> str:
        """A Unix socket's peer has no address."""
        return str(self.client_address[0]) if self.client_address else "unix"

    def do_GET(self) -> None:
        """Answer."""
        self._send(self._reply())

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def _reply(self) -> Reply:
        try:
            if self.path in ("/healthz", "/readyz"):
                return Reply(200, b'{"status":"ok"}', {"Content-Type": "application/json"})
            self._admit()
            if service := sections_asked(self.path):
                return self.local.sections(service)
            if is_stream(self.path):
                asked = StreamQuestion.of(self.path, _Headers(self.headers))
                return self.local.stream(asked, self._admit)
            return self.local.reply(Question.of(self.path, _Headers(self.headers)))
        except Refusal as refusal:
            return problem(refusal)
        except Exception:  # a thread's end
            logger.exception("A local request failed.")
            return problem(Refusal(500, "internal", "The agent failed; its log says why."))

    def _admit(self) -> None:
        """Refuse other pages' requests (DNS rebinding), and who has no token."""
        host = self.headers.get("Host", "")
        name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
        if self.client_address and name.strip("[]").lower() not in (
            "localhost",
            "127.0.0.1",
            "::1",
        ):
            raise Refusal(421, "misdirected", "Ask for localhost or 127.0.0.1.")
        if self.local.token is None:
            return
        scheme, _space, given = self.headers.get("Authorization", "").partition(" ")
        wanted = self.local.token()
        right = hmac.compare_digest(given.strip().encode(), wanted.encode())
        if scheme.lower() != "bearer" or not right:
            raise Refusal(
                401, "unauthenticated", "Send the agent's local token.", WWW_Authenticate="Bearer"
            )

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.pieces is not None:
            self._send_pieces(reply.pieces)
            return
        if reply.status not in (204, 304):
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD" and reply.status not in (204, 304):
            self.wfile.write(reply.body)

    def _send_pieces(self, pieces: Iterator[bytes]) -> None:
        """Send what comes, until it ends or who asked may not have it any more."""
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        with contextlib.suppress(Refusal):
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()


_STREAM: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class _Headers(dict[str, str]):
    """A request's headers, whose names have no case."""

    def __init__(self, headers: Any) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})

    def get(self, name: str, default: Any = None) -> Any:
        """By any spelling."""
        return super().get(name.lower(), default)

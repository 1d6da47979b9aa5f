"""As much of a WebSocket client (RFC 6455) as short messages need."""

import base64
import contextlib
import hashlib
import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Final

from configsvc_client.errors import AwayError
from configsvc_client.remote import refusal
from configsvc_client.wire import Wire

_SWITCHING: Final = 101
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG, _CONTINUED = 1, 8, 9, 10, 0
_SHORT, _LONG = 126, 127
_MAX_MESSAGE: Final = 1024 * 1024


class WebSocket:
    """An open connection; each wait ends at ``deadline``, of the monotonic clock."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._socket, self._deadline = sock, deadline

    def send(self, text: str) -> None:
        """Send one message. Raises :class:`AwayError`."""
        self._frame(_TEXT, text.encode())

    def receive(self) -> str:
        """The next message. Raises :class:`AwayError` when there is none, with the server's reason."""
        message = b""
        while True:
            final, kind, content = self._read_frame()
            if kind == _CLOSE:
                code = struct.unpack("!H", content[:2])[0] if len(content) > 1 else 1005
                raise AwayError(f"The server closed the socket with {code}.")
            if kind == _PING:
                self._frame(_PONG, content)
            elif kind in (_TEXT, _CONTINUED):
                message += content
                if len(message) > _MAX_MESSAGE:
                    raise AwayError("A message is too long.")
                if final:
                    return message.decode(errors="replace")

    def close(self) -> None:
        """Say that it is over; whoever hears it or not."""
        with contextlib.suppress(AwayError):
            self._frame(_CLOSE, struct.pack("!H", 1000))

    def _frame(self, kind: int, content: bytes) -> None:
        mask = os.urandom(4)
        length = len(content)
        if length < _SHORT:
            head = struct.pack("!BB", 0x80 | kind, 0x80 | length)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, 0x80 | _LONG, length)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(content))
        with self._bounded():
            self._socket.sendall(head + mask + masked)

    def _read_frame(self) -> tuple[bool, int, bytes]:
        first, second = self._read(2)
        length = second & 0x7F
        if length == _SHORT:
            (length,) = struct.unpack("!H", self._read(2))
        elif length == _LONG:
            (length,) = struct.unpack("!Q", self._read(8))
        if second & 0x80 or length > _MAX_MESSAGE:
            raise AwayError("The server sent no frame of a WebSocket.")
        return bool(first & 0x80), first & 0x0F, self._read(length)

    def _read(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            with self._bounded():
                piece = self._socket.recv(count - len(content))
            if not piece:
                raise AwayError("The server closed the connection.")
            content += piece
        return content

    @contextlib.contextmanager
    def _bounded(self) -> Iterator[None]:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise AwayError("The server took too long.")
        try:
            self._socket.settimeout(left)
            yield
        except OSError as error:
            raise AwayError(f"{type(error).__name__}: {error}") from error


@contextlib.contextmanager
def connected(
    wire: Wire, path: str, headers: Mapping[str, str], timeout: float
) -> Iterator[WebSocket]:
    """A WebSocket at ``path`` for ``timeout`` s. Raises :class:`ConfigError` where it is refused, and
    :class:`AwayError`.
    """
    key = base64.b64encode(os.urandom(16))
    asked = {
        **headers,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key.decode(),
    }
    deadline = time.monotonic() + timeout
    with wire.get(path, {}, asked, timeout) as reply:
        if reply.status != _SWITCHING:
            raise refusal(reply, reply.read_all(deadline))
        wanted = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        if reply.header("Sec-WebSocket-Accept").encode() != wanted:
            raise AwayError("There is something else at the WebSocket's address.")
        opened = WebSocket(reply.socket, deadline)
        try:
            yield opened
        finally:
            opened.close()

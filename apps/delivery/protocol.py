"""HTTP as the web server speaks it, with a short way for a question that is asked again word for word.

uvicorn parses each request, makes a scope, a task and, for the answer, two writes: three quarters of what an
answer from memory costs. A client that asks again sends the same bytes, though, and their first answer
from memory was found by all that decides it (:mod:`apps.delivery.hot`). So it is found by these bytes
from then on, and sent at once, in one write, under the same conditions.

Bytes are taken for a question when they are one whole request without a body, from the same address,
on a connection that is waiting for one. Everything else goes the long way.
"""

import hashlib
import socket
import struct
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

LONGEST: Final = 4_096
START: Final = b"GET /"
END: Final = b"\n\r\n"
NO_LINGERING: Final = struct.pack("ii", 1, 0)


class RepeatingProtocol(HttpToolsProtocol):
    """uvicorn's own, and the short way."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        from apps.delivery import (  # a worker loads this class before Django is set up
            hot,
            http,
            questions,
        )

        self._hot, self._http, self._questions = hot, http, questions
        self._in_message = False
        self._question: bytes | None = None

    def data_received(self, data: bytes) -> None:
        """Answer at once, or parse."""
        self._question = self._read(data)
        if self._question is None or not self._answer(self._question):
            super().data_received(data)

    def on_message_begin(self) -> None:
        """Give the application the question that its request is, and what ends the connection."""
        super().on_message_begin()
        self.scope["state"][self._http.ABORT] = self._abort
        self._in_message = True
        if self._question is not None:
            self.scope["state"][self._questions.BYTES] = self._question

    def on_message_complete(self) -> None:
        """The connection waits for another one now."""
        super().on_message_complete()
        self._in_message = False

    def _abort(self) -> None:
        """Reset the connection: a kernel goes on for minutes with what its reader does not take."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGERING)
        self.transport.abort()

    def _read(self, data: bytes) -> bytes | None:
        """The question that the bytes are, if they are one: a digest, for there is a token in them."""
        if (
            len(data) > LONGEST
            or not data.startswith(START)
            or data.find(END) != len(data) - len(END)
            or self._is_busy
        ):
            return None
        asking = self.client[0] if self.client else ""
        return hashlib.sha256(b"%b\n%b" % (asking.encode(), data)).digest()

    @property
    def _is_busy(self) -> bool:
        return (
            self._in_message
            or bool(self.pipeline)
            or self.flow.write_paused
            or not (self.cycle is None or self.cycle.response_complete)
        )

    def _answer(self, question: bytes) -> bool:
        again = self._hot.find_again(question)
        if again is None:
            return False
        self._unset_keepalive_if_required()
        head = again.head(STATUS_LINE[again.status], self.server_state.default_headers)
        self.transport.writelines([head, again.body] if again.body else [head])
        self.on_response_complete()
        return True

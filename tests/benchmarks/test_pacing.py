"""The generator of a steady pace counts what waits."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat

from tests.benchmarks import pacing

STUCK_FOR = 0.5
RATE, SECONDS = 100, 1


class _Stuck(BaseHTTPRequestHandler):
    """Answers nothing in the first half second."""

    protocol_version = "HTTP/1.1"
    until = 0.0

    def do_GET(self):
        time.sleep(max(self.until - time.monotonic(), 0))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_about):
        """Says nothing."""


def test_generator__server_is_stuck__counts_what_was_due_meanwhile():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Stuck) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port, request = server.server_address[1], b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
        _Stuck.until = time.monotonic() + STUCK_FOR

        took, _rate = pacing.ask(port, repeat(request), pacing.paced(RATE, SECONDS), connections=2)

        server.shutdown()
    assert len(took) == RATE * SECONDS
    late = [each for each in took if each > STUCK_FOR * 1000 / 2]
    assert len(late) >= RATE * STUCK_FOR / 2 - 2  # a closed loop would have seen two of them

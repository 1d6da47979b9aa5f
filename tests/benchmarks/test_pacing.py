"""The benchmark of a steady pace runs, and its generator counts what waits."""

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat

import pytest

from tests.benchmarks import pacing
from tests.commands import TOP

STUCK_FOR = 0.5
RATE, SECONDS = 100, 1


@pytest.mark.servers(database=False)
def test_pacing__this_project_alone__gives_ratios_and_json(tmp_path):
    written = tmp_path / "pacing.json"
    command = [sys.executable, "-m", "tests.benchmarks.pacing", "--alone", "--rounds", "1"]

    done = subprocess.run(
        [*command, "--seconds", "0.2", "--json", str(written)],
        check=False,
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(written.read_text())["figures"]
    assert {"p99 / goal", "rate kept / asked"} <= set(found)
    assert all(most >= median >= least > 0 for median, least, most in found.values())


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

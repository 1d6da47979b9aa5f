"""Agents as processes of their own, and a URL that they call."""

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WITHIN = 60.0


def wait_until(true, within=WITHIN, what="it"):
    ends = time.monotonic() + within
    while not true():
        assert time.monotonic() < ends, f"{what} did not happen"
        time.sleep(0.02)


class Agent:
    """One agent. ``log`` and ``output`` are what it and its child wrote so far."""

    def __init__(self, folder, arguments, environment, **options):
        self.files = [folder / "agent-output", folder / "agent-log"]
        with self.files[0].open("w") as output, self.files[1].open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "configsvc_agent", *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                **options,
            )

    @property
    def output(self):
        return self.files[0].read_text()

    @property
    def log(self):
        return self.files[1].read_text()

    def wait(self, within=WITHIN):
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"It did not end:\n{self.log}\n{self.output}") from None

    def says(self, text, count=1):
        wait_until(
            lambda: self.output.count(text) >= count or self.process.poll() is not None, what=text
        )
        assert self.output.count(text) >= count, f"{self.log}\n{self.output}"

    def logs(self, text):
        wait_until(lambda: text in self.log or self.process.poll() is not None, what=text)
        assert text in self.log, self.log


class Hook:
    """A local URL that takes notes; ``fails`` is how many calls it refuses."""

    def __init__(self):
        self.bodies, self.fails = [], 0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.fails -= 1
                status = 500 if hook.fails >= 0 else 204
                hook.bodies.append(json.loads(body))  # a test that sees it may set ``fails``
                self.send_response(status)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/reload?x=1"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

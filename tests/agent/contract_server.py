"""A small server that keeps the contract's sections 2 and 4, for one configuration above all, with faults.

Of its own, so that faults which the real server never shows can be made: a stream cut within a
revision, a proxy that holds events back, a node that is behind.
"""

import gzip
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BOOKMARK_EVERY = 0.1
NOT_REACHED_AFTER = 0.3


class ContractServer:
    """``publish`` and its like move the state; the attributes below make the faults."""

    def __init__(self, tls=None):
        self.token, self.epoch, self.revision, self.version = "csk_right", "e1", 0, 0
        self.document, self.retired = None, False
        self.others = {}  # documents of other services, which share version and revision
        self.revealed = None  # what reveal=true answers
        self.moved_service = "checkout"  # whom events are about
        self.versions_in_messages = False
        self.changes = []  # (revision, number of messages)
        self.oldest = 0  # cursors before this one cannot be resumed
        self.refuse = {}  # path: (status, headers, body)
        self.stream_fault = None  # "silent" | "mute" | "ends" | "within a revision"
        self.behind = None  # what another node answers: (epoch, version, document)
        self.server_is_stale = False
        self.zipped = False
        self.sections = {}  # key: type
        self.sections_of_a_page = 200
        self.drip = 0.0  # seconds between two bytes of a body
        self.asked = []  # (path, query, headers), each noted as the state is read that it is answered by
        self.moved = threading.Condition()
        self._connections = set()
        self._tls = tls
        self._port = 0
        self._listener = None

    @property
    def url(self):
        return f"{'https' if self._tls else 'http'}://localhost:{self._port}"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.stop()

    def start(self):
        """Listen, on the same port as before."""
        handler = type("Bound", (Handler,), {"fake": self})
        self._listener = Listener(("127.0.0.1", self._port), handler)
        self._port = self._listener.server_port
        if self._tls:
            self._listener.socket = self._tls.wrap_socket(self._listener.socket, server_side=True)
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None
        self.cut_connections()

    def cut_connections(self):
        with self.moved:
            cut, self._connections = self._connections, set()
            self.moved.notify_all()
        for connection in cut:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def publish(self, document, messages=1):
        with self.moved:
            self._move(document, retired=False, messages=messages)

    def retire(self):
        with self.moved:
            self._move(self.document, retired=True, messages=1)

    def restore(self, epoch, document, version):
        """A new epoch, with an earlier state: what a restored backup is."""
        with self.moved:
            self.epoch, self.version, self.revision = epoch, version - 1, 3
            self.changes.clear()
            self._move(document, retired=False, messages=1)
            self.oldest = self.revision

    def _move(self, document, *, retired, messages):
        self.document, self.retired = document, retired
        self.version += 1
        self.revision += 1
        self.changes.append((self.revision, messages))
        self.moved.notify_all()

    def count(self, path):
        return sum(asked[0] == path for asked in self.asked)

    def wait_for(self, path, count=1, within=20.0):
        """Until ``path`` was asked for ``count`` times in all."""
        ends = time.monotonic() + within
        while self.count(path) < count:
            assert time.monotonic() < ends, f"{path} was asked {self.count(path)} times"
            time.sleep(0.01)


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        """Connections are cut on purpose here."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake = None

    def log_message(self, *arguments):
        """Say nothing."""

    def setup(self):
        super().setup()
        with self.fake.moved:
            self.fake._connections.add(self.connection)

    def do_GET(self):
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        asks = (parts.path, query, dict(self.headers))
        if self.headers["Authorization"] != f"Bearer {self.fake.token}":
            self.fake.asked.append(asks)
            self.problem(401, "unauthenticated", "Send a token.")
        elif parts.path in self.fake.refuse:
            self.fake.asked.append(asks)
            status, headers, body = self.fake.refuse[parts.path]
            self.answer(status, body, headers)
        elif parts.path.removeprefix("/config/") in {"checkout", *self.fake.others}:
            self.config(asks, parts.path.removeprefix("/config/"))
        elif parts.path.removeprefix("/services/") in {
            f"{name}/sections" for name in ("checkout", *self.fake.others)
        }:
            self.fake.asked.append(asks)
            self.sections(int(query.get("cursor", 0)))
        elif parts.path == "/stream":
            self.stream(asks)
        else:
            self.fake.asked.append(asks)
            self.problem(404, "not_found", "There is no such thing.")

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.fake.drip:
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(self.fake.drip)
            return
        self.wfile.write(body)

    def problem(self, status, code, detail):
        body = json.dumps({"status": status, "code": code, "detail": detail}).encode()
        self.answer(status, body, {"Content-Type": "application/problem+json"})

    # -- fetching --------------------------------------------------------------------------

    def config(self, asks, name):
        fake, query = self.fake, asks[1]
        with fake.moved:
            fake.asked.append(asks)
            if "min_revision" in query and not self.reached(query["min_revision"]):
                return
            if "wait" in query:
                epoch, _dash, after = query["after"].rpartition("-")
                fake.moved.wait_for(
                    lambda: epoch != fake.epoch or fake.revision != int(after),
                    float(query["wait"]),
                )
            epoch, version, document = fake.behind or (fake.epoch, fake.version, fake.document)
            document = self.fake.others.get(name, document)
            revealed = query.get("reveal") == "true"
            document = fake.revealed if revealed else document
            etag = f'"{epoch}-{version}{"-revealed" if revealed else ""}"'
            headers = {
                "ETag": etag,
                "X-Config-Epoch": epoch,
                "X-Config-Revision": str(fake.revision),
            }
            if fake.server_is_stale:
                headers["X-Config-Stale"] = "7"
        if fake.retired:
            self.problem(410, "retired", "It is retired.")
        elif self.headers["If-None-Match"] in (etag, f'{etag[:-1]}-gzip"'):
            self.answer(304, b"", headers | {"ETag": self.headers["If-None-Match"]})
        else:
            self.envelope(name, version, document, headers)

    def reached(self, text):
        epoch, _dash, revision = text.rpartition("-")
        if epoch != (self.fake.behind or (self.fake.epoch,))[0]:
            self.problem(409, "epoch", "Fetch without min_revision.")
            return False
        if self.fake.moved.wait_for(lambda: self.fake.revision >= int(revision), NOT_REACHED_AFTER):
            return True
        self.problem(412, "not_reached", "Not yet.")
        return False

    def sections(self, start):
        """A page of them, by key; all services have the same."""
        end = start + self.fake.sections_of_a_page
        found = sorted(self.fake.sections.items())
        results = [{"key": key, "type": kind, "schema": {}} for key, kind in found]
        link = f"{self.fake.url}/services/x/sections?cursor={end}" if end < len(found) else None
        body = json.dumps({"results": results[start:end], "next": link, "previous": None})
        self.answer(200, body.encode(), {"Content-Type": "application/json"})

    def envelope(self, name, version, document, headers):
        members = {"service": name, "environment": "production", "version": version}
        members |= {"revision": self.fake.revision, "config": document}
        body = json.dumps(members).encode()
        headers["Content-Type"] = "application/json"
        if self.fake.zipped and "gzip" in self.headers["Accept-Encoding"]:
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
            headers["ETag"] = f'{headers["ETag"][:-1]}-gzip"'
        self.answer(200, body, headers)

    # -- streams ---------------------------------------------------------------------------

    def stream(self, asks):
        fake = self.fake
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if fake.stream_fault == "silent":
            fake.asked.append(asks)
            self.hold()
            return
        with fake.moved:
            fake.asked.append(asks)
            reached = self.greet(self.headers["Last-Event-ID"])
        if fake.stream_fault == "ends":
            self.end_stream()
            return
        if fake.stream_fault == "mute":
            self.hold()
            return
        while self.connection in fake._connections:
            with fake.moved:
                if fake.revision == reached:
                    fake.moved.wait(BOOKMARK_EVERY)
                if not self.resumable(reached):
                    self.close_connection = True
                    return
                news = [change for change in fake.changes if change[0] > reached]
            for revision, messages in news:
                if not self.act(revision, messages):
                    return
                reached = revision
            if not news:
                self.send(f": nothing\nid: {fake.epoch}-{reached}\n\n")

    def greet(self, cursor):
        """``ready``, or ``resync`` after it; returns the revision that the stream goes on from."""
        fake = self.fake
        self.opened_in = fake.epoch
        epoch, _dash, after = (cursor or f"{fake.epoch}-{fake.revision}").rpartition("-")
        resumes = epoch == fake.epoch and fake.oldest <= int(after) <= fake.revision
        start = int(after) if resumes else fake.revision
        self.send(f"retry: 60\nevent: ready\ndata: {self.position(start)}\n\n")
        if not resumes:
            self.send(f"event: resync\ndata: {self.position(start)}\n\n")
        return start

    def resumable(self, reached):
        return self.opened_in == self.fake.epoch and self.fake.revision >= reached

    def act(self, revision, messages):
        """The ``changed`` events of one revision; false when the connection was cut within it."""
        for number in range(messages):
            last = number == messages - 1
            name = f"id: {self.fake.epoch}-{revision}\n" if last else ""
            members = {"type": "changed", "service": self.fake.moved_service}
            if self.fake.versions_in_messages:
                members["version"] = self.fake.version
            data = json.dumps({**members, "revision": revision, "number": number})
            if self.fake.stream_fault == "within a revision" and last:
                self.send(f"{name}event: changed\nda")
                self.fake.stream_fault = None
                self.connection.shutdown(socket.SHUT_RDWR)
                return False
            self.send(f"{name}event: changed\ndata: {data}\n\n")
        return True

    def position(self, revision):
        return json.dumps({"epoch": self.fake.epoch, "revision": revision})

    def send(self, text):
        body = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
        self.wfile.flush()

    def end_stream(self):
        self.wfile.write(b"0\r\n\r\n")

    def hold(self):
        """Keep the connection open and say nothing more."""
        with self.fake.moved:
            while self.connection in self.fake._connections:
                self.fake.moved.wait(0.1)

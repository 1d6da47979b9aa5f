"""One change told to many watchers: ``python -m tests.benchmarks.watching``.

The server process on one core, on PostgreSQL and Redis; who listens, one process, on another. The peer,
in the same run and with as many connections, is etcd's ``/v3/watch`` (Debian's ``etcd-server``),
where it is installed. A latency is from the moment before the change is sent to the moment its news
is read, each watcher of each change one. Then streams that hear nothing, and what they cost. Ratios come
first; ``--json FILE`` says where all of it is written.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import platform
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import httpx
import uvloop

from tests.real_services import free_port, postgres, redis
from tests.serving import installation, shared_folder

KEYS = 500
OPENED_AT_ONCE = 100
NEWS_WITHIN = 30.0
SETTLE_SECONDS = 2.0
HERE = "service=shop&environment=production"
WEBSOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


class Listener(asyncio.Protocol):
    """One connection. It sends ``request``, is ready at ``ready``, and then counts ``news``."""

    def __init__(self, heard, request, ready, news, then=b""):
        self.heard, self.request, self.then = heard, request, then
        self.ready, self.news = ready, news
        self.opened = asyncio.get_running_loop().create_future()
        self.begun = b""

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data):
        if self.opened.done():
            if self.news in data:
                self.heard.append(time.perf_counter())
            return
        self.begun += data
        if self.then and b"\r\n\r\n" in self.begun:
            self.transport.write(self.then)
            self.then = b""
        if self.ready in self.begun:
            self.opened.set_result(None)
            self.begun = b""

    def connection_lost(self, _error):
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(self.begun[:200]))


async def open_all(port, count, heard, *how):
    """So many listeners, once all are ready."""
    loop, opened = asyncio.get_running_loop(), []
    for begin in range(0, count, OPENED_AT_ONCE):
        some = [
            loop.create_connection(lambda: Listener(heard, *how), "127.0.0.1", port)
            for _one in range(min(OPENED_AT_ONCE, count - begin))
        ]
        made = [each[1] for each in await asyncio.gather(*some)]
        await asyncio.gather(*(each.opened for each in made))
        opened += made
    return opened


async def tell_all(port, count, how, change, changes):
    """The latencies in ms of so many ``changes``, and how many news did not come."""
    heard, latencies, lost = [], [], 0
    opened = await open_all(port, count, heard, *how)
    for number in range(changes):
        await asyncio.sleep(0.2)
        heard.clear()
        began = time.perf_counter()
        await change(number)
        while len(heard) < count and time.perf_counter() - began < NEWS_WITHIN:
            await asyncio.sleep(0.005)
        latencies += [(at - began) * 1000 for at in heard]
        lost += count - len(heard)
    for each in opened:
        each.transport.abort()
    return latencies, lost


def get(path, token, more=""):
    """A request that opens a stream."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
    ).encode()


def subscribing():
    """The frame of a client that subscribes, masked with zeros (RFC 6455, section 5.3)."""
    text = json.dumps({"type": "subscribe", "service": "shop", "environment": "production"})
    return bytes((0x81, 0x80 | len(text))) + bytes(4) + text.encode()


def document(number):
    """One of ``KEYS`` keys, the first of which changes."""
    return {"settings": {f"key_{at:03}": number if at == 0 else at for at in range(KEYS)}}


def ours(server, token):
    """How to listen to this project by each way, and how to change what is listened to."""
    client = httpx.AsyncClient(
        base_url=server.url, headers={"Authorization": f"Bearer {token}"}, timeout=60
    )
    made = iter(range(1, 10**9))

    async def change(_number):
        body = {"environment": "production", "config": document(next(made))}
        answer = await client.post("/config/shop", json={**body, "on_stale": "overwrite"})
        assert answer.status_code == 201, answer.text

    ways = {
        "SSE": (get(f"/stream?{HERE}", token), b"event: ready", b"event: changed"),
        "WebSocket": (get("/ws/config", token, WEBSOCKET), b'"ready"', b'"changed"', subscribing()),
    }
    return ways, change


@contextlib.contextmanager
def etcd(core):
    """A running one; gives its port, or ``None`` where it is not installed."""
    if not shutil.which("etcd"):
        yield None
        return
    port, peers = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        here = f"http://127.0.0.1:{port}"
        command = ["etcd", "--data-dir", folder, "--log-level", "error"]
        command += ["--listen-client-urls", here, "--advertise-client-urls", here]
        command += ["--listen-peer-urls", f"http://127.0.0.1:{peers}"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        os.sched_setaffinity(process.pid, {core})
        try:
            for _attempt in range(200):
                with contextlib.suppress(httpx.HTTPError):
                    httpx.get(f"{here}/health")
                    break
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait()


def theirs(port):
    """The same of etcd's gateway."""
    key = base64.b64encode(b"shop").decode()
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60)

    async def change(number):
        value = base64.b64encode(json.dumps(document(number)).encode()).decode()
        answer = await client.post("/v3/kv/put", json={"key": key, "value": value})
        assert answer.status_code == 200, answer.text

    body = json.dumps({"create_request": {"key": key}})
    head = f"POST /v3/watch HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return (f"{head}{body}".encode(), b'"created":true', b'"events"'), change


def p99(latencies):
    """What 99 of 100 are below."""
    return sorted(latencies)[int(len(latencies) * 0.99)] if latencies else float("nan")


def resident(pid):
    """KiB of memory that a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


async def idle(server, how, count, seconds):
    """KB that each of ``count`` streams takes, and the shares of a core that the server takes: with all of
    them, of that outside of the kernel, and with none.
    """
    before = resident(server.process.pid)
    alone, _own = await shares(server, seconds)
    opened = await open_all(server.port, count, [], *how)
    await asyncio.sleep(min(SETTLE_SECONDS, seconds))
    each = (resident(server.process.pid) - before) * 1.024 / count
    share, own = await shares(server, seconds)
    for one in opened:
        one.transport.abort()
    await asyncio.sleep(min(SETTLE_SECONDS, seconds))
    return each, share, own, alone


async def shares(server, seconds):
    """The share of a core that the server takes for so long, and of that outside of the kernel."""
    before = server.running_seconds(), server.own_seconds()
    await asyncio.sleep(seconds)
    after = server.running_seconds(), server.own_seconds()
    return [(later - earlier) / seconds for earlier, later in zip(before, after, strict=True)]


def prepare(made):
    """A server with a document, and a token that reads and publishes it."""
    server = made.start()
    with server.client(made.raw) as client:
        client.post("/services", json={"slug": "shop"}).raise_for_status()
        body = {"environment": "production", "config": document(0)}
        client.post("/config/shop", json=body).raise_for_status()
    return server


def measure(watchers, changes, idles, seconds):
    """All figures by their names."""
    first, *_between, last = cores = sorted(os.sched_getaffinity(0))
    kind = f"{platform.machine()}, Python {platform.python_version()}"
    found = {"machine": f"{len(cores)} cores, {kind}"}
    with shared_folder(), installation() as made, etcd(first) as port:
        server = prepare(made)
        os.sched_setaffinity(server.process.pid, {first})
        os.sched_setaffinity(0, {last})
        for count in watchers:
            told = {}
            for name in ("SSE", "WebSocket"):
                ways, change = ours(server, made.raw)
                told[name], lost = _heard(server.port, count, ways[name], change, changes)
                found[f"{name}, {count} watchers: p99 ms"] = round(told[name], 1)
                found[f"{name}, {count} watchers: lost"] = lost
            found[f"WebSocket / SSE, {count} watchers"] = round(told["WebSocket"] / told["SSE"], 2)
            if port:
                theirs_p99, lost = _heard(port, count, *theirs(port), changes)
                found[f"etcd, {count} watchers: p99 ms"] = round(theirs_p99, 1)
                found[f"etcd, {count} watchers: lost"] = lost
                found[f"SSE / etcd, {count} watchers"] = round(told["SSE"] / theirs_p99, 2)
        for name in ("SSE", "WebSocket") if idles else ():
            server.stop()  # what the others have left in memory is not counted
            server = made.start()
            os.sched_setaffinity(server.process.pid, {first})
            how = ours(server, made.raw)[0][name]
            size, share, own, alone = uvloop.run(idle(server, how, idles, seconds))
            found[f"{name}, {idles} idle: KB each"] = round(size, 1)
            found[f"{name}, {idles} idle: share of a core"] = round(share, 3)
            found[f"{name}, {idles} idle: of that outside of the kernel"] = round(own, 3)
            found[f"{name}, none: share of a core"] = round(alone, 3)
            found[f"{name}, {idles} idle: more of a core than with none"] = round(share - alone, 3)
    os.sched_setaffinity(0, set(cores))
    return found


def _heard(port, count, how, change, changes):
    latencies, lost = uvloop.run(tell_all(port, count, how, change, changes))
    return p99(latencies), lost


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--watchers", type=int, nargs="*", default=[1000, 5000])
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--idle", type=int, default=10_000, help="0: no idle streams")
    parser.add_argument("--seconds", type=float, default=20, help="for which streams are idle")
    parser.add_argument("--json", default=str(Path(tempfile.gettempdir()) / "watching.json"))
    given = parser.parse_args(arguments)
    _soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as stack:
        for name, begin in (("DATABASE_URL", postgres), ("REDIS_URL", redis)):
            if name not in os.environ:
                os.environ[name] = stack.enter_context(begin())
        found = measure(given.watchers, given.changes, given.idle, given.seconds)
    Path(given.json).write_text(json.dumps(found, indent=1) + "\n")
    for name, value in sorted(found.items(), key=lambda each: " / " not in each[0]):
        print(f"{name:<45} {value}")


if __name__ == "__main__":
    main()

"""Watchers of several nodes in a storm of faults: what they do, and what is done to them."""

import asyncio
import contextlib
import json
import random
import signal
import socket
import subprocess
import tempfile
import time

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.faults.guarantees import Heard, Log
from tests.faults.ledger_by_sql import change_of
from tests.real_services import find_redis, free_port

SERVICES = ("shop", "cart", "mail", "jobs")
FROM_TEMPLATE = ("mail", "jobs")
ENVIRONMENTS = ("development", "staging", "production")
ANSWER_WITHIN = 10
RIGHTS_AT_FIRST = 3
AGAIN_AFTER = (0.1, 0.6)
LOST_ERRORS = (OSError, EOFError, ValueError, TimeoutError, WebSocketException)


class Redis:
    """A server of this test's own that is killed, emptied, paused and brought back."""

    def __init__(self):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process = None

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="configsvc-redis-")
        self.begin()
        return self

    def __exit__(self, *_error):
        self.kill()
        self._folder.cleanup()

    def begin(self):
        command = [find_redis(), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", self._folder.name, "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def flush(self):
        """Empty it, where it answers."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1) as s,
        ):
            s.sendall(b"FLUSHALL\r\n")
            s.recv(100)


class Watching:
    """One watcher, who comes again after each end with the cursor that he has come to.

    ``silence``: so many seconds without a word, and he takes the connection for dead.
    """

    def __init__(self, log, token, proxies, chance, silence):
        self.log, self.token, self.proxies = log, token, proxies
        self.chance, self.silence = chance, silence
        self.cursor = None
        self.openings = 0

    async def run(self):
        while True:
            is_open = len(self.log.heard)
            try:
                await self.open(self.chance.choice(self.proxies).port)
            except LOST_ERRORS:
                pass
            if len(self.log.heard) > is_open:
                self.log.heard.append(Heard(time.time(), "lost"))
            await asyncio.sleep(self.chance.uniform(*AGAIN_AFTER))

    def note_opened(self, at):
        self.openings += 1
        revision = self.cursor and int(self.cursor.rpartition("-")[2])
        self.log.heard.append(Heard(at, "opened", revision=revision))

    def note(self, kind, message, *, last=False):
        epoch, revision = message["epoch"], message["revision"]
        change = change_of(message) if kind == "changed" else None
        self.log.heard.append(Heard(time.time(), kind, epoch, revision, change, last))
        if kind != "changed" or last:
            self.cursor = f"{epoch}-{revision}"


class Sse(Watching):
    """By server-sent events."""

    async def open(self, port):
        began = time.time()
        async with asyncio.timeout(ANSWER_WITHIN):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(self._request())
            head = await reader.readuntil(b"\r\n\r\n")
        try:
            if b" 200 " not in head.partition(b"\r\n")[0]:
                return
            self.note_opened(began)
            await self._read(reader)
        finally:
            writer.close()

    def _request(self):
        query = [f"environment={self.log.environment or '*'}"]
        query += [f"service={each}" for each in self.log.services or ()]
        lines = [f"GET /stream?{'&'.join(query)} HTTP/1.1", "Host: localhost"]
        lines += [f"Authorization: Bearer {self.token}"]
        lines += [f"Last-Event-ID: {self.cursor}"] if self.cursor else []
        return "\r\n".join([*lines, "", ""]).encode()

    async def _read(self, reader):
        begun = b""
        while True:
            async with asyncio.timeout(self.silence):
                size = int(await reader.readline(), 16)
                begun += (await reader.readexactly(size + 2))[:-2]
            *events, begun = begun.split(b"\n\n")
            for event in events:
                self._take(event.decode())
            if not size:
                return

    def _take(self, event):
        fields = dict(line.split(": ", 1) for line in event.split("\n") if line)
        if "event" in fields:
            self.note(fields["event"], json.loads(fields["data"]), last="id" in fields)
        elif "id" in fields:
            epoch, _dash, revision = fields["id"].rpartition("-")
            self.note("bookmark", {"epoch": epoch, "revision": int(revision)})


class WebSocket(Watching):
    """By a WebSocket with one subscription."""

    async def open(self, port):
        began, url = time.time(), f"ws://127.0.0.1:{port}/ws/config"
        headers = {"Authorization": f"Bearer {self.token}"}
        waits = {"open_timeout": ANSWER_WITHIN, "close_timeout": 0.1, "ping_interval": None}
        async with connect(url, additional_headers=headers, proxy=None, **waits) as opened:
            message = {"type": "subscribe", "environment": self.log.environment or "*"}
            message |= {"service": next(iter(self.log.services))} if self.log.services else {}
            message |= {"after": self.cursor} if self.cursor else {}
            await opened.send(json.dumps(message))
            while True:
                async with asyncio.timeout(self.silence):
                    found = json.loads(await opened.recv())
                if found["type"] == "error":
                    return
                if found["type"] == "ready":
                    self.note_opened(began)
                self.note(found["type"], found, last=found.get("last", False))


class Writers:
    """Who publishes, and who gives and withdraws rights, at whichever node answers."""

    def __init__(self, nodes, token, chance):
        self.chance = chance
        headers = {"Authorization": f"Bearer {token}"}
        options = {"headers": headers, "timeout": ANSWER_WITHIN}
        self.clients = [httpx.AsyncClient(base_url=each, **options) for each in nodes]
        self.number = 0
        self.answered = 0
        self.grants = []  # (account, id)

    async def close(self):
        for each in self.clients:
            await each.aclose()

    async def ask(self, method, path, body=None):
        """The answer, ``None`` where there was none: nobody knows whether it was done."""
        with contextlib.suppress(httpx.HTTPError):
            client = self.chance.choice(self.clients)
            return await client.request(method, path, json=body)

    async def make(self, path, body):
        answer = await self.ask("POST", path, body)
        assert answer is not None
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def prepare(self, accounts):
        """Services, two of them from a template, and accounts with a right; gives their tokens."""
        await self.make("/templates", {"slug": "shared", "content": {"t": 0}})
        for service in SERVICES:
            await self.make("/services", {"slug": service})
            for environment in ENVIRONMENTS[1:]:
                body = {"environment": environment, "config": {"a": 0}}
                body |= {"extends": [{"template": "shared"}]} if service in FROM_TEMPLATE else {}
                await self.make(f"/config/{service}", body)
        tokens = {}
        for name in accounts:
            await self.make("/service-accounts", {"slug": name, "environment": "production"})
            tokens[name] = (await self.make(f"/service-accounts/{name}/tokens", {}))["token"]
            for _ in range(RIGHTS_AT_FIRST):
                await self.give(name)
        return tokens

    async def publish(self):
        """A new version of one configuration, or, by the template, of four at once."""
        self.number += 1
        if self.chance.random() < 0.3:
            body = {"content": {"t": self.number}}
            answer = await self.ask("POST", "/templates/shared/versions", body)
        else:
            service = self.chance.choice([each for each in SERVICES if each not in FROM_TEMPLATE])
            environment = self.chance.choice(ENVIRONMENTS)
            body = {"environment": environment, "config": {"a": self.number}}
            body["on_stale"] = "overwrite"
            answer = await self.ask("POST", f"/config/{service}", body)
        self.answered += answer is not None and answer.status_code == 201

    async def give(self, account):
        """A right to read something."""
        on = {"service": self.chance.choice((None, *SERVICES))}
        on["environment"] = self.chance.choice((None, *ENVIRONMENTS))
        body = {"to": f"service-account:{account}", "role": "viewer"}
        body["on"] = {name: value for name, value in on.items() if value}
        answer = await self.ask("POST", "/grants", body)
        if answer is not None and answer.status_code == 201:
            self.grants.append((account, answer.json()["id"]))

    async def move_rights(self, accounts):
        """Give a right to somebody, or withdraw one."""
        if self.grants and self.chance.random() < 0.5:
            chosen = self.chance.choice(self.grants)
            answer = await self.ask("DELETE", f"/grants/{chosen[1]}")
            if answer is not None and answer.status_code in (204, 404):
                self.grants.remove(chosen)
        else:
            await self.give(self.chance.choice(accounts))


class Faults:
    """What is done to nodes, to Redis and to connections; everything is well again afterwards."""

    def __init__(self, made, nodes, proxies, redis, chance):
        self.made, self.nodes, self.proxies = made, nodes, proxies
        self.redis, self.chance = redis, chance
        self.starting = None

    async def kill_node(self):
        """Kill one, and begin it again meanwhile; where one is still beginning, nothing."""
        if self.starting is None or self.starting.done():
            at = self.chance.randrange(len(self.nodes))
            self.starting = asyncio.create_task(self._replace(at))

    async def _replace(self, at):
        node = self.nodes[at]
        await asyncio.to_thread(node.kill)
        self.nodes[at] = await asyncio.to_thread(self.made.start, port=node.port)

    async def kill_redis(self, seconds=2.0):
        self.redis.kill()
        await asyncio.sleep(seconds)
        self.redis.begin()

    async def pause_redis(self, seconds=2.0):
        self.redis.pause()
        await asyncio.sleep(seconds)
        self.redis.go_on()

    async def flush_redis(self):
        await asyncio.to_thread(self.redis.flush)

    async def cut(self):
        self.chance.choice(self.proxies).cut(self.chance.choice((0.3, 0.6, 1.0)))

    async def cut_everywhere(self):
        for each in self.proxies:
            each.cut(0.5)

    async def half_open(self):
        self.chance.choice(self.proxies).half_open(self.chance.choice((0.3, 0.6)))

    async def delay(self, seconds=1.0):
        proxy = self.chance.choice(self.proxies)
        proxy.delay = 0.1
        await asyncio.sleep(seconds)
        proxy.delay = 0.0

    async def heal(self):
        """Wait for the node that is beginning."""
        if self.starting is not None:
            await self.starting


def watchers(count, tokens, proxies, chance, silence):
    """So many with interests by chance, each eighth by WebSocket, who asks for one service or for all."""
    accounts = list(tokens)
    for number in range(count):
        account = accounts[number % len(accounts)]
        is_socket = number % 8 == 7
        services = chance.sample(SERVICES, chance.randint(0, 1 if is_socket else 2))
        environment = chance.choice((None, None, *ENVIRONMENTS[1:]))
        log = Log(f"{number} of {account}", frozenset(services) or None, environment)
        kind = WebSocket if is_socket else Sse
        own = random.Random(chance.random())
        yield account, kind(log, tokens[account], proxies, own, silence)

"""WebSockets whose client reads slowly or not at all: each is told, or closed, and never deaf."""

import asyncio
import contextlib
import json
import socket

import pytest
import uvicorn
from asgiref.sync import async_to_sync, sync_to_async
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from apps.delivery.sockets import MAX_FRAME, RESTARTING, TOO_LARGE, TOO_SLOW, TRY_AGAIN_LATER
from configsvc.asgi import websocket
from tests.delivery.asgi_client import following
from tests.delivery.test_hot import SYSTEM, create_service, publish, token_of

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = 3
MOST_ACTS = 30
SMALL = 4_096
"""What a kernel keeps of a connection at each end, at least."""
LARGE = "x" * 200_000
"""A few of these are more than both ends and the web server keep."""
WITHIN = 20


class Config:
    """What is said on ``/ws/config``, and what is heard there."""

    path, protocols = "/ws/config", None
    begins = ({"type": "subscribe", "environment": "production", "include": "config"},)

    @staticmethod
    def read(message):
        return message["type"], message.get("revision")


class GraphQL:
    """The same of ``/ws/graphql``."""

    path, protocols = "/ws/graphql", ["graphql-transport-ws"]
    begins = (
        {"type": "connection_init"},
        {
            "type": "subscribe",
            "id": "1",
            "payload": {
                "query": 'subscription { changes(environment: "production", withConfig: true)'
                " { kind revision changed { config } } }"
            },
        },
    )

    @staticmethod
    def read(message):
        if message["type"] != "next":
            return message["type"], None
        frame = message["payload"]["data"]["changes"]
        return frame["kind"].lower(), frame["revision"]


@pytest.fixture(params=[Config, GraphQL], ids=lambda each: each.path)
def spoken(request):
    return request.param


@pytest.fixture
def raw(transactional_db):
    create_service(actor=SYSTEM, slug="shop")
    return token_of("reader", role="viewer")[1]


class Acts:
    """Publishes until something holds of the feed, which has read them."""

    def __init__(self, feed):
        self.feed = feed
        self.count = 0

    async def publish(self):
        self.count += 1
        assert self.count < MOST_ACTS
        made = await sync_to_async(publish)(config={"n": self.count, "large": LARGE})
        assert await self.feed.reached(made.revision, WITHIN)
        return made.revision

    async def until(self, holds):
        while not holds(self.feed.watchers):
            await self.publish()


def has_overflowed(watchers):
    return any(each.overflowed for each in watchers)


def has_given_up(watchers):
    return watchers.given_up > 0


class Unread:
    """A socket's application, and a web server whose client has taken ``ready`` and reads no more."""

    def __init__(self, spoken, raw):
        self.spoken = spoken
        self.heard, self.ready, self.reads_on = [], asyncio.Event(), asyncio.Event()
        self.said = asyncio.Queue()
        scope = {
            "type": "websocket",
            "path": spoken.path,
            "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {raw}".encode())],
            "subprotocols": spoken.protocols or [],
        }
        self.said.put_nowait({"type": "websocket.connect"})
        for each in spoken.begins:
            self.said.put_nowait({"type": "websocket.receive", "text": json.dumps(each)})
        self.task = asyncio.create_task(websocket(scope, self.said.get, self._send))

    async def _send(self, message):
        if self.ready.is_set():
            await self.reads_on.wait()
        if message["type"] == "websocket.send":
            self.heard.append(self.spoken.read(json.loads(message["text"])))
            if self.heard[-1][0] == "ready":
                self.ready.set()
        elif message["type"] == "websocket.close":
            self.heard.append(("closed", message["code"], message.get("reason")))
            self.said.put_nowait({"type": "websocket.disconnect", "code": message["code"]})

    async def ends(self):
        """What it heard, once its application has returned."""
        await asyncio.wait_for(self.task, WITHIN)
        return [each for each in self.heard if each[0] != "connection_ack"]


def over_application(spoken, raw, scenario):
    """Run ``scenario(unread, acts)``."""

    async def running():
        async with following() as feed:
            feed._queue_limit = LIMIT
            unread = Unread(spoken, raw)
            try:
                await asyncio.wait_for(unread.ready.wait(), WITHIN)
                await scenario(unread, Acts(feed))
            finally:
                unread.task.cancel()
                await asyncio.wait({unread.task})

    async_to_sync(running)()


def test_slow_socket__given_up__is_let_go_at_once_and_closed_when_it_reads(spoken, raw):
    async def scenario(unread, acts):
        await acts.until(has_given_up)
        async with asyncio.timeout(WITHIN):
            while len(acts.feed.watchers):
                await asyncio.sleep(0.01)
        assert [kind for kind, *_rest in unread.heard if kind == "closed"] == []

        unread.reads_on.set()

        *_before, last = await unread.ends()
        assert last == ("closed", TRY_AGAIN_LATER, TOO_SLOW)

    over_application(spoken, raw, scenario)


def test_slow_socket__client_gone_after_it_was_given_up__ends(spoken, raw):
    async def scenario(unread, acts):
        await acts.until(has_given_up)

        unread.said.put_nowait({"type": "websocket.disconnect", "code": 1006})

        assert [kind for kind, *_rest in await unread.ends()] == ["ready"]

    over_application(spoken, raw, scenario)


def test_slow_socket__being_closed_for_another_reason__is_closed_so(spoken, raw):
    async def scenario(unread, acts):
        await acts.until(has_overflowed)
        too_large = {"type": "websocket.receive", "text": "x" * (MAX_FRAME + 1)}
        unread.said.put_nowait(too_large)
        await acts.until(has_given_up)

        unread.reads_on.set()

        *_before, last = await unread.ends()
        assert last == ("closed", TOO_LARGE, None)

    over_application(spoken, raw, scenario)


def test_socket__whose_stream_is_ended_by_the_server__is_closed(spoken, raw):
    async def scenario(unread, acts):
        unread.reads_on.set()
        acts.feed.end_streams()

        assert [each[:2] for each in (await unread.ends())[1:]] == [("closed", RESTARTING)]

    over_application(spoken, raw, scenario)


@contextlib.asynccontextmanager
async def serving(application, **more):
    """The port of a web server whose connections keep little, and the server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        options = {"lifespan": "off", "log_config": None, "timeout_graceful_shutdown": 1}
        server = uvicorn.Server(uvicorn.Config(application, **options, **more))
        task = asyncio.create_task(server.serve([listening]))
        try:
            yield listening.getsockname()[1], server
        finally:
            server.should_exit = True
            await task


@contextlib.asynccontextmanager
async def connected(spoken, port, raw):
    """A client that has heard ``ready`` and reads a little ahead at most."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        async with connect(
            f"ws://127.0.0.1:{port}{spoken.path}",
            sock=sock,
            additional_headers={"Authorization": f"Bearer {raw}"},
            subprotocols=spoken.protocols,
            compression=None,
            max_queue=1,
            max_size=None,
            close_timeout=1,
        ) as client:
            for each in spoken.begins:
                await client.send(json.dumps(each))
            await heard_until(client, spoken, "ready")
            yield client


async def heard_until(client, spoken, kind):
    """What comes, up to the first of a kind."""
    heard = []
    async with asyncio.timeout(WITHIN):
        while not heard or heard[-1][0] != kind:
            heard.append(spoken.read(json.loads(await client.recv())))
    return heard


def over_network(spoken, raw, scenario):
    """Run ``scenario(client, acts)``."""

    async def running():
        async with following() as feed, serving(websocket) as (port, _server):
            feed._queue_limit = LIMIT
            async with connected(spoken, port, raw) as client:
                await scenario(client, Acts(feed))

    async_to_sync(running)()


def test_slow_client__reads_on_after_it_missed_some__is_told_to_resync_and_hears_what_follows(
    spoken, raw
):
    async def scenario(client, acts):
        await acts.until(has_overflowed)
        missed = acts.feed.revision

        *before, (_kind, reached) = await heard_until(client, spoken, "resync")
        after = await acts.publish()

        assert {kind for kind, _revision in before} == {"changed"}
        assert before == sorted(before)
        assert reached == missed
        assert (await heard_until(client, spoken, "changed"))[-1] == ("changed", after)

    over_network(spoken, raw, scenario)


def test_slow_client__misses_as_many_again__is_closed_with_the_reason(spoken, raw):
    async def scenario(client, acts):
        await acts.until(has_given_up)

        with pytest.raises(ConnectionClosed) as closed:
            await heard_until(client, spoken, "none")

        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (TRY_AGAIN_LATER, TOO_SLOW)

    over_network(spoken, raw, scenario)

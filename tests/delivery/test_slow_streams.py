"""Server-sent events whose client reads no more: the stream ends, and so does its connection."""

import asyncio
import contextlib
import socket

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from apps.access.selectors import authenticate_token
from apps.api.ofrep.tickets import make_ticket
from apps.core import clock
from apps.delivery.protocol import RepeatingProtocol
from configsvc.asgi import application
from tests.delivery.asgi_client import following
from tests.delivery.test_hot import SYSTEM, create_service, place_of, publish, token_of
from tests.delivery.test_slow_sockets import LARGE, LIMIT, SMALL, WITHIN, has_given_up, serving

pytestmark = pytest.mark.django_db(transaction=True)

MOST_ACTS = 500
READY = b"retry:"


class Watch:
    """``/stream`` with whole configurations."""

    size = len(LARGE)

    @staticmethod
    def address(_raw):
        return "/stream?service=shop&environment=production&include=config"


class Ofrep:
    """The event stream of flags, which says little of each change."""

    size = 1

    @staticmethod
    def address(raw):
        now = clock.now()
        actor = authenticate_token(raw, now=now)
        ticket = make_ticket(actor=actor, place=place_of("shop", "production"), now=now)
        return f"/ofrep/v1/events?ticket={ticket}"


@pytest.fixture(params=[Watch, Ofrep], ids=lambda each: each.__name__)
def asked(request, transactional_db):
    """What is asked for, its address and the token."""
    create_service(actor=SYSTEM, slug="shop")
    raw = token_of("reader", role="viewer")[1]
    return request.param, request.param.address(raw), raw


async def publish_until(feed, holds, size):
    for number in range(MOST_ACTS):
        if holds(feed.watchers):
            return
        made = await sync_to_async(publish)(config={"n": number, "large": "x" * size})
        assert await feed.reached(made.revision, WITHIN)
    pytest.fail("They have all been taken.")


def test_slow_stream__given_up__ends_though_nothing_is_taken(asked):
    kind, address, raw = asked
    ready = asyncio.Event()

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        if ready.is_set():
            await asyncio.Event().wait()
        if READY in message.get("body", b""):
            ready.set()

    async def running():
        path, _mark, query = address.partition("?")
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {raw}".encode())],
        }
        async with following() as feed:
            feed._queue_limit = LIMIT
            task = asyncio.create_task(application(scope, receive, send))
            await asyncio.wait_for(ready.wait(), WITHIN)
            await publish_until(feed, has_given_up, kind.size)

            await asyncio.wait({task}, timeout=WITHIN)

            assert task.done()
            assert not feed.watchers

    async_to_sync(running)()


class Small(RepeatingProtocol):
    """Keeps little of what is not taken."""

    def connection_made(self, transport):
        transport.set_write_buffer_limits(SMALL)
        super().connection_made(transport)


@contextlib.asynccontextmanager
async def connected(port, address, raw):
    """A client that has heard ``ready`` and reads no more."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        lines = (f"GET {address} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {raw}")
        await loop.sock_sendall(sock, "\r\n".join([*lines, "", ""]).encode())
        heard = b""
        while READY not in heard:
            heard += await loop.sock_recv(sock, SMALL)
        yield sock


def test_slow_stream__given_up__its_connection_is_gone_though_the_client_keeps_it(asked, caplog):
    kind, address, raw = asked

    async def running():
        async with following() as feed, serving(application, http=Small) as (port, server):
            feed._queue_limit = LIMIT
            async with connected(port, address, raw) as client:
                await publish_until(feed, has_given_up, kind.size)

                async with asyncio.timeout(WITHIN):
                    while server.server_state.connections:
                        await asyncio.sleep(0.01)
                    while not client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):  # reset
                        await asyncio.sleep(0.01)

    async_to_sync(running)()
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []

"""Wake-ups over a real Redis whose connections fall silent, without a word to either end."""

import asyncio
import contextlib
import socket

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer

from apps.delivery.between import GROUP, hear_others, wake_others
from tests.faults.proxy import FaultProxy
from tests.faults.storm import Redis
from tests.serving import until

pytestmark = [pytest.mark.servers, pytest.mark.postgresql]

WITHIN = 30


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("apps.delivery.between.QUIET", 0.2)
    monkeypatch.setattr("apps.delivery.between.ANSWER_WITHIN", 1.0)
    monkeypatch.setattr("apps.delivery.between.TRY_AGAIN_AFTER", 0.1)


@pytest.fixture
def redis():
    with Redis() as running:
        until(lambda: answers(running.port))
        yield running


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True


def layer_at(port):
    return RedisPubSubChannelLayer(hosts=[f"redis://127.0.0.1:{port}/0"])


@contextlib.asynccontextmanager
async def hearing(redis):
    """A node that hears through a proxy; gives that, and what waits until it is woken from elsewhere."""
    woken = []
    async with FaultProxy(redis.port) as proxy:
        here, there = layer_at(proxy.port), layer_at(redis.port)
        task = asyncio.create_task(hear_others(here, "here", lambda: woken.append(1)))

        async def is_woken():
            before = len(woken)
            async with asyncio.timeout(WITHIN):
                while len(woken) == before:
                    await wake_others(there, "there")
                    await asyncio.sleep(0.05)

        try:
            await is_woken()
            yield proxy, is_woken, woken
        finally:
            task.cancel()
            await asyncio.wait({task})
            for each in (here, there):
                await each.flush()


@pytest.mark.parametrize(
    ("share", "why"), [(0.5, "it does not bring what it was sent"), (1, "no answer")]
)
async def test_listener__connection_silent__begins_anew_and_says_so_once(redis, caplog, share, why):
    async with hearing(redis) as (proxy, is_woken, _woken):
        assert len(proxy) == 2  # the older one is that which it hears by
        proxy.half_open(share)

        await is_woken()

    away, back = (each.getMessage() for each in caplog.records)
    assert f"is away ({why})" in away
    assert "is back" in back


async def test_listener__nothing_happens__asks_itself_and_is_not_woken_by_that(redis, caplog):
    async with hearing(redis) as (proxy, _is_woken, woken):
        connections, before = len(proxy), len(woken)
        messages = await messages_at(redis.port, 3)

        assert len(proxy) == connections
        assert len(woken) == before
        assert not any(GROUP.encode() in each for each in messages)

    assert caplog.records == []


async def messages_at(port, count):
    """The channels of so many messages that go through a server from now on."""
    found = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"PSUBSCRIBE asgi*\r\n")
    async with asyncio.timeout(WITHIN):
        while len(found) < count:
            line = (await reader.readline()).strip()
            if line.startswith(b"asgi") and line != b"asgi*":
                found.append(line)
    writer.close()
    return found

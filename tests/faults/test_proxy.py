"""The fault proxy does what tests ask of it."""

import asyncio
import contextlib
import time

import pytest

from tests.faults.proxy import FaultProxy


@contextlib.asynccontextmanager
async def echoing():
    """A proxy before a server that sends back what it hears; gives the proxy and how many are there."""
    there = []

    async def echo(reader, writer):
        there.append(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(1_000):
                writer.write(data)
        there.remove(writer)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy, there


async def connect(proxy):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await ask(reader, writer) == b"hello"
    return reader, writer


async def ask(reader, writer, seconds=10):
    writer.write(b"hello")
    return await asyncio.wait_for(reader.read(100), seconds)


async def until_gone(there):
    async with asyncio.timeout(10):
        while there:
            await asyncio.sleep(0.01)


async def test_proxy__no_fault__forwards_both_ways_and_the_end():
    async with echoing() as (proxy, there):
        reader, writer = await connect(proxy)
        writer.close()

        await until_gone(there)
        assert await reader.read() == b""


async def test_proxy__cut__both_ends_are_told_at_once():
    async with echoing() as (proxy, there):
        reader, _writer = await connect(proxy)

        proxy.cut()

        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        await until_gone(there)


async def test_proxy__half_open__neither_end_is_told_until_it_is_cut():
    async with echoing() as (proxy, there):
        reader, writer = await connect(proxy)

        proxy.half_open()
        with pytest.raises(TimeoutError):
            await ask(reader, writer, 0.2)
        writer.close()
        await asyncio.sleep(0.1)

        assert (len(proxy), len(there)) == (1, 1)
        assert await connect(proxy)  # another one is not concerned


async def test_proxy__share__concerns_the_oldest():
    async with echoing() as (proxy, _there):
        first, second = await connect(proxy), await connect(proxy)

        proxy.half_open(0.5)

        with pytest.raises(TimeoutError):
            await ask(*first, 0.2)
        assert await ask(*second) == b"hello"


async def test_proxy__delay__holds_each_piece_up():
    async with echoing() as (proxy, _there):
        reader, writer = await connect(proxy)

        proxy.delay, began = 0.1, time.monotonic()
        assert await ask(reader, writer) == b"hello"

        assert time.monotonic() - began >= 0.2


async def test_proxy__target_away__connection_ends():
    async with echoing() as (proxy, _there):
        proxy.target = 1
        reader, _writer = await asyncio.open_connection("127.0.0.1", proxy.port)

        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 10) == b""

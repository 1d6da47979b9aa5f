"""A question that comes again word for word is answered as the long way answers it, at once."""

import asyncio
import re
from types import SimpleNamespace

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from uvicorn import Config
from uvicorn.server import ServerState

from apps.access import services
from apps.access.models import Token
from apps.delivery.protocol import RepeatingProtocol
from tests.delivery.asgi_client import Asgi, following
from tests.delivery.test_hot import LONG, SYSTEM, _slow_machine, publish, world  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)


class Wire(asyncio.Transport):
    """What a connection's other end is sent."""

    def __init__(self, address):
        super().__init__()
        self.sent, self.address, self.closed = b"", address, False

    def get_extra_info(self, name, default=None):
        return {"peername": (self.address, 40_000), "sockname": ("127.0.0.1", 80)}.get(
            name, default
        )

    def write(self, data):
        self.sent += data

    def writelines(self, parts):
        self.sent += b"".join(parts)

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def pause_reading(self):
        pass

    resume_reading = pause_reading


class Server:
    """The read path behind the protocol; ``applied`` counts what came the long way."""

    def __init__(self):
        self.applied = 0
        self.asgi = Asgi()
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"today"), (b"server", b"uvicorn")]
        self.config = Config(self, http=RepeatingProtocol, log_level="critical")
        self.config.load()

    async def __call__(self, scope, receive, send):
        self.applied += 1
        await self.asgi.hot(scope, receive, send)

    def connect(self, address="127.0.0.1"):
        connection = RepeatingProtocol(self.config, self.state, {})
        connection.connection_made(Wire(address))
        return connection

    async def ask(self, connection, *packets, answers=1):
        """What is sent for the packets, and how many requests took the long way."""
        before, wire = self.applied, connection.transport
        wire.sent = b""
        for packet in packets:
            connection.data_received(packet)
        while len(re.findall(rb"HTTP/1\.1 \d", wire.sent)) < answers or self.state.tasks:
            await asyncio.sleep(0.001)
        return wire.sent, self.applied - before


def request(raw, address="/config/shop?environment=production", *headers):
    lines = [f"GET {address} HTTP/1.1", "host: localhost", f"authorization: Bearer {raw}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def run(scenario):
    async def running():
        async with following():
            server = Server()
            await scenario(server, server.connect())

    async_to_sync(running)()


async def known(server, connection, asked):
    """Let it come the long way until it is known; gives the answer from memory."""
    await server.ask(connection, asked)
    answer, times = await server.ask(connection, asked)
    assert times == 1
    return answer


QUESTIONS = [
    ("/config/shop?environment=production",),
    ("/api/v1/config/shop.yaml?environment=production",),
    ("/config/shop?environment=production", "accept-encoding: br"),
    ("/config/shop?environment=production", "if-none-match: *"),
    ("/config/shop?environment=production&key=long.key_1", "connection: Keep-Alive"),
    ("/config/shop/value?environment=production&key=a", "x-forwarded-proto: https"),
]


@pytest.mark.parametrize("asked", QUESTIONS)
def test_question__third_time__is_the_second_answer_at_once(world, asked):  # noqa: F811
    async def scenario(server, connection):
        question = request(world["viewer"], *asked)
        second = await known(server, connection, question)
        for other in (connection, server.connect()):
            before = server.applied
            other.transport.sent = b""
            other.data_received(question)
            assert other.transport.sent == second
            assert server.applied == before
        assert server.state.total_requests == 4

    publish(config={"a": 1, "long": LONG})
    run(scenario)


NOT_ONE_QUESTION = [
    (["connection: close"], 1),
    (["expect: 100-continue"], 1),
    (["content-length: 2"], 1),
    (["cookie: a=b"], 1),
    (["x-config-unit: ada"], 1),
]


@pytest.mark.parametrize(("headers", "answers"), NOT_ONE_QUESTION)
def test_request__that_does_more_than_ask__goes_the_long_way_each_time(world, headers, answers):  # noqa: F811
    async def scenario(server, _connection):
        asked = request(world["viewer"], "/config/shop?environment=production", *headers)
        asked += b"{}" if "content-length: 2" in headers else b""
        for _again in range(4):
            _answer, times = await server.ask(server.connect(), asked, answers=answers)
            assert times == 1

    run(scenario)


def test_requests__in_one_packet_or_in_pieces__are_all_answered_in_order(world):  # noqa: F811
    async def scenario(server, connection):
        one = request(world["viewer"])
        other = request(world["viewer"], "/config/cart?environment=production")
        shop, cart = await known(server, connection, one), await known(server, connection, other)
        for packets, expected in (
            ([one + other], shop + cart),
            ([one, other], shop + cart),
            ([one[:20], one[20:]], shop),
            ([one + other[:30], other[30:] + one], shop + cart + shop),
        ):
            for _again in range(3):
                count = expected.count(b"HTTP/1.1 200")
                answer, _times = await server.ask(connection, *packets, answers=count)
                assert answer == expected, packets

    run(scenario)


def test_act__after_it_was_known__is_seen_by_the_next_question(world):  # noqa: F811
    async def scenario(server, connection):
        asked = request(world["viewer"])
        old = await known(server, connection, asked)
        await sync_to_async(publish)(config={"a": 2})
        new, times = await server.ask(connection, asked)
        assert (b'"a":2' in new, b'"a":2' in old, times) == (True, False, 1)
        again, times = await server.ask(connection, asked)
        assert (b'"a":2' in again, times) == (True, 1)
        again, times = await server.ask(connection, asked)
        assert (b'"a":2' in again, times) == (True, 0)

        token = await sync_to_async(Token.objects.get)(account__slug="viewer")
        await sync_to_async(services.withdraw_token)(actor=SYSTEM, token=token)
        gone, times = await server.ask(connection, asked)
        assert (gone.startswith(b"HTTP/1.1 401"), times) == (True, 1)

    run(scenario)


def test_question__from_another_address_or_token__is_another_one(world):  # noqa: F811
    async def scenario(server, connection):
        asked = request(world["viewer"])
        await known(server, connection, asked)
        _answer, times = await server.ask(server.connect("127.0.0.2"), asked)
        assert times == 1
        nobody, times = await server.ask(connection, request(world["nobody"]))
        assert (nobody.startswith(b"HTTP/1.1 404"), times) == (True, 1)

    run(scenario)


def test_client__that_does_not_read__goes_the_long_way_which_waits(world):  # noqa: F811
    async def scenario(server, connection):
        asked = request(world["viewer"])
        await known(server, connection, asked)
        connection.pause_writing()
        before = server.applied
        connection.data_received(asked)
        await asyncio.sleep(0.05)
        assert server.applied == before + 1
        assert connection.cycle.response_complete is False
        connection.resume_writing()

    run(scenario)


def test_answer__touched_while_it_was_sent__is_not_known_after_that(world):  # noqa: F811
    async def scenario(server, connection):
        asked = request(world["viewer"])
        await server.ask(connection, asked)
        sent = SimpleNamespace(times=0)
        app = server.asgi.hot

        async def slowly(scope, receive, send):
            async def sending(message):
                await send(message)
                if message["type"] == "http.response.body" and not sent.times:
                    sent.times += 1
                    revision = (await sync_to_async(publish)(config={"a": 3})).revision
                    from apps.delivery.feed import running_feed

                    assert await (await running_feed()).reached(revision, 5)

            await app(scope, receive, sending)

        server.asgi.hot = slowly
        await server.ask(connection, asked)
        answer, times = await server.ask(connection, asked)
        assert (b'"a":3' in answer, times) == (True, 1)

    run(scenario)

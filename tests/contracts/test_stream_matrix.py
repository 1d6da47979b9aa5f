"""Who hears what on open connections: every kind of actor at every way to watch, against one table.

A new WebSocket, or message of one, that has no row here fails the test.
"""

import inspect
import json
import re

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator

from apps.api.ofrep.fast import Ofrep
from apps.delivery.consumers import ConfigConsumer
from apps.delivery.feed import stop_feed
from apps.delivery.http import Delivery
from apps.delivery.polls import Polls
from tests.contracts.actors import ACTORS, HERE, expected, leaks

pytestmark = pytest.mark.django_db

SHOP = {"service": "shop", "environment": "production"}
FLAGS = f"/services/shop/ofrep/v1/evaluate/flags?{HERE}"
STATUSES = {"not_found": 404, "forbidden": 403}
WITHIN = 10
"""The first parts of a stream come at once; who may not watch is told so at once."""


@pytest.fixture(autouse=True)
def _keep_the_connection(monkeypatch):
    """Channels closes what is not in autocommit: here the test's own transaction. Django's client
    keeps it in the same way.
    """
    monkeypatch.setattr("channels.db.close_old_connections", lambda: None)


def headers_of(api):
    return [
        (b"host", b"testserver"),
        (b"content-type", b"application/json"),
        (b"authorization", f"Bearer {api.raw}".encode()),
    ]


async def over_http(api, method, address, body=b""):
    """The status, and what is sent until the answer ends or a stream has told its backlog."""

    async def views(_scope, receive, send):
        found = await sync_to_async(api)(method, address, (await receive())["body"])
        await send({"type": "http.response.start", "status": found.status_code, "headers": []})
        await send({"type": "http.response.body", "body": found.content})

    path, _mark, query = address.partition("?")
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode()}
    scope["headers"] = headers_of(api)
    asked = ApplicationCommunicator(Polls(Ofrep(Delivery(views))), scope)
    await asked.send_input({"type": "http.request", "body": body})
    status = (await asked.receive_output(WITHIN))["status"]
    sent, more = b"", True
    while more:
        part = await asked.receive_output(WITHIN)
        sent, more = sent + part["body"], part.get("more_body", False)
        if re.search(rb"^id: \S+\n\n|\nevent: message\n", part["body"]):  # a bookmark, or of flags
            await asked.send_input({"type": "http.disconnect"})
    await asked.wait(WITHIN)
    return status, sent


async def over_websocket(api, message):
    """The same of one message, by the code of its error."""
    scope = {"type": "websocket", "path": "/ws/config", "headers": headers_of(api)}
    socket = ApplicationCommunicator(ConfigConsumer.as_asgi(), scope)
    await socket.send_input({"type": "websocket.connect"})
    assert (await socket.receive_output(WITHIN))["type"] == "websocket.accept"
    for each in (message, {"type": "ping"}):
        await socket.send_input({"type": "websocket.receive", "text": json.dumps(each)})
    last = {"error"} | ({"bookmark"} if message["type"] == "subscribe" else {"pong"})
    heard = [{"type": ""}]
    while heard[-1]["type"] not in last:
        heard.append(json.loads((await socket.receive_output(WITHIN))["text"]))
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})
    await socket.wait(WITHIN)
    return STATUSES.get(heard[-1].get("code"), 200), json.dumps(heard).encode()


def assert_table(world, ask, statuses, *, with_keys=False):
    """That each actor is answered as the table says: the status, the keys that the last change is
    told with, and nothing that he may not know. ``ask`` is given a name and a client.
    """

    async def ask_all():
        try:
            return {name: await ask(name, world[name]) for name in ACTORS}
        finally:
            await stop_feed()

    wrong = []
    for name, (status, content) in async_to_sync(ask_all)().items():
        _grants, free, ruled = ACTORS[name]
        changes = re.findall(rb'"keys": ?\[([^]]*)\]', content)
        told = json.loads(b"[%s]" % changes[-1]) if changes else []
        named = [*["free"] * ("list" in free), *["ruled.pin"] * ("list" in ruled)]
        seen = named if with_keys and status == 200 and "read" in free else []
        found = leaks(name, content, service="shop")
        if status not in statuses(name) or found or told != seen:
            wrong.append((name, status, told, found, content[:200]))
    assert wrong == [], "\n".join(map(str, wrong))


def reads(name):
    return expected(name, "read", None)


def reads_something(name):
    return {200} if name == "elsewhere" or "read" in ACTORS[name][1] else {403, 404}


def anybody(_name):
    return {200}


@pytest.fixture
def before(world):
    """The revision before the last publish, of a free and of a ruled key."""
    answer = world["administrator"].get(f"/config/shop/versions/1?{HERE}")
    return answer.json()["revision"]


STREAMS = {
    "of a service": (f"service=shop&{HERE}", reads),
    "of a service everywhere": ("service=shop&environment=*", reads),
    "of everything": (HERE, reads_something),
}


@pytest.mark.parametrize("name", STREAMS)
def test_sse__each_actor__hears_what_the_table_says(world, before, name):
    query, statuses = STREAMS[name]
    address = f"/stream?{query}&include=config&after={before}"

    async def ask(_name, api):
        return await over_http(api, "GET", address)

    assert_table(world, ask, statuses, with_keys=True)


MESSAGES = {
    "subscribe": ({**SHOP, "include": "config"}, reads),
    "unsubscribe": (SHOP, anybody),
    "applied": ({**SHOP, "version": 2, "instance": "one"}, reads),
    "ping": ({}, anybody),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_websocket__each_actor_and_message__is_answered_as_the_table_says(world, before, name):
    members, statuses = MESSAGES[name]

    async def ask(_name, api):
        return await over_websocket(api, {"type": name, "after": before, **members})

    assert_table(world, ask, statuses, with_keys=name == "subscribe")


@pytest.mark.parametrize("address", [f"/config/shop?{HERE}", f"/config?service=shop&{HERE}"])
def test_long_poll__each_actor__waits_for_what_he_may_read_alone(world, before, address):
    """There is news for those who may read it; the others would wait for a minute."""
    head = world["administrator"].get(f"/config/shop?{HERE}").headers["x-config-revision"]

    async def ask(name, api):
        after = before if 200 in reads(name) else head
        return await over_http(api, "GET", f"{address}&after={after}&wait=60")

    assert_table(world, ask, reads)


@pytest.mark.parametrize("key", ["", "open", "ruled"])
def test_ofrep__each_actor__is_served_before_django_as_by_the_views(world, key):
    address = FLAGS.replace("flags?", f"flags/{key}?") if key else FLAGS
    asked = {"": None, "open": "free", "ruled": "ruled"}[key]

    async def ask(_name, api):
        return await over_http(api, "POST", address, b"{}")

    assert_table(world, ask, lambda name: expected(name, "read", asked))


@pytest.fixture
def events(world):
    """The address of the events of flags with each actor's ticket."""
    from apps.access.policy import Place
    from apps.access.selectors import authenticate_token
    from apps.api.ofrep.tickets import make_ticket
    from apps.core import clock
    from apps.registry.selectors import get_environment, get_service

    now, place = clock.now(), Place(get_service("shop"), get_environment("production"))
    actors = {name: authenticate_token(api.raw, now=now) for name, api in world.items()}
    return {
        name: f"/ofrep/v1/events?ticket={make_ticket(actor=each, place=place, now=now)}"
        for name, each in actors.items()
    }


def test_ofrep_events__each_actor_with_a_ticket__hears_while_he_may_read(world, events):
    """A ticket opens nothing by itself: the rights are asked for when it is used."""

    async def ask(name, api):
        return await over_http(api, "GET", events[name])

    assert_table(world, ask, reads)


def test_streams__asked_of_the_past__are_refused(world, events):
    async def ask():
        addresses = (f"/stream?{HERE}", events["administrator"])
        try:
            return [
                await over_http(world["administrator"], "GET", f"{each}&at=1") for each in addresses
            ]
        finally:
            await stop_feed()

    found = async_to_sync(ask)()

    assert [status for status, _content in found] == [400, 400]
    assert all(b'"pointer":"/at"' in content.replace(b" ", b"") for _status, content in found)


def test_map__every_socket_and_message__has_its_row():
    from configsvc.asgi import routes

    kinds = re.findall(r'kind == "(\w+)"', inspect.getsource(ConfigConsumer._handle))

    assert set(kinds) == set(MESSAGES)
    sockets = {"ws/config", "ws/graphql"}  # the latter: tests/flows/test_graphql_watch
    assert {str(each.pattern) for each in routes} == sockets | {f"api/v1/{s}" for s in sockets}

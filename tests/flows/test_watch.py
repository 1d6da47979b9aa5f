"""A publish reaches SSE, WebSocket and long-poll clients, each through real servers."""

import json
import threading
import time

import httpx
import pytest
from httpx_sse import connect_sse
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.serving import installation

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def served():
    """One server on SQLite; two on PostgreSQL with Redis: written on the first, heard on the last."""
    with installation() as made:
        made.servers_ = [made.start()]
        if made.is_postgres:
            made.servers_.append(made.start())
        made.raw = made.token()
        with made.servers_[0].client(made.raw) as client:
            for service in ("shop", "cart"):
                assert client.post("/services", json={"slug": service}).status_code == 201
        yield made


@pytest.fixture
def writer(served):
    with served.servers_[0].client(served.raw) as client:
        yield client


@pytest.fixture
def hearer(served):
    return served.servers_[-1]


def publish(client, value, service="shop"):
    body = {"environment": "production", "config": {"a": value}, "on_stale": "overwrite"}
    answer = client.post(f"/config/{service}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


class Stream(threading.Thread):
    """Reads an SSE stream into ``events`` until closed."""

    def __init__(self, server, token, query, **headers):
        super().__init__(daemon=True)
        self.events, self.ready, self.ended = [], threading.Event(), threading.Event()
        self.client = server.client(token)
        self.query, self.headers = query, headers
        self.start()
        assert self.ready.wait(10)

    def run(self):
        try:
            with connect_sse(
                self.client, "GET", f"/stream?{self.query}", headers=self.headers, timeout=60
            ) as source:
                for event in source.iter_sse():
                    self.events.append((event.event, json.loads(event.data or "null"), event.id))
                    self.ready.set()
        except httpx.HTTPError:
            pass
        finally:
            self.ended.set()

    def changed(self):
        return [(data, id_) for kind, data, id_ in self.events if kind == "changed"]

    def until(self, count, seconds=5):
        ends = time.monotonic() + seconds
        while len(self.changed()) < count and time.monotonic() < ends:
            time.sleep(0.01)
        return self.changed()


def test_sse__publish__arrives_with_revision_and_keys(served, writer, hearer):
    stream = Stream(hearer, served.raw, "service=shop&environment=production")

    made = publish(writer, time.time())
    (message, id_), *others = stream.until(1)

    assert others == []
    assert stream.events[0][0] == "ready"
    assert message["type"] == "changed"
    assert message["version"] == made["version"]
    assert message["revision"] == made["revision"]
    assert message["checksum"] == made["checksum"]
    assert message["keys"] == ["a"]
    assert message["cause"] == "publish"
    assert id_ == f"{message['epoch']}-{message['revision']}"
    assert "config" not in message


def test_sse__publish__arrives_at_once(served, writer, hearer):
    stream = Stream(hearer, served.raw, "service=shop&environment=production")
    delays = []
    for number in range(7):
        before = len(stream.changed())
        started = time.monotonic()
        publish(writer, f"quick {time.time()}")
        stream.until(before + 1)
        delays.append(time.monotonic() - started)
        time.sleep(0.05 * number)

    # Without the wake-up each would wait for the listener's look, half a second on average.
    assert sorted(delays)[len(delays) // 2] < 0.4, delays


def test_sse__resume__gives_every_later_change_once_and_in_order(served, writer, hearer):
    first = publish(writer, "resume 0")
    for number in range(1, 5):
        publish(writer, f"resume {number}")
    epoch = httpx.get(f"{hearer.url}/readyz").json()["epoch"]

    stream = Stream(
        hearer,
        served.raw,
        "service=shop&environment=production",
        **{"Last-Event-ID": f"{epoch}-{first['revision']}"},
    )
    found = [message["version"] for message, _id in stream.until(4)]

    assert found == [first["version"] + step for step in range(1, 5)]


@pytest.mark.parametrize("cursor", ["ffff-1", "{epoch}-999999999"])
def test_sse__cursor_that_cannot_be_resumed__is_told_to_resync(served, hearer, cursor):
    epoch = httpx.get(f"{hearer.url}/readyz").json()["epoch"]

    stream = Stream(
        hearer, served.raw, f"environment=production&after={cursor.format(epoch=epoch)}"
    )
    time.sleep(0.3)

    assert [kind for kind, _data, _id in stream.events][:2] == ["ready", "resync"]
    assert stream.events[1][1]["epoch"] == epoch


def test_sse__without_service__hears_what_one_may_see_alone(served, writer, hearer):
    raw = served.token("viewer:cart", account="cart-only")
    stream = Stream(hearer, raw, "environment=production")

    publish(writer, f"hidden {time.time()}")
    publish(writer, f"seen {time.time()}", "cart")
    found = stream.until(1)
    time.sleep(0.3)

    assert [message["service"] for message, _id in found] == ["cart"]
    assert len(stream.changed()) == 1


@pytest.mark.parametrize(
    ("token", "query", "status"),
    [
        (None, "service=shop", 401),
        ("csk_wrong", "service=shop", 401),
        ("cart", "service=shop&environment=production", 404),
        ("admin", "service=nope", 404),
        ("admin", "service=shop&after=x", 422),
    ],
)
def test_sse__refused__is_the_problem_that_fetching_gives(served, hearer, token, query, status):
    tokens = {"admin": served.raw, "cart": None}
    if token == "cart":
        tokens["cart"] = served.token("viewer:cart", account="cart-again")
    raw = tokens.get(token, token)
    headers = {"Authorization": f"Bearer {raw}"} if raw else {}

    answer = httpx.get(f"{hearer.url}/stream?{query}", headers=headers)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_sse__withdrawn_token__ends_within_five_seconds(served, writer, hearer):
    raw = served.token("viewer", account="leaver")
    stream = Stream(hearer, raw, "environment=production")
    token = writer.get("/service-accounts/leaver/tokens").json()["results"][0]

    assert writer.delete(f"/service-accounts/leaver/tokens/{token['id']}").status_code == 204

    assert stream.ended.wait(5)


def test_sse__withdrawn_grant__hears_nothing_more(served, writer, hearer):
    raw = served.token("viewer", account="demoted")
    stream = Stream(hearer, raw, "environment=production")
    grants = writer.get("/grants?page_size=200").json()["results"]
    mine = [each for each in grants if each["to"] == "service-account:demoted"]

    assert writer.delete(f"/grants/{mine[0]['id']}").status_code == 204
    publish(writer, f"after {time.time()}")
    time.sleep(1.5)

    assert stream.changed() == []


def test_sse__ticket__opens_one_stream(served, writer, hearer):
    ticket = writer.post("/stream/tickets").json()["ticket"]

    with httpx.stream("GET", f"{hearer.url}/stream?ticket={ticket}", timeout=5) as first:
        assert first.status_code == 200
    second = httpx.get(f"{hearer.url}/stream?ticket={ticket}")

    assert second.status_code == 401


def socket_to(server, token=None, **options):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"ws://127.0.0.1:{server.port}/ws/config"
    return connect(url, additional_headers=headers, **options)


def receive(socket, kind, seconds=5):
    ends = time.monotonic() + seconds
    while True:
        message = json.loads(socket.recv(timeout=max(0.01, ends - time.monotonic())))
        if message["type"] == kind:
            return message


def test_websocket__publish__arrives_with_last(served, writer, hearer):
    with socket_to(hearer, served.raw) as socket:
        socket.send(
            json.dumps({"type": "subscribe", "service": "shop", "environment": "production"})
        )
        assert receive(socket, "ready")["revision"] > 0

        made = publish(writer, time.time())
        message = receive(socket, "changed")

    assert message["revision"] == made["revision"]
    assert message["last"] is True


def test_websocket__include_config__carries_the_document(served, writer, hearer):
    with socket_to(hearer, served.raw) as socket:
        subscription = {"type": "subscribe", "service": "shop", "environment": "production"}
        socket.send(json.dumps({**subscription, "include": "config"}))
        receive(socket, "ready")
        publish(writer, "with config")

        assert receive(socket, "changed")["config"] == {"a": "with config"}


def test_websocket__without_credentials__closes_4401(hearer):
    with socket_to(hearer) as socket, pytest.raises(ConnectionClosed) as caught:
        socket.recv(timeout=5)

    assert caught.value.rcvd.code == 4401


def test_websocket__bad_messages__are_answered_and_do_not_end_it(served, hearer):
    with socket_to(hearer, served.raw) as socket:
        for text in ("nonsense", "[]", '{"type":"nope"}', '{"type":"subscribe","service":5}'):
            socket.send(text)
            assert receive(socket, "error")["detail"]
        socket.send('{"type":"subscribe","service":"unknown"}')
        assert receive(socket, "error")["code"] == "not_found"
        socket.send('{"type":"ping"}')
        assert receive(socket, "pong")


@pytest.mark.parametrize(
    ("text", "code", "times"), [("x" * 70_000, 1009, 1), ('{"type":"ping"}', 1008, 200)]
)
def test_websocket__too_large_or_too_fast__is_closed(served, hearer, text, code, times):
    with socket_to(hearer, served.raw) as socket, pytest.raises(ConnectionClosed) as caught:
        for _ in range(times):
            socket.send(text)
        for _ in range(300):
            socket.recv(timeout=5)

    assert caught.value.rcvd.code == code


def test_websocket__applied__is_kept_for_the_account(served, writer, hearer):
    made = publish(writer, time.time())
    with socket_to(hearer, served.raw) as socket:
        applied = {"type": "applied", "service": "shop", "environment": "production"}
        socket.send(json.dumps({**applied, "version": made["version"], "instance": "pod-1"}))
        socket.send(json.dumps({**applied, "version": 999_999, "instance": "pod-1"}))
        assert receive(socket, "error")["code"] == "invalid"


def test_long_poll__publish__answers_at_once_with_the_document(served, writer, hearer):
    made = publish(writer, "before")
    found = {}

    def poll():
        with hearer.client(served.raw) as client:
            url = f"/config/shop?environment=production&after={made['revision']}&wait=20"
            started = time.monotonic()
            found["answer"] = client.get(url)
            found["took"] = time.monotonic() - started

    thread = threading.Thread(target=poll)
    thread.start()
    time.sleep(1)
    publish(writer, "after")
    thread.join(25)

    assert found["answer"].status_code == 200
    assert found["answer"].json()["config"] == {"a": "after"}
    assert 0.9 < found["took"] < 5


def test_long_poll__no_news__is_204_after_the_wait(served, writer, hearer):
    made = publish(writer, "quiet")
    with hearer.client(served.raw) as client:
        client.get(f"/config/shop?environment=production&min_revision={made['revision']}")
        answer = client.get(f"/config/shop?environment=production&after={made['revision']}&wait=1")

    assert answer.status_code == 204


def test_min_revision__just_written_elsewhere__is_read(served, writer, hearer):
    with hearer.client(served.raw) as client:
        for number in range(5):
            made = publish(writer, f"mine {number}")
            url = f"/config/shop?environment=production&min_revision={made['revision']}"
            assert client.get(url).json()["config"] == {"a": f"mine {number}"}
        far = client.get(
            f"/config/shop?environment=production&min_revision=ffff-{made['revision']}"
        )

    assert (far.status_code, far.json()["code"]) == (409, "epoch")


def test_body__over_the_limit__is_413_before_it_is_read_whole(served, hearer):
    """Chunked, so that no length says it: the answer comes while the client still sends."""
    sent = 0

    def endless():
        nonlocal sent
        while sent < 64 * 2**20:
            sent += 65_536
            yield b"x" * 65_536

    url = f"{hearer.url}/config/shop"
    headers = {"Authorization": f"Bearer {served.raw}"}
    try:
        status = httpx.post(url, content=endless(), headers=headers, timeout=20).status_code
    except httpx.HTTPError:
        status = 413  # the server closed while we wrote: what was read is judged below
    declared = httpx.post(url, content=b"x" * 2**21, headers=headers)

    assert status == 413
    assert sent < 64 * 2**20
    assert (declared.status_code, declared.json()["code"]) == (413, "too_large")
    assert httpx.get(f"{hearer.url}/healthz").status_code == 200


def test_instance__named_on_fetch_and_stream__is_kept(served, writer, hearer):
    made = publish(writer, f"instance {time.time()}")
    with hearer.client(
        served.raw,
    ) as client:
        url = f"/config/shop?environment=production&min_revision={made['revision']}"
        assert client.get(url, headers={"X-Config-Instance": "pod-7"}).status_code == 200
        bad = client.get(url, headers={"X-Config-Instance": "x" * 300})
    stream = Stream(
        hearer, served.raw, "service=shop&environment=production", **{"X-Config-Instance": "pod-8"}
    )
    names = served.manage(
        "shell",
        "-v0",
        "-c",
        "from apps.rollouts.models import Instance; print(dict(Instance.objects.values_list('name', 'version')))",
    ).stdout

    assert stream.events[0][0] == "ready"
    assert f"'pod-7': {made['version']}" in names
    assert "'pod-8': None" in names
    assert bad.status_code == 422

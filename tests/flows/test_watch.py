"""A publish reaches SSE, WebSocket and long-poll clients, each through real servers."""

import ast
import contextlib
import json
import re
import threading
import time
from itertools import repeat
from pathlib import Path
from socket import create_connection

import httpx
import pytest
from httpx_sse import connect_sse
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.real_services import redis
from tests.serving import installation, until

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def served():
    """One server on SQLite; two on PostgreSQL with Redis: written on the first, heard on the last."""
    with installation() as made:
        made.servers_ = [made.start()]
        if made.is_postgres:
            made.servers_.append(made.start())
        with made.servers_[0].client(made.raw) as client:
            for service in ("shop", "cart"):
                assert client.post("/services", json={"slug": service}).status_code == 201
        yield made
        for server in made.servers_:
            assert "Traceback" not in server.log.read_text(), server.log.read_text()


@pytest.fixture
def writer(served):
    with served.servers_[0].client(served.raw) as client:
        yield client


@pytest.fixture
def hearer(served):
    return served.servers_[-1]


def publish(client, value, service="shop", environment="production"):
    body = {"environment": environment, "config": {"a": value}, "on_stale": "overwrite"}
    answer = client.post(f"/config/{service}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


class Stream(threading.Thread):
    """Reads an SSE stream into ``events`` until closed."""

    def __init__(self, server, token, query, **headers):
        super().__init__(daemon=True)
        self.events, self.ready, self.ended = [], threading.Event(), threading.Event()
        self.client = server.client(token)
        self.query, self.headers, self.failed = query, headers, None
        self.start()
        assert self.ready.wait(20)

    def run(self):
        try:
            with connect_sse(
                self.client, "GET", f"/stream?{self.query}", headers=self.headers, timeout=60
            ) as source:
                for event in source.iter_sse():
                    self.events.append((event.event, json.loads(event.data or "null"), event.id))
                    self.ready.set()
        except httpx.HTTPError as error:
            self.failed = error
        finally:
            self.ended.set()

    def changed(self):
        return [(data, id_) for kind, data, id_ in self.events if kind == "changed"]

    def until(self, count, seconds=20):
        ends = time.monotonic() + seconds
        while len(self.changed()) < count and time.monotonic() < ends:
            time.sleep(0.01)
        return self.changed()

    def version(self, number, seconds=20):
        """The news of one version; a stream may begin with what came just before it."""
        ends = time.monotonic() + seconds
        while True:
            heard = {data["version"]: data for data, _id in self.changed()}
            if number in heard or time.monotonic() > ends:
                return heard[number]
            time.sleep(0.01)


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
        publish(writer, f"quick {time.time()}")
        started = time.monotonic()  # how long it takes to publish is another matter
        stream.until(before + 1)
        delays.append(time.monotonic() - started)
        time.sleep(0.05 * number)

    # Without the wake-up each would wait for the listener's look, half a second on average.
    assert sorted(delays)[len(delays) // 2] < 0.4, delays


def test_sse__propagation__tells_each_affected_once_with_one_revision_and_one_id(
    served, writer, hearer
):
    names = ["base", "first", "second", "third"]
    for name in names:
        assert writer.post("/services", json={"slug": name}).status_code == 201
    publish(writer, 1, "base")
    template = {"slug": "shared", "content": {"t": 1}}
    assert writer.post("/templates", json=template).status_code == 201
    for name, config in zip(names[1:], ["${base:a}", "${base:a}", "${second:b}"], strict=True):
        body = {"environment": "production", "config": {"b": config}}
        body |= {"extends": [{"template": "shared"}]} if name != "third" else {}
        assert writer.post(f"/config/{name}", json=body).status_code == 201
    query = "&".join(f"service={name}" for name in names)
    stream = Stream(hearer, served.raw, f"{query}&environment=production")

    referred = publish(writer, 2, "base")
    versions = "/templates/shared/versions"
    shared = writer.post(versions, json={"content": {"t": 2}}).json()
    ended = publish(writer, 3, "base")["revision"]
    stream.until(10)
    time.sleep(1.5)  # a second look at the ledger, which would tell twice

    for revision, told in ((referred["revision"], names), (shared["revision"], names[1:3])):
        heard = [each for each in stream.changed() if each[0]["revision"] == revision]
        assert sorted(data["service"] for data, _id in heard) == told
        *before, (last, id_) = heard
        assert id_ == f"{last['epoch']}-{revision}"
        assert id_ not in {other for _data, other in before}
    order = [data["revision"] for data, _id in stream.changed()]
    assert order == sorted(order)
    assert order.count(ended) == len(names)


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


def test_sse__many_write_at_once__hears_every_revision_once_and_in_order(served, writer, hearer):
    """Revisions are given in commit order: a watcher who has heard one misses none below it."""
    before = publish(writer, "before the crowd")["revision"]
    stream = Stream(hearer, served.raw, f"environment=production&after={before}")
    written = []

    def write(number):
        with served.servers_[number % len(served.servers_)].client(served.raw) as client:
            for each in range(4):
                made = publish(client, f"crowd {number} {each}", ("shop", "cart")[each % 2])
                written.append(made["revision"])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    heard = [message["revision"] for message, _id in stream.until(24)]

    assert len(written) == 24
    assert heard == sorted(written)


@pytest.mark.parametrize("cursor", ["ffff-1", "{epoch}-999999999"])
def test_sse__cursor_that_cannot_be_resumed__is_told_to_resync(served, hearer, cursor):
    epoch = httpx.get(f"{hearer.url}/readyz").json()["epoch"]

    stream = Stream(
        hearer, served.raw, f"environment=production&after={cursor.format(epoch=epoch)}"
    )
    until(lambda: len(stream.events) > 1)

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

    assert stream.ended.wait(20)


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

    with httpx.stream("GET", f"{hearer.url}/stream?ticket={ticket}", timeout=20) as first:
        assert first.status_code == 200
    second = httpx.get(f"{hearer.url}/stream?ticket={ticket}")

    assert second.status_code == 401


def socket_to(server, token=None, *, query="", **headers):
    if token:
        headers["Authorization"] = f"Bearer {token}"
    url = f"ws://127.0.0.1:{server.port}/ws/config{query}"
    return connect(url, additional_headers=headers)


def receive(socket, kind, seconds=20):
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


@pytest.mark.parametrize("digits", ["0.10", "1E3", "12345678901234567890123", '"text"'])
def test_streams__include_config__carry_the_document_with_its_digits(
    served, writer, hearer, digits
):
    query = "service=shop&environment=production&include=config"
    with (
        socket_to(hearer, served.raw) as socket,
        hearer.client(served.raw).stream("GET", f"/stream?{query}", timeout=60) as stream,
    ):
        lines = stream.iter_lines()
        next(line for line in lines if line == "event: ready")
        subscription = {"type": "subscribe", "service": "shop", "environment": "production"}
        socket.send(json.dumps({**subscription, "include": "config"}))
        receive(socket, "ready")
        body = f'{{"environment":"production","config":{{"a":{digits}}},"on_stale":"overwrite"}}'
        answer = writer.post(
            "/config/shop", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 201, answer.text
        wanted = f'"config":{{"a":{digits}}}'
        heard = next(text for text in map(socket.recv, repeat(20)) if '"changed"' in text)

        assert wanted in heard
        assert wanted in next(
            line for line in lines if wanted in line or line.startswith("event: end")
        )


def test_streams__key_rule__pushes_the_view_of_each_watcher(served, writer, hearer):
    """A rule that is made while both watch takes its keys out of what both hear."""
    restricted = served.token("viewer", "restricted")
    service = f"ruled-{time.time_ns()}"
    writer.post("/services", json={"slug": service})
    document = {"free": 1, "pin": 1}
    body = {"environment": "production", "config": document, "on_stale": "overwrite"}
    assert writer.post(f"/config/{service}", json=body).status_code == 201
    query = f"service={service}&environment=production&include=config"
    stream = Stream(hearer, restricted, query)
    rule = writer.post("/key-rules", json={"pattern": "pin", "service": service}).json()
    grant = {"to": "service-account:tester", "role": "operator", "on": {"key_rule": rule["id"]}}
    assert writer.post("/grants", json=grant).status_code == 201

    made = writer.post(f"/config/{service}", json=body | {"config": {"free": 2, "pin": 2}}).json()
    message = stream.version(made["version"])

    assert message["keys"] == ["free"]
    assert message["config"] == {"free": 2}
    with hearer.client(restricted) as client:
        seen = client.get(f"/config/{service}?environment=production").json()
    assert message["checksum"] == seen["checksum"] != made["checksum"]


def test_websocket__without_credentials__closes_4401(hearer):
    with socket_to(hearer) as socket, pytest.raises(ConnectionClosed) as caught:
        socket.recv(timeout=20)

    assert caught.value.rcvd.code == 4401


def test_websocket__ticket__opens_one_socket(writer, hearer):
    query = f"?ticket={writer.post('/stream/tickets').json()['ticket']}"
    with socket_to(hearer, query=query) as socket:
        socket.send('{"type":"ping"}')
        assert receive(socket, "pong")

    with socket_to(hearer, query=query) as socket, pytest.raises(ConnectionClosed) as caught:
        socket.recv(timeout=20)

    assert caught.value.rcvd.code == 4401


def test_websocket__session_cookie__counts_from_pages_of_this_server_alone(served, hearer):
    with httpx.Client(base_url=hearer.url, follow_redirects=True) as browser:
        form = browser.get("/admin/login/")
        data = {"username": "admin", "password": served.password}
        data["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
        assert browser.post(form.url, data=data).status_code == 200
        cookie = f"sessionid={browser.cookies['sessionid']}"
    with socket_to(hearer, Cookie=cookie, Origin=hearer.url) as socket:
        socket.send('{"type":"ping"}')
        assert receive(socket, "pong")

    foreign = socket_to(hearer, Cookie=cookie, Origin="https://elsewhere.example")
    with foreign as socket, pytest.raises(ConnectionClosed) as caught:
        socket.recv(timeout=20)

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


@pytest.mark.servers(database=pytest.long_form)
@pytest.mark.parametrize(
    ("text", "code", "times"), [("x" * 70_000, 1009, 1), ('{"type":"ping"}', 1008, 500)]
)
def test_websocket__too_large_or_too_fast__is_closed(served, hearer, text, code, times):
    with socket_to(hearer, served.raw) as socket, pytest.raises(ConnectionClosed) as caught:
        for _ in range(times):
            socket.send(text)
        for _ in range(500):
            socket.recv(timeout=20)

    assert caught.value.rcvd.code == code


def instances(served, name):
    """What is kept of the instances whose names begin so, by name."""
    rows = served.manage(
        "shell",
        "-v0",
        "-c",
        "from apps.rollouts.models import Instance\n"
        f"rows = Instance.objects.filter(name__startswith='{name}')\n"
        "print({each.name: (each.account.slug, str(each.configuration), each.version)"
        " for each in rows})",
    ).stdout
    return ast.literal_eval(rows)


def test_websocket__applied__is_kept_for_the_account(served, writer, hearer):
    made = publish(writer, time.time())
    with socket_to(hearer, served.raw) as socket:
        applied = {"type": "applied", "service": "shop", "environment": "production"}
        socket.send(json.dumps({**applied, "version": made["version"], "instance": "pod-1"}))
        socket.send(json.dumps({**applied, "version": 999_999, "instance": "pod-1"}))
        assert receive(socket, "error")["code"] == "invalid"

    assert instances(served, "pod-1") == {"pod-1": ("tester", "shop@production", made["version"])}


def test_websocket__applied_before_the_first_publish__is_an_error(served, hearer):
    with socket_to(hearer, served.raw) as socket:
        applied = {"type": "applied", "service": "cart", "environment": "staging"}
        socket.send(json.dumps({**applied, "version": 1, "instance": "pod-early"}))

        assert receive(socket, "error")["code"] == "invalid"


def account_without_environment(served, writer, account):
    """A token that may read everything; its account has no environment of its own."""
    raw = served.token("viewer", account)
    path = f"/service-accounts/{account}"
    assert writer.patch(path, json={"environment": None}).status_code == 200
    return raw


@pytest.mark.parametrize("environment", ["development", "production"])
def test_without_environment__every_way__is_about_the_one_that_fetching_means(
    served, writer, hearer, environment
):
    account = f"plain-{environment}"
    raw = account_without_environment(served, writer, account)
    if environment == "production":
        own = {"environment": environment}
        assert writer.patch(f"/service-accounts/{account}", json=own).status_code == 200
    made = publish(writer, f"before {time.time()}", environment=environment)
    after, name = made["revision"], f"{account}-pod"

    with hearer.client(raw) as client:
        url = f"/config/shop?min_revision={after}"
        fetched = client.get(url, headers={"X-Config-Instance": f"{name}-fetch"}).json()
        quiet = f"/config/shop?after={after}&wait=0.1"
        polled = client.get(quiet, headers={"X-Config-Instance": f"{name}-poll"})
    stream = Stream(hearer, raw, "service=shop", **{"X-Config-Instance": f"{name}-sse"})
    with socket_to(hearer, raw, **{"X-Config-Instance": f"{name}-ws"}) as socket:
        socket.send('{"type":"subscribe","service":"shop"}')
        receive(socket, "ready")
        applied = {"type": "applied", "service": "shop", "version": made["version"]}
        socket.send(json.dumps({**applied, "instance": f"{name}-applied"}))
        publish(writer, f"elsewhere {time.time()}", environment="staging")
        news = publish(writer, f"after {time.time()}", environment=environment)
        pushed = receive(socket, "changed")
        named = {"type": "unsubscribe", "service": "SHOP", "environment": environment}
        socket.send(json.dumps(named))
        socket.send('{"type":"ping"}')  # messages are taken in turn: it is unsubscribed at the pong
        receive(socket, "pong")
        last = publish(writer, f"unheard {time.time()}", environment=environment)
        stream.version(last["version"])
        socket.send('{"type":"ping"}')
        unheard = json.loads(socket.recv(timeout=20))

    where = ("shop", environment, news["version"])
    assert (fetched["environment"], fetched["version"]) == (environment, made["version"])
    assert polled.status_code == 204
    assert (pushed["service"], pushed["environment"], pushed["version"]) == where
    assert {data["environment"] for data, _id in stream.changed()} == {environment}
    assert unheard == {"type": "pong"}
    at = (account, f"shop@{environment}")
    assert instances(served, name) == {
        f"{name}-fetch": (*at, made["version"]),
        f"{name}-poll": (*at, made["version"]),
        f"{name}-sse": (*at, None),
        f"{name}-ws": (*at, None),
        f"{name}-applied": (*at, made["version"]),
    }


def test_long_poll__publish__answers_at_once_with_the_document(served, writer, hearer):
    made = publish(writer, "before")
    found = {}

    def poll():
        with hearer.client(served.raw) as client:
            url = f"/config/shop?environment=production&after={made['revision']}&wait=20"
            found["answer"] = client.get(url)

    thread = threading.Thread(target=poll)
    thread.start()
    time.sleep(1)
    waits = not found
    publish(writer, "after")
    thread.join(60)

    assert found["answer"].status_code == 200
    assert found["answer"].json()["config"] == {"a": "after"}
    assert waits


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
        began = time.monotonic()
        far = client.get(
            f"/config/shop?environment=production&min_revision=ffff-{made['revision']}"
        )
        above = client.get("/config/shop?environment=production&min_revision=999999999")
        poll = client.get("/config/shop?environment=production&after=999999999&wait=20")
        took = time.monotonic() - began

    assert (far.status_code, far.json()["code"]) == (409, "epoch")
    assert (above.status_code, above.json()["code"]) == (409, "epoch")
    assert poll.json()["version"] == made["version"]
    assert took < 19


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
    imported = httpx.post(
        f"{hearer.url}/api/v1/import?from=tree", content=b"x" * 2**21, headers=headers
    )
    assert imported.status_code == 415  # it was read
    assert httpx.get(f"{hearer.url}/healthz").status_code == 200


def test_instance__named_on_fetch_and_stream__is_kept(served, writer, hearer):
    made = publish(writer, f"instance {time.time()}")
    with hearer.client(
        served.raw,
    ) as client:
        url = f"/config/shop?environment=production&min_revision={made['revision']}"
        assert client.get(url, headers={"X-Config-Instance": "pod-7"}).status_code == 200
        others = {
            "pod-value": f"/config/shop/value?environment=production&key=a&min_revision={made['revision']}",
            "pod-several": "/config?service=shop&environment=production",
            "pod-poll": f"/config/shop?environment=production&after={made['revision']}&wait=0.1",
        }
        for name, address in others.items():
            assert client.get(address, headers={"X-Config-Instance": name}).status_code < 300
        bad = client.get(url, headers={"X-Config-Instance": "x" * 300})
        bad_stream = client.get("/stream?service=shop", headers={"X-Config-Instance": "x" * 300})
    watching = {"pod-8": "service=shop&environment=production", "pod-all": "environment=*"}
    streams = [
        Stream(hearer, served.raw, query, **{"X-Config-Instance": name})
        for name, query in watching.items()
    ]
    with socket_to(hearer, served.raw, **{"X-Config-Instance": "x" * 300}) as socket:
        socket.send('{"type":"subscribe","service":"shop"}')
        bad_socket = receive(socket, "error")
    versions = {name: row[2] for name, row in instances(served, "pod-").items()}

    assert [each.events[0][0] for each in streams] == ["ready", "ready"]
    assert versions["pod-7"] == made["version"]
    assert [versions[name] for name in watching] == [None, None]
    for name in others:
        assert versions[name] == made["version"]
    assert bad.status_code == 422
    assert (bad_stream.status_code, bad_stream.json()["code"]) == (422, "invalid")
    assert "instance" in bad_stream.json()["errors"][0]["code"]
    assert bad_socket["code"] == "invalid"


POLLED = (
    "/config/shop?environment=production",
    "/config/shop.yaml?environment=production",
    "/config/shop/value?environment=production&key=a",
    "/config?service=shop&service=cart&environment=production",
)


@pytest.mark.parametrize("url", POLLED)
def test_long_poll__at_each_address__waits_and_hears(served, writer, hearer, url):
    publish(writer, f"cart {time.time()}", "cart")
    made = publish(writer, f"quiet {time.time()}")
    found = {}

    def poll(wait):
        with hearer.client(served.raw) as client:
            started = time.monotonic()
            after = f"&after={found.get('after', made['revision'])}&wait={wait}"
            found[wait] = client.get(url + after), time.monotonic() - started

    poll(0.3)
    thread = threading.Thread(target=poll, args=(20,))
    thread.start()
    time.sleep(0.3)
    waits = 20 not in found
    publish(writer, f"loud {time.time()}")
    thread.join(60)

    assert found[0.3][0].status_code == 204
    assert found[0.3][1] > 0.29
    assert found[20][0].status_code == 200
    assert waits


def test_long_poll__after_a_revision_that_this_server_has_not_read_yet__waits(
    served, writer, hearer
):
    with hearer.client(served.raw) as client:
        for number in range(15):
            made = publish(writer, f"race {number} {time.time()}")
            url = f"/config/shop?environment=production&after={made['revision']}&wait=0.15"
            started = time.monotonic()
            answer = client.get(url)
            took = time.monotonic() - started
            assert (answer.status_code, took > 0.14) == (204, True), (number, took)


@pytest.mark.parametrize("wait", ["inf", "1e9", "61"])
def test_long_poll__wait_that_is_none__is_400_at_once(served, writer, hearer, wait):
    made = publish(writer, f"odd wait {time.time()}")
    url = f"{hearer.url}/config/shop?environment=production&after={made['revision']}&wait={wait}"

    answer = httpx.get(url, headers={"Authorization": f"Bearer {served.raw}"}, timeout=20)

    assert answer.status_code == 400


def test_stream__with_a_document_of_a_deleted_service__goes_on(served, writer, hearer):
    publish(writer, f"begin {time.time()}")
    writer.post("/services", json={"slug": "passing"}).raise_for_status()
    first = publish(writer, 1, "passing")
    assert writer.delete("/config/passing?environment=production").status_code == 201
    assert writer.delete("/services/passing").status_code == 204

    query = f"environment=production&include=config&after={first['revision'] - 1}"
    stream = Stream(hearer, served.raw, query)
    with socket_to(hearer, served.raw) as socket:
        after = first["revision"] - 1
        subscription = {"type": "subscribe", "environment": "production", "after": after}
        socket.send(json.dumps({**subscription, "include": "config"}))
        receive(socket, "changed")
        publish(writer, "goes on")
        causes = [receive(socket, "changed")["service"] for _ in range(2)]

    names = [message["service"] for message, _id in stream.until(3)]
    assert names == ["passing", "passing", "shop"]
    assert stream.changed()[-1][0]["config"] == {"a": "goes on"}
    assert causes == ["passing", "shop"]


def withdraw_grants(writer, account):
    for grant in writer.get("/grants?page_size=200").json()["results"]:
        if grant["to"] == f"service-account:{account}":
            assert writer.delete(f"/grants/{grant['id']}").status_code == 204


@pytest.mark.parametrize("query", ["service=shop&environment=production", "environment=*"])
def test_last_right_withdrawn__ends_the_stream_within_five_seconds(served, writer, hearer, query):
    account = f"leaver-{len(query)}"
    raw = served.token("viewer:shop", account=account)
    stream = Stream(hearer, raw, query)

    withdraw_grants(writer, account)

    assert stream.ended.wait(20)


def test_last_right_withdrawn__closes_the_socket_4403(served, writer, hearer):
    raw = served.token("viewer:shop", account="leaver-ws")
    with socket_to(hearer, raw) as socket:
        socket.send('{"type":"subscribe","service":"shop","environment":"production"}')
        receive(socket, "ready")
        withdraw_grants(writer, "leaver-ws")
        with pytest.raises(ConnectionClosed) as caught:
            receive(socket, "changed")

    assert caught.value.rcvd.code == 4403


def withdraw_tokens(writer, account):
    for token in writer.get(f"/service-accounts/{account}/tokens").json()["results"]:
        path = f"/service-accounts/{account}/tokens/{token['id']}"
        assert writer.delete(path).status_code == 204


MESSAGES = [
    {"type": "ping"},
    {"type": "subscribe", "service": "shop", "environment": "production"},
    {"type": "unsubscribe", "service": "shop", "environment": "production"},
    {"type": "applied", "service": "shop", "environment": "production", "version": 1},
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: each["type"])
def test_websocket__message_after_the_token_was_withdrawn__closes_4401(
    served, writer, hearer, message
):
    account = f"leaver-{message['type']}"
    raw = served.token("viewer:shop", account)
    with socket_to(hearer, raw) as socket:
        socket.send('{"type":"ping"}')
        receive(socket, "pong")
        withdraw_tokens(writer, account)
        socket.send(json.dumps({"instance": "ghost", **message}))
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=20)

    assert caught.value.rcvd.code == 4401


@pytest.mark.parametrize("first", MESSAGES[:2], ids=["idle", "subscribed"])
def test_websocket__withdrawn_token__closes_4401_within_five_seconds(served, writer, hearer, first):
    account = f"idle-{first['type']}"
    raw = served.token("viewer:shop", account)
    with socket_to(hearer, raw) as socket:
        socket.send(json.dumps(first))
        socket.recv(timeout=20)
        withdraw_tokens(writer, account)
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=20)

    assert caught.value.rcvd.code == 4401


def change_person(served, statement):
    """Run a statement with ``people``, ``system`` and the person ``ada``, beside the servers."""
    served.manage(
        "shell",
        "--no-imports",
        "-c",
        "from apps.access import people\n"
        "from apps.core.actor import system\n"
        "from apps.core.models import User\n"
        "ada = User.objects.filter(username='ada').first()\n"
        f"{statement}",
    )


PASSWORD = "nine blue pears 4"


def log_in(browser):
    form = browser.get("/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text).group(1)
    fields = {"username": "ada", "password": PASSWORD, "csrfmiddlewaretoken": token}
    answer = browser.post(form.url, data=fields, headers={"Referer": str(form.url)})
    assert answer.url.path == "/admin/", answer.url


@pytest.fixture
def browser(served, hearer):
    """The browser of ``ada``, a superuser who has just logged in."""
    change_person(
        served,
        "by = {'actor': system('test')}\n"
        "ada = ada or people.create_person(**by, username='ada')\n"
        f"people.set_password(**by, user=ada, password='{PASSWORD}')\n"
        "people.update_person(**by, user=ada, is_active=True, is_superuser=True)",
    )
    with httpx.Client(base_url=hearer.url, follow_redirects=True, timeout=30) as browser:
        log_in(browser)
        yield browser


@pytest.fixture
def session(browser):
    """The cookies of that browser."""
    return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


def send(browser, path):
    """A POST as a page of this server sends it."""
    token = {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": str(browser.base_url)}
    return browser.post(path, headers=token)


def log_out(_served, browser):
    assert send(browser, "/admin/logout/").status_code == 200


def remove_factor(served, _browser):
    served.manage("remove_second_factor", "ada")


def change_password(served, _browser):
    given = "actor=system('test'), user=ada, password='nine blue pears 5'"
    change_person(served, f"people.set_password({given})")


@pytest.mark.servers(database=pytest.long_form)
@pytest.mark.parametrize("end", [log_out, remove_factor, change_password])
def test_session__ended__ends_its_streams_and_tickets_within_five_seconds(
    served, browser, session, hearer, end
):
    first, second = (send(browser, "/stream/tickets").json()["ticket"] for _ in range(2))
    query = "service=shop&environment=production"
    streams = [
        Stream(hearer, None, query, Cookie=session),
        Stream(hearer, None, f"{query}&ticket={first}"),
    ]
    with socket_to(hearer, Cookie=session, Origin=hearer.url) as socket:
        socket.send('{"type":"ping"}')
        receive(socket, "pong")

        end(served, browser)

        opened = httpx.get(f"{hearer.url}/stream?ticket={second}")
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=20)
    assert opened.status_code == 401
    assert caught.value.rcvd.code == 4401
    assert all(each.ended.wait(20) for each in streams)


@pytest.mark.servers(database=pytest.long_form)
def test_session__another_one_logged_out__its_streams_stay(served, browser, session, hearer):
    with httpx.Client(base_url=hearer.url, follow_redirects=True, timeout=30) as other:
        log_in(other)
        with socket_to(hearer, Cookie=session, Origin=hearer.url) as socket:
            log_out(served, other)
            time.sleep(1.5)  # it is looked at every second
            socket.send('{"type":"ping"}')
            assert receive(socket, "pong")


@pytest.mark.servers(database=pytest.long_form)
def test_websocket__person_deactivated__closes_4401(served, session, hearer):
    url = f"ws://127.0.0.1:{hearer.port}/ws/config"
    with connect(url, additional_headers={"Cookie": session}) as socket:
        socket.send('{"type":"ping"}')
        receive(socket, "pong")
        change_person(
            served,
            "people.update_person("
            "actor=system('test'), user=ada, is_active=False, is_superuser=True)",
        )
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=20)

    assert caught.value.rcvd.code == 4401


@pytest.mark.servers(database=pytest.long_form)
def test_websocket__superuser_demoted__sees_no_more_than_anybody(served, session, hearer):
    url = f"ws://127.0.0.1:{hearer.port}/ws/config"
    subscription = '{"type":"subscribe","service":"cart","environment":"production"}'
    with connect(url, additional_headers={"Cookie": session}) as socket:
        socket.send(subscription)
        receive(socket, "ready")
        socket.send(subscription.replace("subscribe", "unsubscribe"))
        change_person(
            served,
            "people.update_person("
            "actor=system('test'), user=ada, is_active=True, is_superuser=False)",
        )
        socket.send(subscription)

        assert receive(socket, "error")["code"] == "not_found"


@pytest.mark.servers(database=pytest.long_form)
def test_websocket__two_hundred_subscriptions_at_once__are_taken(served, writer, hearer):
    with socket_to(hearer, served.raw) as socket:
        for _ in range(200):
            socket.send('{"type":"subscribe","service":"shop","environment":"production"}')
        for _ in range(200):
            receive(socket, "ready")
        socket.send('{"type":"ping"}')
        assert receive(socket, "pong")


@pytest.mark.servers(database=pytest.long_form)
def test_websocket__client_gone_while_it_is_told__is_no_failure(served, writer, hearer):
    for number in range(30):
        publish(writer, f"backlog {number} {time.time()}")
    for _ in range(5):
        with socket_to(hearer, served.raw) as socket:
            socket.send('{"type":"subscribe","after":0,"include":"config"}')
            receive(socket, "changed")
    time.sleep(0.5)

    assert "A subscription failed" not in hearer.log.read_text()


def test_websocket__client_that_would_compress__is_sent_what_all_are(served, hearer):
    with socket_to(hearer, served.raw) as socket:
        socket.send('{"type":"ping"}')
        assert receive(socket, "pong")
        assert socket.protocol.extensions == []


@pytest.mark.parametrize("text", ['{"type":"\\ud800"}', '{"type":"applied","version":1e999}'])
def test_websocket__what_no_database_holds__is_an_error(served, hearer, text):
    with socket_to(hearer, served.raw) as socket:
        socket.send(text)
        assert receive(socket, "error")["detail"]


def test_websocket__messages_without_credentials__are_not_heard(hearer):
    with socket_to(hearer) as socket, pytest.raises(ConnectionClosed) as caught:
        for _ in range(20):
            socket.send('{"type":"subscribe","service":"shop"}')
        socket.recv(timeout=20)

    assert caught.value.rcvd.code == 4401


@pytest.mark.parametrize("query", ["access_token={raw}", "q={raw}", "api_key=x"])
def test_stream__credentials_in_the_address__are_refused(served, hearer, query):
    headers = {"Authorization": f"Bearer {served.raw}"}

    answer = httpx.get(f"{hearer.url}/stream?{query.format(raw=served.raw)}", headers=headers)

    assert answer.status_code == 401


def test_epoch__in_capitals__is_the_same_epoch(served, writer, hearer):
    made = publish(writer, f"case {time.time()}")
    epoch = httpx.get(f"{hearer.url}/readyz").json()["epoch"].upper()

    stream = Stream(hearer, served.raw, f"environment=production&after={epoch}-{made['revision']}")
    time.sleep(0.2)

    assert "resync" not in [kind for kind, _data, _id in stream.events]


@pytest.mark.servers(database=pytest.long_form)
def test_server__stopped_with_open_streams__ends_them_first(served):
    """On an installation of its own, for it is stopped."""
    with installation() as made:
        server = made.start()
        with server.client(made.raw) as client:
            client.post("/services", json={"slug": "shop"})
            publish(client, 1)
        stream = Stream(server, made.raw, "service=shop&environment=production")
        started = time.monotonic()
        server.process.terminate()

        assert stream.ended.wait(20)
        assert server.process.wait(20) is not None
        took = time.monotonic() - started
        assert stream.failed is None, stream.failed
        assert "Cancel" not in server.log.read_text(), took


@pytest.mark.servers(database=pytest.long_form)
@pytest.mark.parametrize("headers", ["Content-Length: 500", "Transfer-Encoding: chunked"])
def test_body__cut_off_in_the_middle__is_not_published(served, writer, hearer, headers):
    """Half a YAML document is a YAML document too."""
    publish(writer, f"whole {time.time()}")
    before = writer.get("/config/shop?environment=production").json()
    part = b"b: 1\nc: 2\n"
    body = part if "Length" in headers else b"%x\r\n%s\r\n" % (len(part), part)
    with create_connection(("127.0.0.1", served.servers_[0].port)) as raw:
        request = (
            "POST /config/shop?environment=production&on_stale=overwrite HTTP/1.1\r\nHost: localhost"
            f"\r\nAuthorization: Bearer {served.raw}\r\nContent-Type: application/yaml\r\n{headers}"
        )
        raw.sendall(f"{request}\r\n\r\n".encode() + body)
        time.sleep(0.3)
    time.sleep(0.5)

    assert writer.get("/config/shop?environment=production").json() == before


def test_header__with_underscores__does_not_pass_for_the_one_with_hyphens(served, hearer):
    headers = {"Authorization": f"Bearer {served.raw}", "X_Config_Instance": "x" * 300}

    answer = httpx.get(f"{hearer.url}/config/shop?environment=production", headers=headers)

    assert answer.status_code == 200


def serving(server):
    """The worker processes that hold a client's connection, as Linux tells."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port, established = f":{server.port:04X}", "01"
    open_ = {
        f"socket:[{each[9]}]" for each in lines if each[1][-5:] == port and each[3] == established
    }
    parent = server.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    held = {
        pid: {target for fd in Path(f"/proc/{pid}/fd").iterdir() if (target := target_of(fd))}
        for pid in children
    }
    return [pid for pid, sockets in held.items() if sockets & open_]


def target_of(link):
    """Where a link of ``/proc`` leads; nothing where it was closed meanwhile."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


@pytest.mark.postgresql
def test_workers__two_on_postgresql__hear_every_publish_with_and_without_redis():
    with installation() as made, contextlib.ExitStack() as running:
        made.environment["REDIS_URL"] = running.enter_context(redis())
        server = made.start("--workers", "2")
        with server.client(made.raw) as client:
            client.post("/services", json={"slug": "shop"}).raise_for_status()
            streams = []
            while len(serving(server)) < 2 or len(streams) < 4:
                assert len(streams) < 100
                streams.append(Stream(server, made.raw, "service=shop&environment=production"))
            first = publish(client, "with Redis")["version"]
            for stream in streams:
                stream.version(first)

            running.close()
            second = publish(client, "without Redis")["version"]
            for stream in streams:
                stream.version(second)

    heard = [[data["version"] for data, _id in each.changed()] for each in streams]
    assert heard == [[first, second]] * len(streams)

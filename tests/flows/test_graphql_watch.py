"""Subscriptions over ``/ws/graphql``, on real servers, in the protocol graphql-transport-ws."""

import json
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.serving import installation

pytestmark = pytest.mark.servers

CHANGES = """subscription($s: [String!], $e: String, $a: String, $c: Boolean! = false) {
  changes(service: $s, environment: $e, after: $a, withConfig: $c) { kind revision position
    changed { service environment version checksum keys cause config } } }"""


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


def publish(client, config, service="shop"):
    body = {"environment": "production", "config": config, "on_stale": "overwrite"}
    answer = client.post(f"/config/{service}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


class Socket:
    """A client of the protocol."""

    def __init__(self, server, token=None, *, payload=None, begin=True, query="", **options):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"ws://127.0.0.1:{server.port}/ws/graphql{query}"
        options = {"subprotocols": ["graphql-transport-ws"], **options}
        self.opened = connect(url, additional_headers=headers, **options)
        self.socket = self.opened.__enter__()
        if begin:
            self.say(type="connection_init", **({"payload": payload} if payload else {}))
            assert self.hear() == {"type": "connection_ack"}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self.opened.__exit__(*error)

    def say(self, **message):
        self.socket.send(json.dumps(message))

    def hear(self, seconds=5):
        return json.loads(self.socket.recv(timeout=seconds))

    def watch(self, query=CHANGES, id_="1", **variables):
        payload = {"query": query, "variables": {"s": ["shop"], "e": "production", **variables}}
        self.say(type="subscribe", id=id_, payload=payload)

    def frames(self, kind, count=1):
        """So many frames of a kind, and the positions of all that came until then."""
        found = []
        while len(found) < count:
            message = self.hear()
            assert message["type"] == "next", message
            frame = message["payload"]["data"]["changes"]
            if frame["kind"] == kind:
                found.append(frame)
        return found

    def closing(self):
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                self.hear()
        return caught.value.rcvd.code


def test_changes__publish__arrives_as_in_the_other_streams(served, writer, hearer):
    with Socket(hearer, served.raw) as socket:
        socket.watch()
        socket.frames("READY")
        made = publish(writer, {"a": time.time()})
        (frame,) = socket.frames("CHANGED")

    assert frame["revision"] == made["revision"]
    (changed,) = frame["changed"]
    assert (changed["service"], changed["version"], changed["cause"]) == (
        "shop",
        made["version"],
        "publish",
    )
    assert (changed["keys"], changed["checksum"], changed["config"]) == (
        ["a"],
        made["checksum"],
        None,
    )


def test_changes__with_config__carry_the_document_with_its_digits(served, writer, hearer):
    with Socket(hearer, served.raw) as socket:
        socket.watch(c=True)
        socket.frames("READY")
        answer = writer.post(
            "/config/shop",
            content=b'{"environment":"production","config":{"a":1.10},"on_stale":"overwrite"}',
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 201
        text = socket.socket.recv(timeout=5)

    assert '"config":{"a":1.10}' in text


def test_changes__after_a_position__give_every_later_one_once_in_order(served, writer, hearer):
    with Socket(hearer, served.raw) as socket:
        socket.watch()
        (ready,) = socket.frames("READY")
        first = publish(writer, {"a": time.time()})
        socket.frames("CHANGED")
    made = [publish(writer, {"a": number + time.time()})["revision"] for number in range(3)]

    with Socket(hearer, served.raw) as socket:
        socket.watch(a=ready["position"])
        frames = socket.frames("CHANGED", 4)

    assert [each["revision"] for each in frames] == [first["revision"], *made]


def test_changes__after_another_epoch__are_told_to_resync(served, hearer):
    with Socket(hearer, served.raw) as socket:
        socket.watch(a="abcd-1")
        socket.frames("RESYNC")


def test_changes__of_hidden_keys__tell_the_watchers_view(served, writer, hearer):
    restricted = served.token("viewer:cart", "graph-restricted")
    rule = writer.post("/key-rules", json={"pattern": "hidden", "service": "cart"})
    on = {"key_rule": rule.json()["id"]}
    grant = {"to": "service-account:tester", "role": "operator", "on": on}
    assert writer.post("/grants", json=grant).status_code == 201

    with Socket(hearer, restricted) as socket:
        socket.watch(s=["cart"], c=True)
        socket.frames("READY")
        made = publish(writer, {"a": 1, "hidden": "kanarienvogel"}, "cart")
        (frame,) = socket.frames("CHANGED")

    (changed,) = frame["changed"]
    assert (changed["keys"], changed["config"]) == (["a"], {"a": 1})
    assert changed["checksum"] != made["checksum"]


REFUSED = [
    ({"s": ["none"]}, "not_found"),
    ({"s": ["cart"]}, "not_found"),
    ({"e": "mars"}, "not_found"),
    ({"a": "x"}, "invalid"),
]


@pytest.mark.parametrize(("variables", "code"), REFUSED)
def test_changes__refused__are_an_error_and_the_socket_stays(served, hearer, variables, code):
    raw = served.token("viewer:shop", f"graph-{time.time_ns()}")
    with Socket(hearer, raw) as socket:
        socket.watch(**variables)
        message = socket.hear()
        socket.watch()
        socket.frames("READY")

    assert (message["type"], message["id"]) == ("error", "1")
    assert message["payload"][0]["extensions"]["code"] == code


OPERATIONS = [
    ("{ services { edges { cursor } } }", "way"),
    ("mutation { verifyLedger }", "way"),
    ("subscription { nothing }", "invalid_query"),
    ("subscription {", "malformed"),
    ("", "malformed"),
    ("subscription { a: changes { kind } b: changes { kind } }", "invalid_query"),
    ("subscription { changes { " + "kind " * 2_500 + "} }", "limit"),
    (
        "subscription { changes { " + " ".join(f"a{n}: kind" for n in range(60)) + " } }",
        "limit",
    ),
]


@pytest.mark.parametrize(("query", "code"), OPERATIONS, ids=range(len(OPERATIONS)))
def test_operations__that_are_no_subscription_or_too_large__are_refused(
    served, hearer, query, code
):
    with Socket(hearer, served.raw) as socket:
        socket.watch(query)
        message = socket.hear()

    assert message["type"] == "error", message
    assert message["payload"][0]["extensions"]["code"] == code


def test_complete__ends_one_subscription_alone(served, writer, hearer):
    with Socket(hearer, served.raw) as socket:
        socket.watch(id_="1")
        socket.frames("READY")
        socket.watch(id_="2")
        socket.frames("READY")
        socket.say(type="complete", id="1")
        publish(writer, {"a": time.time()})
        assert socket.hear()["id"] == "2"
        socket.watch(id_="1")
        socket.frames("READY")


def test_last_right_withdrawn__ends_the_subscription_within_five_seconds(served, writer, hearer):
    raw = served.token("viewer:shop", "graph-leaver")
    with Socket(hearer, raw) as socket:
        socket.watch()
        socket.frames("READY")
        for grant in writer.get("/grants?page_size=200").json()["results"]:
            if grant["to"] == "service-account:graph-leaver":
                assert writer.delete(f"/grants/{grant['id']}").status_code == 204
        message = socket.hear()

    assert message["type"] == "error"
    assert message["payload"][0]["extensions"]["code"] == "withdrawn"


def test_withdrawn_token__closes_4401_within_five_seconds(served, writer, hearer):
    raw = served.token("viewer:shop", "graph-ended")
    with Socket(hearer, raw) as socket:
        socket.watch()
        socket.frames("READY")
        for token in writer.get("/service-accounts/graph-ended/tokens").json()["results"]:
            writer.delete(f"/service-accounts/graph-ended/tokens/{token['id']}")
        assert socket.closing() == 4401


def test_credentials__in_connection_init_or_by_ticket__are_taken(served, writer, hearer):
    ticket = writer.post("/stream/tickets", json={}).json()["ticket"]

    for options in (
        {"payload": {"Authorization": f"Bearer {served.raw}"}},
        {"query": f"?ticket={ticket}"},
    ):
        with Socket(hearer, **options) as socket:
            socket.watch()
            socket.frames("READY")


HANDSHAKES = [
    (4401, [{"type": "connection_init"}]),
    (4401, [{"type": "connection_init", "payload": {"authorization": "Bearer csk_none"}}]),
    (4401, [{"type": "connection_init", "payload": {"authorization": "Basic x"}}]),
    (4401, [{"type": "subscribe", "id": "1", "payload": {"query": CHANGES}}]),
    (4400, [{"type": "nothing"}]),
    (4400, [{"type": "subscribe", "payload": {"query": CHANGES}}]),
    (4400, [{"type": "connection_init", "payload": []}]),
    (4400, [[]]),
    (4400, ["x"]),
]


@pytest.mark.parametrize(("code", "messages"), HANDSHAKES, ids=range(len(HANDSHAKES)))
def test_handshakes__that_are_none__close_with_the_protocols_codes(hearer, code, messages):
    with Socket(hearer, begin=False) as socket:
        for message in messages:
            socket.socket.send(json.dumps(message))
        assert socket.closing() == code


def test_messages__against_the_protocol__close_with_its_codes(served, hearer):
    with Socket(hearer, served.raw) as socket:
        socket.say(type="ping")
        assert socket.hear() == {"type": "pong"}
        socket.say(type="connection_init")
        assert socket.closing() == 4429
    with Socket(hearer, served.raw) as socket:
        socket.watch()
        socket.watch()
        assert socket.closing() == 4409
    with Socket(hearer, served.raw) as socket:
        socket.socket.send('{"type":')
        assert socket.closing() == 4400
    with Socket(hearer, served.raw) as socket:
        socket.socket.send("x" * 70_000)
        assert socket.closing() == 1009
    with Socket(hearer, begin=False, subprotocols=None) as socket:
        assert socket.closing() == 4406


def test_subscriptions__more_than_a_hundred__are_refused_one_by_one(served, hearer):
    with Socket(hearer, served.raw) as socket:
        for number in range(101):
            socket.watch(id_=f"{number}")
        kinds = {}
        while len(kinds) < 101:
            message = socket.hear()
            kinds[message["id"]] = message["type"]

    assert sorted(kinds.values()) == ["error", *["next"] * 100]


def test_session_cookie__of_a_page_elsewhere__is_no_credential(served, hearer):
    with Socket(hearer, begin=False, origin="http://elsewhere.example") as socket:
        socket.say(type="connection_init")
        assert socket.closing() == 4401

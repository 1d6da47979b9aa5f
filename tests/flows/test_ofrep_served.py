"""What rollouts decide, through real servers: OFREP with the path before Django, OpenFeature's own
client, events and other origins; and experiments.
"""

import json
import threading
import time

import httpx
import pytest
from httpx_sse import connect_sse
from openfeature import api as openfeature
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

from tests.serving import installation

pytestmark = pytest.mark.servers

EVALUATE = "/services/shop/ofrep/v1/evaluate/flags"
FLAGS = {
    "search": True,
    "gone": {"enabled": False, "variants": ["a"]},
    "ratio": {"enabled": True, "type": "float", "variants": {"low": 3}},
    "limit": {"enabled": True, "variants": {"few": 3}},
    "title": {"enabled": True, "variants": ["Hello"]},
    "page": {"enabled": True, "variants": {"old": {"id": 1}}},
    "half": {"enabled": True, "share": 50},
    "half/": {"enabled": True, "variants": ["slash"]},
    "/": {"enabled": True, "variants": ["root"]},
    "team/banner": {
        "enabled": True,
        "rules": [{"when": {"country": ["DE"]}, "variant": "on"}, {"variant": "off"}],
    },
}
ORIGIN = "https://page.example"


@pytest.fixture(scope="module")
def served():
    """One server on SQLite; two on PostgreSQL with Redis: written on the first, asked on the last."""
    with installation() as made:
        made.environment["CONFIGSVC_FLAG_ORIGINS"] = ORIGIN
        made.servers_ = [made.start()]
        if made.is_postgres:
            made.servers_.append(made.start())
        with made.servers_[0].client(made.raw) as client:
            assert client.post("/services", json={"slug": "shop"}).status_code == 201
            section = {"key": "flags", "type": "feature_flags"}
            assert client.post("/services/shop/sections", json=section).status_code == 201
            publish(client, FLAGS)
        made.reader = made.token("consumer:shop", "page")
        yield made
        for server in made.servers_:
            assert "Traceback" not in server.log.read_text(), server.log.read_text()


@pytest.fixture
def writer(served):
    with served.servers_[0].client(served.raw) as client:
        yield client


@pytest.fixture
def reader(served):
    with served.servers_[-1].client(served.reader) as client:
        yield client


def publish(client, flags, **more):
    body = {
        "environment": "production",
        "config": {"flags": flags, **more},
        "on_stale": "overwrite",
    }
    answer = client.post("/config/shop", json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def evaluate(client, key="", context=None, **options):
    address = f"{EVALUATE}/{key}" if key else EVALUATE
    return client.post(address, json={"context": context or {}}, **options)


def without_tickets(answer):
    members = answer.json()
    for stream in members.get("eventStreams", ()):
        stream["url"] = stream["url"].partition("ticket=")[0]
    return members


ASKED = [
    ("", {}),
    ("", {"targetingKey": "u1", "country": "DE"}),
    *((key, {"targetingKey": "u7"}) for key in FLAGS),
    ("half", {}),
    ("nothing", {}),
    ("team/banner", {"country": "DE"}),
    ("search", {"targetingKey": 5}),
]


@pytest.mark.servers(database=pytest.long_form)
@pytest.mark.parametrize(("key", "context"), ASKED)
def test_path_before_django__answers_as_the_views_do(served, reader, key, context):
    """A parameter that it does not know sends a request on to the views."""
    fast = evaluate(reader, key, context)
    slow = evaluate(reader, key, context, params={"through": "django"})

    assert fast.status_code == slow.status_code
    assert without_tickets(fast) == without_tickets(slow)
    for name in ("content-type", "etag", "cache-control", "vary"):
        assert fast.headers.get(name) == slow.headers.get(name), name
    for known in (fast.headers.get("etag", ""), f"W/{fast.headers.get('etag')}", "*", '"x"'):
        told = [
            evaluate(reader, key, context, headers={"If-None-Match": known}, params=more)
            for more in ({}, {"through": "django"})
        ]
        assert [each.status_code for each in told] == [told[0].status_code] * 2, known
        if "etag" in fast.headers and known != '"x"':
            assert told[0].status_code == 304


@pytest.mark.parametrize(
    "address",
    [
        "/services/sh%00op/ofrep/v1/evaluate/flags",
        f"{EVALUATE}/sea%00rch",
        f"{EVALUATE}?environment=%00",
        f"{EVALUATE}?environment=%ff",
        f"{EVALUATE}?flagConfigEtag=csk_x",
        "/ofrep/v1/events?ticket=%00",
    ],
)
def test_odd_address__is_a_4xx_problem(reader, address):
    answer = reader.get(address) if "events" in address else reader.post(address, json={})

    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"


def test_token__without_its_scheme__is_refused_as_elsewhere(served, reader):
    for scheme, status in (("Bearer ", 200), ("bearer ", 200), ("", 401), ("Basic ", 401)):
        answer = evaluate(reader, "search", headers={"Authorization": f"{scheme}{served.reader}"})
        assert answer.status_code == status, scheme


def test_path_before_django__a_publish_and_a_withdrawn_right__are_seen(served, writer, reader):
    assert evaluate(reader, "search").json()["value"] is True
    made = publish(writer, {**FLAGS, "search": {"enabled": True, "default": "off"}})
    event = f'"{reader.get("/config/shop").headers["x-config-epoch"]}-{made["revision"]}"'

    moved = evaluate(reader, "search", params={"flagConfigEtag": event}).json()
    assert moved["value"] is False

    token = served.token("consumer:shop", "leaves")
    with served.servers_[-1].client(token) as leaver:
        assert evaluate(leaver, "search").status_code == 200
        grant = next(
            each
            for each in writer.get("/grants?page_size=200").json()["results"]
            if each["to"] == "service-account:leaves"
        )
        assert writer.delete(f"/grants/{grant['id']}").status_code == 204
        wait_for(lambda: evaluate(leaver, "search").status_code != 200)
        refused = evaluate(leaver, "search")
    assert refused.status_code == 404
    assert refused.json()["errorCode"] == "GENERAL"
    publish(writer, FLAGS)


@pytest.mark.servers(database=pytest.long_form)
def test_openfeature_client__each_type__is_resolved(served):
    provider = OFREPProvider(
        f"{served.servers_[-1].url}/services/shop",
        headers_factory=lambda: {"Authorization": f"Bearer {served.reader}"},
    )
    openfeature.set_provider(provider, domain="shop")
    client = openfeature.get_client(domain="shop")
    unit = EvaluationContext("u1", {"country": "DE"})

    assert client.get_boolean_value("search", False) is True
    assert client.get_string_value("title", "") == "Hello"
    assert client.get_integer_value("limit", 0) == 3
    assert client.get_float_value("ratio", 0.0) == 3.0
    assert client.get_object_value("page", {}) == {"id": 1}
    assert client.get_boolean_value("team/banner", False, unit) is True

    details = client.get_boolean_details("half", False, unit)
    assert (details.reason, details.error_code) == ("SPLIT", None)
    assert client.get_boolean_details("half", True).error_code == "TARGETING_KEY_MISSING"
    assert client.get_boolean_details("nothing", True).error_code == "FLAG_NOT_FOUND"
    gone = client.get_string_details("gone", "mine")
    assert (gone.value, gone.reason, gone.error_code) == ("mine", "DISABLED", None)
    assert client.get_integer_details("ratio", 1).error_code == "TYPE_MISMATCH"


class Events(threading.Thread):
    """Hears an event stream's messages until closed."""

    def __init__(self, url, **headers):
        super().__init__(daemon=True)
        self.heard, self.ended, self.status = [], threading.Event(), None
        self.url, self.headers = url, headers
        self.start()

    def run(self):
        try:
            with (
                httpx.Client(timeout=30) as client,
                connect_sse(client, "GET", self.url, headers=self.headers) as source,
            ):
                self.status = source.response.status_code
                for event in source.iter_sse():
                    if event.data:  # else it moves the position alone
                        self.heard.append((event.event, json.loads(event.data), event.id))
        except httpx.HTTPError:
            pass
        finally:
            self.ended.set()

    def until(self, count, seconds=20):
        ends = time.monotonic() + seconds
        while len(self.heard) < count and time.monotonic() < ends:
            time.sleep(0.01)
        return self.heard


def test_events__a_flag_that_changed__is_told_and_other_keys_are_not(writer, reader):
    url = evaluate(reader).json()["eventStreams"][0]["url"]
    assert evaluate(reader, context={"x": 1}).json()["eventStreams"][0]["url"] == url
    stream = Events(url)
    (first,) = stream.until(1)

    publish(writer, FLAGS, other=time.time())
    made = publish(writer, {**FLAGS, "search": False})
    heard = stream.until(2)

    assert [each[0] for each in heard] == ["message", "message"]
    assert first[1]["type"] == "refetchEvaluation"
    assert heard[1][1]["etag"] == f'"{heard[1][2]}"'
    assert heard[1][2].endswith(f"-{made['revision']}")
    assert isinstance(heard[1][1]["lastModified"], int)

    publish(writer, FLAGS)
    resumed = Events(url, **{"Last-Event-ID": heard[1][2]})
    assert len(resumed.until(1)) == 1
    assert resumed.heard[0][2] != heard[1][2]


@pytest.mark.servers(database=pytest.long_form)
def test_events__a_section_of_flags_that_is_made_later__is_told(writer, reader):
    publish(writer, FLAGS, later={"banner": True})
    url = evaluate(reader).json()["eventStreams"][0]["url"]
    stream = Events(url)
    assert len(stream.until(1)) == 1
    section = {"key": "later", "type": "feature_flags"}

    assert evaluate(reader, "banner").status_code == 404
    assert writer.post("/services/shop/sections", json=section).status_code == 201
    assert len(stream.until(2)) == 2
    assert evaluate(reader, "banner").json()["value"] is True

    publish(writer, FLAGS, later={"banner": False})
    assert len(stream.until(3)) == 3
    assert writer.delete("/services/shop/sections/later").status_code == 204
    assert len(stream.until(4)) == 4
    resumed = Events(url, **{"Last-Event-ID": stream.heard[2][2]})
    assert len(resumed.until(1)) == 1


def withdraw_token(writer, account):
    (row,) = writer.get(f"/service-accounts/{account}/tokens").json()["results"]
    return writer.delete(f"/service-accounts/{account}/tokens/{row['id']}")


def withdraw_grant(writer, account):
    rows = writer.get("/grants?page_size=200").json()["results"]
    (row,) = [each for each in rows if each["to"] == f"service-account:{account}"]
    return writer.delete(f"/grants/{row['id']}")


@pytest.mark.parametrize(("withdraw", "status"), [(withdraw_token, 401), (withdraw_grant, 404)])
def test_events__a_withdrawn_token_or_right__ends_the_stream(served, writer, withdraw, status):
    account = f"hears-{status}"
    token = served.token("consumer:shop", account)
    with served.servers_[-1].client(token) as client:
        url = evaluate(client).json()["eventStreams"][0]["url"]
    stream = Events(url)
    stream.until(1)

    assert withdraw(writer, account).status_code == 204
    assert stream.ended.wait(20)
    assert httpx.get(url).status_code == status

    publish(writer, {**FLAGS, "search": False})
    publish(writer, FLAGS)
    assert len(stream.heard) == 1


def test_other_origins__that_are_named__may_read_and_no_others(served, reader):
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    shown = {}
    for origin in (ORIGIN, "https://evil.example"):
        asked = reader.options(EVALUATE, headers={**preflight, "Origin": origin})
        answer = evaluate(reader, headers={"Origin": origin})
        refused = evaluate(reader, "nothing", headers={"Origin": origin})
        elsewhere = reader.get("/config/shop", headers={"Origin": origin})
        shown[origin] = [
            each.headers.get("access-control-allow-origin")
            for each in (asked, answer, refused, elsewhere)
        ]

    assert shown == {ORIGIN: [ORIGIN] * 3 + [None], "https://evil.example": [None] * 4}
    assert asked.status_code == 204
    named = evaluate(reader, headers={"Origin": ORIGIN}).headers
    assert "ETag" in named["access-control-expose-headers"]
    assert "Origin" in named["vary"]


def test_foreign_host__is_refused_as_elsewhere(served, reader):
    answer = evaluate(reader, headers={"Host": "elsewhere.example"})

    assert answer.status_code == 400
    assert "elsewhere" not in answer.text


def test_experiment__started_on_one_node__is_heard_and_served_on_the_other(served, writer, reader):
    publish(writer, FLAGS, settings={"steps": 3})
    variants = [  # whoever asks is in b, but for one of a million
        {"name": "a", "weight": 0.001},
        {"name": "b", "weight": 1_000, "patch": {"settings": {"steps": 1}}},
    ]
    made = writer.post(
        "/experiments",
        json={
            "service": "shop",
            "environment": "production",
            "name": "steps",
            "variants": variants,
            "metrics": [{"name": "paid"}],
        },
    )
    address = f"/experiments/{made.json()['id']}"
    stream = "/stream?service=shop&environment=production&include=config&unit=u7"
    with connect_sse(reader, "GET", stream) as opened:
        events = opened.iter_sse()
        assert next(events).event == "ready"
        assert writer.post(f"{address}/start").status_code == 200
        told = json.loads(next(each for each in events if each.event == "changed").data)
    revision = f"{told['epoch']}-{told['revision']}"

    def steps(unit):
        where = f"/config/shop?environment=production&min_revision={revision}"
        return reader.get(where, headers={"X-Config-Unit": unit}).json()

    answers = [steps(f"u{n}") for n in range(20)]

    assert (told["cause"], told["keys"]) == ("experiment", ["settings.steps"])
    assert (told["config"], told["checksum"]) == (answers[7]["config"], answers[7]["checksum"])
    assert {each["config"]["settings"]["steps"] for each in answers} == {1}
    batch = {"outcomes": [{"unit": "u0", "metric": "paid"}]}
    assert reader.post(f"{address}/outcomes", json=batch).json() == {"recorded": 1}
    wait_for(lambda: sum(writer.get(f"{address}/results").json()["units"].values()) == 20)
    assert writer.post(f"{address}/publish", json={"variant": "b"}).status_code == 201


def wait_for(holds, within=20):
    ends = time.monotonic() + within
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.1)

"""What local processes hear of the agent: the contract's streams, over one stream upstream."""

import contextlib
import json
import threading

import httpx
import pytest

from configsvc_agent import streaming
from configsvc_agent.streaming import News, Reader
from configsvc_client.events import EventReader, Position
from tests.agent.conftest import TOKEN
from tests.agent.test_fetching import wait_until

SERVED = {"Authorization": f"Bearer {TOKEN}"}


class Heard:
    """A stream of the agent's, read in a thread: ``events`` so far."""

    def __init__(self, url, query="", **headers):
        self.events = []
        self.ended = threading.Event()
        self._client = httpx.Client(timeout=60, headers={**SERVED, **headers})
        self._address = f"{url}/stream{query}"
        threading.Thread(target=self._read, daemon=True).start()
        wait_until(lambda: self.events or self.ended.is_set())

    def _read(self):
        reader = EventReader()
        with (
            contextlib.suppress(httpx.HTTPError, RuntimeError),
            self._client.stream("GET", self._address) as answer,
        ):
            assert answer.status_code == 200
            assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            for piece in answer.iter_raw():
                self.events += reader.feed(piece)
                self.retry = reader.retry
        self.ended.set()

    def of(self, kind):
        return [each for each in self.events if each.kind == kind]

    def changed(self):
        return [json.loads(each.data)["revision"] for each in self.of("changed")]

    def resyncs(self):
        return [json.loads(each.data) for each in self.of("resync")]

    def close(self):
        self._client.close()


@pytest.fixture
def agent(serve, server):
    """One whose stream is open."""
    made = serve()
    server.wait_for("/stream")
    server.wait_for("/config/cart", 2)  # it has looked once
    return made


@pytest.fixture
def listen(agent):
    heard = []

    def listen(query="", **headers):
        heard.append(Heard(agent.url, query, **headers))
        return heard[-1]

    yield listen
    for each in heard:
        each.close()


def test_publish__many_listen__all_hear_of_it_over_one_stream(server, listen):
    several = [listen(), listen("?service=CHECKOUT&environment=production"), listen()]

    server.publish({"settings": {"timeout": 2}}, messages=3)

    for each in several:
        wait_until(lambda each=each: len(each.changed()) == 3)
        ready, *_others = each.events
        assert (ready.kind, json.loads(ready.data)) == ("ready", {"epoch": "e1", "revision": 1})
        assert 1 <= each.retry <= 4
        assert [found.id for found in each.of("changed")] == ["", "", "e1-2"]
        assert each.changed() == [2, 2, 2]
        told = json.loads(each.of("changed")[1].data)
        assert told == {"type": "changed", "service": "checkout", "revision": 2, "number": 1}
    assert server.count("/stream") == 1


def test_changed__that_is_heard__is_fetched_already(server, agent, listen):
    heard = listen()

    server.publish({"settings": {"timeout": 2}})
    wait_until(heard.changed)

    fetched = httpx.get(f"{agent.url}/config/checkout", headers=SERVED)
    assert fetched.json()["config"] == {"settings": {"timeout": 2}}


def test_services__others__are_not_told(server, listen):
    cart, everything = listen("?service=cart&environment=*"), listen()

    server.publish({"a": 1})
    wait_until(everything.changed)
    server.moved_service = "cart"
    server.publish({"a": 2})

    wait_until(lambda: cart.changed() and len(everything.changed()) == 2)
    assert cart.changed() == [3]
    assert everything.changed() == [2, 3]


@pytest.mark.parametrize("how", ["header", "query"])
def test_stream__that_was_cut__goes_on_after_its_last_id(server, listen, how):
    first = listen()
    server.publish({"a": 1})
    wait_until(first.changed)
    first.close()
    for number in (2, 3):
        server.publish({"a": number})
    waiting = listen()
    wait_until(lambda: json.loads(waiting.events[0].data)["revision"] == 4 or waiting.changed())

    last = first.of("changed")[-1].id
    again = listen(**{"Last-Event-ID": last}) if how == "header" else listen(f"?after={last}")

    wait_until(lambda: len(again.changed()) == 2)
    assert json.loads(again.events[0].data) == {"epoch": "e1", "revision": 2}
    assert [each.id for each in again.of("changed")] == ["e1-3", "e1-4"]
    assert again.resyncs() == []
    server.publish({"a": 4})
    wait_until(lambda: again.changed() == [3, 4, 5])


@pytest.mark.parametrize("after", ["e0-1", "e1-99", "99", "e1-0"])
def test_stream__after_what_is_not_known__is_a_resync(server, listen, after, monkeypatch):
    monkeypatch.setattr(streaming, "CATCH_UP", 0.1)
    heard = listen(**{"Last-Event-ID": after})

    wait_until(heard.resyncs)

    assert [each.kind for each in heard.events[:2]] == ["ready", "resync"]
    assert heard.resyncs() == [{"epoch": "e1", "revision": 1}]
    server.publish({"a": 1})
    wait_until(lambda: heard.changed() == [2])


def test_server__away_and_back__is_heard_of_on_the_same_stream(server, listen):
    heard = listen()
    server.publish({"a": 1})
    wait_until(heard.changed)
    opened = server.count("/stream")

    server.stop()
    for number in (2, 3):
        server.publish({"a": number})
    server.start()

    wait_until(lambda: len(heard.changed()) == 3)
    assert heard.changed() == [2, 3, 4]
    assert (heard.resyncs(), heard.ended.is_set()) == ([], False)
    assert server.count("/stream") > opened


def test_server__of_another_epoch__is_a_resync(server, listen):
    heard = listen()
    server.publish({"a": 1})
    wait_until(heard.changed)

    server.restore("e2", {"a": 0}, version=1)

    revision = server.revision
    wait_until(
        lambda: (
            [(each["epoch"], each["revision"]) for each in heard.resyncs()][-1:]
            == [("e2", revision)]
        )
    )
    server.publish({"a": 9})
    wait_until(lambda: heard.changed() == [2, revision + 1])
    assert heard.of("changed")[-1].id == f"e2-{revision + 1}"


def test_server__without_streams__what_polls_find_is_a_resync(server, serve):
    server.refuse["/stream"] = (404, {}, b"{}")
    heard = Heard(serve().url)

    server.publish({"a": 1})

    wait_until(lambda: heard.resyncs() and heard.resyncs()[-1]["revision"] == 2)
    assert heard.changed() == []
    heard.close()


def test_refusal_of_one_service__the_others_are_told_all_the_same(server, listen):
    heard = listen("?service=checkout")
    server.refuse["/config/cart"] = (403, {}, b"{}")
    server.moved_service = "unknown"  # about both

    server.publish({"a": 1})

    wait_until(heard.resyncs)
    del server.refuse["/config/cart"]
    server.moved_service = "checkout"
    server.publish({"a": 2})
    wait_until(lambda: 3 in heard.changed())


def test_stream__with_config__brings_what_is_live(server, listen):
    server.publish({"a": 1})
    heard, plain = listen("?include=config"), listen()
    server.versions_in_messages = True

    server.publish({"a": 2.50})

    for each in (heard, plain):  # which may hear of what was published before, too
        wait_until(lambda each=each: each.changed()[-1:] == [3])
    assert json.loads(heard.of("changed")[-1].data)["config"] == {"a": 2.5}
    assert "config" not in json.loads(plain.of("changed")[-1].data)


def test_bookmark__nothing_happens__says_how_far_one_is(listen, monkeypatch):
    monkeypatch.setattr(streaming, "BOOKMARK_EVERY", 0.1)
    heard = listen()

    wait_until(lambda: len(heard.of("")) >= 2)

    assert {each.id for each in heard.of("")} == {"e1-1"}


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?service=other", 404, "not_found"),
        ("?service=checkout&service=other", 404, "not_found"),
        ("?environment=staging", 404, "not_found"),
        ("?unit=ada", 400, "no_units"),
        ("?at=5", 400, "live_only"),
        ("?include=secrets", 422, "invalid"),
        ("?after=x", 400, "malformed"),
    ],
)
def test_stream__of_what_it_has_not__is_a_problem(agent, query, status, code):
    answer = httpx.get(f"{agent.url}/stream{query}", headers=SERVED)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_stream__without_the_local_token__is_refused(server, agent):
    for headers in ({}, {"Authorization": f"Bearer {server.token}"}):
        assert httpx.get(f"{agent.url}/stream", headers=headers).status_code == 401


def test_streams__more_than_the_limit__are_503_and_come_free_again(agent, listen, monkeypatch):
    monkeypatch.setattr("configsvc_agent.serving.MOST_STREAMS", 1)
    monkeypatch.setattr(streaming, "BOOKMARK_EVERY", 0.1)
    held = listen()

    answer = httpx.get(f"{agent.url}/stream", headers=SERVED)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert httpx.head(f"{agent.url}/config/cart", headers=SERVED).status_code == 200

    held.close()
    wait_until(lambda: agent.upstream.news.readers == 0)


def test_local_token__replaced__ends_the_streams_that_it_opened(serve, server, monkeypatch):
    monkeypatch.setattr(streaming, "LOOK_EVERY", 0.1)
    tokens = [TOKEN]
    heard = Heard(serve(token=lambda: tokens[-1]).url)

    tokens.append("csl_next")

    assert heard.ended.wait(20)


def test_agent__that_ends__ends_its_streams(agent, listen):
    heard = listen()

    agent.upstream.close()

    assert heard.ended.wait(20)


def test_python_client__pointed_at_the_agent__hears_by_a_stream(server, agent, connect):
    config = connect(url=agent.url, token=TOKEN)
    config.start()
    wait_until(lambda: agent.upstream.news.readers == 1)

    for number in range(3):
        server.publish({"settings": {"timeout": number}})
        wait_until(lambda number=number: config.get("settings.timeout") == number)

    assert agent.upstream.news.readers == 1
    assert server.count("/stream") == 1


# -- the news themselves -----------------------------------------------------------------------


def test_news__more_than_is_kept__leave_a_slow_reader_a_resync(monkeypatch):
    monkeypatch.setattr(streaming, "KEPT_BYTES", 500)
    news = News(Position("e1", 1))
    pieces = Reader(news, frozenset({"a"})).read(None, lambda: None)
    assert b"event: ready" in next(pieces)

    for revision in (2, 3, 4):
        news.tell(Position("e1", revision), ['{"service":"a"}'])
    assert b"event: resync" in next(pieces)

    news.tell(Position("e1", 5), ['{"service":"a"}'])
    assert next(pieces) == b'id: e1-5\nevent: changed\ndata: {"service":"a"}\n\n'
    pieces.close()
    assert news.readers == 0

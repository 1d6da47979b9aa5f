"""What a process tells Prometheus: parsed as Prometheus would, beside what really happened."""

import os

import pytest
from asgiref.sync import sync_to_async
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as read_text

from apps.delivery import http, metrics
from apps.delivery.watch import Interest, watch
from tests.conftest import Api
from tests.delivery.asgi_client import Asgi
from tests.delivery.test_away import HERE, Database
from tests.delivery.test_hot import SYSTEM, bearer, create_service, publish, run, token_of

pytestmark = pytest.mark.django_db(transaction=True)

METRICS = "/metrics"
OPEN = "application/openmetrics-text"
ACCEPTED = [
    ("", "text/plain; version=0.0.4; charset=utf-8", read_text),
    ("*/*", "text/plain; version=0.0.4; charset=utf-8", read_text),
    (f"{OPEN};version=nonsense", f"{OPEN}; version=1.0.0; charset=utf-8", read_openmetrics),
    (
        f"{OPEN};version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.1",
        f"{OPEN}; version=1.0.0; charset=utf-8",
        read_openmetrics,
    ),
]


@pytest.fixture
def raw(transactional_db):
    """The token of somebody without any right; the shop's live configuration is ``{"a": 1}``."""
    metrics._known.clear()
    create_service(actor=SYSTEM, slug="shop")
    publish(config={"a": 1})
    return token_of("scraper")[1]


@pytest.fixture
def database(monkeypatch):
    return Database(monkeypatch)


class NoViews(Asgi):
    """Django without its database, which refuses whom it cannot look up."""

    def __init__(self):
        super().__init__()
        self.behind = http.Delivery(self._refuse)

    async def _refuse(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def samples(answer, read=read_text):
    """The values by name, and by name and source where there is one."""
    found = {}
    for family in read(answer.body.decode()):
        for each in family.samples:
            assert each.labels["worker"] == str(os.getpid()), each
            found[each.name, each.labels.get("source")] = each.value
    return {name if source is None else (name, source): v for (name, source), v in found.items()}


async def scraped(asgi, raw, *headers):
    answer = await asgi.get_from_django(METRICS, [bearer(raw), *headers])
    assert answer.status == 200, answer.body
    return samples(answer)


@pytest.mark.parametrize(("accept", "content_type", "read"), ACCEPTED)
def test_metrics__by_accept__are_one_of_the_formats(raw, accept, content_type, read):
    async def scenario(asgi, feed):
        answer = await asgi.get_from_django(METRICS, [bearer(raw), ("accept", accept)])

        assert answer.header(b"content-type").decode() == content_type
        assert answer.header(b"cache-control") == b"no-store"
        found = samples(answer, read)
        assert found["configsvc_ledger_revision"] == feed.revision
        assert 0 <= found["configsvc_ledger_read_age_seconds"] < 60
        assert found["configsvc_memory_bytes"] == feed.memory.size
        assert (found["configsvc_database_away"], found["configsvc_sealed"]) == (0, 0)
        for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "python_info"):
            assert found[name] > 0
        assert found["process_open_fds"] > 0
        text = answer.body.decode()
        assert f'configsvc_ledger_info{{epoch="{feed.epoch}"' in text
        assert not any(word in text for word in ("shop", "scraper", raw, "production"))

    run(scenario)


def test_metrics__after_a_publish__have_its_revision(raw):
    async def scenario(asgi, feed):
        before = await scraped(asgi, raw)

        published = await sync_to_async(publish)(config={"a": 2})
        assert await feed.reached(published.revision, 20)

        after = await scraped(asgi, raw)
        assert after["configsvc_ledger_revision"] == published.revision
        assert published.revision > before["configsvc_ledger_revision"]

    run(scenario)


def test_answers__from_memory_and_of_django__are_counted_apart(raw):
    _token, viewer = token_of("viewer", role="viewer")

    async def scenario(asgi, _feed):
        before = await scraped(asgi, raw)
        for _again in range(3):
            await asgi.get(HERE, [bearer(viewer)])
        after = await scraped(asgi, raw)

        def more(source):
            name = "configsvc_answers_total"
            return after[name, source] - before[name, source]

        assert (more("memory"), more("django")) == (2, 2)  # the first one, and the second scrape
        assert after["configsvc_memory_entries"] > before["configsvc_memory_entries"]

    run(scenario)


def test_watchers__open_resynced_and_too_slow__are_counted(raw):
    async def scenario(asgi, feed):
        async def publish_and_read(number):
            published = await sync_to_async(publish)(config={"a": number})
            assert await feed.reached(published.revision, 20)

        feed._queue_limit = 1
        slow, stuck = (watch(feed, SYSTEM, Interest()) for _each in range(2))
        for each in (slow, stuck):
            assert (await anext(each)).kind == "ready"
        assert (await scraped(asgi, raw))["configsvc_watchers"] == 2

        for number in (10, 11):
            await publish_and_read(number)
        assert (await anext(slow)).kind == "resync"
        for number in (12, 13):
            await publish_and_read(number)

        found = await scraped(asgi, raw)
        assert found["configsvc_resyncs_total"] == 1
        assert found["configsvc_slow_watchers_closed_total"] == 1
        for each in (slow, stuck):
            await each.aclose()
        assert (await scraped(asgi, raw))["configsvc_watchers"] == 0

    run(scenario)


def test_metrics__without_credentials__are_401(raw):
    async def scenario(asgi, _feed):
        for headers in ([], [bearer("csk_nobody")]):
            answer = await asgi.get_from_django(METRICS, headers)
            assert (answer.status, answer.header(b"www-authenticate")) == (401, b"Bearer")

    run(scenario)


def test_metrics__of_a_session__are_there_without_any_feed(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("ada", is_staff=True))

    text = client.get(METRICS).content.decode()

    assert "configsvc_sealed" in text
    assert "configsvc_ledger_revision" not in text
    assert Api().get(METRICS).status_code == 401


def test_database__away__is_said_to_who_was_answered_before(raw, database):
    _token, other = token_of("other")

    async def scenario(asgi, feed):
        before = await scraped(asgi, raw)
        await database.lose(feed)
        away = NoViews()

        answer = await away.get_from_django(METRICS, [bearer(raw)])
        found = samples(answer)

        assert (answer.status, int(answer.header(b"x-config-stale")) > 0) == (200, True)
        assert found["configsvc_database_away"] == 1
        assert found["configsvc_ledger_read_age_seconds"] > 0
        assert found["configsvc_ledger_revision"] == before["configsvc_ledger_revision"]
        assert "configsvc_sealed" not in found
        for headers in ([], [bearer(other)], [bearer("csk_nobody")]):
            assert (await away.get_from_django(METRICS, headers)).status == 503

        await database.find(feed)
        assert (await scraped(asgi, raw))["configsvc_database_away"] == 0
        assert (await away.get_from_django(METRICS, [bearer(raw)])).status == 503

    run(scenario)


@pytest.mark.parametrize("what", ["hour", "rights", "clock"])
def test_database__away_for_an_hour_or_rights_over__is_for_django(raw, database, monkeypatch, what):
    async def scenario(asgi, feed):
        await scraped(asgi, raw)
        await database.lose(feed)
        away = NoViews()
        assert (await away.get_from_django(METRICS, [bearer(raw)])).status == 200

        if what == "hour":
            feed._looked_at -= 3_600
        elif what == "rights":
            feed.generation += 1
        else:
            known = next(iter(metrics._known))
            metrics._known[known] = metrics._Known(feed.epoch, feed.generation, 1.0)

        assert (await away.get_from_django(METRICS, [bearer(raw)])).status == 503

    run(scenario)

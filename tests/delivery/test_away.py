"""While the database is away a process gives what it holds, marked and for a time."""

import asyncio
import json
import time
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from apps.access import services
from apps.access.models import Token
from apps.access.policy import EVERYWHERE
from apps.configs.services.places import create_service
from apps.core import clock
from apps.delivery import feed as feeds
from apps.delivery import reads
from apps.delivery.between import hear_others, layer_between_processes
from apps.delivery.hot import Hot
from apps.delivery.models import ReadCount
from tests.delivery.test_hot import SYSTEM, asked, bearer, publish, run, same, token_of

pytestmark = pytest.mark.django_db(transaction=True)

HERE = "/config/shop"
STALE = b"x-config-stale"
ENOUGH = 20


@pytest.fixture
def raw(transactional_db):
    """The token of somebody who reads the shop, whose live configuration is ``{"a": 1}``."""
    create_service(actor=SYSTEM, slug="shop")
    publish(config={"a": 1})
    _token, raw = token_of("viewer", role="viewer")
    return raw


@pytest.fixture
def database(monkeypatch):
    """``lose`` and ``find`` what the feed looks at; Django's views have it all the time."""
    return Database(monkeypatch)


class Database:
    def __init__(self, monkeypatch):
        self.patch = monkeypatch
        self.read = feeds._read_position
        self.waits = []  # whether this process waits for it, as it was told
        for name in ("stop_waiting", "bound_waiting"):
            told = name == "bound_waiting"
            self.patch.setattr(
                f"apps.delivery.feed.{name}", lambda told=told: self.waits.append(told)
            )
        self.patch.setattr("apps.delivery.hot.CATCH_UP_WITHIN", ENOUGH)
        self.patch.setattr("apps.delivery.feed.CURRENT_FOR", 60)

    async def lose(self, feed, *, takes_connections=False):
        async def refuse():
            self.asked += 1
            raise OperationalError("the connection is lost")

        self.asked = 0
        self.patch.setattr("apps.delivery.feed._read_position", refuse)
        self.patch.setattr("apps.delivery.feed.takes_connections", lambda: takes_connections)
        self.patch.setattr("apps.delivery.feed.CURRENT_FOR", 0.0)
        await until(lambda: feed._wake.set() or self.asked)
        if not takes_connections:
            await until(lambda: feed.is_away)

    async def find(self, feed):
        self.patch.setattr("apps.delivery.feed._read_position", self.read)
        self.patch.setattr("apps.delivery.feed.takes_connections", lambda: True)
        self.patch.setattr("apps.delivery.feed.CURRENT_FOR", 60)
        await until(lambda: feed._wake.set() or not feed.is_away)


async def until(holds):
    ends = time.monotonic() + ENOUGH
    while not holds():
        assert time.monotonic() < ends
        await asyncio.sleep(0.01)


def seconds_of(answer):
    return int(answer.header(STALE))


def test_database__away__what_was_answered_is_answered_again_marked(raw, database):
    async def scenario(asgi, feed):
        first, _times = await asked(asgi, HERE, bearer(raw))
        assert first.header(STALE) is None

        await database.lose(feed)

        again, times = await asked(asgi, HERE, bearer(raw))
        assert times == 0
        assert 0 < seconds_of(again) < ENOUGH
        same(again._replace(headers=[each for each in again.headers if each[0] != STALE]), first)

    run(scenario)


def test_database__away__what_nobody_asked_or_is_revealed_is_for_django(raw, database):
    _token, everything = token_of("everything", role="administrator")

    async def scenario(asgi, feed):
        cold = [
            (f"{HERE}?reveal=true", bearer(everything)),
            (f"{HERE}?key=a", bearer(raw)),
            (HERE, bearer("csk_nobody")),
        ]
        for address, who in (*cold[:1], (HERE, bearer(raw))):
            await asked(asgi, address, who)
        await database.lose(feed)

        for address, who in cold:
            answer, times = await asked(asgi, address, who)
            assert (times, answer.header(STALE)) == (1, None), address

    run(scenario)


def test_database__away_for_an_hour__nothing_is_given_any_more(raw, database, monkeypatch):
    async def scenario(asgi, feed):
        await asked(asgi, HERE, bearer(raw))
        await database.lose(feed)

        feed._looked_at = time.monotonic() - 3_500
        answer, times = await asked(asgi, HERE, bearer(raw))
        assert (times, seconds_of(answer) >= 3_500) == (0, True)

        feed._looked_at = time.monotonic() - 3_600
        answer, times = await asked(asgi, HERE, bearer(raw))
        assert (times, answer.header(STALE)) == (1, None)

    run(scenario)


@pytest.mark.parametrize("what", ["token", "grant"])
def test_right__that_ends_by_the_clock_while_the_database_is_away__ends(
    raw, database, monkeypatch, what
):
    hour = timedelta(hours=1)
    if what == "token":
        _token, short = token_of("short", role="viewer", life=hour)
    else:
        _token, short = token_of("short")
        to, soon = "service-account:short", clock.now() + hour / 2
        services.grant(actor=SYSTEM, to=to, role="viewer", on=EVERYWHERE, expires_at=soon)

    async def scenario(asgi, feed):
        await asked(asgi, HERE, bearer(short))
        await database.lose(feed)
        assert (await asked(asgi, HERE, bearer(short)))[1] == 0

        later = clock.now() + hour
        monkeypatch.setattr("apps.core.clock.now", lambda: later)
        monkeypatch.setattr("apps.delivery.hot.time.time", later.timestamp)

        answer, times = await asked(asgi, HERE, bearer(short))
        assert (times, answer.status) == (1, 401 if what == "token" else 404)

    run(scenario)


def test_instance__while_the_database_is_away__has_its_answer_beyond_its_time(
    raw, database, monkeypatch
):
    """After half a minute Django would note that it is there, and cannot."""

    async def scenario(asgi, feed):
        named = ("x-config-instance", "pod-1")
        await asked(asgi, HERE, bearer(raw), named)
        later = time.time() + 60
        monkeypatch.setattr("apps.delivery.hot.time.time", lambda: later)
        assert (await asked(asgi, HERE, bearer(raw), named))[1] == 1

        later += 60
        await database.lose(feed)

        answer, times = await asked(asgi, HERE, bearer(raw), named)
        assert (times, answer.status) == (0, 200)

    run(scenario)


def test_tags__while_the_database_is_away__are_answered_whole_where_they_are_others(raw, database):
    """Whoever has begun anew, or holds what nobody else held, gets the document."""

    async def scenario(asgi, feed):
        known = ("if-none-match", '"old"')
        first, _times = await asked(asgi, HERE, bearer(raw), known)
        tag = ("if-none-match", first.header(b"etag").decode())
        assert (await asked(asgi, HERE, bearer(raw), tag))[0].status == 304
        await database.lose(feed)

        for headers, status in (((tag,), 304), ((), 200), ((("if-none-match", '"x"'),), 200)):
            answer, times = await asked(asgi, HERE, bearer(raw), *headers)
            assert (times, answer.status) == (0, status)
            assert answer.body == (first.body if status == 200 else b"")
            assert seconds_of(answer) > 0

    run(scenario)


def test_look__that_is_late_or_fails_while_the_database_takes_connections__is_for_django(
    raw, database
):
    async def scenario(asgi, feed):
        await asked(asgi, HERE, bearer(raw))
        await database.lose(feed, takes_connections=True)
        database.patch.setattr("apps.delivery.hot.CATCH_UP_WITHIN", 0.1)

        answer, times = await asked(asgi, HERE, bearer(raw))

        assert (times, answer.header(STALE)) == (1, None)

    run(scenario)


def test_look__that_hangs_where_no_connection_is_taken__is_not_waited_for(raw, database):
    async def scenario(asgi, feed):
        await asked(asgi, HERE, bearer(raw))

        async def hang():
            await asyncio.sleep(ENOUGH * 10)

        database.patch.setattr("apps.delivery.feed._read_position", hang)
        database.patch.setattr("apps.delivery.feed.takes_connections", lambda: False)
        database.patch.setattr("apps.delivery.feed.CURRENT_FOR", 0.0)

        answer, times = await asked(asgi, HERE, bearer(raw))

        assert (times, seconds_of(answer) > 0) == (0, True)

    run(scenario)


def test_database__found_away_while_django_waits_for_it__what_is_kept_is_given_marked(
    raw, database
):
    async def scenario(asgi, feed):
        first, _times = await asked(asgi, HERE, bearer(raw))
        database.patch.setattr("apps.delivery.hot.CATCH_UP_WITHIN", 0.0)
        database.patch.setattr("apps.delivery.feed.CURRENT_FOR", 0.0)

        async def gone(_scope, _receive, send):
            if not feed.is_away:
                await database.lose(feed)
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b"away"})

        kept = await asgi.get_by(Hot(gone), HERE, [bearer(raw)])
        assert (kept.status, kept.body, seconds_of(kept) > 0) == (200, first.body, True)
        cold = await asgi.get_by(Hot(gone), f"{HERE}?key=a", [bearer(raw)])
        assert (cold.status, cold.body) == (503, b"away")

    run(scenario)


def test_look__that_comes_although_no_connection_was_taken__has_the_process_wait_again(
    raw, database
):
    async def scenario(asgi, feed):
        late = asyncio.Event()

        async def come():
            await late.wait()
            return await database.read()

        database.patch.setattr("apps.delivery.feed._read_position", come)
        database.patch.setattr("apps.delivery.feed.takes_connections", lambda: False)
        await until(lambda: feed._wake.set() or database.waits)
        assert (database.waits, feed.is_away) == ([False], True)

        late.set()
        await until(lambda: not feed.is_away)

        assert database.waits[-1] is True

    run(scenario)


def test_commit_of_this_process__that_could_not_be_read_again__is_not_hidden(raw, database):
    async def scenario(asgi, feed):
        await asked(asgi, HERE, bearer(raw))
        await database.lose(feed)

        await sync_to_async(publish)(config={"a": 2})

        answer, times = await asked(asgi, HERE, bearer(raw))
        assert times == 1
        assert json.loads(answer.body)["config"] == {"a": 2}

    run(scenario)


def test_database__back__nothing_old_is_given_as_current(raw, database):
    """Another process has published, and withdrawn a token, which this one could not know."""
    _token, other = token_of("other", role="viewer")

    async def scenario(asgi, feed):
        for each in (raw, other):
            await asked(asgi, HERE, bearer(each))
        await database.lose(feed)
        feed._unsubscribe()
        await sync_to_async(publish)(config={"a": 2})
        await sync_to_async(Token.objects.filter(account__slug="other").update)(
            withdrawn_at=clock.now()
        )
        for each in (raw, other):
            answer, times = await asked(asgi, HERE, bearer(each))
            assert (times, json.loads(answer.body)["config"]) == (0, {"a": 1})
            assert answer.header(STALE)

        await database.find(feed)

        answer, _times = await asked(asgi, HERE, bearer(raw))
        assert (answer.header(STALE), json.loads(answer.body)["config"]) == (None, {"a": 2})
        assert (await asked(asgi, HERE, bearer(other)))[0].status == 401

    run(scenario)


def test_counts__that_could_not_be_written__are_written_later(raw, monkeypatch):
    async def scenario(asgi, _feed):
        await asked(asgi, HERE, bearer(raw))

    def refuse():
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as patch:
        patch.setattr("apps.delivery.feed.reads.flush", lambda: 0)
        run(scenario)
    with monkeypatch.context() as patch, pytest.raises(OperationalError):
        patch.setattr("apps.delivery.reads.writing", refuse)
        reads.flush()
    run(scenario)
    reads.flush()

    assert ReadCount.objects.get(account="service-account:viewer").count == 2


class Swallowing:
    """A channel layer that hears once that sending is cancelled and goes on, as wait_for of Python 3.11
    does when what it waits for has just come.
    """

    def __init__(self, **_options):
        self.deaf = True

    async def new_channel(self):
        return "channel"

    async def group_add(self, _group, _channel):
        """Nobody else is there."""

    async def send(self, _channel, _message):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not self.deaf:
                raise
            self.deaf = False

    async def receive(self, _channel):
        await asyncio.Event().wait()


async def test_stop__a_listener_swallows_that_it_is_cancelled__ends_all_the_same(
    settings, monkeypatch
):
    monkeypatch.setattr("apps.delivery.feed.CANCEL_EVERY", 0.01)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{__name__}.{Swallowing.__name__}"}}
    feed = feeds.Feed()
    hearing = asyncio.create_task(hear_others(layer_between_processes(), "here", feed._wake.set))
    feed._tasks = [hearing]
    await asyncio.sleep(0.1)

    async with asyncio.timeout(30):
        await feed.stop()

    assert hearing.cancelled()


class Returning:
    """One that is away at first, and brings one wake-up once it is back."""

    tries = 0

    async def new_channel(self):
        self.tries += 1
        if self.tries < 4:
            raise ConnectionError("refused")
        return "channel"

    async def group_add(self, _group, _channel):
        """Nobody else is there."""

    async def flush(self):
        """There is nothing to forget."""

    async def send(self, _channel, _message):
        """What it brings is another's."""

    async def receive(self, _channel):
        await asyncio.sleep(0)
        return {"from": "elsewhere"}


async def test_listener__of_a_layer_that_is_away__says_so_once_and_that_it_is_back(
    monkeypatch, caplog
):
    monkeypatch.setattr("apps.delivery.between.TRY_AGAIN_AFTER", 0.0)
    awake = asyncio.Event()

    hearing = asyncio.create_task(hear_others(Returning(), "here", awake.set))
    async with asyncio.timeout(30):
        await awake.wait()
    hearing.cancel()

    away, back = (each.getMessage() for each in caplog.records)
    assert "is away (refused)" in away
    assert "is back" in back

"""What a watcher hears while others are busy, and when he is too slow to hear it all."""

import asyncio
import contextlib
import socket
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from apps.access import services
from apps.access.people import update_person
from apps.access.policy import EVERYWHERE, Place
from apps.access.selectors import actor_of_user, authenticate_token
from apps.audit import epochs
from apps.audit.models import Head
from apps.audit.services import Event, append
from apps.configs import sources
from apps.configs.services.bases import Options
from apps.configs.services.places import create_service
from apps.configs.services.publishing import publish
from apps.core import clock
from apps.core.models import User
from apps.core.transactions import writing
from apps.delivery import standing
from apps.delivery.feed import Feed
from apps.delivery.standing import WithdrawnError
from apps.delivery.watch import (
    BOOKMARK_EVERY,
    CATCH_UP,
    Cursor,
    Interest,
    next_bookmark,
    watch,
)
from apps.delivery.watchers import Watcher
from apps.registry.selectors import get_environment

pytestmark = pytest.mark.django_db(transaction=True)

EVENTS = 3
"""Of an act here: so no page of the ledger ends where an act does, by chance."""


@pytest.fixture
def person(transactional_db):
    return User.objects.create_superuser("ines")


@pytest.fixture
def at_once(monkeypatch):
    """The feed does not look by itself every second: what comes all the same, it was woken for."""
    monkeypatch.setattr("apps.delivery.feed.LOOK_EVERY", 600.0)


class Watched:
    """A feed and a watcher of one service, with a way to publish beside him."""

    def __init__(self, feed, frames, system):
        self.feed, self.frames, self.system = feed, frames, system
        self.number = 0

    async def publish(self, service):
        """Publish, and wait until the feed has read it; gives the revision."""
        self.number += 1
        place = Place(service, await sync_to_async(get_environment)("production"))
        made = await sync_to_async(publish)(
            actor=self.system,
            place=place,
            source=sources.from_text(f"a: {self.number}\n", "yaml"),
            options=Options(on_stale="overwrite"),
        )
        assert await self.feed.reached(made.revision, 20)
        return made.revision

    async def act(self, service, count, then=lambda: None):
        """So many acts, of several events each, and what follows them: the feed finds all of it at once.
        Gives the acts' revisions. There has been one publish.
        """
        revisions = await sync_to_async(self._act)(service.slug, count, then)
        assert await self.feed.reached(revisions[-1], 60)
        return revisions

    def _act(self, slug, count, then):  # in the thread that reads the database
        data = {"service": slug, "environment": "production", "version": 1, "checksum": ""}
        data |= {"keys": [], "cause": "publish"}
        event = Event("configuration.published", f"configuration:{slug}/production", data)
        revisions = []
        for _ in range(count):
            with writing():
                revisions.append(append([event] * EVENTS, actor=self.system).revision)
        then()
        return revisions

    async def frame(self, seconds=20):
        found = await asyncio.wait_for(anext(self.frames), seconds)
        return found.kind, found.revision

    @contextlib.asynccontextmanager
    async def another(self, actor, interest, **options):
        """One more watcher on the same feed that has heard ``ready``."""
        frames = watch(self.feed, actor, interest, **options)
        try:
            assert (await anext(frames)).kind == "ready"
            yield frames
        finally:
            await frames.aclose()


def watching(scenario, actor, interest, system, *, queue_limit=1_000, bookmark_every=15.0):
    """Run ``scenario`` with a watcher that has heard ``ready``."""

    async def run():
        feed = Feed(queue_limit)
        await feed.start()
        frames = watch(feed, actor, interest, bookmark_every=bookmark_every)
        try:
            watched = Watched(feed, frames, system)
            assert (await watched.frame())[0] == "ready"
            await scenario(watched)
        finally:
            await frames.aclose()
            await feed.stop()

    async_to_sync(run)()


def test_bookmark__nothing_happens__says_how_far_one_has_read(shop, person, system):
    async def scenario(watched):
        assert await watched.frame() == ("bookmark", watched.feed.revision)

    interest = Interest(frozenset({shop.pk}))
    watching(scenario, actor_of_user(person), interest, system, bookmark_every=0.01)


def test_bookmarks__of_streams_that_began_at_any_moment__come_together_and_in_time():
    begun = [1_000 + number * 0.013 for number in range(10_000)]

    due = [next_bookmark(now, BOOKMARK_EVERY) for now in begun]

    waited = [then - now for then, now in zip(due, begun, strict=True)]
    assert 14.7 < min(waited) <= max(waited) <= BOOKMARK_EVERY
    assert len(set(due)) == pytest.approx(130 / 0.25, abs=2)  # they began within 130 seconds


def test_bookmark__others_publish_all_the_time__comes_all_the_same(shop, person, system, at_once):
    """A watcher of one service does not fall behind the many acts that are not his."""
    other = create_service(actor=system, slug="cart")

    async def scenario(watched):
        for _ in range(2):
            revision = await watched.publish(other)
            assert await watched.frame() == ("bookmark", revision)
        revision = await watched.publish(shop)
        assert await watched.frame() == ("changed", revision)

    interest = Interest(frozenset({shop.pk}))
    watching(scenario, actor_of_user(person), interest, system, bookmark_every=0)


def test_redis__takes_what_it_is_sent_and_never_answers__holds_no_news_up(
    shop, person, system, settings
):
    """A paused one does so. How far the ledger has come is remembered there, and may wait."""

    async def scenario(watched):
        with contextlib.closing(stuck):  # which ends what waits for it
            for _ in range(3):
                revision = await watched.publish(shop)
                assert await watched.frame() == ("changed", revision)
                await asyncio.sleep(1)  # it is remembered again

    with socket.create_server(("127.0.0.1", 0)) as stuck:
        settings.CACHES = {
            "default": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": f"redis://127.0.0.1:{stuck.getsockname()[1]}/0",
                "OPTIONS": {"SOCKET_TIMEOUT": 60},
            }
        }
        interest = Interest(frozenset({shop.pk}))
        watching(scenario, actor_of_user(person), interest, system)


def test_resume__server_too_busy_to_look__waits_until_it_has_read_what_the_client_has(
    shop, person, system
):
    """The client had it from another server. What the ledger has is no future, and no ``resync``."""

    async def scenario(watched):
        after = Cursor(watched.feed.revision + 1, watched.feed.epoch)

        def publish_and_be_busy():
            place = Place(shop, get_environment("production"))
            source = sources.from_text("a: 0\n", "yaml")
            made = publish(actor=system, place=place, source=source, options=Options())
            time.sleep(CATCH_UP + 1)  # in the thread that reads the database
            return made.revision

        busy = asyncio.create_task(sync_to_async(publish_and_be_busy)())
        await asyncio.sleep(0.1)
        frames = watch(watched.feed, actor_of_user(person), interest, after)
        found = await anext(frames)
        assert (found.kind, found.revision) == ("ready", await busy)
        revision = await watched.publish(shop)
        found = await anext(frames)
        await frames.aclose()
        assert (found.kind, found.revision) == ("changed", revision)

    interest = Interest(frozenset({shop.pk}))
    watching(scenario, actor_of_user(person), interest, system)


def test_rights__login_ended_while_others_publish__are_looked_at_without_a_quiet_second(
    shop, person, system, at_once
):
    other = create_service(actor=system, slug="cart")

    async def scenario(watched):
        await sync_to_async(update_person)(
            actor=system, user=person, is_active=False, is_superuser=True
        )
        await watched.publish(other)
        with pytest.raises(WithdrawnError):
            await watched.frame()

    watching(scenario, actor_of_user(person), Interest(frozenset({shop.pk})), system)


def test_rights__withdrawn_while_nothing_happens__end_the_stream_at_once(
    shop, person, system, at_once
):
    async def scenario(watched):
        waiting = asyncio.create_task(watched.frame())
        await asyncio.sleep(0.1)
        await sync_to_async(update_person)(
            actor=system, user=person, is_active=False, is_superuser=True
        )
        with pytest.raises(WithdrawnError):
            await waiting

    watching(scenario, actor_of_user(person), Interest(frozenset({shop.pk})), system)


def test_rights__grant_ends_by_its_time__end_the_stream_and_tell_nothing_more(
    shop, system, monkeypatch
):
    """The end of a grant is no act: it moves no generation, and nothing wakes the stream."""
    account = services.create_account(actor=system, slug="guest")
    _token, raw = services.create_token(actor=system, account=account)
    grant = {"to": "service-account:guest", "role": "viewer", "on": EVERYWHERE}
    ends_at = clock.now() + timedelta(hours=1)
    services.grant(actor=system, **grant, expires_at=ends_at)
    guest = replace(authenticate_token(raw, now=clock.now()), generation=None)

    async def scenario(watched):
        revision = await watched.publish(shop)
        assert await watched.frame() == ("changed", revision)
        monkeypatch.setattr(clock, "now", lambda: ends_at)
        await watched.publish(shop)
        with pytest.raises(WithdrawnError):
            await watched.frame()

    watching(scenario, guest, Interest(frozenset({shop.pk})), system)


def test_slow_watcher__queue_is_full__is_told_to_resync_and_goes_on_from_there(
    shop, person, system, at_once
):
    async def scenario(watched):
        for _ in range(3):
            revision = await watched.publish(shop)
        assert await watched.frame() == ("resync", revision)
        revision = await watched.publish(shop)
        assert await watched.frame() == ("changed", revision)

    interest = Interest(frozenset({shop.pk}))
    watching(scenario, actor_of_user(person), interest, system, queue_limit=2)


def test_slow_watcher__does_not_take_the_resync_either__is_given_up(shop, person, system):
    given_up = []

    async def scenario(watched):
        options = {"give_up": lambda: given_up.append(1)}
        async with watched.another(actor, interest, **options) as stuck:
            for _ in range(4):
                await watched.publish(shop)
            assert given_up == []
            await watched.publish(shop)
            assert given_up == [1]
            with pytest.raises(StopAsyncIteration):
                await anext(stuck)
        await watched.publish(shop)
        assert given_up == [1]

    actor, interest = actor_of_user(person), Interest(frozenset({shop.pk}))
    watching(scenario, actor, interest, system, queue_limit=2)


class Listener:
    """Takes what comes, a ``pause`` after each; ``heard`` are its changes' revisions and number."""

    def __init__(self, frames, pause=0):
        self.heard, self.told, self.pause = [], set(), pause
        self.task = asyncio.create_task(self._listen(frames))

    async def _listen(self, frames):
        async for frame in frames:
            self.told.add(frame.kind)
            if frame.kind == "changed":
                self.heard.append((frame.revision, len(frame.messages)))
            await asyncio.sleep(self.pause)

    async def until(self, revision):
        async with asyncio.timeout(60):
            while not self.task.done() and "resync" not in self.told:
                if self.heard and self.heard[-1][0] >= revision:
                    break
                await asyncio.sleep(0.01)


def test_look__finds_thousands_of_acts_at_once__only_who_takes_none_is_given_up(
    shop, person, system
):
    given_up = []

    async def scenario(watched):
        await watched.publish(shop)
        quick = Listener(watched.frames)
        async with watched.another(actor, interest, give_up=lambda: given_up.append(1)):
            revisions = await watched.act(shop, 2_500)
            await quick.until(revisions[-1])
        assert quick.heard[1:] == [(revision, EVENTS) for revision in revisions]
        assert "resync" not in quick.told
        assert given_up == [1]
        quick.task.cancel()
        await asyncio.wait({quick.task})

    actor, interest = actor_of_user(person), Interest(frozenset({shop.pk}))
    watching(scenario, actor, interest, system)


def test_look__finds_more_acts_than_one_may_miss__only_who_takes_none_is_told_to_resync(
    shop, person, system, monkeypatch
):
    monkeypatch.setattr("apps.delivery.feed.HURRY_AFTER", 60)  # this machine may be slow
    monkeypatch.setattr("apps.delivery.feed.ROOM_WITHIN", 1)

    async def scenario(watched):
        await watched.publish(shop)
        quick = Listener(watched.frames, pause=0.002)
        async with watched.another(actor, interest) as slow:
            revisions = await watched.act(shop, 30)
            await quick.until(revisions[-1])
            found = await anext(slow)
            assert (found.kind, found.revision) == ("resync", revisions[-1])
        assert quick.heard[1:] == [(revision, EVENTS) for revision in revisions]
        assert "resync" not in quick.told
        quick.task.cancel()
        await asyncio.wait({quick.task})

    actor, interest = actor_of_user(person), Interest(frozenset({shop.pk}))
    watching(scenario, actor, interest, system, queue_limit=20)


def test_look__finds_very_many_acts__is_not_held_up_by_a_slow_watcher(
    shop, person, system, monkeypatch
):
    monkeypatch.setattr("apps.delivery.feed.HURRY_AFTER", 0)
    monkeypatch.setattr("apps.delivery.feed.ROOM_WITHIN", 3_600)

    async def scenario(watched):
        await watched.publish(shop)
        async with watched.another(actor, interest):
            revisions = await watched.act(shop, 30)
            assert watched.feed.revision == revisions[-1]

    actor, interest = actor_of_user(person), Interest(frozenset({shop.pk}))
    watching(scenario, actor, interest, system, queue_limit=20)


def test_look__finds_that_a_right_ended_after_many_acts__tells_none_of_them(shop, person, system):
    """Between two pages of them nobody is told by rights that are over."""

    def withdraw():
        update_person(actor=system, user=person, is_active=False, is_superuser=True)

    async def scenario(watched):
        hearing = Listener(watched.frames)
        before = await watched.publish(shop)
        await hearing.until(before)
        await watched.act(shop, 30, then=withdraw)
        with pytest.raises(WithdrawnError):
            await hearing.task
        assert hearing.heard == [(before, 1)]

    watching(scenario, actor_of_user(person), Interest(), system, queue_limit=20)


def test_backlog__of_many_pages__is_heard_whole_in_order_and_once(
    shop, person, system, monkeypatch
):
    """Acts here have several events, so a page would end within one."""
    monkeypatch.setattr("apps.delivery.watch.BACKLOG_PAGE", 5)
    actor, interest = actor_of_user(person), Interest(frozenset({shop.pk}))

    async def scenario(watched):
        before = await watched.publish(shop)
        revisions = await watched.act(shop, 12)
        frames = watch(watched.feed, actor, interest, Cursor(before))
        resumed = Listener(frames)
        await resumed.until(revisions[-1])
        assert resumed.heard == [(revision, EVENTS) for revision in revisions]
        resumed.task.cancel()
        await asyncio.wait({resumed.task})

    watching(scenario, actor, interest, system)


def test_frame__that_many_see_alike__is_one(shop, person, system):
    async def scenario(watched):
        async with watched.another(actor, Interest()) as other:
            await watched.publish(shop)
            assert await anext(watched.frames) is await anext(other)

    actor = actor_of_user(person)
    watching(scenario, actor, Interest(frozenset({shop.pk})), system)


def test_acts_elsewhere__wake_nobody(shop, person, system, monkeypatch):
    other = create_service(actor=system, slug="cart")
    woken = []
    monkeypatch.setattr(Watcher, "wake", lambda watcher: woken.append(watcher.spots))

    async def scenario(watched):
        await watched.publish(other)
        assert woken == []
        await watched.publish(shop)
        assert woken == [frozenset({(shop.pk, None)})]

    watching(scenario, actor_of_user(person), Interest(frozenset({shop.pk})), system)


def test_rights__moved_while_many_streams_of_a_token_are_open__are_read_once(
    shop, make_api, person, system, monkeypatch
):
    _scheme, token = make_api("viewer").headers["authorization"].split()
    actor = authenticate_token(token, now=clock.now(), address=None)
    asked = []
    read = standing.still_valid
    monkeypatch.setattr(
        standing, "still_valid", lambda *args, **given: asked.append(1) or read(*args, **given)
    )

    async def scenario(watched):
        async with contextlib.AsyncExitStack() as streams:
            opened = [
                await streams.enter_async_context(watched.another(actor, Interest()))
                for _one in range(5)
            ]
            waiting = [asyncio.create_task(anext(each)) for each in opened]
            await watched.publish(shop)
            assert len({id(frame) for frame in await asyncio.gather(*waiting)}) == 1
            assert len(asked) == 1
            await sync_to_async(update_person)(
                actor=system, user=person, is_active=True, is_superuser=False
            )
            waiting = [asyncio.create_task(anext(each)) for each in opened]
            await watched.publish(shop)
            await asyncio.gather(*waiting)
            assert len(asked) == 2

    watching(scenario, actor_of_user(User.objects.create_superuser("olu")), Interest(), system)


def test_grant__that_ends_by_itself__ends_the_stream_though_nothing_happens(
    shop, system, monkeypatch
):
    actor = actor_of_user(User.objects.create_user("eve"))
    ends = clock.now() + timedelta(hours=1)
    services.grant(
        actor=system, to="user:eve", role="viewer", on=Place(shop, None), expires_at=ends
    )

    monkeypatch.setattr(clock, "now", lambda: ends - timedelta(seconds=0.5))

    async def scenario(watched):
        waiting = asyncio.create_task(watched.frame())
        await asyncio.sleep(0.2)
        monkeypatch.setattr(clock, "now", lambda: ends)
        with pytest.raises(WithdrawnError):
            await waiting

    watching(scenario, actor, Interest(frozenset({shop.pk})), system)


def test_database__exchanged_between_two_looks__begins_an_epoch_and_is_told(shop, person, system):
    def exchange():
        epochs.settle(actor=system)
        Head.objects.update(identity="that of the database it was copied from")

    async def scenario(watched):
        before = watched.feed.epoch
        await sync_to_async(exchange)()
        assert (await watched.frame())[0] == "resync"
        assert watched.feed.epoch != before

    watching(scenario, actor_of_user(person), Interest(frozenset({shop.pk})), system)

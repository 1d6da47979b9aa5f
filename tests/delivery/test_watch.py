"""What a watcher hears while others are busy, and when he is too slow to hear it all."""

import asyncio

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from apps.access.people import update_person
from apps.access.policy import Place
from apps.access.selectors import actor_of_user
from apps.audit import epochs
from apps.audit.models import Head
from apps.configs import sources
from apps.configs.services.bases import Options
from apps.configs.services.places import create_service
from apps.configs.services.publishing import publish
from apps.core.models import User
from apps.delivery.feed import Feed
from apps.delivery.watch import Interest, WithdrawnError, watch
from apps.registry.selectors import get_environment

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 0.8  # a quiet second has not gone by then


@pytest.fixture
def person(transactional_db):
    return User.objects.create_superuser("ines")


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
        assert await self.feed.reached(made.revision, 5)
        return made.revision

    async def frame(self, seconds=20):
        found = await asyncio.wait_for(anext(self.frames), seconds)
        return found.kind, found.revision


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


def test_bookmark__others_publish_all_the_time__comes_all_the_same(shop, person, system):
    """A watcher of one service does not fall behind the many acts that are not his."""
    other = create_service(actor=system, slug="cart")

    async def scenario(watched):
        for _ in range(2):
            revision = await watched.publish(other)
            assert await watched.frame(AT_ONCE) == ("bookmark", revision)
        revision = await watched.publish(shop)
        assert await watched.frame(AT_ONCE) == ("changed", revision)

    interest = Interest(frozenset({shop.pk}))
    watching(scenario, actor_of_user(person), interest, system, bookmark_every=0)


def test_rights__login_ended_while_others_publish__are_looked_at_without_a_quiet_second(
    shop, person, system
):
    other = create_service(actor=system, slug="cart")

    async def scenario(watched):
        await sync_to_async(update_person)(
            actor=system, user=person, is_active=False, is_superuser=True
        )
        await watched.publish(other)
        with pytest.raises(WithdrawnError):
            await watched.frame(AT_ONCE)

    watching(scenario, actor_of_user(person), Interest(frozenset({shop.pk})), system)


def test_slow_watcher__queue_is_full__is_told_to_resync_and_goes_on_from_there(
    shop, person, system
):
    async def scenario(watched):
        for _ in range(3):
            revision = await watched.publish(shop)
        assert await watched.frame(AT_ONCE) == ("resync", revision)
        revision = await watched.publish(shop)
        assert await watched.frame(AT_ONCE) == ("changed", revision)

    interest = Interest(frozenset({shop.pk}))
    watching(scenario, actor_of_user(person), interest, system, queue_limit=2)


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

"""The checker of watches finds the faults that such systems have, planted into the real code.

Writers in threads and watchers on the process's feed, on PostgreSQL: on SQLite nobody writes beside
another, and half of this could not be seen.
"""

import asyncio
import itertools
import random
import threading
import time

import psycopg
import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction

from apps.access.selectors import actor_of_user
from apps.audit import selectors, services
from apps.audit.selectors import Position
from apps.audit.services import Event, append
from apps.core import clock
from apps.core.models import User
from apps.delivery import acts, watch
from apps.delivery.acts import Act
from apps.delivery.feed import Feed
from apps.delivery.watch import Cursor, Interest
from apps.engine.values import parse_canonical
from apps.registry.models import Configuration, Environment
from tests.faults.guarantees import (
    RELIABLE,
    TOLD_WITHIN,
    UNIQUE,
    Heard,
    Held,
    Log,
    Moment,
    check,
)
from tests.faults.ledger_by_sql import Ends, change_of, read_ledger

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]
WRITERS, ACTS_EACH = 4, 25
WATCHERS = 4
LONGEST_TRANSACTION = 0.03
FRAMES_OF_A_STREAM = 12
SETTLED_WITHIN = 10
TAKEN_BACK = 0.2


class Scene:
    """Writes and watches at once, and then asks the checker. ``feed`` is there once it runs."""

    def __init__(self, system, actor):
        self.system, self.actor = system, actor
        self.chance = random.Random(7)
        self.versions = itertools.count(1)
        self.feed = None
        self.loop = None
        self.logs = []

    def run(self):
        """The guarantees that did not hold."""
        with Ends(**self._where()) as ends:
            async_to_sync(self._run)()
            time.sleep(0.2)
        with psycopg.connect(**self._where()) as reader:
            ledger, _rights = read_ledger(reader, ends.found)
        assert len(ledger.acts) > WRITERS * ACTS_EACH / 2
        assert all(len(log.heard) > ACTS_EACH for log in self.logs)
        found = check(self.logs, ledger, time.time() + TOLD_WITHIN)
        print(*found[:20], sep="\n")
        return {each.guarantee for each in found}

    def _where(self):
        names = {"dbname": "NAME", "host": "HOST", "port": "PORT", "user": "USER"}
        return {name: connection.settings_dict[of] for name, of in names.items()}

    async def _run(self):
        self.feed, self.loop = Feed(), asyncio.get_running_loop()
        await self.feed.start()
        try:
            watching = [asyncio.create_task(self._watch(number)) for number in range(WATCHERS)]
            await asyncio.sleep(0.05)
            writing = [threading.Thread(target=self._write) for _ in range(WRITERS)]
            for each in writing:
                each.start()
            for each in writing:
                await asyncio.to_thread(each.join)
            await self._settle()
            for each in watching:
                each.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        finally:
            await self.feed.stop()

    async def _settle(self):
        """Until everybody has heard of the last act, or will not."""
        await self.feed.caught_up(SETTLED_WITHIN)
        ends = time.monotonic() + SETTLED_WITHIN
        while time.monotonic() < ends and any(
            max(each.revision or 0 for each in log.heard) < self.feed.revision for log in self.logs
        ):
            await asyncio.sleep(0.02)

    def _write(self):
        """Acts of one to three events, some of which are taken back."""
        try:
            for _ in range(ACTS_EACH):
                with transaction.atomic():
                    self._append(self.chance.randint(1, 3))
                    time.sleep(self.chance.uniform(0, LONGEST_TRANSACTION))
                    transaction.set_rollback(self.chance.random() < TAKEN_BACK)
        finally:
            connection.close()

    def _append(self, count):
        environments = ("development", "staging", "production")[:count]
        append([self._event(each) for each in environments], actor=self.system)

    def _event(self, environment):
        data = {
            "service": "shop",
            "environment": environment,
            "version": next(self.versions),
            "checksum": "",
            "keys": [],
            "cause": "publish",
        }
        return Event("configuration.publish", f"configuration:shop@{environment}", data)

    async def _watch(self, number):
        """One stream after another, each begun where the one before was left."""
        log = Log(f"watcher {number}", None, None, [Held(None, None, Moment(0, 0.0))])
        self.logs.append(log)
        cursor = None
        while True:
            at = time.time()
            log.heard.append(Heard(at, "opened", revision=cursor and cursor.revision))
            frames = watch.watch(self.feed, self.actor, Interest(), cursor)
            left = self.chance.randint(2, FRAMES_OF_A_STREAM)
            try:
                async for frame in frames:
                    log.heard += heard_of(frame)
                    cursor = Cursor(frame.revision, frame.epoch)
                    left -= 1
                    if not left:
                        break
            finally:
                await frames.aclose()
            log.heard.append(Heard(time.time(), "lost"))
            await asyncio.sleep(self.chance.uniform(0, LONGEST_TRANSACTION))


def heard_of(frame):
    at, last = time.time(), len(frame.messages) - 1
    if frame.kind != "changed":
        return [Heard(at, frame.kind, frame.epoch, frame.revision)]
    return [
        Heard(at, "changed", frame.epoch, frame.revision, change_of(each), index == last)
        for index, each in enumerate(frame.messages)
    ]


@pytest.fixture
def scene(shop, system):
    for environment in Environment.objects.all():
        Configuration.objects.get_or_create(service=shop, environment=environment)
        acts._places[shop.slug, environment.slug] = (shop.pk, environment.pk)
    return Scene(system, actor_of_user(User.objects.create_superuser("ines")))


def test_watch__as_it_is__keeps_every_guarantee(scene):
    assert scene.run() == set()


def test_watch__sent_before_the_commit__is_found(scene, monkeypatch):
    def send_at_once(rows):
        scene.loop.call_soon_threadsafe(tell, rows)

    def tell(rows):
        """The feed hears of it from who is about to commit it, and not from the ledger."""
        feed = scene.feed
        notices = [acts._notice(feed.epoch, row, parse_canonical(row.data)) for row in rows]
        if rows[-1].number > feed.revision:
            feed._hand_on(Act(rows[-1].number, tuple(notices)))
            feed.revision = rows[-1].number

    monkeypatch.setattr(services.sending, "send", send_at_once)

    assert RELIABLE in scene.run()


def test_watch__backlog_with_the_cursor_in_it__is_found(scene, monkeypatch):
    """``number >= cursor`` where it is ``number > cursor``."""
    read = watch.read_page
    monkeypatch.setattr(
        watch, "read_page", lambda epoch, after, *rest: read(epoch, after - 1, *rest)
    )

    assert scene.run() == {UNIQUE}


def test_watch__numbers_of_a_sequence__are_found(scene, monkeypatch):
    """Taken when one writes, as an auto-increment is, where they are taken in the order of commits."""
    with connection.cursor() as cursor:
        cursor.execute("DROP SEQUENCE IF EXISTS planted")
        cursor.execute("CREATE SEQUENCE planted START 100 INCREMENT 10")

    def next_number():
        with connection.cursor() as cursor:
            cursor.execute("SELECT nextval('planted')")
            (number,) = cursor.fetchone()
        time.sleep(scene.chance.uniform(0, LONGEST_TRANSACTION))
        return number, clock.now(), "0" * 64

    head = selectors.head

    def highest():
        found = head()
        last = selectors.AuditEvent.objects.order_by("-number").values_list("number", flat=True)
        return Position(found.epoch, last.first() or 0, found.at)

    monkeypatch.setattr(services, "_lock_head", next_number)
    monkeypatch.setattr(selectors, "head", highest)
    try:
        assert RELIABLE in scene.run()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP SEQUENCE planted")

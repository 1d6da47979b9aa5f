"""Three nodes, many watchers, and everything goes wrong: the six guarantees of etcd's watch hold.

What watchers heard is held against the ledger as an independent reader finds it in the database.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from typing import NamedTuple

import psycopg
import pytest

from tests.faults.guarantees import TOLD_WITHIN, check, longest
from tests.faults.ledger_by_sql import Ends, read_ledger
from tests.faults.proxy import FaultProxy
from tests.faults.storm import Faults, Redis, Writers, watchers
from tests.serving import installation

pytestmark = [pytest.mark.postgresql, pytest.mark.servers]
NODES = 3
SETTLED_WITHIN = 60
SHOWN = 100


class Size(NamedTuple):
    """``silence``: after so many seconds without a word a watcher takes his connection for dead."""

    watchers: int
    accounts: int
    seconds: float
    publishes_a_second: float
    silence: float


SHORT = Size(40, 8, 6, 5, 3)
LONG = Size(500, 50, 600, 5, 20)


async def every(seconds, act):
    while True:
        await asyncio.gather(asyncio.sleep(seconds), act())


async def short_storm(faults):
    """Each fault once, some of them together."""
    await asyncio.gather(faults.kill_node(), faults.half_open(), faults.flush_redis())
    await asyncio.gather(faults.pause_redis(1.5), faults.cut())
    await asyncio.gather(faults.kill_redis(1.0), faults.delay(), faults.half_open())
    await faults.cut_everywhere()


async def long_storm(faults):
    """One fault after the other, by chance."""
    kinds = [faults.kill_node, faults.kill_redis, faults.pause_redis, faults.flush_redis]
    kinds += [faults.cut, faults.cut_everywhere, faults.half_open, faults.delay]
    while True:
        await faults.chance.choice(kinds)()
        await asyncio.sleep(faults.chance.uniform(0.5, 4))


class Storm:
    """The whole run. ``logs`` are what the watchers heard, by the account of each."""

    def __init__(self, made, redis, size, chance):
        self.made, self.redis, self.size, self.chance = made, redis, size, chance
        self.logs = []
        self.resumed = 0

    async def run(self):
        starts = [asyncio.to_thread(self.made.start) for _ in range(NODES)]
        nodes = await asyncio.gather(*starts)
        writers = Writers([each.url for each in nodes], self.made.raw, self.chance)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(writers.close)
            proxies = [await stack.enter_async_context(FaultProxy(each.port)) for each in nodes]
            names = [f"watcher-{number}" for number in range(self.size.accounts)]
            tokens = await writers.prepare(names)
            made = list(
                watchers(self.size.watchers, tokens, proxies, self.chance, self.size.silence)
            )
            self.logs = [(account, each.log) for account, each in made]
            watching = [asyncio.create_task(each.run()) for _account, each in made]
            faults = Faults(self.made, list(nodes), proxies, self.redis, self.chance)
            try:
                await self._be_busy(writers, names, faults)
                self.resumed = sum(max(each.openings - 1, 0) for _account, each in made)
                return await self._settle()
            finally:
                await faults.heal()
                for each in watching:
                    each.cancel()
                await asyncio.gather(*watching, return_exceptions=True)

    async def _be_busy(self, writers, names, faults):
        storm = long_storm if self.size is LONG else short_storm
        busy = [
            asyncio.create_task(every(1 / self.size.publishes_a_second, writers.publish)),
            asyncio.create_task(every(0.5, lambda: writers.move_rights(names))),
            asyncio.create_task(storm(faults)),
        ]
        await asyncio.sleep(self.size.seconds)
        ended = [each for each in busy if each.done()]
        for each in busy:
            each.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        for each in ended:
            each.result()
        self.redis.kill()
        self.redis.begin()
        await faults.heal()
        assert writers.answered > self.size.seconds

    async def _settle(self):
        """What is violated once everybody is back, has heard of the last act, or will not."""
        ends = time.monotonic() + SETTLED_WITHIN
        while True:
            await asyncio.sleep(1)
            found = await asyncio.to_thread(self._check)
            if not found or time.monotonic() > ends:
                return found

    def _check(self):
        with psycopg.connect(self.made.environment["DATABASE_URL"]) as reader:
            ledger, rights = read_ledger(reader, self.ends.found)
        for account, log in self.logs:
            log.rights = rights.get(f"service-account:{account}", [])
        self.ledger = ledger
        logs = [log for _account, log in self.logs]
        self.read_within = longest(logs, ledger)
        return check(logs, ledger, ledger.acts[-1].at + TOLD_WITHIN + 1, self.read_within)

    def told(self):
        """How much was heard, by its kind, and the longest that news took, in seconds."""
        heard = [each for _account, log in self.logs for each in log.heard]
        late = [
            each.at - self.ledger.by_revision[each.revision].at
            for each in heard
            if each.kind == "changed" and each.revision in self.ledger.by_revision
        ]
        quick = sorted(late)[len(late) // 2]
        return {
            **Counter(each.kind for each in heard),
            "acts": len(self.ledger.acts),
            "resumed": self.resumed,
            "half of news within": quick,
            "all within": max(late),
            "while connected, within": self.read_within,
        }


def test_watch__nodes_redis_and_connections_fail__six_guarantees_hold():
    size, seed = (LONG if pytest.long_form else SHORT), random.randrange(10**6)
    print("seed", seed)
    with installation() as made, Redis() as redis:
        made.environment["REDIS_URL"] = redis.url
        storm = Storm(made, redis, size, random.Random(seed))
        with Ends(conninfo=made.environment["DATABASE_URL"]) as storm.ends:
            violations = asyncio.run(storm.run())

        told = storm.told()
        print(told)
        kinds = Counter(each.guarantee for each in violations)
        assert not violations, "\n".join([str(kinds), *map(str, violations[:SHOWN])])
        assert told["changed"] > size.watchers
        assert told["resumed"] > size.watchers / 8
        assert not told.get("resync")

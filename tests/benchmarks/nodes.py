"""A publish at one node seen on another: ``python -m tests.benchmarks.nodes``.

Two server processes on one PostgreSQL and one Redis, all begun here, and a client that publishes at the
first and hears a stream of the second. A latency is from the moment before the publish is sent to the
moment its news is read at the other node; its peer, in the same run, is the publish's own time until
its answer, and how long one message of Redis itself takes. And a file of a large document, which the first node
has rendered, is asked for at the second, which takes it from Redis; the peer is rendering it. Then Redis is
killed, and the same is done again.

``--publishes`` with Redis, a third of them without. Ratios come first; ``--json FILE`` says where all of it is written.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import random
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import redis.asyncio
import uvloop

from tests import real_services
from tests.benchmarks.watching import Listener, document, get, p99, prepare
from tests.serving import installation, shared_folder

SPREAD_SECONDS = 1.0
NEWS_WITHIN = 30.0
HERE = "service=shop&environment=production"
LARGE_KEYS = 4_000
FILES = 12
GOALS = {"with Redis": 100, "without Redis": 1500}
"""At most so many ms, p99."""


async def told(one, other, token, count):
    """The times of ``count`` publishes at ``one`` in ms: until answered, and until ``other`` tells of them.

    They come at random moments, so that none of them fits the second in which nodes look.
    """
    heard, answered, seen = [], [], []
    how = (get(f"/stream?{HERE}", token), b"event: ready", b"event: changed")
    loop = asyncio.get_running_loop()
    _transport, stream = await loop.create_connection(
        lambda: Listener(heard, *how), "127.0.0.1", other.port
    )
    await stream.opened
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=one.url, headers=headers, timeout=60) as client:
        for number in range(count):
            await asyncio.sleep(random.random() * SPREAD_SECONDS)
            config = document(time.time_ns())
            body = {"environment": "production", "config": config, "on_stale": "overwrite"}
            heard.clear()
            began = time.perf_counter()
            answer = await client.post("/config/shop", json=body)
            answered.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 201, answer.text
            while not heard:
                assert time.perf_counter() - began < NEWS_WITHIN, number
                await asyncio.sleep(0.001)
            seen.append((heard[0] - began) * 1000)
    stream.transport.abort()
    return answered, seen


async def messages(url, count):
    """How long a message of Redis takes from one connection to another, in ms."""
    took = []
    async with redis.asyncio.from_url(url) as client, client.pubsub() as heard:
        await heard.subscribe("peer")
        await heard.get_message(timeout=5)
        for _each in range(count):
            began = time.perf_counter()
            await client.publish("peer", "wake")
            assert await heard.get_message(timeout=5)
            took.append((time.perf_counter() - began) * 1000)
    return took


async def files(one, other, token, count):
    """How long the first of all, and then the other node, takes for the YAML of a new large document, in ms."""
    took = []
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as client:
        for _each in range(count):
            at = time.time_ns()
            config = {
                f"key_{n:05}": f"{n} of what was published at {at}" for n in range(LARGE_KEYS)
            }
            body = {"environment": "production", "config": config, "on_stale": "overwrite"}
            answer = await client.post(f"{one.url}/config/shop", json=body)
            assert answer.status_code == 201, answer.text
            took.append([])
            for node in (one, other):
                began = time.perf_counter()
                query = {"min_revision": answer.json()["revision"]}
                file = await client.get(f"{node.url}/config/shop.yaml", params=query)
                took[-1].append((time.perf_counter() - began) * 1000)
                assert str(at) in file.text
    return took


def summary_of_files(name, took):
    """The same in words."""
    first, second = ([each[at] for each in took] for at in (0, 1))
    ratio = statistics.median(other / one for one, other in took)
    return {
        f"{name}: large file at the other node / at the first, p50": round(ratio, 2),
        f"{name}: large file at the first ms, p50": round(statistics.median(first), 1),
        f"{name}: large file at the other ms, p50": round(statistics.median(second), 1),
    }


def summary(name, answered, seen):
    """What one way has found; news that came before the answer came at once."""
    after = [max(at - until, 0) for at, until in zip(seen, answered, strict=True)]
    return {
        f"{name}: seen / answered, p50": round(
            statistics.median(seen) / statistics.median(answered), 2
        ),
        f"{name}: seen, p99 / goal": round(p99(seen) / GOALS[name], 2),
        f"{name}: answered ms, p50": round(statistics.median(answered), 1),
        f"{name}: answered ms, p99": round(p99(answered), 1),
        f"{name}: seen ms, p50": round(statistics.median(seen), 1),
        f"{name}: seen ms, p99": round(p99(seen), 1),
        f"{name}: seen after the answer ms, p50": round(statistics.median(after), 1),
        f"{name}: seen after the answer ms, p99": round(p99(after), 1),
        f"{name}: publishes": len(seen),
    }


def measure(publishes):
    """Both, in one run."""
    kind = f"{platform.machine()}, Python {platform.python_version()}"
    runnable = Path("/proc/loadavg").read_text().split()[3].partition("/")[0]
    found = {"machine": f"{os.cpu_count()} cores, {kind}", "runnable processes": runnable}
    with contextlib.ExitStack() as stack:
        wakes = stack.enter_context(contextlib.ExitStack())
        os.environ["REDIS_URL"] = url = wakes.enter_context(real_services.redis())
        stack.enter_context(shared_folder())
        made = stack.enter_context(installation())
        one, other = prepare(made), made.start()
        uvloop.run(told(one, other, made.raw, 5))  # warm
        found |= summary("with Redis", *uvloop.run(told(one, other, made.raw, publishes)))
        found["Redis's own message ms, p99"] = round(p99(uvloop.run(messages(url, publishes))), 1)
        shared = uvloop.run(files(one, other, made.raw, min(FILES, publishes)))
        found |= summary_of_files("with Redis", shared)
        wakes.close()
        few = max(publishes // 3, 1)
        found |= summary("without Redis", *uvloop.run(told(one, other, made.raw, few)))
        alone = uvloop.run(files(one, other, made.raw, min(FILES, publishes)))
        found |= summary_of_files("without Redis", alone)
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--publishes", type=int, default=200)
    parser.add_argument("--json", default=str(Path(tempfile.gettempdir()) / "nodes.json"))
    given = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        if "DATABASE_URL" not in os.environ:
            os.environ["DATABASE_URL"] = stack.enter_context(real_services.postgres())
        found = measure(given.publishes)
    Path(given.json).write_text(json.dumps(found, indent=1) + "\n")
    for name, value in sorted(found.items(), key=lambda each: " / " not in each[0]):
        print(f"{name:<62} {value}")


if __name__ == "__main__":
    main()

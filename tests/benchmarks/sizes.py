"""Many documents, and a long history: ``python -m tests.benchmarks.sizes``.

*Documents*, on PostgreSQL: an answer of 2 KB for each of ``--services`` in three environments in the memory of a
server process, each asked for some times, as by clients that come again; how much larger the process is than
before, and what hot fetches of all of them, at random, cost beside those of one document from a process that
holds only that one, in turn. The peer, where it is installed (Debian: ``nginx-light``), is nginx with as many
files of the same size, all at random beside one; as it comes, which opens a file each time, and with files
held open, as many as a process may have. ``--memory`` is the setting ``CONFIGSVC_MEMORY_BYTES``; what does
not fit into it is for Django each time, which the rate of the fetches tells. *Versions*: publishing and
fetching, hot and by Django's view, where ``--versions`` are in the database, beside an installation that
has a few on the same PostgreSQL, in turn.

Servers run on one core, who asks on another, PostgreSQL on all. Hot fetches are counted for each second that
the server ran on its core, which others' work hardly moves. Ratios come first; ``--json FILE`` says where
all of it is written.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests import real_services
from tests.benchmarks import pacing, reading
from tests.benchmarks.publishing import document as published
from tests.benchmarks.watching import resident
from tests.serving import installation, shared_folder

ENVIRONMENTS = ("development", "staging", "production")
KEYS = 36
MEMORY = 1 << 30
GOAL_MB = 300
HOURS = 4 * 3600
FEW = 20
"""Versions of the short history; so many acts are not counted, either."""
ACTS = 60
"""In a round."""
PASSES = 4
BESIDE = 1_000
"""Files that a process may have open beside the documents."""
OURS, FILES, HELD = "hot GET", "nginx static", "nginx static, files held open"
DOCUMENT = "/config/service-{:05}?environment={}"


@contextlib.contextmanager
def quiet():
    """An installation that makes no backup by itself: one in a server's process takes half of its core."""
    with installation() as made:
        made.environment["CONFIGSVC_BACKUPS_SCHEDULED"] = "false"
        yield made


@contextlib.contextmanager
def on_core(index):
    """What is begun meanwhile stays on that core, of those that this process has."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(cores)[index]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def setting(service, environment):
    """A document of 2 KB that no other is like."""
    return {f"setting_{n}": f"setting {n:02} of {service} in {environment}" for n in range(KEYS)}


def bring(made, services):
    """Give the installation ``services``, in each environment a document; the size of one of them."""
    for environment in ENVIRONMENTS:
        with tempfile.TemporaryDirectory(prefix="sizes-") as folder:
            for number in range(services):
                name = f"service-{number:05}"
                text = json.dumps(setting(name, environment), separators=(",", ":"))
                (Path(folder) / f"{name}.json").write_text(text)
            made.manage("import_configs", folder, "--environment", environment, within=HOURS)
    return len(text)


def requests(server, token, services):
    """The bytes of one request for each document."""
    return [
        f"GET {DOCUMENT.format(number, environment)} HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        for number in range(services)
        for environment in ENVIRONMENTS
    ]


def warm(server, every):
    """Ask for each until the bytes of all questions are known: once Django answers, once memory by all
    that decides; and again, for what came while the process waited for its look at the ledger.
    """
    for _time in range(PASSES):
        pacing.ask(server.port, every, itertools.repeat(0.0))


class Files:
    """nginx, with a file as long as an answer for each of ``count`` documents. ``held``: it has them open;
    as many as a process may, where that is fewer.
    """

    def __init__(self, stack, count, length, *, held):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - BESIDE
        names = [f"{number:05}.json" for number in range(min(count, most) if held else count)]
        bodies = {name: name.encode().ljust(length) for name in names}
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sizes-"))
        setting = f"max={len(names)} inactive=1h" if held else "off"
        address, self.pid = stack.enter_context(reading.files(folder, bodies, setting))
        self.port = urlsplit(address).port
        self.every = [
            f"GET /{name} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode()
            for name in names
        ]

    def running_seconds(self):
        """How long it has run on a CPU."""
        return reading.cpu_seconds(self.pid)


def per_core_second(server, every, seconds):
    """Answers for each second that the server ran on its core."""
    chosen = map(random.choice, itertools.repeat(every))
    ran = server.running_seconds()
    took, _rate = pacing.ask(server.port, chosen, pacing.unpaced(seconds))
    return len(took) / max(server.running_seconds() - ran, 0.01)


def in_rounds(asked, seconds, rounds):
    """What each pair of servers with their requests, by its name, answered for a second on the core, in turn."""
    rates = {name: [] for name in asked}
    for _round in range(rounds):
        for name, pair in asked.items():
            rates[name].append(tuple(per_core_second(*each, seconds) for each in pair))
    return rates


def documents(services, memory, seconds, rounds):
    """The figures of many documents in one process's memory."""
    with quiet() as made, contextlib.ExitStack() as stack:
        began = time.perf_counter()
        size = bring(made, services)
        filled = time.perf_counter() - began
        made.environment["CONFIGSVC_MEMORY_BYTES"] = str(memory)
        with on_core(0):
            one, all_of_them = made.start(), made.start()
        single = requests(one, made.raw, 1)[:1]
        every = requests(all_of_them, made.raw, services)
        with on_core(-1):
            warm(one, single)
            warm(all_of_them, every[: reading.CONNECTIONS])  # what first requests load
            empty = resident(all_of_them.process.pid)
            warm(all_of_them, every)
            full = resident(all_of_them.process.pid)
        asked = {OURS: ((all_of_them, every), (one, single))}
        if shutil.which("nginx"):
            with all_of_them.client(made.raw) as client:
                length = len(client.get(DOCUMENT.format(0, ENVIRONMENTS[0])).content)
            for name, held in ((FILES, False), (HELD, True)):
                with on_core(0):
                    peer = Files(stack, len(every), length, held=held)
                asked[name] = (peer, peer.every), (peer, peer.every[:1])
        with on_core(-1):
            for (peer, requested), _one in asked.values():
                warm(peer, requested)
            rates = in_rounds(asked, seconds, rounds)
    above = (full - empty) * 1.024 / 1000
    return compared(rates) | {
        "MB above the empty process / goal": above / GOAL_MB * 30_000 / len(every),
        "documents": len(every),
        "bytes of one": size,
        "CONFIGSVC_MEMORY_BYTES": memory,
        "KB for each document": above * 1000 / len(every),
        "MB above the empty process": above,
        "MB of the empty process": empty * 1.024 / 1000,
        "documents imported in s": filled,
    }


def compared(rates):
    """The figures of some rates: those of many to that of one, and ours to theirs."""
    found = {}
    for name, pairs in rates.items():
        found[f"{name}, all / one"] = middle([many / few for many, few in pairs])
        found[f"{name} of all for a second on the core"] = middle([many for many, _few in pairs])
        found[f"{name} of one for a second on the core"] = middle([few for _many, few in pairs])
        if name != OURS:
            both = zip(rates[OURS], pairs, strict=True)
            found[f"{OURS} of all / {name}"] = middle([mine / its for (mine, _), (its, _) in both])
    return found


class Fixture:
    """A server with one configuration of some versions, and a client of it."""

    def __init__(self, server, token):
        self.server = server
        self.client = server.client(token)
        self.hot = (
            f"GET /config/long?environment=production HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )

    def publish(self, number):
        """One more version."""
        body = {"environment": "production", "config": published(number), "on_stale": "overwrite"}
        self.client.post("/config/long", json=body).raise_for_status()

    def fetch(self, _number):
        """By Django's view."""
        asked = {"environment": "production", "through": "django"}
        self.client.get("/config/long", params=asked).raise_for_status()


def begin(made):
    """A fixture with a few versions."""
    one = Fixture(made.start(), made.raw)
    one.client.post("/services", json={"slug": "long"}).raise_for_status()
    for number in range(FEW):
        one.publish(number)
    return one


def took_ms(act, number):
    """How long it took."""
    began = time.perf_counter()
    act(number)
    return (time.perf_counter() - began) * 1000


def in_turn(name, many, few, rounds):
    """An act at both, in turn: medians in ms, and their ratio."""
    times = [[], []]
    for number in range(FEW + ACTS * rounds):
        for found, one in zip(times, (many, few), strict=True):
            found.append(took_ms(getattr(one, name), 1_000_000 + number))
    long, short = (statistics.median(found[FEW:]) for found in times)
    return {
        f"{name} p50, many versions / few": long / short,
        f"{name} p50 ms, many versions": long,
        f"{name} p50 ms, few versions": short,
    }


def versions(count, seconds, rounds):
    """The figures of a long history."""
    with quiet() as long, quiet() as short, contextlib.ExitStack() as stack:
        with on_core(0):
            begun, few = begin(long), begin(short)
        begun.client.close()
        begun.server.stop()
        code = f"from tests.benchmarks.filling import fill; fill({count})"
        began = time.perf_counter()
        long.manage("shell", "-c", code, within=HOURS)
        filled = time.perf_counter() - began
        with on_core(0):
            many = Fixture(long.start(), long.raw)
        stack.callback(many.client.close)
        stack.callback(few.client.close)
        found = {}
        with on_core(-1):
            for name in ("publish", "fetch"):
                found |= in_turn(name, many, few, rounds)
            for one in (many, few):
                warm(one.server, [one.hot])
            asked = {OURS: [(one.server, [one.hot]) for one in (many, few)]}
            rates = in_rounds(asked, seconds, rounds)[OURS]
    return found | {
        "hot GET, few versions / many": middle([fewer / more for more, fewer in rates]),
        "hot GET for a second on the core, many versions": middle([more for more, _ in rates]),
        "hot GET for a second on the core, few versions": middle([fewer for _, fewer in rates]),
        "versions": count,
        "versions filled in s": filled,
    }


def middle(values):
    """The median, and the least and the most."""
    return [statistics.median(values), min(values), max(values)]


def show(found):
    """The table, ratios first."""
    for name, value in sorted(found.items(), key=lambda each: " / " not in each[0]):
        if isinstance(value, list):
            median, least, most = (f"{each:.5g}" for each in value)
            print(f"{name:<52} {median} ({least} to {most})")
        else:
            print(f"{name:<52} {f'{value:.5g}' if isinstance(value, float) else value}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--services", type=int, default=10_000, help="0: no documents")
    parser.add_argument("--versions", type=int, default=1_000_000, help="0: no versions")
    parser.add_argument("--memory", type=int, default=MEMORY)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", default=str(Path(tempfile.gettempdir()) / "sizes.json"))
    given = parser.parse_args(arguments)
    found = reading.versions(["nginx"])
    with contextlib.ExitStack() as stack:
        if "DATABASE_URL" not in os.environ:
            os.environ["DATABASE_URL"] = stack.enter_context(real_services.postgres())
        stack.enter_context(shared_folder())
        if given.services:
            found |= documents(given.services, given.memory, given.seconds, given.rounds)
        if given.versions:
            found |= versions(given.versions, given.seconds, given.rounds)
    Path(given.json).write_text(json.dumps(found, indent=1) + "\n")
    show(found)


if __name__ == "__main__":
    main()

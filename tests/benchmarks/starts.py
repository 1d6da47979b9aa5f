"""What a start is worth that warms what was hot: ``python -m tests.benchmarks.starts``.

On PostgreSQL, one server process on one core, who asks on another: ``--services`` in three environments, each
with a document of 2 KB that is asked for often. The server is stopped and started again, and each document is
asked for once, over 64 connections; the peer, in turn, is the same server whose questions were forgotten before.
Ratios come first; ``--json FILE`` says where all of it is written.
"""

import argparse
import contextlib
import itertools
import json
import os
import re
import tempfile
import time
from pathlib import Path

from tests import real_services
from tests.benchmarks import pacing
from tests.benchmarks.sizes import bring, middle, on_core, quiet, requests, show, warm
from tests.serving import shared_folder

FORGET = "from apps.delivery.models import HotQuestion as each; each.objects.all().delete()"
READY = re.compile(r"(\d+) of \d+ answers are ready again")


def started(made, port, every):
    """The server, how long its start took in s, and how many first answers it then gave a second."""
    began = time.perf_counter()
    with on_core(0):
        server = made.start(port=port)
    took = time.perf_counter() - began
    with on_core(-1):
        _took, rate = pacing.ask(server.port, every, itertools.repeat(0.0))
    return server, took, rate


def measure(services, rounds):
    """Both, in turn."""
    found = {"cold": [], "warm": [], "cold start": [], "warm start": []}
    with quiet() as made:
        bring(made, services)
        server = made.start()
        every = requests(server, made.raw, services)
        server.stop()
        for _round in range(rounds):
            made.manage("shell", "-c", FORGET)
            server, took, rate = started(made, server.port, every)
            found["cold start"].append(took)
            found["cold"].append(rate)
            with on_core(-1):
                warm(server, every)
            server.stop()
            server, took, rate = started(made, server.port, every)
            found["warm start"].append(took)
            found["warm"].append(rate)
            ready = int(READY.search(server.log.read_text()).group(1))
            server.stop()
    pairs = zip(found["warm"], found["cold"], strict=True)
    return {
        "first GETs after a start: warmed / not": middle([one / two for one, two in pairs]),
        "first GETs a second, warmed": middle(found["warm"]),
        "first GETs a second, not warmed": middle(found["cold"]),
        "start, warming s": middle(found["warm start"]),
        "start, not warming s": middle(found["cold start"]),
        "answers ready": ready,
        "documents": len(every),
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--services", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", default=str(Path(tempfile.gettempdir()) / "starts.json"))
    given = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        if "DATABASE_URL" not in os.environ:
            os.environ["DATABASE_URL"] = stack.enter_context(real_services.postgres())
        stack.enter_context(shared_folder())
        found = measure(given.services, given.rounds)
    Path(given.json).write_text(json.dumps(found, indent=1) + "\n")
    show(found)


if __name__ == "__main__":
    main()

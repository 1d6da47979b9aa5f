"""Which web server: ``python -m tests.benchmarks.servers``, with ``pip install granian`` for the peer.

The same application on one core, in turn under this project's server (uvicorn with the short way of
``apps.delivery.protocol``), under uvicorn as it comes, and under Granian's ASGI: hot GETs (``wrk``, 64
connections), and one change told to ``BENCHMARK_WATCHERS`` (1000) watchers by SSE and by WebSocket. Who asks and
listens is on another core. Ratios to this project's server come first.
"""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

import httpx
import uvloop

from tests.benchmarks.reading import Question, by_wrk, cpu_seconds
from tests.benchmarks.watching import ours, p99, prepare, tell_all
from tests.commands import TOP
from tests.real_services import free_port
from tests.serving import installation, shared_folder

COUNT = int(os.environ.get("BENCHMARK_WATCHERS", "1000"))
ROUNDS = int(os.environ.get("BENCHMARK_ROUNDS", "3"))
CHANGES = 20
SECONDS = 3
OURS = "ours"
APPLICATION = "configsvc.asgi:application"


def commands(port):
    """How each server is started."""
    here = ["--host", "127.0.0.1", "--port", str(port)]
    uvicorn = [sys.executable, "-m", "uvicorn", APPLICATION, *here, "--log-level", "error"]
    found = {"uvicorn": [*uvicorn, "--no-access-log", "--lifespan", "on"]}
    if importlib.util.find_spec("granian"):
        granian = [sys.executable, "-m", "granian", APPLICATION, *here, "--interface", "asgi"]
        found["Granian"] = [*granian, "--workers", "1", "--loop", "uvloop", "--no-log"]
    return found


@contextlib.contextmanager
def served(made, name):
    """One of them, on the first core."""
    if name == OURS:
        server = made.start()
        pid, port = server.process.pid, server.port
        stop = server.stop
    else:
        port = free_port()
        process = subprocess.Popen(
            commands(port)[name], cwd=TOP, env=made.environment, stderr=subprocess.DEVNULL
        )
        await_answer(port, process)
        pid = worker_of(process.pid)

        def stop():
            process.send_signal(signal.SIGTERM)
            process.wait(30)

    os.sched_setaffinity(pid, {min(os.sched_getaffinity(0))})
    try:
        yield SimpleNamespace(url=f"http://127.0.0.1:{port}", port=port, pid=pid)
    finally:
        stop()


def await_answer(port, process):
    ends = time.monotonic() + 60
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200:
                return
        assert process.poll() is None
        assert time.monotonic() < ends
        time.sleep(0.1)


def worker_of(pid):
    """The process that serves: the only child, where there is one."""
    children = subprocess.run(
        ["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False
    )
    found = children.stdout.split()
    return int(found[0]) if found else pid


def measured(made, name, core, folder):
    """Hot GETs for a second on the core, and the 99th percentiles of both ways of watching, in ms."""
    with served(made, name) as server:
        os.sched_setaffinity(0, {core})
        headers = {"Authorization": f"Bearer {made.raw}"}
        asked = Question(name, f"{server.url}/config/shop?environment=production", headers)
        by_wrk(asked, 1, folder)
        before = cpu_seconds(server.pid)
        _rate, count, _p99 = by_wrk(asked, SECONDS, folder)
        found = {"hot GETs for a second on the core": count / (cpu_seconds(server.pid) - before)}
        for way in ("SSE", "WebSocket"):
            ways, change = ours(SimpleNamespace(url=server.url, port=server.port), made.raw)
            latencies, lost = uvloop.run(tell_all(server.port, COUNT, ways[way], change, CHANGES))
            assert not lost, (name, way, lost)
            found[f"{way}, {COUNT} watchers: p99 ms"] = p99(latencies)
    return found


def main():
    cores = sorted(os.sched_getaffinity(0))
    rounds = []
    with shared_folder(), installation() as made, tempfile.TemporaryDirectory() as folder:
        prepare(made).stop()
        for _round in range(ROUNDS):
            found = {}
            for name in (OURS, *commands(0)):
                os.sched_setaffinity(0, set(cores))
                found[name] = measured(made, name, cores[-1], folder)
            rounds.append(found)
    names = list(rounds[0])
    print(f"| | {' | '.join(names)} |\n|---{'|---' * len(names)}|")
    for what in rounds[0][OURS]:
        ratios = [[each[name][what] / each[OURS][what] for each in rounds] for name in names]
        told = [f"{sorted(each)[len(each) // 2]:.2f}" for each in ratios]
        print(f"| {what}, to {OURS} | {' | '.join(told)} |")
    for what in rounds[0][OURS]:
        middle = [sorted(each[name][what] for each in rounds)[len(rounds) // 2] for name in names]
        print(f"| {what} | {' | '.join(f'{each:.1f}' for each in middle)} |")
    print(json.dumps(rounds))


if __name__ == "__main__":
    if "DATABASE_URL" not in os.environ:
        again = [sys.executable, "-m", "tests.real_services"]
        again += [sys.executable, "-m", "tests.benchmarks.servers"]
        sys.exit(subprocess.run(again, check=False).returncode)
    main()

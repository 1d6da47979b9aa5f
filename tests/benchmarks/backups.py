"""Backups of a large installation: ``python -m tests.benchmarks.backups``.

SQLite as it is; on PostgreSQL with ``python -m tests.real_services`` before it. ``BENCHMARK_VERSIONS``
versions (1,000,000), each with its event; the machine as it is. Each figure has a peer in the same run:
of making, checking and restoring an archive a copy of the database by its own means (SQLite: of its file;
PostgreSQL: ``pg_dump``), of publishing beside a backup the same without one.
"""

import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import threading
import time
from pathlib import Path

from configsvc.env import SQLITE_FILE
from tests.serving import installation, shared_folder

VERSIONS = int(os.environ.get("BENCHMARK_VERSIONS", "1000000"))
PUBLISHES = 300
HOUR = 3_600
LOSS_SECONDS = int(os.environ.get("BENCHMARK_LOSS_SECONDS", "150"))


def main():
    with shared_folder(), installation() as made:
        made.environment["CONFIGSVC_BACKUPS_SCHEDULED"] = "false"
        server = made.start()
        with server.client(made.raw) as client:
            client.post("/services", json={"slug": "long"}).raise_for_status()
            publish(client, 0)
        server.stop()
        made.servers.clear()
        started = time.perf_counter()
        made.manage(
            "shell",
            "-c",
            f"from tests.benchmarks.filling import fill; fill({VERSIONS})",
            within=HOUR,
        )
        size = size_of(made)
        print(
            f"{'PostgreSQL' if made.is_postgres else f'SQLite {sqlite3.sqlite_version}'}, {VERSIONS} versions,"
            f" {size / 1e6:.0f} MB, {os.cpu_count()} cores, {platform.machine()}, Python"
            f" {platform.python_version()}; filled in {time.perf_counter() - started:.0f} s"
        )
        beside(made, size)
        archive(made)
        if not made.is_postgres:
            lost(made)


def publish(client, number):
    settings = {f"key_{i:03}": f"value {i:03} " + "x" * 16 for i in range(94)}
    body = {"environment": "production", "config": {"n": number, **settings}}
    started = time.perf_counter()
    client.post("/config/long", json={**body, "on_stale": "overwrite"}).raise_for_status()
    return (time.perf_counter() - started) * 1000


def size_of(made):
    if not made.is_postgres:
        return (made.folder / SQLITE_FILE).stat().st_size
    import psycopg

    with psycopg.connect(made.environment["DATABASE_URL"]) as raw:
        return raw.execute("SELECT pg_database_size(current_database())").fetchone()[0]


def beside(made, size):
    """Publishing while an archive is made, and without."""
    server = made.start()
    with server.client(made.raw, timeout=600) as client:
        for number in range(20):
            publish(client, number)
        alone = [publish(client, number) for number in range(PUBLISHES)]
        done = threading.Event()

        def back_up():
            made.manage("backup", "create", within=HOUR)
            done.set()

        thread = threading.Thread(target=back_up)
        thread.start()
        during = []
        while not done.is_set() or len(during) < PUBLISHES:
            during.append(publish(client, len(during)))
        thread.join()
    server.stop()
    made.servers.clear()
    for name, figure in (("p50", 50), ("p99", 99)):
        before, after = (percentile(each, figure) for each in (alone, during))
        print(
            f"publish {name}: alone {before:8.1f} ms, beside a backup {after:8.1f} ms, ratio {after / before:.2f}"
        )
    longest = max(during)
    print(
        f"longest publish beside it: {longest:.0f} ms; for 500 MB {longest * 500e6 / size:.0f} ms ({len(during)} publishes)"
    )


def percentile(found, of):
    return statistics.quantiles(found, n=100, method="inclusive")[of - 1]


def archive(made):
    """Making, checking and restoring one, each with its peer."""
    name, seconds = timed(lambda: made.manage("backup", "create", within=HOUR).stdout.split()[0])
    path = Path(made.folder) / "backups" / name
    _copy, peer = timed(lambda: copy(made))
    print(
        f"create: {seconds:.1f} s, {path.stat().st_size / 1e6:.0f} MB; the database's own copy {peer:.1f} s, ratio {seconds / peer:.1f}"
    )
    _done, seconds = timed(lambda: made.manage("backup", "verify", name, within=HOUR))
    print(f"verify: {seconds:.1f} s, ratio {seconds / peer:.1f}")
    _done, seconds = timed(lambda: made.manage("backup", "restore", name, "--yes", within=HOUR))
    started = time.perf_counter()
    made.start()
    first = time.perf_counter() - started
    print(
        f"restore: {seconds:.1f} s, and {first:.1f} s to the first answer; ratio {seconds / peer:.1f}"
    )
    assert made.manage("audit", "verify", within=HOUR).returncode == 0
    made.servers.pop().stop()


def copy(made):
    target = Path(made.folder) / "peer"
    if made.is_postgres:
        dump = shutil.which("pg_dump") or os.environ["BENCHMARK_PG_DUMP"]
        subprocess.run([dump, "-Fc", "-f", target, made.environment["DATABASE_URL"]], check=True)
    else:
        shutil.copyfile(made.folder / SQLITE_FILE, target)
        with target.open("rb+") as file:
            os.fsync(file.fileno())
    target.unlink()


def timed(act):
    started = time.perf_counter()
    found = act()
    return found, time.perf_counter() - started


def lost(made):
    """What a killed machine loses: the age of the oldest publish that no archive holds."""
    made.environment["CONFIGSVC_BACKUPS_SCHEDULED"] = "true"
    made.manage("backup", "create", within=HOUR)
    server = made.start()
    times = {}
    until = time.monotonic() + LOSS_SECONDS
    with server.client(made.raw, timeout=600) as client:
        while time.monotonic() < until:
            publish(client, len(times))
            times[len(times)] = time.time()
            time.sleep(0.5)
    server.kill()
    killed = time.time()
    made.servers.clear()
    (made.folder / SQLITE_FILE).unlink()
    made.environment["CONFIGSVC_BACKUPS_SCHEDULED"] = "false"
    made.manage("backup", "restore", "--yes", within=HOUR)
    with sqlite3.connect(made.folder / SQLITE_FILE) as raw:
        (document,) = raw.execute(
            "SELECT t.content FROM configs_live l JOIN configs_version v ON v.id = l.version_id"
            " JOIN configs_text t ON t.digest = v.effective_id"
        ).fetchone()
    import json

    kept = json.loads(document)["n"]
    print(
        f"lost by the loss of the database: {killed - times[kept]:.0f} s of publishes ({len(times) - kept - 1} of {len(times)})"
    )


if __name__ == "__main__":
    main()

"""Pages of a long history, over REST and in the portal: ``python -m tests.benchmarks.histories``.

SQLite as it is; on PostgreSQL with ``python -m tests.real_services`` before it. One server process
and one client on the machine as it is. Each page is measured in turn with its peer, the same page
of a configuration with one version, so the ratio says what the length costs. ``CPU`` is the time
that the server's threads ran for a page (without PostgreSQL's), which work beside it hardly moves.
"""

import os
import platform
import sqlite3
import statistics
import time
from contextlib import closing
from pathlib import Path

import httpx

from configsvc.env import SQLITE_FILE
from tests.serving import installation, shared_folder

VERSIONS = int(os.environ.get("BENCHMARK_VERSIONS", "100000"))
ROUNDS = 30
DOCUMENTS = 200
"""So many different documents of about 4 KiB, in turn."""
RARE = 5_000
"""Every so many versions touched ``settings.rare``; one alone ``settings.first_of_all``."""
WHERE = "environment=production"


def pages(moment):
    """By name the address of a page, ``{service}`` in it; ``moment`` is in the middle's time."""
    middle = VERSIONS // 2
    rest = f"/config/{{service}}/history?{WHERE}&page_size=50"
    portal = "/admin/config/{service}/production/history/"
    found = {
        "first page": (rest, portal),
        "from the middle": (f"{rest}&cursor={middle}", f"{portal}?before={middle}"),
    }
    for name, asked in (
        ("a key that every version touched", "key=settings.key_001"),
        ("a key that few touched", "key=settings.rare"),
        ("a key that one touched", "key=settings.first_of_all"),
        ("a key that none touched", "key=nowhere"),
        ("a pattern without a word", "key=*.*.*"),
        ("an author of none", "author=nobody"),
    ):
        found[name] = (f"{rest}&{asked}", f"{portal}?{asked}")
    found["until a time"] = (f"{rest}&until={moment}",)
    found["since a time, back from there"] = (f"{rest}&since={moment}&cursor=-{middle}",)
    return {
        f"{way}: {name}": address
        for name, ways in found.items()
        for way, address in zip(("REST", "portal"), ways, strict=False)
    }


def measure(server, page, peer):
    """Of both in turn, the median times in milliseconds: by the clock, and on the CPU."""
    clock, busy = {page: [], peer: []}, {page: [], peer: []}
    for act in (page, peer):
        act()
    for _ in range(ROUNDS):
        for act in (page, peer):
            ran, started = running_time(server), time.perf_counter()
            act()
            clock[act].append((time.perf_counter() - started) * 1000)
            busy[act].append(running_time(server) - ran)
    return [statistics.median(each[act]) for each in (clock, busy) for act in (page, peer)]


def running_time(server):
    """The milliseconds that the server's threads have run so far, as Linux tells."""
    tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def main():
    with shared_folder(), installation() as made:
        server = made.start()
        with server.client(made.raw) as client, closing(log_in(server, made.password)) as browser:
            for slug, count in (("short", 1), ("long", DOCUMENTS)):
                client.post("/services", json={"slug": slug}).raise_for_status()
                for number in range(count):
                    client.post(f"/config/{slug}", json=body(number)).raise_for_status()
            fill(made, VERSIONS)
            readers = {"REST": client, "restricted": restricted(made, server), "portal": browser}
            print(
                f"{'PostgreSQL' if made.is_postgres else f'SQLite {sqlite3.sqlite_version}'}, {VERSIONS}"
                f" versions, {os.cpu_count()} cores, {platform.machine()},"
                f" Python {platform.python_version()}"
            )
            print(
                f"{'page':<54} {'ms':>7} {'peer':>7} {'ratio':>6} {'CPU':>7} {'peer':>7} {'ratio':>6}"
            )
            middle = client.get(f"/config/long/versions/{VERSIONS // 2}?{WHERE}").json()
            for name, address in pages(middle["published_at"]).items():
                way = name.partition(":")[0]
                show(server, name, readers[way], address)
                if way == "REST":
                    hidden = name.replace("REST", "REST, keys hidden")
                    show(server, hidden, readers["restricted"], address)


def body(number):
    """A publish of about 4 KiB; the first one touches all keys, the others ``key_001`` alone."""
    settings = {f"key_{i:03}": f"value {i:03} " + "x" * 16 for i in range(94)}
    settings |= {"first_of_all": 1, "rare": 1, "key_001": number}
    return {"environment": "production", "config": {"settings": settings}, "on_stale": "overwrite"}


def show(server, name, reader, address):
    """Measure one page and print its line."""

    def get(service):
        assert reader.get(address.format(service=service)).status_code == 200

    page, peer, cpu, peer_cpu = measure(server, lambda: get("long"), lambda: get("short"))
    by_clock = f"{page:7.1f} {peer:7.1f} {page / peer:6.2f}"
    print(f"{name:<54} {by_clock} {cpu:7.1f} {peer_cpu:7.1f} {cpu / peer_cpu:6.2f}", flush=True)


def restricted(made, server):
    """A client from whom a rule hides a key of both configurations."""
    raw = made.token("viewer", "restricted")
    with server.client(made.raw) as client:
        rule = client.post("/key-rules", json={"pattern": "**.key_002"}).json()
        grant = {"to": "service-account:tester", "role": "operator", "on": {"key_rule": rule["id"]}}
        client.post("/grants", json=grant).raise_for_status()
    return server.client(raw)


def log_in(server, password):
    """A browser's session of the first superuser."""
    browser = httpx.Client(base_url=server.url, follow_redirects=True, timeout=60)
    form = browser.get("/admin/login/")
    fields = {"username": "admin", "password": password}
    fields["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
    browser.post(form.url, data=fields, headers={"Referer": str(form.url)}).raise_for_status()
    return browser


FILL = """
    INSERT INTO configs_version (id, configuration_id, number, source_id, format, extends,
        effective_id, lock, secrets, uses, keys, cause, author, message, revision, published_at, retired,
        promotes)
    SELECT {random_id}, v.configuration_id, g, v.source_id, v.format, v.extends,
        v.effective_id, v.lock, v.secrets, v.uses,
        CASE WHEN g % {rare} = 0 THEN '["settings.key_001","settings.rare"]' ELSE '["settings.key_001"]' END,
        'publish', v.author, 'version ' || g, v.revision, {published_at}, false, ''
    FROM configs_version v JOIN registry_configuration c ON c.id = v.configuration_id
    JOIN registry_service s ON s.id = c.service_id, {numbers}
    WHERE s.slug = 'long' AND v.number = 1 + g % {documents}
"""


def filling(random_id, numbers, published_at):
    """The statement for one database."""
    return FILL.format(
        random_id=random_id,
        numbers=numbers,
        published_at=published_at,
        rare=RARE,
        documents=DOCUMENTS,
    )


def fill(made, count):
    """Give the configuration of ``long`` many versions, by copying its first one."""
    if made.is_postgres:
        import psycopg

        numbers = f"generate_series({DOCUMENTS + 1}, {count}) g"
        with psycopg.connect(made.environment["DATABASE_URL"]) as raw:
            raw.execute(
                filling("gen_random_uuid()", numbers, "v.published_at + g * interval '1 second'"),
            )
            raw.execute("ANALYZE configs_version")
        return
    numbers = (
        f"(WITH RECURSIVE n(g) AS (VALUES ({DOCUMENTS + 1})"  # noqa: S608 - our own numbers
        f" UNION ALL SELECT g + 1 FROM n WHERE g < {count}) SELECT g FROM n)"
    )
    published_at = "strftime('%Y-%m-%d %H:%M:%f', v.published_at, '+' || g || ' seconds')"
    statement = filling("lower(hex(randomblob(16)))", numbers, published_at)
    with closing(sqlite3.connect(made.folder / SQLITE_FILE, timeout=60)) as raw, raw:
        raw.execute(statement)


if __name__ == "__main__":
    main()

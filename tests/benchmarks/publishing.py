"""Publishing and the history page on PostgreSQL: ``python -m tests.benchmarks.publishing``.

One server process, one client connection each, on the machine as it is. Ratios come first: the
peer of a publish is a plain ``INSERT`` and commit on the same server in the same run; the peer
of a page of a long history is the same page of a short one.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time

VERSIONS = int(os.environ.get("BENCHMARK_VERSIONS", "100000"))
PUBLISHES = 300
WRITERS = 4


def timed(act, times):
    found = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        found.append((time.perf_counter() - started) * 1000)
    return statistics.median(found)


def document(number):
    """About 4 KiB of canonical JSON."""
    return {
        "n": number,
        "settings": {f"key_{i:03}": f"value {i:03} " + "x" * 16 for i in range(94)},
    }


def main():
    import psycopg

    from tests.serving import installation, shared_folder

    with shared_folder(), installation() as made:
        server = made.start()
        token = made.raw
        size = len(json.dumps(document(0), separators=(",", ":")))
        with (
            server.client(token) as client,
            psycopg.connect(made.environment["DATABASE_URL"]) as raw,
        ):
            for slug in ("one", "short", "long", *(f"w{i}" for i in range(WRITERS))):
                client.post("/services", json={"slug": slug})
            count = iter(range(10**9))

            def publish(service="one", http=client):
                body = {
                    "environment": "production",
                    "config": document(next(count)),
                    "on_stale": "overwrite",
                }
                assert http.post(f"/config/{service}", json=body).status_code == 201

            raw.execute("CREATE TABLE peer (id serial primary key, body text)")
            raw.commit()

            def insert():
                raw.execute("INSERT INTO peer (body) VALUES (%s)", ["x" * size])
                raw.commit()

            timed(publish, 20)
            publish_ms = timed(publish, PUBLISHES)
            insert_ms = timed(insert, PUBLISHES)

            def write(number):
                with server.client(token) as mine:
                    for _ in range(PUBLISHES // WRITERS):
                        publish(f"w{number}", mine)

            threads = [threading.Thread(target=write, args=(i,)) for i in range(WRITERS)]
            started = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            rate = PUBLISHES / (time.perf_counter() - started)

            for slug in ("short", "long"):
                publish(slug)
            fill(raw, VERSIONS)
            pages = {}
            for slug in ("short", "long"):
                url = f"/config/{slug}/history?environment=production&page_size=50"
                assert client.get(url).status_code == 200
                pages[slug] = timed(lambda url=url: client.get(url), 50)
            deep = (
                f"/config/long/history?environment=production&page_size=50&cursor={VERSIONS // 2}"
            )
            pages["deep"] = timed(lambda: client.get(deep), 50)
            result = {
                "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
                "document_bytes": size,
                "publish / plain insert": round(publish_ms / insert_ms, 1),
                f"history of {VERSIONS} versions / of 1": round(pages["long"] / pages["short"], 2),
                "history from the middle / of 1": round(pages["deep"] / pages["short"], 2),
                "publish p50 ms": round(publish_ms, 1),
                f"publishes per second, {WRITERS} writers": round(rate),
                "history page ms": round(pages["long"], 1),
            }
    for name, value in result.items():
        print(f"{name:<40} {value}")
    print(json.dumps(result))


def fill(raw, count):
    """Give the configuration of ``long`` many versions, by copying its first one."""
    raw.execute(
        """
        INSERT INTO configs_version (id, configuration_id, number, source_id, format, extends,
            effective_id, lock, secrets, uses, keys, cause, author, message, revision, published_at, retired,
            promotes)
        SELECT gen_random_uuid(), v.configuration_id, g, v.source_id, v.format, v.extends,
            v.effective_id, v.lock, v.secrets, v.uses, '["n"]', 'publish', v.author, 'version ' || g, v.revision,
            v.published_at, false, ''
        FROM configs_version v JOIN registry_configuration c ON c.id = v.configuration_id
        JOIN registry_service s ON s.id = c.service_id, generate_series(2, %s) g
        WHERE s.slug = 'long'
        """,
        [count],
    )
    raw.commit()
    raw.execute("ANALYZE configs_version")
    raw.commit()


if __name__ == "__main__":
    if "DATABASE_URL" not in os.environ:
        sys.exit(
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "tests.real_services",
                    sys.executable,
                    "-m",
                    "tests.benchmarks.publishing",
                ],
                check=False,
            ).returncode
        )
    main()

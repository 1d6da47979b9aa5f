"""Publishing on PostgreSQL: ``python -m tests.benchmarks.publishing``.

One server process, one client connection each, on the machine as it is. Ratios come first: the
peer of a publish is a plain ``INSERT`` and commit on the same server in the same run.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time

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
            for slug in ("one", *(f"w{i}" for i in range(WRITERS))):
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

            result = {
                "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
                "document_bytes": size,
                "publish / plain insert": round(publish_ms / insert_ms, 1),
                "publish p50 ms": round(publish_ms, 1),
                f"publishes per second, {WRITERS} writers": round(rate),
            }
    for name, value in result.items():
        print(f"{name:<40} {value}")
    print(json.dumps(result))


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

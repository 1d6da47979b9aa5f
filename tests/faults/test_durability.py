"""No lost update with many writers, and no acknowledged version lost to a killed server."""

import random
import threading
import time

import httpx
import pytest

from tests.serving import installation

pytestmark = pytest.mark.servers

WRITERS = 32


def test_publish__32_concurrent_writers__lose_no_update():
    """Each adds one to a counter by compare-and-set until it succeeds: the sum must be exact."""
    rounds = 4 if pytest.long_form else 1
    with installation() as made:
        servers = [made.start()]
        if made.is_postgres:
            servers.append(made.start())
        with servers[0].client(made.raw) as client:
            client.post("/services", json={"slug": "shop"})
            body = {"environment": "production", "config": {"counter": 0}}
            assert client.post("/config/shop", json=body).status_code == 201
        statuses = []
        barrier = threading.Barrier(WRITERS)

        def write(number):
            server = servers[number % len(servers)]
            with server.client(made.raw) as client:
                barrier.wait()
                for _ in range(rounds):
                    while True:
                        live = client.get("/config/shop?environment=production").json()
                        body = {
                            "environment": "production",
                            "config": {"counter": live["config"]["counter"] + 1},
                            "base_version": live["version"],
                        }
                        status = client.post("/config/shop", json=body).status_code
                        statuses.append(status)
                        if status != 409:
                            break

        threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)

        with servers[0].client(made.raw) as client:
            live = client.get("/config/shop?environment=production").json()
        assert set(statuses) <= {201, 409}, set(statuses)
        assert statuses.count(201) == WRITERS * rounds
        assert live["config"]["counter"] == WRITERS * rounds
        assert live["version"] == WRITERS * rounds + 1


def test_publish__server_killed_at_random_moments__every_acknowledged_version_is_there():
    """``kill -9`` under load, again and again, on one database; then read everything back."""
    kills = 50 if pytest.long_form else 4
    chance = random.Random(20261124)
    acknowledged: dict[int, int] = {}
    lock = threading.Lock()
    with installation() as made:
        server = made.start()
        with server.client(made.raw) as client:
            client.post("/services", json={"slug": "shop"})
        stop = threading.Event()
        count = iter(range(10**9))

        def write():
            client = server.client(made.raw, timeout=20)
            while not stop.is_set():
                value = next(count)
                body = {
                    "environment": "production",
                    "config": {"n": value},
                    "on_stale": "overwrite",
                }
                try:
                    answer = client.post(f"{made.servers[-1].url}/config/shop", json=body)
                except httpx.HTTPError:
                    time.sleep(0.01)
                    continue
                if answer.status_code == 201:
                    with lock:
                        acknowledged[answer.json()["version"]] = value

        threads = [threading.Thread(target=write, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(kills):
            before, ends = len(acknowledged), time.monotonic() + 20
            while len(acknowledged) <= before and time.monotonic() < ends:
                time.sleep(0.005)
            time.sleep(chance.uniform(0.02, 0.25))
            made.servers[-1].kill()
            made.start()
        stop.set()
        for thread in threads:
            thread.join(10)

        assert len(acknowledged) >= kills
        with made.servers[-1].client(made.raw) as client:
            for version, value in chance.sample(
                sorted(acknowledged.items()), min(200, len(acknowledged))
            ):
                answer = client.get(f"/config/shop?environment=production&version={version}")
                assert answer.json()["config"] == {"n": value}
            history = []
            url = "/config/shop/history?environment=production&page_size=200"
            while url:
                page = client.get(url).json()
                history += [each["version"] for each in page["results"]]
                url = page["next"]
        assert set(acknowledged) <= set(history)
        assert history == list(range(len(history), 0, -1))

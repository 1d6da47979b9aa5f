"""Redis behind Sentinel: wake-ups and the cache go on at the one that takes the master's place."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
import redis

from configsvc.env import UnsafeSettingError
from configsvc.redis_urls import read_redis_url
from tests.real_services import find_redis, free_port
from tests.serving import installation

MASTER = "shop"
PATIENCE = 60


class Guarded:
    """A master, its replica, and a Sentinel that puts the one in the place of the other."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.ports = [free_port(), free_port()]
        self.guard = free_port()
        self.running = {}
        for port in self.ports:
            more = [] if port == self.ports[0] else ["--replicaof", "127.0.0.1", str(self.ports[0])]
            self.start(port, *more)
        await_that(
            lambda: self.ask(self.ports[1]).info("replication")["master_link_status"] == "up"
        )
        rules = [
            f"sentinel monitor {MASTER} 127.0.0.1 {self.ports[0]} 1",
            f"sentinel down-after-milliseconds {MASTER} 500",
            f"sentinel failover-timeout {MASTER} 3000",
        ]
        written = self.folder / "sentinel.conf"
        written.write_text("\n".join(rules) + "\n")
        self.start(self.guard, file=written)
        self.url = f"redis+sentinel://127.0.0.1:{self.guard}/{MASTER}"
        await_that(self.knows_the_replica)

    def start(self, port, *more, file=None):
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command = [find_redis(), *([str(file)] if file else []), *options, "--save", "", *more]
        self.running[port] = subprocess.Popen(
            [*command, *(["--sentinel"] if file else [])], stdout=subprocess.DEVNULL
        )
        await_that(lambda: self.ask(port).ping())

    def ask(self, port):
        return redis.Redis(port=port, socket_timeout=2, decode_responses=True)

    def knows_the_replica(self):
        return self.ask(self.guard).execute_command("SENTINEL", "replicas", MASTER)

    def master(self):
        return int(
            self.ask(self.guard).execute_command("SENTINEL", "get-master-addr-by-name", MASTER)[1]
        )

    def kill_master(self):
        """Kill it, and wait until the other one is the master."""
        self.running[self.ports[0]].kill()
        await_that(lambda: self.master() == self.ports[1])
        await_that(lambda: self.ask(self.ports[1]).info("replication")["role"] == "master")

    def close(self):
        for each in self.running.values():
            each.send_signal(signal.SIGKILL)
            each.wait()


def await_that(holds):
    ends = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(redis.RedisError):
            if holds():
                return
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.fixture
def guarded():
    folder = tempfile.mkdtemp(prefix="configsvc-sentinel-")
    made = Guarded(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.servers
@pytest.mark.postgresql
@pytest.mark.each_database
def test_nodes__behind_sentinel__wake_each_other_before_and_after_a_failover(guarded):
    with installation() as made:
        made.environment["REDIS_URL"] = guarded.url
        here, there = made.start(), made.start()
        with here.client(made.raw) as api:
            assert api.post("/services", json={"slug": "shop"}).status_code == 201
            for port in guarded.ports:
                await_that(lambda port=port: len(listeners(guarded, port)) == 2)
                heard = woken(guarded, port)

                number = publish(api)

                assert heard.wait(PATIENCE)
                with there.client(made.raw) as other:
                    asked = f"/config/shop?min_revision={number}"
                    assert other.get(asked).json()["revision"] == number
                await_that(lambda port=port, number=number: remembered(guarded, port) >= number)
                if port == guarded.ports[0]:
                    guarded.kill_master()


def publish(api):
    body = {"environment": "production", "config": {"n": time.monotonic()}, "on_stale": "overwrite"}
    answer = api.post("/config/shop", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["revision"]


def listeners(guarded, port):
    """The nodes' subscriptions to wake-ups."""
    found = guarded.ask(port).pubsub_channels("*configsvc*")
    counts = dict(guarded.ask(port).pubsub_numsub(*found)) if found else {}
    return [name for name, count in counts.items() for _each in range(count) if "ledger" in name]


def woken(guarded, port):
    """Set when a wake-up has gone through that server."""
    heard, subscribed = threading.Event(), threading.Event()
    server = redis.Redis(port=port, socket_timeout=PATIENCE)
    channel = server.pubsub()

    def listen():
        channel.psubscribe("*configsvc*")
        for message in channel.listen():
            if message["type"] == "psubscribe":
                subscribed.set()
            elif message["type"] == "pmessage" and b"ledger" in message["channel"]:
                heard.set()
                channel.close()
                return

    threading.Thread(target=listen, daemon=True).start()
    assert subscribed.wait(PATIENCE)
    return heard


def remembered(guarded, port):
    """How far the ledger has come, as that server remembers it."""
    scores = guarded.ask(port).zrange("configsvc:epochs", 0, -1, withscores=True)
    return max((int(score) for _epoch, score in scores), default=0)


def test_url__of_sentinels__names_them_the_master_and_the_credentials():
    url = "rediss+sentinel://app:p%40ss@one:26380,[::1]/shop/3?sentinel_password=other"

    found = read_redis_url(url)

    [host] = found.layer["CONFIG"]["hosts"]
    assert host["sentinels"] == [("one", 26_380), ("::1", 26_379)]
    assert (host["master_name"], host["db"], host["ssl"]) == ("shop", 3, True)
    assert (host["username"], host["password"]) == ("app", "p@ss")
    assert host["sentinel_kwargs"]["password"] == "other"
    assert host["sentinel_kwargs"]["ssl"] is True
    options = found.cache["OPTIONS"]
    assert found.cache["LOCATION"] == "rediss://shop/3"
    assert options["SENTINELS"] == host["sentinels"]
    assert options["CONNECTION_POOL_KWARGS"] == {"username": "app", "password": "p@ss"}


@pytest.mark.parametrize(
    "url",
    [
        "http://h/0",
        "redis+sentinel://h:1",
        "redis+sentinel:///shop",
        "redis+sentinel://h/Shop",
        "redis+sentinel://h,/shop",
        "redis+sentinel://h:port/shop",
        "redis+sentinel://h/shop/x",
        "localhost:6379",
    ],
)
def test_url__that_is_none__is_refused_without_its_password(url):
    with pytest.raises(UnsafeSettingError) as refused:
        read_redis_url(url.replace("//", "//u:canary@", 1))
    assert "canary" not in str(refused.value)
    assert "REDIS_URL" in str(refused.value)

"""A primary that dies, and its streaming replica in its place: nodes go on with it, in a new epoch."""

import contextlib
import json
import signal
import tempfile
import threading
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from httpx_sse import connect_sse

from tests.real_services import postgres
from tests.serving import installation, until
from tests.standby import Processes, Standby

pytestmark = [pytest.mark.servers, pytest.mark.postgresql]

HERE = "/config/shop"
STALE = "x-config-stale"
WITHIN = 60
LOST = "/config/lost"
FIRST = {"environment": "production", "config": {"n": 1}}
MORE_THAN_LOST = 30
UNCONFIRMED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


class Pair:
    """A primary and its standby; ``url`` names both, as the README says."""

    def __init__(self, primary):
        self.primary, self.standby = primary, Standby(primary)
        self.standby.start()
        self.processes = Processes(primary)
        first, second = (urlsplit(each) for each in (primary, self.standby.url))
        there = f"{first.username}@{first.hostname}:{first.port},{second.hostname}:{second.port}"
        self.url = f"postgres://{there}{first.path}?target_session_attrs=read-write"

    def ask(self, statement):
        with psycopg.connect(self.primary, autocommit=True) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description else None

    def be_synchronous(self):
        """No commit is acknowledged that the standby has not, from now on."""
        self.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.ask("SELECT pg_reload_conf()")
        until(lambda: self.ask("SELECT sync_state FROM pg_stat_replication") == [("sync",)])

    def kill_primary(self):
        self.processes.signal(signal.SIGKILL)


@pytest.fixture
def pair(monkeypatch):
    with postgres() as primary, tempfile.TemporaryDirectory() as shared:
        made = Pair(primary)
        monkeypatch.setenv("DATABASE_URL", made.url)
        monkeypatch.setenv("CONFIGSVC_TEST_SHARED", shared)
        try:
            yield made
        finally:
            made.standby.close()


@pytest.fixture
def made(pair):
    with installation() as made:
        yield made


def publish(client, number):
    body = {"environment": "production", "config": {"n": number}, "on_stale": "overwrite"}
    answer = client.post(HERE, json=body)
    answer.raise_for_status()
    return answer.json()


def is_ready(client):
    return client.get("/readyz").status_code == 200


class Heard:
    """What a watcher of a node hears: ``(event, data)``."""

    def __init__(self, server, raw, service="shop"):
        self.events, self.service = [], service
        self.client = server.client(raw, timeout=None)
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        until(lambda: self.of("ready"))

    def _listen(self):
        with (
            contextlib.suppress(httpx.HTTPError),
            connect_sse(self.client, "GET", f"/stream?service={self.service}") as source,
        ):
            for each in source.iter_sse():
                if each.data:
                    self.events.append((each.event, json.loads(each.data)))

    def of(self, kind):
        return [data for event, data in self.events if event == kind]


def test_failover__with_a_synchronous_standby__loses_nothing_that_was_acknowledged(made, pair):
    pair.be_synchronous()
    server = made.start()
    with server.client(made.raw) as client, server.client(made.raw) as writing:
        client.post("/services", json={"slug": "shop"}).raise_for_status()
        acknowledged = {publish(client, 0)["version"]: 0}
        client.get(HERE).raise_for_status()
        before = client.get("/readyz").json()["epoch"]
        heard = Heard(server, made.raw)

        def write():
            for number in range(1, 1_000_000):
                try:
                    acknowledged[publish(writing, number)["version"]] = number
                except httpx.HTTPError:
                    return

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        until(lambda: len(acknowledged) > 5)
        pair.standby.stop()  # what is acknowledged after this would be lost
        until(lambda: pair.ask(UNCONFIRMED) != [(0,)])
        pair.kill_primary()
        writer.join(WITHIN)
        pair.standby.start()
        assert client.get("/readyz").status_code == 503

        pair.standby.promote()
        until(lambda: is_ready(client))

        until(lambda: client.get("/readyz").json()["epoch"] != before)
        epoch = client.get("/readyz").json()["epoch"]
        until(lambda: [each["epoch"] for each in heard.of("resync")] == [epoch])
        for version, number in acknowledged.items():
            assert client.get(HERE, params={"version": version}).json()["config"] == {"n": number}
        last = publish(client, -1)
        assert last["version"] > max(acknowledged)
        until(lambda: last["version"] in [each["version"] for each in heard.of("changed")])
        later = made.start()
        with later.client(made.raw) as other:
            assert other.get(HERE).json()["config"] == {"n": -1}
        assert made.run("audit", "verify").returncode == 0


def test_failover__that_loses_what_was_acknowledged__is_an_epoch_that_all_notice(made, pair):
    server = made.start()
    with server.client(made.raw) as client:
        client.post("/services", json={"slug": "shop"}).raise_for_status()
        publish(client, 1)
        [(end,)] = pair.ask("SELECT pg_current_wal_flush_lsn()")
        replayed = f"SELECT replay_lsn >= '{end}' FROM pg_stat_replication"  # noqa: S608 - an LSN
        until(lambda: pair.ask(replayed) == [(True,)])
        pair.standby.stop()
        lost = publish(client, 2)
        stranger = made.token("viewer", "stranger")  # of whom the standby will know nothing
        with server.client(stranger) as other:
            assert other.get(HERE).status_code == 200
        client.post("/services", json={"slug": "lost"}).raise_for_status()
        of_lost = Heard(server, made.raw, "lost")
        client.post(LOST, json=FIRST).raise_for_status()
        until(lambda: of_lost.of("changed"))
        before = client.get("/readyz").json()["epoch"]
        kept = client.get(HERE)
        assert kept.json()["config"] == {"n": 2}
        heard = Heard(server, made.raw)

        pair.kill_primary()
        until(lambda: STALE in client.get(HERE).headers)
        assert client.get(HERE).content == kept.content
        pair.standby.start()
        assert client.get(HERE).headers[STALE]
        pair.standby.promote()
        until(lambda: is_ready(client))

        until(lambda: client.get("/readyz").json()["epoch"] != before)
        epoch = client.get("/readyz").json()["epoch"]
        until(lambda: [each["epoch"] for each in heard.of("resync")] == [epoch])
        now = client.get(HERE)
        assert (now.json()["config"], STALE in now.headers) == ({"n": 1}, False)
        cursor = {"min_revision": f"{before}-{lost['revision']}"}
        refused = client.get(HERE, params=cursor)
        assert (refused.status_code, refused.json()["code"]) == (409, "epoch")
        assert publish(client, 3)["version"] == lost["version"]
        account = {"slug": "new"}
        client.post("/service-accounts", json=account).raise_for_status()
        with server.client(stranger) as other:
            for _each in range(MORE_THAN_LOST):  # of the numbers of rights one after the other
                assert other.get(HERE).status_code == 401
                client.post("/service-accounts/new/tokens", json={}).raise_for_status()
        client.post("/services", json={"slug": "lost"}).raise_for_status()
        client.post(LOST, json=FIRST).raise_for_status()
        again = Heard(server, made.raw, "lost")
        for number in (2, 3):
            body = {**FIRST, "config": {"n": number}, "on_stale": "overwrite"}
            client.post(LOST, json=body).raise_for_status()
            for _each in range(3):  # from memory, by then
                found = client.get(LOST, params={"environment": "production"})
                assert found.json()["config"] == {"n": number}
        until(lambda: [each["version"] for each in again.of("changed")][-1:] == [3])
        assert made.run("audit", "verify").returncode == 0


@pytest.mark.long_form
def test_write__that_no_standby_confirms__is_refused_and_done_once(made, pair):
    pair.be_synchronous()
    server = made.start()
    with server.client(made.raw, timeout=WITHIN) as client:
        client.post("/services", json={"slug": "shop"}).raise_for_status()
        first = publish(client, 1)["version"]
        body = {"environment": "production", "config": {"n": 2}, "on_stale": "overwrite"}
        write = client.build_request("POST", HERE, json=body, headers={"Idempotency-Key": "2"})

        pair.standby.stop()
        refused = client.send(write)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert client.get(HERE).json()["config"] == {"n": 1}

        pair.standby.start()
        until(lambda: client.send(write).status_code == 201)
        assert client.send(write).json()["version"] == first + 1
        until(lambda: client.get(HERE).json()["config"] == {"n": 2})

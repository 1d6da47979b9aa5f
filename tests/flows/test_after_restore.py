"""Rights after a restore, on real servers: kept withdrawn, or held until somebody confirms them."""

import contextlib
import json
import random
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from tests.serving import TOP, installation

pytestmark = pytest.mark.servers

LIVE = "/config/checkout?environment=production"
FLAGS = "/ofrep/v1/evaluate/flags?environment=production"


@pytest.fixture(scope="module")
def shop():
    with installation(demo=True) as made:
        made.environment["CONFIGSVC_BACKUPS_SCHEDULED"] = "false"
        yield made


@pytest.fixture(autouse=True)
def _each_begins_with_no_server(shop):
    yield
    stop(shop)


def backup(made, *arguments, check=True):
    done = made.run("backup", *arguments, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def stop(made):
    for server in made.servers:
        server.stop()
    made.servers.clear()


def lose_database(made):
    """The disk is gone, and with it the ledger that knows."""
    if made.is_postgres:
        made._sql(f"DROP DATABASE {made.database} WITH (FORCE)")
        made._sql(f"CREATE DATABASE {made.database}")
    else:
        (Path(made.folder) / "configsvc.sqlite3").write_bytes(b"no database any more" * 1000)


def test_restore__with_the_old_ledger_and_then_without_it(shop):
    shop.start()
    client = shop.servers[-1].client(shop.raw)
    raw, other = shop.token("viewer:checkout", "app"), shop.token("viewer:checkout", "other")
    name = backup(shop, "create").stdout.split()[0]
    account = client.get("/service-accounts/app/tokens").json()["results"][0]
    assert client.delete(f"/service-accounts/app/tokens/{account['id']}").status_code == 204
    grant = next(
        each
        for each in client.get("/grants?page_size=200").json()["results"]
        if each["to"] == "service-account:other"
    )
    assert client.delete(f"/grants/{grant['id']}").status_code == 204
    stop(shop)

    done = backup(shop, "restore", name, "--yes")

    assert "Withdrawn since, and kept so:" in done.stdout
    assert f'token.withdrawn service-account:app {{"token":"{account["prefix"]}"}}' in done.stdout
    assert "held" not in done.stdout
    server = shop.start()
    assert server.client(raw).get(LIVE).status_code == 401
    assert server.client(other).get(LIVE).status_code == 404
    assert server.client(shop.raw).get(LIVE).status_code == 200
    [withdrawn, *_others] = _events(server, shop, "token.withdrawn")
    [restored] = _events(server, shop, "installation.restored")
    assert withdrawn["revision"] == restored["revision"]
    assert (restored["data"]["kept_withdrawn"], restored["data"]["rights_held"]) == (2, False)
    assert shop.run("audit", "verify").returncode == 0
    stop(shop)

    _hold(shop, name, raw)


def _events(server, made, action):
    return server.client(made.raw).get(f"/audit?action={action}").json()["results"]


def _hold(shop, name, raw):
    """Without the old ledger everything is held until it is confirmed."""
    lose_database(shop)

    done = backup(shop, "restore", name, "--yes")

    assert "held until somebody confirms" in done.stdout
    server = shop.start()
    with server.client(raw) as client:
        for path in (LIVE, "/stream?service=checkout", "/services"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "held"), path
        assert int(answer.headers["Retry-After"]) > 1
        for path, body in ((FLAGS, {"context": {}}), ("/graphql", {"query": "{__typename}"})):
            answer = client.post(path, json=body)
            assert (answer.status_code, answer.json().get("code")) == (503, "held"), path
        assert _closes_with(server, raw) == 1013
        assert client.get("/readyz").json()["held"] is True
    assert shop.run("audit", "verify").returncode == 0

    prefix = raw[:12]
    said = backup(shop, "confirm", "--withdraw-token", prefix, "--yes").stdout

    assert f"- withdraw  {prefix}" in said
    assert server.client(raw).get(LIVE).status_code == 401
    assert server.client(shop.raw).get(LIVE).status_code == 200
    confirmed = server.client(shop.raw).get("/audit?action=installation.rights_confirmed").json()
    assert confirmed["results"][0]["data"] == {"grants": 0, "people": 0, "tokens": 1}


def _closes_with(server, raw):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    headers = {"Authorization": f"Bearer {raw}"}
    url = re.sub("^http", "ws", server.url) + "/ws/config"
    with connect(url, additional_headers=headers) as socket, pytest.raises(ConnectionClosed) as end:
        socket.recv(timeout=10)
    return end.value.rcvd.code


def test_older_copy__put_back__begins_an_epoch(shop):
    """What no command of ours did: the file of an older day, or another database's dump."""
    if shop.is_postgres:
        return  # test_epoch_of_a_cluster does it there
    server = shop.start()
    stop(shop)
    path = Path(shop.folder) / "configsvc.sqlite3"
    older = path.read_bytes()
    server = shop.start()
    with server.client(shop.raw) as client:
        before = client.get("/readyz").json()
        body = json.dumps({"settings": {"later": True}})
        merge = {"Content-Type": "application/merge-patch+json"}
        later = client.patch(LIVE, content=body, headers=merge).json()["revision"]
        assert client.get(f"{LIVE}&min_revision={later}").status_code == 200
    _await_memory(shop, later)
    stop(shop)
    path.write_bytes(older)

    with shop.start().client(shop.raw) as client:
        now = client.get("/readyz").json()
        assert now["epoch"] != before["epoch"]
        stale = client.get(f"{LIVE}&min_revision={before['epoch']}-{later}")
        assert (stale.status_code, stale.json()["code"]) == (409, "epoch")
        assert client.get(f"{LIVE}&after={before['epoch']}-{later}&wait=30").status_code == 200
        begun = client.get("/audit?action=installation.epoch_begun").json()["results"]
        assert f"revision {later}" in begun[0]["data"]["why"]
    assert shop.run("audit", "verify").returncode == 0
    with sqlite3.connect(path) as opened:
        [(identity,)] = opened.execute("SELECT identity FROM audit_head").fetchall()
    assert identity == f"folder {(Path(shop.folder) / 'database.id').read_text().strip()}"


def _await_memory(shop, revision):
    for _each in range(100):
        known = json.loads((Path(shop.folder) / "epochs.json").read_text())
        if any(each["revision"] >= revision for each in known.values()):
            return
        time.sleep(0.1)
    raise AssertionError("The data folder does not remember the revision.")


@pytest.mark.long_form
def test_restore__killed_anywhere__leaves_no_right_open(shop):
    """Either the old database stands, or the new one with all that was withdrawn since the backup."""
    shop.start()
    raw = shop.token("viewer:checkout", "killed")
    name = backup(shop, "create").stdout.split()[0]
    with shop.servers[-1].client(shop.raw) as client:
        [token] = client.get("/service-accounts/killed/tokens").json()["results"]
        assert client.delete(f"/service-accounts/killed/tokens/{token['id']}").status_code == 204
        head = client.get("/readyz").json()["revision"]
    stop(shop)
    chance = random.Random(11)
    longest = _restore_for(shop, name, None)
    reached = set()
    for _each in range(30 if pytest.long_form else 2):
        _restore_for(shop, name, chance.uniform(longest / 3, longest))
        revision, withdrawn = _look(shop, raw[:12])
        reached.add(revision)
        assert withdrawn is not None
    assert min(reached) > head - 10

    backup(shop, "restore", name, "--yes")

    assert _look(shop, raw[:12])[1] is not None
    assert shop.run("audit", "verify").returncode == 0


def _restore_for(made, name, seconds):
    """Restore, and kill it after some seconds; how long it took."""
    began = time.monotonic()
    command = [sys.executable, "manage.py", "backup", "restore", name, "--yes"]
    process = subprocess.Popen(command, cwd=TOP, env=made.environment, stdout=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        assert process.wait(seconds) == 0
    process.kill()
    process.wait()
    if made.is_postgres:
        time.sleep(1)  # the database notices that it is alone
    return time.monotonic() - began


def _look(made, prefix):
    """Where the ledger ends, and when the token was withdrawn, as the database itself says."""
    asked = "SELECT (SELECT number FROM audit_head), withdrawn_at FROM access_token WHERE prefix = "
    if made.is_postgres:
        with psycopg.connect(made.environment["DATABASE_URL"]) as opened:
            [row] = opened.execute(f"{asked}'{prefix}'").fetchall()
    else:
        with contextlib.closing(sqlite3.connect(Path(made.folder) / "configsvc.sqlite3")) as opened:
            [row] = opened.execute(f"{asked}'{prefix}'").fetchall()
    return row

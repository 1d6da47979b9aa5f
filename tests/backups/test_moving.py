"""An installation moves by its archive from one kind of database to the other, and back."""

import threading
import time

import psycopg
import pytest

from apps.backups.replacing import ENDS_WITHIN
from tests.backups.elsewhere import elsewhere
from tests.backups.rows import LEDGER, differing, read_rows
from tests.commands import Commands
from tests.serving import installation

pytestmark = [pytest.mark.servers, pytest.mark.postgresql]
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
WAITS = """
SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND query LIKE '%FROM pg_stat_activity%'
"""
WHERE = "environment=production"
LIVE = f"/config/checkout?{WHERE}"


def test_archive__from_postgresql_to_sqlite_and_back__loses_nothing():
    """Row digests are equal on both ways, secrets open, and the same tokens work once confirmed."""
    with installation() as made:
        made.environment["CONFIGSVC_BACKUPS_SCHEDULED"] = "false"
        with made.start().client(made.raw) as client:
            assert client.post("/services", json={"slug": "checkout"}).status_code == 201
            body = {"environment": "production", "config": {"n": 1.5, "text": "ä€\n"}}
            assert client.post("/config/checkout", json=body).status_code == 201
            secret = {"service": "checkout", "environment": "production", "name": "moved"}
            created = client.post("/secrets", json={**secret, "value": "of PostgreSQL"})
            assert created.status_code == 201, created.text
            document = client.get(LIVE).json()["config"]
        made.stop()
        with elsewhere(made, sqlite=True) as small, elsewhere(made) as back:
            move(made, small)
            use(small, document, "of PostgreSQL")
            move(small, back, restore_beside_others)
            use(back, document, "of SQLite")


def move(of, to, restore=None):
    with Commands(of.environment) as commands:
        rows = read_rows(of.environment)
        name = commands("backup", "create").split()[0]
        commands("audit", "verify")
    with Commands(to.environment) as commands:
        if restore is None:
            commands("backup", "restore", name, "--yes")
        else:
            restore(to, commands, name)
        restored = read_rows(to.environment)
        assert differing(rows, restored) == set()
        assert len(restored[LEDGER]) == len(rows[LEDGER]) + 1
        commands("audit", "verify")


def restore_beside_others(made, commands, name):
    """While somebody stays connected it waits for some seconds, then refuses and has touched nothing; one
    that goes meanwhile is waited for.
    """
    url = made.environment["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as opened:
        status, seconds, said = commands.ask("backup", "restore", name, "--yes")
        assert (status, "1 other connection(s)" in said) == (1, True), said
        assert seconds > ENDS_WITHIN
        assert opened.execute(TABLES).fetchone() == (0,)
    with psycopg.connect(url, autocommit=True) as opened:
        going = threading.Thread(target=_go_when_waited_for, args=(opened,))
        going.start()
        commands("backup", "restore", name, "--yes")
        going.join()


def _go_when_waited_for(opened):
    while not opened.execute(WAITS).fetchone():
        time.sleep(0.02)
    opened.close()


def use(made, document, value):
    """Its rights are held; then what worked works, and what was sealed opens."""
    with made.start().client(made.raw) as client:
        held = client.get(LIVE)
        assert (held.status_code, held.json()["code"]) == (503, "held")
        assert made.manage("backup", "confirm", "--yes").returncode == 0
        assert client.get(LIVE).json()["config"] == document
        revealed = client.post(f"/secrets/checkout/moved/reveal?{WHERE}", json={})
        assert revealed.json()["value"] == value
        if not made.is_postgres:
            path = f"/secrets/checkout/moved/versions?{WHERE}"
            assert client.post(path, json={"value": "of SQLite"}).status_code == 201
    made.stop()
    made.servers.clear()

"""An installation moves by its archive from one kind of database to the other, and back."""

import pytest

from tests.backups.commands import Commands
from tests.backups.elsewhere import elsewhere
from tests.backups.rows import LEDGER, differing, read_rows
from tests.serving import installation

pytestmark = [pytest.mark.servers, pytest.mark.postgresql]
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
            move(small, back)
            use(back, document, "of SQLite")


def move(of, to):
    with Commands(of.environment, of.folder) as commands:
        rows = read_rows(of.environment)
        name = commands("backup", "create").split()[0]
        commands("audit", "verify")
    with Commands(to.environment, to.folder) as commands:
        commands("backup", "restore", name, "--yes")
        restored = read_rows(to.environment)
        assert differing(rows, restored) == set()
        assert len(restored[LEDGER]) == len(rows[LEDGER]) + 1
        commands("audit", "verify")


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

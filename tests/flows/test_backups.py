"""Backups by the command, on real databases: made beside a server, restored, and moved."""

import json
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.serving import installation

pytestmark = pytest.mark.servers

LIVE = "/config/checkout?environment=production"


@pytest.fixture(scope="module")
def shop():
    """An installation with the demonstration, whose server is stopped for restoring."""
    with installation(demo=True) as made:
        made.environment["CONFIGSVC_BACKUPS_SCHEDULED"] = "false"
        yield made


def backup(made, *arguments, check=True):
    done = made.manage("backup", *arguments, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def published(made, number):
    """Publish something on a running server; the document as it is served then."""
    with made.servers[-1].client(made.raw) as client:
        answer = client.patch(
            LIVE,
            content=json.dumps({"settings": {"backed_up": number}}),
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert answer.status_code == 201, answer.text
        return client.get(LIVE).json()


def stop(made):
    for server in made.servers:
        server.stop()
    made.servers.clear()


def digests(made, name):
    """The digests of all rows in an archive, restored into a scratch database and read again."""
    scratch = Path(made.folder) / "scratch.sqlite3"
    scratch.unlink(missing_ok=True)
    backup(made, "restore", name, "--into", str(scratch))
    with sqlite3.connect(scratch) as opened:
        tables = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        found = {
            name: sorted(map(repr, opened.execute(f'SELECT * FROM "{name}"')))  # noqa: S608 - its own names
            for (name,) in tables
        }
    for moves in ("audit_head", "access_accessgeneration", "sqlite_sequence", "django_migrations"):
        found.pop(moves)
    return found


def newest(made):
    return backup(made, "list").stdout.splitlines()[0].split()[0]


def test_restore__after_more_was_published__brings_back_what_was_in_a_new_epoch(shop):
    shop.start()
    then = published(shop, 1)
    name = backup(shop, "create").stdout.split()[0]
    before = digests(shop, name)
    later = published(shop, 2)
    running = backup(shop, "restore", name, "--yes", check=False)
    stop(shop)

    done = backup(shop, "restore", name, "--yes")

    assert running.returncode != 0
    assert "1 configuration.publish" in done.stdout
    assert backup(shop, "verify", name).returncode == 0
    with shop.start().client(shop.raw) as client:
        now = client.get(LIVE)
        assert now.json() == then != later
        epoch = now.headers["X-Config-Epoch"]
        assert f"epoch {epoch}" in done.stdout
        stale = client.get(f"{LIVE}&min_revision={later['revision']}")
        assert (stale.status_code, stale.json()["code"]) == (409, "epoch")
        restored = client.get("/audit?action=installation.restored").json()["results"]
        assert [each["target"] for each in restored] == ["installation"]
        assert restored[0]["data"]["archive"] == name
    assert shop.manage("audit", "verify").returncode == 0
    after = digests(shop, backup(shop, "create").stdout.split()[0])
    changed = {table for table in before if before[table] != after[table]}
    assert changed <= {
        "audit_auditevent",
        "access_token",
        "delivery_readcount",
        "core_job",
        "core_user",
        "audit_verification",
    }
    stop(shop)


def test_segments__behind_a_full_one__hold_what_came_since(shop):
    if shop.is_postgres:
        assert backup(shop, "create", "--segment").stdout.split()[0].count("-full-") == 1
        return
    backup(shop, "create")
    shop.start()
    versions = []
    for number in range(3):
        versions.append(published(shop, f"segment {number}"))
        assert "-segment-" in backup(shop, "create", "--segment").stdout
    assert "Nothing has moved" in backup(shop, "create", "--segment").stdout
    stop(shop)
    names = [line.split()[0] for line in backup(shop, "list").stdout.splitlines()][:3]

    backup(shop, "restore", names[1], "--yes")

    with shop.start().client(shop.raw) as client:
        assert client.get(LIVE).json() == versions[1]
    stop(shop)
    (Path(shop.folder) / "backups" / names[1]).unlink()
    broken = backup(shop, "restore", names[0], "--yes", check=False)
    assert (broken.returncode, "incomplete" in broken.stderr) == (1, True)


def test_restore__damaged_archives__are_refused_before_anything_is_touched(shop):
    name = backup(shop, "create").stdout.split()[0]
    path = Path(shop.folder) / "backups" / name
    whole = path.read_bytes()
    before = backup(shop, "restore", name, "--into", str(Path(shop.folder) / "one.sqlite3")).stdout
    middle = len(whole) // 2
    for damaged in (
        whole[:middle],
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        whole.replace(b"configsvc-archive 1", b"configsvc-archive 9"),
        b"something else",
        b"",
    ):
        path.write_bytes(damaged)
        refused = backup(shop, "restore", name, "--yes", check=False)
        assert refused.returncode == 1, refused.stdout
        assert "code" in refused.stderr
    path.write_bytes(whole)
    again = backup(shop, "restore", name, "--into", str(Path(shop.folder) / "two.sqlite3")).stdout
    assert before.partition("revision")[2] == again.partition("revision")[2]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", ".chain.json", "none.configsvc"]
)
def test_names__that_lead_elsewhere__are_not_there(shop, name):
    refused = backup(shop, "verify", name, check=False)

    assert (refused.returncode, "not_found" in refused.stderr) == (1, True)


def test_archive__without_its_key__does_not_open(shop):
    name = backup(shop, "create").stdout.split()[0]
    key = Path(shop.folder) / "keys" / "encryption.key"
    kept = key.read_text()
    key.write_text("a-key-of-somebody-else-that-is-long-enough-0123456789\n")

    refused = backup(shop, "verify", name, check=False)

    key.write_text(kept)
    assert (refused.returncode, "sealed" in refused.stderr) == (1, True)
    assert backup(shop, "verify", name).returncode == 0


def test_archive__holds_no_key_and_no_text_of_a_document(shop):
    name = backup(shop, "create").stdout.split()[0]
    content = (Path(shop.folder) / "backups" / name).read_bytes()

    for key in (Path(shop.folder) / "keys").iterdir():
        assert key.read_bytes().strip() not in content
    assert b"checkout" not in content
    assert shutil.which("strings") is None or b"checkout" not in subprocess.check_output(
        ["strings"], input=content
    )

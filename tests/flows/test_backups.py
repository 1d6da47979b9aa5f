"""Backups by the command, on real databases: made beside a server, restored, and moved."""

import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands import TOP
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
    done = made.run("backup", *arguments, check=False)
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


@pytest.fixture(scope="module")
def archive(shop):
    """The name of a full archive, for tests that only look at it."""
    return backup(shop, "create").stdout.split()[0]


@pytest.mark.servers(database=pytest.long_form)
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
        action = "installation.restored"
        restored = client.get(f"/audit?action={action}").json()["results"]
        assert [each["target"] for each in restored] == ["installation"]
        assert restored[0]["data"]["archive"] == name
    assert shop.run("audit", "verify").returncode == 0
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


def ended(client, answer):
    """A run that was asked for, once it is over; how far it was meanwhile is never more than all."""
    assert answer.status_code == 202, answer.text
    for _ in range(600):
        run = client.get(answer.headers["Location"]).json()
        if run["ended_at"] is not None:
            return run
        assert run["state"] in ("waiting", "running")
        total = run["progress"]["total"]
        assert not total or run["progress"]["done"] <= total
        time.sleep(0.2)
    raise AssertionError(run)


def events(client, action):
    found = client.get(f"/audit?action={action}").json()["results"]
    return [(each["actor"], each["target"]) for each in found]


@pytest.mark.servers(database=pytest.long_form)
def test_runs__asked_for_over_rest__are_done_by_the_server_and_in_no_archive(shop):
    with shop.start().client(shop.raw) as client:
        made = ended(client, client.post("/backups"))
        verified = ended(client, client.post(f"/backups/{made['archive']}/verify"))
        tried = ended(client, client.post("/backups/drill"))
        shown = client.get(f"/backups/{made['archive']}").json()
        who = {run["author"] for run in (made, verified, tried)}
        acts = {action: events(client, action) for action in ("backup.created", "backup.tried")}

    for run in (made, verified, tried):
        assert (run["state"], run["problem"], run["archive"]) == ("done", None, made["archive"])
        assert run["revision"] == shown["revision"]
    assert shown["bytes"] == made["bytes"]
    assert shown["verified_at"] == verified["ended_at"]
    assert shown["drilled_at"] == tried["ended_at"]
    target = (*who, f"backup:{made['archive']}")
    assert acts["backup.created"][0] == acts["backup.tried"][0] == target
    work = Path(shop.folder) / "backups"
    assert [each.name for each in work.iterdir() if each.is_dir()] == []
    stop(shop)
    backup(shop, "restore", made["archive"], "--yes")
    with shop.start().client(shop.raw) as client:
        assert client.get("/backups/runs").json()["results"] == []
        assert client.get("/backups").json()["results"][0]["name"] == made["archive"]
    stop(shop)


@pytest.mark.parametrize("after", [0.0, 0.6, 1.2] if pytest.long_form else [0.6])
def test_run__whose_server_is_killed__is_ended_by_the_next_with_one_archive(shop, after):
    shop.environment["CONFIGSVC_JOB_LEASE_SECONDS"] = "3"
    server = shop.start()
    with server.client(shop.raw) as client:
        asked = client.post("/backups")
        time.sleep(after)
    server.kill()
    shop.servers.clear()

    with shop.start().client(shop.raw) as client:
        run = ended(client, asked)
        created = [
            each for each in events(client, "backup.created") if each[1].endswith(run["archive"])
        ]

    assert (run["state"], run["problem"]) == ("done", None)
    assert len(created) == 1
    names = [each.name for each in (Path(shop.folder) / "backups").iterdir()]
    assert [name for name in names if name.startswith((".copy", ".making", ".drill"))] == []
    assert sum(run["id"][:8] in name for name in names if name.endswith(".configsvc")) == 1
    assert backup(shop, "verify", run["archive"]).returncode == 0
    stop(shop)


def test_restore__while_a_worker_runs__is_refused(shop):
    made = backup(shop, "create").stdout.split()[0]
    worker = shop.work()

    refused = backup(shop, "restore", made, "--yes", check=False)
    worker.terminate()
    worker.wait(30)
    shop.workers.clear()

    assert refused.returncode == 1, refused.stdout
    assert ("connection(s)" if shop.is_postgres else "A worker runs") in refused.stderr
    assert "Restored" in backup(shop, "restore", made, "--yes").stdout


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


@pytest.mark.servers(database=False)
def test_restore__damaged_archives__are_refused_before_anything_is_touched(shop, archive):
    path = Path(shop.folder) / "backups" / archive
    whole, database = path.read_bytes(), Path(shop.folder) / "configsvc.sqlite3"
    before = database.read_bytes()
    middle = len(whole) // 2
    for damaged in (  # tests/backups/test_damage.py has many more
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        whole.replace(b"configsvc-archive 1", b"configsvc-archive 9"),
    ):
        path.write_bytes(damaged)
        refused = backup(shop, "restore", archive, "--yes", check=False)
        assert refused.returncode == 1, refused.stdout
        assert "code" in refused.stderr
    path.write_bytes(whole)
    assert database.read_bytes() == before


@pytest.mark.servers(database=False)
@pytest.mark.parametrize("name", ["../../etc/passwd", ".chain.json"])
def test_names__that_lead_elsewhere__are_not_there(shop, name):
    refused = backup(shop, "verify", name, check=False)

    assert (refused.returncode, "not_found" in refused.stderr) == (1, True)


@pytest.mark.servers(database=False)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("restore", "--into", "/nonexistent/x.sqlite3"), "no folder /nonexistent"),
        (("restore", "a.configsvc", "--at", "2026-01-01T00:00:00Z"), "not both"),
        (("verify", "../a.configsvc"), "There is no such archive."),
        (("confirm",), "No rights are held."),
        (("restore", "--yes", ""), "'name' is empty"),
        (("restore", "--yes", "--at", ""), "'at' is empty"),
        (("verify", "--store", ""), "'store' is empty"),
    ],
)
def test_command__what_cannot_be__is_said_in_a_line(shop, archive, arguments, said):
    refused = backup(shop, *arguments, check=False)

    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert said in refused.stderr


@pytest.mark.servers(database=False)
def test_restore__on_a_full_disk__says_so_in_a_line_and_leaves_nothing(shop, archive, tmp_path):
    restore = [sys.executable, "manage.py", "backup", "restore", archive]

    refused = subprocess.run(  # no file may grow beyond 200 KiB
        ["bash", "-c", 'ulimit -f 200; exec "$@"', "_", *restore, "--into", tmp_path / "x.sqlite3"],
        cwd=TOP,
        env=shop.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr
    assert "The database refused" in refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.servers(database=False)
def test_archive__without_its_key__does_not_open(shop, archive):
    key = Path(shop.folder) / "keys" / "encryption.key"
    kept = key.read_text()
    key.write_text("a-key-of-somebody-else-that-is-long-enough-0123456789\n")

    refused = backup(shop, "verify", archive, check=False)

    key.write_text(kept)
    assert (refused.returncode, "sealed" in refused.stderr) == (1, True)
    assert "put back keys/" in refused.stderr
    assert backup(shop, "verify", archive).returncode == 0


@pytest.mark.servers(database=False)
@pytest.mark.parametrize("arguments", [("create",), ("create", "--segment"), ("confirm",)])
def test_command__in_a_data_folder_without_a_database__says_so_in_a_line(
    shop, tmp_path, monkeypatch, arguments
):
    monkeypatch.setitem(shop.environment, "CONFIGSVC_DATA_DIR", str(tmp_path))

    refused = backup(shop, *arguments, check=False)

    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "no such table" in refused.stderr
    assert list(tmp_path.rglob("*.configsvc")) == []


@pytest.mark.servers(database=False)
def test_archive__holds_no_key_and_no_text_of_a_document(shop, archive):
    content = (Path(shop.folder) / "backups" / archive).read_bytes()

    for key in (Path(shop.folder) / "keys").iterdir():
        assert key.read_bytes().strip() not in content
    assert b"checkout" not in content

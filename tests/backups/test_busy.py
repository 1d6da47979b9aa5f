"""Writers go on while an archive is made."""

import sqlite3
import threading

import pytest

from tests.commands import Commands
from tests.serving import installation, until

pytestmark = [pytest.mark.servers, pytest.mark.long_form]
ENVIRONMENTS = ("development", "staging", "production")


@pytest.fixture
def shop():
    with installation() as made:
        made.environment["CONFIGSVC_BACKUPS_SCHEDULED"] = "false"
        yield made


def test_create__while_others_publish__holds_all_that_was_acknowledged(shop):
    """Each publish is in the archive, or its revision is above the archive's."""
    made = shop
    acknowledged, ended = [], threading.Event()

    def publish(client, environment):
        number = 0
        while not ended.is_set():
            number += 1
            body = {"environment": environment, "config": {"n": number}, "on_stale": "overwrite"}
            answer = client.post("/config/busy", json=body)
            assert answer.status_code == 201, answer.text
            acknowledged.append(answer.json()["revision"])

    with made.start().client(made.raw) as client:
        assert client.post("/services", json={"slug": "busy"}).status_code == 201
        threads = [
            threading.Thread(target=publish, args=(client, each), daemon=True)
            for each in ENVIRONMENTS
        ]
        for thread in threads:
            thread.start()
        with Commands(made.environment) as commands:
            until(lambda: acknowledged)
            name = commands("backup", "create").split()[0]
            by_then = len(acknowledged)
            until(lambda: len(acknowledged) > by_then + len(ENVIRONMENTS))
            ended.set()
            for thread in threads:
                thread.join()
    made.servers.pop().stop()

    revision, present = restored_revisions(made, name)
    assert {each for each in acknowledged if each <= revision} == present
    assert min(acknowledged) < revision < max(acknowledged)


def restored_revisions(made, name):
    """The revision of an archive, and those of all versions in it."""
    path = made.folder / "busy.sqlite3"
    said = made.manage("backup", "restore", name, "--into", str(path)).stdout
    with sqlite3.connect(path) as opened:
        rows = opened.execute("SELECT revision FROM configs_version").fetchall()
    path.unlink()
    return int(said.rpartition("revision ")[2].rstrip(".\n")), {each for (each,) in rows}

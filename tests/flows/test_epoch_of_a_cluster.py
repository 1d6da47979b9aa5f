"""Epochs on PostgreSQL itself: a dump that is put back, a copy, and a standby that takes over."""

import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.real_services import find_postgres
from tests.serving import installation
from tests.standby import Standby

pytestmark = [pytest.mark.servers, pytest.mark.postgresql]

SETTLE = """
from apps.audit import epochs
from apps.audit.services import Event, append
from apps.core.actor import system
from apps.core.transactions import writing
print(json.dumps({"begun": epochs.settle(actor=system("test"))}))
for _each in range(int(__import__("os").environ.get("ACTS", "0"))):
    with writing():
        append([Event("group.created", "group:g", {})], actor=system("test"))
epochs.remember()
"""


@pytest.fixture
def made():
    with installation() as made:
        yield made


def settle(made, acts=0):
    """What a server does at its start and after; the epoch that it began, or ``None``."""
    made.environment["ACTS"] = str(acts)
    said = made.manage("shell", "--no-imports", "-c", "import json\n" + SETTLE).stdout
    return json.loads(said.splitlines()[-1])["begun"]


@pytest.fixture(scope="module")
def programs():
    """Where PostgreSQL's own programs are; a wheel's are copied to where any user may run them."""
    folder = Path(tempfile.mkdtemp(prefix="configsvc-programs-"))
    folder.chmod(0o755)
    yield find_postgres(folder)
    shutil.rmtree(folder)


def test_dump__put_back_into_its_database__begins_an_epoch(made, programs):
    dump, restore = programs / "pg_dump", programs / "pg_restore"
    url = made.environment["DATABASE_URL"]
    assert settle(made) is not None  # a copy of the one that was prepared: its oid is another
    assert settle(made, acts=1) is None
    older = Path(made.folder) / "older.dump"
    subprocess.run([dump, "-Fc", "-f", older, url], check=True)
    assert settle(made, acts=3) is None

    subprocess.run([restore, "--clean", "--if-exists", "-d", url, older], check=True)

    assert settle(made) is not None
    assert settle(made) is None
    assert made.manage("audit", "verify").returncode == 0


def test_standby__that_takes_over__begins_an_epoch(made):
    assert settle(made) is not None
    assert settle(made, acts=1) is None
    url = made.environment["DATABASE_URL"]
    with contextlib.closing(Standby(url)) as standby:
        standby.start()
        standby.promote()
        made.environment["DATABASE_URL"] = standby.url

        assert settle(made) is not None
        assert settle(made) is None
        assert made.manage("audit", "verify").returncode == 0


def test_running_server__whose_database_is_another_after_an_outage__begins_an_epoch(made):
    server = made.start()
    with server.client(made.raw) as client:
        before = client.get("/readyz").json()["epoch"]
        made._sql(f"ALTER DATABASE {made.database} ALLOW_CONNECTIONS false")
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
        made._sql(f"{end}'{made.database}'")
        _await(lambda: client.get("/readyz").status_code == 503)
        made._sql(f"ALTER DATABASE {made.database} RENAME TO {made.database}_lost")
        made._sql(f"CREATE DATABASE {made.database} TEMPLATE {made.database}_lost")
        made._sql(f"DROP DATABASE {made.database}_lost")

        _await(lambda: client.get("/readyz").json().get("epoch") not in (None, before))


def _await(holds):
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.2)

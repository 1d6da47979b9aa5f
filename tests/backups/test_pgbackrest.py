"""``deploy/backup`` for real: back up, archive, destroy, restore to given acts and times."""

import random
import stat
import time
from datetime import timedelta

import pytest

from tests.backups.installation import PYTHON, Installation
from tests.backups.pgbackrest import find
from tests.serving import until

pytestmark = pytest.mark.servers(database=False)

ACTS = "SELECT revision, min(at) FROM audit_auditevent GROUP BY revision ORDER BY revision"
POINTS, KILLS = 20, 10
RECOVERY_POINT = 60  # seconds: the objective
QUICK = ["archive_mode=off"]  # leaves no timeline in the archive

FIND = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
sys.path.insert(0, "backup")
from point_in_time.commands import parser
from point_in_time.log import ArchivedLog, Stretch
from point_in_time.programs import place
from point_in_time.settings import read_settings

waldump, data, end, xid, at = sys.argv[1:]
settings = read_settings(parser().parse_args(["info"]))
log = ArchivedLog(settings, [Stretch(1, 0, place(end))], 2**24, Path(waldump), Path(data), Path.cwd())
for minutes in (-60, 0, 9, 11, 60):
    near = datetime.fromisoformat(at) + timedelta(minutes=minutes)
    print(log.find_commit(int(xid), near, since=2**24).lsn)
"""


@pytest.fixture(scope="module")
def binaries():
    found = find()
    assert found, "There is no pgBackRest, or no PostgreSQL that it knows: deploy/test gets both."
    return found


@pytest.fixture(scope="module")
def place(binaries):
    """A running server with acts before, during and after its backups, all of them archived."""
    backups = ["full", "incr", "diff"] if pytest.long_form else ["full"]
    with Installation(binaries) as made:
        made.initialize()
        made.start()
        made.python("manage.py", "migrate", "-v0")
        made.script("setup")
        made.stop()
        made.start()
        for number, kind in enumerate(backups):
            with made.acting():
                made.script("backup", kind)
                if not number:
                    (first,) = made.ask("SELECT number FROM audit_head")[0]
                time.sleep(1)
        made.archive()
        made.acts = [each for each in made.ask(ACTS) if each[0] > first]
        yield made


def acts_after(place, revision):
    return [each for each in place.ask(ACTS) if each[0] > revision]


def restore(place, *target):
    """Destroy everything but the repository and its configuration, and restore."""
    place.destroy()
    said = place.script("restore", *map(str, target)).stdout
    assert said.startswith("Restored to revision "), said
    return int(said.split()[3])


def verify(place):
    """Let the program of its own judge the ledger; it needs nothing of the server."""
    url = place.url.replace("postgres:", "postgresql:")
    return place.python("apps/audit/verifier.py", url)


def test_set_up__passphrase__is_the_owners_alone_and_in_no_other_place(place):
    file = place.folder / "settings" / "conf.d" / "passphrase.conf"
    passphrase = file.read_text().partition("cipher-pass=")[2].strip().encode()

    place.script("setup")

    assert file.read_text().encode().endswith(passphrase + b"\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = [each for each in (place.folder / "repository").rglob("*") if each.is_file()]
    settings = [each for each in (place.folder / "settings").rglob("*") if each.is_file()]
    for path in {*kept, *settings} - {file}:
        content = path.read_bytes()
        assert passphrase not in content, path
        assert path not in kept or b"audit" not in content, path
    assert "Archiving works" in place.script("check").stdout


def test_refusals__nothing_is_touched(place):
    file = place.folder / "settings" / "conf.d" / "passphrase.conf"
    file.chmod(0o640)
    readable = place.script("info", check=False)
    file.chmod(0o600)
    running = place.script("restore", "--latest", "--over", check=False)
    zoneless = place.script("restore", "--to-time", "2026-11-27T12:00:00", check=False)

    assert (readable.returncode, "chmod 600" in readable.stderr) == (1, True)
    assert (running.returncode, "A server runs on" in running.stderr) == (1, True)
    assert (zoneless.returncode, "say the zone" in zoneless.stderr) == (2, True)
    assert place.ask("SELECT 1") == [(1,)]


@pytest.mark.long_form
def test_find_commit__clocks_far_apart__finds_the_same(place):
    """The ledger's time makes the search short, and nothing else."""
    row = f"xmin, at FROM audit_auditevent WHERE number = {place.acts[-3][0]}"
    end, xid, at = place.ask(f"SELECT pg_current_wal_lsn(), {row}")[0]
    program = place.binaries / "pg_waldump"

    found = place.run(PYTHON, "-c", FIND, program, place.data, end, xid, at.isoformat()).stdout

    assert len(found.split()) == 5
    assert len(set(found.split())) == 1


def test_restore__to_an_act_then_to_a_time_after_it__each_is_exact(place):
    """Each time the server is gone; what was after the first is on a timeline that was left."""
    revision = place.acts[len(place.acts) // 2][0]
    left, kept = place.acts[-1], place.state_at(revision)

    assert restore(place, "--to-revision", revision) == revision
    place.start()
    assert place.state() == kept
    with place.acting():
        until(lambda: len(acts_after(place, revision)) > 4)
    place.archive()
    later = acts_after(place, revision)
    wanted, following = later[len(later) // 2 - 1 : len(later) // 2 + 1]
    kept = place.state_at(wanted[0])

    moment = following[1] - timedelta(microseconds=1)
    assert restore(place, "--to-time", moment.isoformat()) == wanted[0]
    place.start(*QUICK)
    assert place.state() == kept
    assert "Every link holds" in place.python("manage.py", "audit", "verify")
    if pytest.long_form:
        assert restore(place, "--to-revision", left[0], "--timeline", 1) == left[0]
        place.start(*QUICK)
        assert place.state() == place.state_at(left[0])


@pytest.mark.long_form
def test_restore__to_many_acts_and_times__each_is_exact(place):
    """The server that each leaves archives nothing, so all of them are of the first timeline."""
    chance = random.Random(20261127)
    place.stop()
    assert restore(place, "--latest", "--timeline", 1) == place.acts[-1][0]
    place.start(*QUICK)
    chosen = sorted(chance.sample(range(len(place.acts) - 1), POINTS))
    expected = [place.state_at(place.acts[each][0]) for each in chosen]

    for turn, (each, kept) in enumerate(zip(chosen, expected, strict=True)):
        (revision, at), (_next, later) = place.acts[each : each + 2]
        moment = chance.choice([at, later - timedelta(microseconds=1)])
        target = ("--to-time", moment.isoformat()) if turn % 2 else ("--to-revision", revision)
        assert restore(place, *target, "--timeline", 1) == revision
        place.start(*QUICK)
        assert place.state() == kept
        assert f"up to revision {revision}," in verify(place)


@pytest.mark.long_form
def test_restore__what_is_not_there__is_refused_before_anything_is_touched(place):
    later = place.ask("SELECT max(at) + interval '1 day' FROM audit_auditevent")[0][0]
    before = place.state()

    for target, said in (
        (("--to-revision", 10**9), "There is no such act"),
        (("--to-revision", 1), "No backup leads there"),
        (("--to-time", later.isoformat()), "The log ends with revision"),
        (("--to-time", "2020-01-01T00:00:00Z"), "There is no such act"),
        (("--latest", "--timeline", 77), "The archive has no timeline 77"),
    ):
        done = place.script("restore", "--preview", *map(str, target), check=False)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert place.state() == before
    assert not list(place.folder.glob("*.search"))


@pytest.mark.long_form
def test_restore__killed_at_random__the_next_one_is_exact(place):
    """A half-restored folder does not start; one that was restored is what was asked for."""
    chance = random.Random(20261128)
    revision = place.acts[len(place.acts) // 3][0]
    target = ("restore", "--to-revision", str(revision), "--timeline", "1")
    place.destroy()
    began = time.monotonic()
    place.script(*target)
    takes = time.monotonic() - began

    for _ in range(KILLS):
        place.kill_after(chance.uniform(0, takes), *target, "--over")
        place.await_stopped()
        place.script(*target, "--over")
    place.start(*QUICK)

    assert place.ask("SELECT number FROM audit_head") == [(revision,)]
    assert not list(place.folder.glob("*.search"))


@pytest.mark.long_form
def test_archive__an_act_and_then_nothing__is_kept_within_the_objective(place):
    """No switch by hand: PostgreSQL hands over what there is when archive_timeout is over."""
    place.stop()
    place.start()
    [(before,)] = place.ask("SELECT number FROM audit_head")
    with place.acting():
        until(lambda: acts_after(place, before))
    wanted = place.ask("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0]
    began = time.monotonic()

    while (place.ask("SELECT last_archived_wal FROM pg_stat_archiver")[0][0] or "") < wanted:
        assert time.monotonic() - began < RECOVERY_POINT, place.log()
        time.sleep(0.2)

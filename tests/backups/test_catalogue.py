"""The archives that there are, among files that people renamed and disks that damaged."""

import datetime
import os
import subprocess
import sys

import pytest

from tests.backups.archives import NOON, put_archive
from tests.backups.pgbackrest import TOP

HOUR = datetime.timedelta(hours=1)


def listed(folder):
    from apps.backups.catalogue import read_catalogue
    from apps.backups.stores import FolderStore

    return read_catalogue(FolderStore(folder))


def test_read_catalogue__archives_with_other_names__are_in_the_order_of_their_times(tmp_path):
    old, _header = put_archive(tmp_path, NOON)
    new, _header = put_archive(tmp_path, NOON + HOUR)
    (tmp_path / old).rename(tmp_path / "before-the-upgrade.configsvc")

    assert [each.name for each in listed(tmp_path)] == [new, "before-the-upgrade.configsvc"]


def test_read_catalogue__one_of_a_clock_that_went_ahead__is_not_the_newest(tmp_path):
    from apps.core import clock

    now = clock.now()
    years = datetime.timedelta(days=3650)
    ahead, _header = put_archive(tmp_path, now + years)
    further, _header = put_archive(tmp_path, now + 2 * years)
    old, _header = put_archive(tmp_path, now - HOUR)
    new, _header = put_archive(tmp_path, now + HOUR)

    assert [each.name for each in listed(tmp_path)] == [new, old, further, ahead]


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b'"created_at":"2026-11-20', b'"created_at":"2026-19-20'),
        (b'.000000Z"', b'.000000x"'),
        (b'"revision":0', b'"revision":99999999999999999999'),
        (b'"revision":0', b'"revision":true'),
        (b'"epoch":"aaaa"', rb'"epoch":"\u001b[2J"'),
    ],
)
def test_read_catalogue__a_header_that_is_damaged__says_so_beside_the_others(
    tmp_path, was, becomes
):
    from apps.backups.pruning import plan_pruning

    bad, _header = put_archive(tmp_path, NOON)
    good, _header = put_archive(tmp_path, NOON + HOUR)
    path = tmp_path / bad
    content = path.read_bytes()
    assert was in content
    path.write_bytes(content.replace(was, becomes, 1))

    found = listed(tmp_path)

    assert [(each.name, each.problem) for each in found] == [
        (bad, "The archive's header is damaged."),
        (good, ""),
    ]
    assert list(plan_pruning(found, "1d").kept) == [good]


@pytest.mark.parametrize("name", ["März.configsvc", "-rf.configsvc"])
def test_read_catalogue__a_name_that_opens_nothing__says_to_rename_it(tmp_path, name):
    good, _header = put_archive(tmp_path)
    (tmp_path / good).rename(tmp_path / name)

    [found] = listed(tmp_path)

    assert (found.name, found.header) == (name, None)
    assert "rename it" in found.problem


def test_read_catalogue__names_that_no_page_can_show__are_left_out(tmp_path):
    good, _header = put_archive(tmp_path)
    content = (tmp_path / good).read_bytes()
    for name in (b"\xff.configsvc", b"a\nb.configsvc", b"\x1b[2J.configsvc"):
        (tmp_path / os.fsdecode(name)).write_bytes(content)

    assert [each.name for each in listed(tmp_path)] == [good]


def planned(folder, *, broken=()):
    """The names that pruning to one a day keeps, takes, and leaves to people."""
    from apps.backups.pruning import plan_pruning

    found = listed(folder)
    plan = plan_pruning(found, "1d", frozenset(broken))
    gone = {each.name for each in plan.gone}
    return set(plan.kept), gone, {each.name for each in found} - set(plan.kept) - gone


def test_pruning__copies_that_are_cut__take_no_ones_place(tmp_path):
    old, _header = put_archive(tmp_path, NOON)
    new, _header = put_archive(tmp_path, NOON + HOUR)
    copies = {new.replace(".configsvc", " (1).configsvc"), "before-the-upgrade.configsvc"}
    for copy in copies:
        (tmp_path / copy).write_bytes((tmp_path / new).read_bytes()[:-9])

    assert planned(tmp_path) == ({new}, {old}, copies)


def test_pruning__found_broken__takes_no_ones_place_and_is_left_to_people(tmp_path):
    old, _header = put_archive(tmp_path, NOON)
    good, header = put_archive(tmp_path, NOON + HOUR)
    segment, _header = put_archive(tmp_path, NOON + HOUR, after=header)
    bad, header = put_archive(tmp_path, NOON + 2 * HOUR)
    first, header = put_archive(tmp_path, NOON + 3 * HOUR, after=header)
    second, _header = put_archive(tmp_path, NOON + 4 * HOUR, after=header)

    assert planned(tmp_path, broken=[bad])[0] == {good, segment}
    assert planned(tmp_path, broken=[second]) == ({good, segment}, {old}, {bad, first, second})


def test_pruning__segments_whose_full_archive_is_gone__takes_them(tmp_path):
    full, header = put_archive(tmp_path, NOON)
    segment, _header = put_archive(tmp_path, NOON + HOUR, after=header)
    new, _header = put_archive(tmp_path, NOON + 2 * HOUR)
    (tmp_path / full).unlink()

    assert planned(tmp_path) == ({new}, {segment}, set())


def test_chain_of__beside_a_copy_that_is_cut__takes_the_one_that_kept_its_name(tmp_path):
    from apps.backups.catalogue import chain_of

    full, header = put_archive(tmp_path)
    segment, _header = put_archive(tmp_path, NOON + HOUR, after=header)
    copy = full.replace(".configsvc", " (1).configsvc")
    (tmp_path / copy).write_bytes((tmp_path / full).read_bytes()[:-9])

    assert [each.name for each in chain_of(listed(tmp_path), segment)] == [full, segment]


def test_store__what_a_process_that_died_has_left__goes_with_the_next_archive(tmp_path):
    from apps.backups.stores import FolderStore
    from apps.backups.work import working_in

    folder = tmp_path / "backups"
    folder.mkdir()
    (tmp_path / "a").write_bytes(b"whole")

    with working_in(folder):  # somebody may be writing it
        (folder / ".left.configsvc.part").write_bytes(b"half")
        FolderStore(folder).put(tmp_path / "a", "a.configsvc")
        assert (folder / ".left.configsvc.part").exists()
    FolderStore(folder).put(tmp_path / "a", "b.configsvc")

    assert sorted(each.name for each in folder.iterdir()) == [
        ".lock",
        "a.configsvc",
        "b.configsvc",
    ]


def test_store__that_cannot_keep_an_archive__keeps_no_half_of_it(tmp_path):
    from apps.backups.stores import FolderStore

    (tmp_path / "a.configsvc").mkdir()  # it cannot take this name
    (tmp_path / "a").write_bytes(b"whole")

    with pytest.raises(IsADirectoryError):
        FolderStore(tmp_path).put(tmp_path / "a", "a.configsvc")

    assert sorted(each.name for each in tmp_path.iterdir() if each.name != ".lock") == [
        "a",
        "a.configsvc",
    ]


STORING = """
import sqlite3, sys
from pathlib import Path
import django
django.setup()
from django.core.management import call_command
from django.db import connection
call_command("migrate", verbosity=0)
from apps.audit.services import Event, append
from apps.backups.archiving import write_full, write_segment
from apps.backups.stores import FolderStore
from apps.core.actor import system
from apps.core.transactions import writing

class Watched(FolderStore):
    def put(self, path, name):
        other = sqlite3.connect(connection.settings_dict["NAME"], timeout=0)
        other.execute("BEGIN IMMEDIATE")
        other.close()
        super().put(path, name)

place, work = Watched(Path(sys.argv[1]) / "b"), Path(sys.argv[1]) / "work"
write_full(place, work)
with writing():
    append([Event("rule.updated", "rule:x", {})], actor=system("x"))
print(write_segment(place, work)[1].kind, write_segment(place, work))
"""
"""In a process of its own: the tests' SQLite is no file, which segments are read from."""


def test_write_segment__while_it_is_stored__lets_others_write(tmp_path):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    told = {"CONFIGSVC_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "configsvc.settings"}

    done = subprocess.run(
        [sys.executable, "-c", STORING, str(tmp_path)],
        cwd=TOP,
        env=kept | told,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.returncode) == ("segment None\n", 0), done.stderr

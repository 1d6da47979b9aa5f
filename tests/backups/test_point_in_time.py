"""What ``deploy/backup`` reads from PostgreSQL, as tables; the whole of it is in ``test_pgbackrest``."""

import sys

import pytest

from tests.backups.pgbackrest import TOP

sys.path.insert(0, str(TOP / "deploy" / "backup"))

from point_in_time.log import Stretch, read_commits, read_history
from point_in_time.programs import Backup, Known, RefusedError, place, written
from point_in_time.restoring import choose_backup

DUMP = """\
rmgr: Transaction len (rec/tot):     34/    34, tx:        745, lsn: 0/030BDC90, prev 0/030BDC28, \
desc: COMMIT 2026-11-27 12:08:00.430000 UTC
rmgr: Transaction len (rec/tot):     46/    46, tx:        746, lsn: 0/030BDCB8, prev 0/030BDC90, \
desc: ABORT 2026-11-27 12:08:00.440000 UTC
rmgr: Transaction len (rec/tot):     62/    62, tx:        747, lsn: 1/0000ABCD, prev 0/030BDCB8, \
desc: COMMIT 2026-11-27 12:08:00.450000 UTC; subxacts: 748 750; inval msgs: catcache 55
rmgr: Transaction len (rec/tot):     62/    62, tx:          0, lsn: 1/0000ABEF, prev 1/0000ABCD, \
desc: COMMIT_PREPARED 751: 2026-11-27 12:08:00.460000 UTC
"""
HISTORY = "1\t0/5000000\tbefore 2026-11-27\n\n2\t0/7000028\tno recovery target specified\n"
KNOWN = Known(
    "15",
    "archive/configsvc/15-1",
    frozenset({1, 2, 3}),
    tuple(
        Backup(label, "full", timeline, start, stop, 0)
        for label, timeline, start, stop in (
            ("first", 1, 0x1000000, 0x1000100),
            ("left", 1, 0x6000000, 0x6000100),
            ("second", 2, 0x6800000, 0x6800100),
        )
    ),
)


def test_place__written__is_the_same_again():
    for lsn in ("0/30BDC90", "1A/0", "FFFFFFFF/FFFFFFFF"):
        assert written(place(lsn)) == lsn


def test_read_commits__savepoints_and_what_was_undone__knows_each_number_of_a_transaction():
    found = read_commits(DUMP)

    assert [sorted(each.xids) for each in found] == [[745], [747, 748, 750]]
    assert [written(each.lsn) for each in found] == ["0/30BDC90", "1/ABCD"]
    assert found[0].at.isoformat() == "2026-11-27T12:08:00.430000+00:00"


def test_read_history__timelines__each_goes_on_where_the_one_before_was_left():
    assert read_history(HISTORY) == (
        Stretch(1, 0, 0x5000000),
        Stretch(2, 0x5000000, 0x7000028),
    )


@pytest.mark.parametrize(
    ("lsn", "label"),
    [
        (0x1000100, "first"),
        (0x6700000, "first"),  # "left" is newer, and of what was left
        (0x6800100, "second"),
        (sys.maxsize, "second"),
    ],
)
def test_choose_backup__timelines__is_the_newest_that_leads_there(lsn, label):
    assert choose_backup(KNOWN, read_history(HISTORY), lsn).label == label


def test_choose_backup__older_than_all__is_refused():
    with pytest.raises(RefusedError, match="older than the oldest"):
        choose_backup(KNOWN, read_history(HISTORY), 0x10000FF)

"""Where in PostgreSQL's write-ahead log a transaction was committed, by the archive alone.

The log is a row of segments, each on a timeline: promoting a restored server begins another one,
from the place where it stopped. ``pg_waldump`` lists the commits of a segment, each with the
transaction, those inside it (savepoints), and its time.
"""

import itertools
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from point_in_time.programs import RefusedError, pgbackrest, place
from point_in_time.settings import Settings

AT_ONCE = 8
NOT_THERE = 1  # what "pgbackrest archive-get" ends with for a segment that there is not
CLOCKS_APART = timedelta(minutes=10)
"""How far the clocks of configsvc and of PostgreSQL may be apart without a longer search."""

COMMIT = re.compile(
    r"tx:\s*(?P<xid>\d+), lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+), .*desc: COMMIT "
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC(?P<rest>.*)"
)
INSIDE = re.compile(r"subxacts:((?: \d+)+)")
HISTORY = re.compile(r"^(\d+)\s+([0-9A-F]+/[0-9A-F]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction's commit: its place in the log, and all the numbers that it had."""

    at: datetime
    lsn: int
    xids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of the log, from ``begin`` up to ``end``, that a timeline added."""

    timeline: int
    begin: int
    end: int


def read_history(text: str) -> tuple[Stretch, ...]:
    """The stretches that lead to a timeline, from its history file, the oldest first."""
    found: list[Stretch] = []
    for timeline, end in HISTORY.findall(text):
        found.append(Stretch(int(timeline), found[-1].end if found else 0, place(end)))
    if not found:
        raise RefusedError("The restored server has no timeline of its own.")
    return tuple(found)


def read_commits(dump: str) -> list[Commit]:
    """The commits in what ``pg_waldump --rmgr=Transaction`` says, in the log's order."""
    found = []
    for each in COMMIT.finditer(dump):
        inside = INSIDE.search(each["rest"])
        xids = {int(each["xid"]), *map(int, inside[1].split() if inside else ())}
        at = datetime.fromisoformat(each["at"] + "+00:00")
        found.append(Commit(at, place(each["lsn"]), frozenset(xids)))
    return found


@dataclass(frozen=True, slots=True)
class ArchivedLog:
    """The archived log that leads to one recovered server.

    ``data`` is that server's data folder, by which pgBackRest knows which log belongs to it;
    ``folder`` is where segments may lie for a moment, AT_ONCE of them.
    """

    settings: Settings
    stretches: Sequence[Stretch]
    segment_size: int
    pg_waldump: Path
    data: Path
    folder: Path

    def timeline_at(self, lsn: int) -> int:
        """The timeline that wrote what begins at ``lsn``."""
        return next(each.timeline for each in reversed(self.stretches) if each.begin <= lsn)

    def find_commit(self, xid: int, near: datetime, *, since: int) -> Commit:
        """The commit of ``xid``, a transaction's number or a savepoint's in it.

        ``near`` is about when it was, and makes the search short; all of the log from ``since``
        is looked through where that does not lead to it. Raises :class:`RefusedError` if it is
        not there.
        """
        first, last = since // self.segment_size, self.stretches[-1].end // self.segment_size
        begin = self._first_segment_at(near - CLOCKS_APART, first, last)
        for commit in itertools.chain(
            self._commits(begin, last), self._commits(first, min(begin, last))
        ):
            if xid in commit.xids:
                return commit
        raise RefusedError("No backup leads there: the archive does not hold the log of this act.")

    def _first_segment_at(self, at: datetime, low: int, high: int) -> int:
        """About the last segment that begins before ``at``, by halving."""
        while low < high:
            middle = (low + high + 1) // 2
            known = next(self._commits(middle, high, at_once=1), None)
            if known and known.at <= at:
                low = middle
            else:
                high = middle - 1
        return low

    def _commits(self, first: int, last: int, at_once: int = AT_ONCE) -> Iterator[Commit]:
        """The commits of segments ``first`` to ``last``; a few segments are fetched at a time."""
        for begin in range(first, last + 1, at_once):
            yield from self._dump(begin, min(begin + at_once, last))

    def _dump(self, first: int, last: int) -> list[Commit]:
        """The commits from ``first`` on; a record may reach into the next, so ``last`` is read too."""
        fetched: dict[int, int] = {}
        try:
            for segment in range(first, last + 1):
                timeline = self._fetch(segment)
                if timeline is not None:
                    fetched[segment] = timeline
            return [
                commit
                for begin, end in _runs(fetched)
                for commit in self._read(begin, end)
                if self.timeline_at(commit.lsn) <= fetched[commit.lsn // self.segment_size]
            ]
        finally:
            for segment in fetched:
                self._path(segment).unlink()

    def _read(self, first: int, last: int) -> list[Commit]:
        where = [f"--path={self.folder}", self._path(first).name, self._path(last).name]
        done = subprocess.run(
            [self.pg_waldump, "--rmgr=Transaction", *where],
            capture_output=True,
            text=True,
            check=False,  # it complains where the last record goes on in a further segment
            env={"TZ": "UTC", "LC_ALL": "C.UTF-8"},
        )
        return read_commits(done.stdout)

    def _fetch(self, segment: int) -> int | None:
        """Get one segment, of the newest timeline that has it; that timeline, or ``None``.

        Where a timeline began its first segment is a copy up to there, and goes on by itself.
        """
        begin, end = segment * self.segment_size, (segment + 1) * self.segment_size
        for each in reversed(self.stretches):
            if each.begin < end and begin <= each.end:
                name, path = self._name(each.timeline, segment), self._path(segment)
                options = (f"--pg1-path={self.data}", name, str(path))
                try:
                    pgbackrest(self.settings, "archive-get", *options)
                except RefusedError as error:
                    if error.status != NOT_THERE:
                        raise
                else:
                    return each.timeline
        return None

    def _path(self, segment: int) -> Path:
        """Where a segment lies: all as of one timeline, or ``pg_waldump`` would not go on."""
        return self.folder / self._name(1, segment)

    def _name(self, timeline: int, segment: int) -> str:
        each = 2**32 // self.segment_size
        return f"{timeline:08X}{segment // each:08X}{segment % each:08X}"


def _runs(segments: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each row of segments without a gap; they come in order."""
    found: list[tuple[int, int]] = []
    for each in segments:
        if found and found[-1][1] == each - 1:
            found[-1] = (found[-1][0], each)
        else:
            found.append((each, each))
    return found

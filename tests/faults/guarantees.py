"""Whether watchers were told the truth: the six guarantees of etcd's watch, by logs and the ledger.

https://etcd.io/docs/v3.5/learning/api_guarantees/#watch-apis. Pure: what watchers heard and what the
ledger holds come in, violations go out. Times are seconds of one clock, which all share.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

ORDERED = "ordered"
UNIQUE = "unique"
RELIABLE = "reliable"
ATOMIC = "atomic"
RESUMABLE = "resumable"
BOOKMARKABLE = "bookmarkable"
RIGHTS = "rights"
"""Not one of the six: told of what he may not see."""
WITHDRAWN_WITHIN = 5.0
TOLD_WITHIN = 5.0
"""So many seconds after the last act who is connected has heard of all; the look is each second."""


class Change(NamedTuple):
    """What happened to one configuration."""

    service: str
    environment: str
    version: int
    checksum: str = ""
    keys: tuple[str, ...] = ()
    cause: str = "publish"


class Act(NamedTuple):
    """The changes of one revision, and when they were written."""

    revision: int
    at: float
    changes: tuple[Change, ...]


class Moment(NamedTuple):
    """An act on a grant."""

    revision: int
    at: float


class Held(NamedTuple):
    """A right to read, of a service in an environment; ``None`` stands for every one."""

    service: str | None
    environment: str | None
    given: Moment
    withdrawn: Moment | None = None

    def covers(self, change: Change) -> bool:
        """Whether the change is one that it lets one see."""
        return self.service in (None, change.service) and (
            self.environment in (None, change.environment)
        )


@dataclass
class Ledger:
    """What is in the database. ``ends``: moments before it was asked where it ends, and the answers."""

    epoch: str
    acts: list[Act]
    ends: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self):
        self.revisions = [act.revision for act in self.acts]
        self.by_revision = dict(zip(self.revisions, self.acts, strict=True))
        self.asked_at = [at for at, _end in self.ends]

    def between(self, after: int, until: int) -> list[Act]:
        """The acts after one revision up to another."""
        return self.acts[bisect_right(self.revisions, after) : bisect_right(self.revisions, until)]

    def had(self, revision: int, at: float) -> bool:
        """Whether the first who asked after ``at`` was told that it had come so far."""
        index = bisect_left(self.asked_at, at)
        return index == len(self.ends) or self.ends[index][1] >= revision


class Heard(NamedTuple):
    """One line of a watcher's log. ``kind`` is what the server says (ready, changed, bookmark, resync),
    or ``opened`` with the cursor as its revision, or ``lost``. ``last``: of its revision.
    """

    at: float
    kind: str
    epoch: str = ""
    revision: int | None = None
    change: Change | None = None
    last: bool = False


@dataclass
class Log:
    """What one watcher asked for, might see, and heard. ``services``: ``None`` is all."""

    name: str
    services: frozenset[str] | None
    environment: str | None
    rights: list[Held] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)

    def asks_for(self, change: Change) -> bool:
        """Whether the change is about what he watches."""
        return (self.services is None or change.service in self.services) and (
            self.environment in (None, change.environment)
        )


class Violation(NamedTuple):
    """One of the guarantees that did not hold, whose, at which line of his log, and what was wrong."""

    guarantee: str
    watcher: str
    line: int
    what: str


def check(
    logs: list[Log], ledger: Ledger, ended_at: float, read_within: float = 0.0
) -> list[Violation]:
    """Everything in the logs that breaks a guarantee. ``ended_at``: when the logs were closed.

    ``read_within``: so many seconds after it was sent something may have been read, for a log says
    when it was read. Who has no right any more may read so long after what had been sent before.
    """
    return [each for log in logs for each in _Check(log, ledger, read_within).run(ended_at)]


def longest(logs: list[Log], ledger: Ledger) -> float:
    """The longest, in seconds, that news took which was made while its reader was connected."""
    took, opened_at = [0.0], 0.0
    for log in logs:
        for heard in log.heard:
            if heard.kind == "opened":
                opened_at = heard.at
            act = ledger.by_revision.get(heard.revision) if heard.kind == "changed" else None
            if act is not None and act.at > opened_at:
                took.append(heard.at - act.at)
    return max(took)


class _Check:
    """Goes through one log. ``position``: all up to there has been told, or need not have been."""

    def __init__(self, log: Log, ledger: Ledger, read_within: float) -> None:
        self.log, self.ledger, self.read_within = log, ledger, read_within
        self.found: list[Violation] = []
        self.position: int | None = None
        self.told: set[tuple[int, str, str]] = set()
        self.parts: list[Heard] = []  # of the revision that is being told
        self.cursor: int | None = None
        self.opened_at = 0.0
        self.line = 0

    def run(self, ended_at: float) -> list[Violation]:
        """All violations of the log."""
        for line, each in enumerate(self.log.heard):
            self.line = line
            getattr(self, f"_hear_{each.kind}")(each)
        is_connected = bool(self.log.heard) and self.log.heard[-1].kind != "lost"
        if is_connected and self.position is not None and self.ledger.revisions:
            for act in self.ledger.between(self.position, self.ledger.revisions[-1]):
                if act.at < ended_at - TOLD_WITHIN and self._owed(act, ended_at):
                    self._blame(RELIABLE, f"{act.revision} was never told")
        return self.found

    def _blame(self, guarantee: str, what: str) -> None:
        self.found.append(Violation(guarantee, self.log.name, self.line, what))

    def _hear_opened(self, heard: Heard) -> None:
        """What was told only in part is told again, and so is what is after an older cursor."""
        self.cursor, self.opened_at, self.parts = heard.revision, heard.at, []
        if self.cursor is None:
            self.position = None
            self.told = set()
        else:
            self.position = self.cursor
            self.told = {each for each in self.told if each[0] <= self.cursor}

    def _hear_lost(self, _heard: Heard) -> None:
        self.parts = []

    def _hear_ready(self, heard: Heard) -> None:
        self._check_position(heard)
        if self.cursor not in (None, heard.revision):
            self._blame(RESUMABLE, f"asked to go on after {self.cursor}, began at {heard.revision}")
        self.position = heard.revision

    def _hear_resync(self, heard: Heard) -> None:
        """He was too slow; who is so when he has just come has been refused what he could ask for."""
        self._check_position(heard)
        just_came = self.log.heard[self.line - 1].kind == "ready"
        if just_came and self.cursor not in (None, heard.revision):
            self._blame(RESUMABLE, f"could not go on after {self.cursor}")
        if heard.revision < self.position:
            self._blame(ORDERED, f"went back from {self.position} to {heard.revision}")
        self.position, self.parts = max(self.position, heard.revision), []

    def _hear_bookmark(self, heard: Heard) -> None:
        self._check_position(heard)
        self._check_whole()
        if heard.revision < self.position:
            self._blame(ORDERED, f"bookmark {heard.revision} after {self.position}")
            return
        for act in self._missing(heard.revision, heard.at):
            self._blame(BOOKMARKABLE, f"bookmark {heard.revision} without {act.revision}")
        self.position = heard.revision

    def _hear_changed(self, heard: Heard) -> None:
        self._check_position(heard)
        if self.parts and self.parts[-1].revision != heard.revision:
            self._check_whole()
        key = (heard.revision, heard.change.service, heard.change.environment)
        if key in self.told or any(each.change[:2] == key[1:] for each in self.parts):
            self._blame(UNIQUE, f"{heard.revision} of {heard.change[:2]} again")
            return
        if heard.revision <= self.position:
            self._blame(ORDERED, f"{heard.revision} after {self.position}")
            return
        self._check_change(heard)
        self.parts.append(heard)
        if heard.last:
            self._finish(heard)

    def _finish(self, last: Heard) -> None:
        for act in self._missing(last.revision - 1, last.at):
            was_there = self.cursor is not None and act.at < self.opened_at
            guarantee = RESUMABLE if was_there else RELIABLE
            self._blame(guarantee, f"{last.revision} without {act.revision} before it")
        act = self.ledger.by_revision.get(last.revision)
        heard = {each.change[:2] for each in self.parts}
        for change in self._owed(act, last.at) if act else ():
            if change[:2] not in heard:
                self._blame(ATOMIC, f"{last.revision} without {change[:2]}")
        self.told |= {(last.revision, *place) for place in heard}
        self.position, self.parts = last.revision, []

    def _check_position(self, heard: Heard) -> None:
        if heard.epoch != self.ledger.epoch:
            self._blame(RESUMABLE, f"epoch {heard.epoch} is none of this ledger")
        if not self.ledger.had(heard.revision, heard.at):
            self._blame(RELIABLE, f"{heard.kind} {heard.revision} before the ledger had it")

    def _check_whole(self) -> None:
        if self.parts:
            self._blame(ATOMIC, f"{self.parts[-1].revision} had no end")
            self.parts = []

    def _check_change(self, heard: Heard) -> None:
        act = self.ledger.by_revision.get(heard.revision)
        if act is None or heard.change not in act.changes:
            self._blame(RELIABLE, f"{heard.change} is not what the ledger has at {heard.revision}")
        may_see = any(
            held.covers(heard.change)
            and held.given.at <= heard.at
            and self._may_still(held.withdrawn, act, heard.at)
            for held in self.log.rights
        )
        if not (self.log.asks_for(heard.change) and may_see):
            late = [
                f"{heard.at - held.withdrawn.at:.1f} s after {held.withdrawn.revision}"
                for held in self.log.rights
                if held.withdrawn and held.covers(heard.change)
            ]
            what = f"{heard.revision} of {heard.change[:2]} is not for him"
            self._blame(RIGHTS, f"{what}; withdrawn: {', '.join(late) or 'never given'}")

    def _may_still(self, withdrawn: Moment | None, act: Act | None, at: float) -> bool:
        """Whether an act may be read at ``at`` in spite of the withdrawal: one that was made, on a
        connection that was opened, before it was to be heeded.
        """
        if withdrawn is None:
            return True
        ends = withdrawn.at + WITHDRAWN_WITHIN
        was_before = self.opened_at <= ends and (act is None or act.at <= ends)
        return was_before and at <= ends + self.read_within

    def _missing(self, until: int, at: float) -> Iterator[Act]:
        """Acts that he must have been told of before he heard at ``at`` of what is after them."""
        return (act for act in self.ledger.between(self.position, until) if self._owed(act, at))

    def _owed(self, act: Act, at: float) -> list[Change]:
        """What of an act he has asked for and might see from before it until ``at`` without a gap."""
        return [
            change
            for change in act.changes
            if self.log.asks_for(change)
            and any(_is_sure(held, act, change, at) for held in self.log.rights)
        ]


def _is_sure(held: Held, act: Act, change: Change, at: float) -> bool:
    if not held.covers(change) or held.given.revision >= act.revision:
        return False
    ends = held.withdrawn
    return ends is None or (ends.revision > act.revision and ends.at > at)

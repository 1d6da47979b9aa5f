"""The one connection to the server, and the configurations that come over it."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from configsvc_agent.streaming import News
from configsvc_client import numbers
from configsvc_client.copies import Copy
from configsvc_client.errors import AwayError, ConfigError
from configsvc_client.events import Position
from configsvc_client.first import AWAY, first_snapshot
from configsvc_client.remote import Remote
from configsvc_client.sealing import Seal
from configsvc_client.state import Snapshot, State
from configsvc_client.timing import Timing
from configsvc_client.watching import Watcher
from configsvc_client.wire import Verify, Wire

logger = logging.getLogger(__name__)

_LONGEST_PAUSE: Final = 5.0
REVEALED: Final = "+revealed"
_UNKNOWN_SECTIONS: Final = (
    "The copy does not say which sections are environment variables: until the server answers, .env files "
    "and variables are made of the whole document."
)

Kind = tuple[str, bool]
"""A service in lower case, and whether the values of its secrets are in it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where configurations come from, and how. Times in seconds. ``asks_sections``: with which sections
    are environment variables."""

    url: str
    token: Callable[[], str]
    environment: str | None = None
    verify: Verify = True
    instance: str | None = None
    unit: str | None = None
    cache: Path | None = None
    seal: Seal | None = None
    asks_sections: bool = False
    start_within: float = 60.0
    timing: Timing = field(default_factory=Timing)

    def wire(self) -> Wire:
        """Connections to the server. Raises :class:`ValueError` for a URL that is none."""
        return Wire(self.url, self.verify)


class Upstream:
    """Configurations, each plain, with secrets revealed, or both, kept up to date by one stream.

    Fetches each when made, tries for ``start_within`` s while the server is away, and takes the last
    good copy where there is one. Raises :class:`ConfigError` when there is nothing to start with.
    """

    def __init__(self, settings: Settings, kinds: Sequence[Kind]) -> None:
        self._settings = settings
        self.moved = threading.Condition()
        ends = time.monotonic() + settings.start_within
        wire = settings.wire()
        self._learning = threading.Lock()
        self._remotes: dict[Kind, Remote] = {}
        self._states: dict[Kind, State] = {}
        self._moved_at: dict[Kind, int] = {}
        followed = []
        for kind in kinds:
            remote, copy = self._remote(wire, kind), self._copy(kind)
            state = State(_first(remote, copy, ends), copy)
            followed.append((remote, state))
            self._remotes[kind], self._states[kind] = remote, state
            if settings.asks_sections and state.snapshot.env_sections is None:
                logger.warning(_UNKNOWN_SECTIONS)
            self._moved_at[kind] = _revision(state.snapshot)
            state.listen(lambda kind=kind: self._note(kind), None)  # type: ignore[misc] # bound now
        self._untold = False  # something has moved that the news do not say
        self._watcher = Watcher(followed, settings.timing, self._tell)
        self.news = News(self.head())

    def start(self) -> None:
        """Watch, in a daemon thread."""
        self._watcher.start()

    def close(self) -> None:
        """Stop watching, and end what is told on."""
        self.news.close()
        self._watcher.stop()

    def find(self, service: str, *, revealed: bool = False) -> State | None:
        """The configuration of that service, where it is followed."""
        return self._states.get((service.lower(), revealed))

    def learn_sections(self, service: str, *, revealed: bool = False, within: float) -> bool:
        """Whether it is known which sections of a service that is followed are environment variables.

        Where it is not, the server is asked, once for all who ask at the same time, for ``within`` s at
        most each; from then on it is kept up to date.
        """
        kind = (service.lower(), revealed)
        remote, state = self._remotes[kind], self._states[kind]
        if state.snapshot.env_sections is not None:
            return True
        if not self._learning.acquire(timeout=within):
            return False
        try:
            if state.snapshot.env_sections is None:
                remote.asks_sections = True
                state.take_sections(remote.fetch_env_sections())
        except (AwayError, ConfigError) as error:
            logger.warning("The sections of %s cannot be read: %s", service, error)
            return False
        finally:
            self._learning.release()
        return True

    def moved_at(self, service: str, *, revealed: bool = False) -> int:
        """The revision at which it changed last, as far as is known: it did not change later."""
        return self._moved_at[service.lower(), revealed]

    def silent_for(self) -> float:
        """For how many seconds the server was not heard; 0 while all is well."""
        return self._watcher.silent_for

    def head(self) -> Position:
        """How far all of it is."""
        snapshots = [state.snapshot for state in self._states.values()]
        cursor = self._watcher.cursor
        epoch = cursor.epoch if cursor else snapshots[0].epoch
        reached = [_revision(each) for each in snapshots if each.epoch == epoch]
        return Position(epoch, max([cursor.revision if cursor else 0, *reached]))

    def reached(self, service: str, *, revealed: bool = False) -> Position:
        """How far that one is: another may have been fetched later."""
        snapshot = self._states[service.lower(), revealed].snapshot
        position = self._watcher.cursor or Position(snapshot.epoch, 0)
        own = _revision(snapshot) if snapshot.epoch == position.epoch else 0
        return Position(position.epoch, max(position.revision, own))

    @property
    def services(self) -> frozenset[str]:
        """Those that are followed, in lower case."""
        return frozenset(service for service, _revealed in self._states)

    def _tell(self, position: Position | None, messages: Sequence[str] | None) -> None:
        """What the stream said, for the streams of local processes."""
        untold, self._untold = self._untold, False
        if position is not None and messages is not None:
            self.news.tell(position, messages)
        elif untold or position not in (None, self.news.position):
            self.news.restart(position or self.head())

    def _note(self, kind: Kind) -> None:
        self._untold = True
        with self.moved:
            self._moved_at[kind] = _revision(self._states[kind].snapshot)
            self.moved.notify_all()

    def _remote(self, wire: Wire, kind: Kind) -> Remote:
        settings = self._settings
        return Remote(
            wire,
            settings.token,
            service=kind[0],
            environment=settings.environment,
            instance=settings.instance,
            unit=settings.unit,
            timing=settings.timing,
            reveal=kind[1],
            fetches_as_instance=False,  # it says so once it is applied
            asks_sections=settings.asks_sections,
            loads=numbers.loads,
        )

    def _copy(self, kind: Kind) -> Copy | None:
        settings = self._settings
        if settings.cache is None:
            return None
        return Copy(
            settings.cache,
            kind[0],
            settings.environment,
            settings.unit,
            seal=settings.seal,
            variant=REVEALED if kind[1] else "",
            loads=numbers.loads,
        )


def _revision(snapshot: Snapshot) -> int:
    return max(snapshot.reached, int(snapshot.envelope["revision"]))


def _first(remote: Remote, copy: Copy | None, ends: float) -> Snapshot:
    """The first state; while the server is away and there is no copy it is tried until ``ends``."""
    pause, said = 0.25, ""
    while True:
        try:
            return first_snapshot(remote, copy)
        except ConfigError as error:
            left = ends - time.monotonic()
            if error.status != AWAY or left <= 0:
                raise
            if str(error) != said:  # once, not at each attempt
                logger.warning("Waiting for the server, %.0f s at most: %s", left, error)
            said = str(error)
            pause = min(2 * pause, _LONGEST_PAUSE)
            time.sleep(min(pause, left))


def default_instance() -> str:
    """The host's name: the same after a restart."""
    return os.uname().nodename[:200] or "agent"

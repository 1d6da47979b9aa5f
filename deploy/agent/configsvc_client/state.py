"""What is served now, the one place where it is replaced, and those who want to know."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from configsvc_client.copies import Copy, Kept
from configsvc_client.errors import AwayError
from configsvc_client.keys import Pattern, changes
from configsvc_client.remote import Answer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of the configuration; replaced as a whole, never changed."""

    envelope: dict[str, Any]
    etag: str
    epoch: str
    stale: bool = False
    retired: bool = False
    reached: int = 0
    """How far the server was when it gave or confirmed this; 0: no server did."""
    env_sections: tuple[str, ...] | None = None
    """The keys of the sections of type environment variables; ``None``: not known."""

    @property
    def document(self) -> Any:
        """The configuration itself."""
        return self.envelope["config"]

    @property
    def version(self) -> int:
        """The version that is in use."""
        return int(self.envelope["version"])

    @property
    def kept(self) -> Kept:
        """What of it is kept on disk."""
        return Kept(self.envelope, self.etag, self.epoch, self.env_sections)

    @classmethod
    def of_kept(cls, kept: Kept, *, retired: bool = False) -> "Snapshot":
        """A copy from disk that no server has confirmed."""
        return cls(
            kept.envelope,
            kept.etag,
            kept.epoch,
            stale=True,
            retired=retired,
            env_sections=kept.env_sections,
        )

    def is_same_as(self, other: "Snapshot") -> bool:
        """Whether the same can be made of both."""
        return self.envelope is other.envelope and self.env_sections == other.env_sections

    def is_older_than(self, other: "Snapshot") -> bool:
        """Whether both are of one epoch and this is an earlier version."""
        return self.epoch == other.epoch and self.version < other.version

    def followed_by(self, answer: Answer) -> "Snapshot":
        """The state after the server's answer."""
        epoch = answer.position.epoch if answer.position else self.epoch
        envelope = self.envelope if answer.envelope is None else answer.envelope
        reached = answer.position.revision if answer.position else 0
        asked = answer.env_sections is not None
        return Snapshot(
            envelope,
            answer.etag,
            epoch,
            stale=answer.stale,
            reached=reached,
            env_sections=answer.env_sections if asked else self.env_sections,
        )


class State:
    """The present snapshot. Readable from any thread; listeners are called outside of the lock."""

    def __init__(self, first: Snapshot, copy: Copy | None) -> None:
        self._snapshot = first
        self._copy = copy
        self._lock, self._keeping = threading.Lock(), threading.Lock()
        self._listeners: list[tuple[Pattern | None, Callable[[], object]]] = []

    @property
    def snapshot(self) -> Snapshot:
        """What is served now."""
        return self._snapshot

    def listen(self, listener: Callable[[], object], pattern: Pattern | None) -> None:
        """Call ``listener`` after changes that ``pattern`` covers, or after each new state."""
        with self._lock:
            self._listeners.append((pattern, listener))

    def take(self, answer: Answer) -> bool:
        """Replace the snapshot by what the server says, tell, and return whether it is another.

        Raises :class:`AwayError` for a version before ours of the same epoch: that server is behind.
        """
        with self._lock:
            old = self._snapshot
            new = old.followed_by(answer)
            if new.is_older_than(old):
                raise AwayError(f"The server is behind: version {new.version}, not {old.version}.")
            self._snapshot = new
        self._keep(old)
        return self._tell(old, new)

    def take_sections(self, env_sections: tuple[str, ...]) -> None:
        """Know from now on which sections are environment variables, and tell."""
        with self._lock:
            old = self._snapshot
            self._snapshot = new = replace(old, env_sections=env_sections)
        self._keep(old)
        self._tell(old, new)

    def _keep(self, old: Snapshot) -> None:
        """Keep what is served now, whichever thread has written last."""
        if self._copy is None:
            return
        with self._keeping:
            kept = self._snapshot.kept
            if kept != old.kept or self._copy.is_outdated:
                self._copy.write(kept)

    def retire(self) -> None:
        """The server says that the configuration is retired: keep the last state, and tell once."""
        with self._lock:
            old = self._snapshot
            self._snapshot = new = replace(old, retired=True)
        if not old.retired:
            logger.warning("The configuration is retired: keeping version %s.", old.version)
        self._tell(old, new)

    def _tell(self, old: Snapshot, new: Snapshot) -> bool:
        paths = [] if old.document is new.document else list(changes(old.document, new.document))
        before, after = (
            (each.version, each.retired, each.env_sections or ()) for each in (old, new)
        )
        moved = bool(paths) or before != after
        with self._lock:
            listeners = tuple(self._listeners)
        for pattern, listener in listeners:
            if moved if pattern is None else any(pattern.covers(path) for path in paths):
                _call(listener)
        return moved


def _call(listener: Callable[[], object]) -> None:
    try:
        listener()
    except Exception:
        logger.exception("A callback failed; the others still hear of the change.")

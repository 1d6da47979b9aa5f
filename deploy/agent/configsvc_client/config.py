"""The configuration of one service, kept up to date by a thread."""

import contextlib
import json
import logging
import os
import random
import re
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configsvc_client.remote import AwayError, ConfigError, Event, Fetched, Remote

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STREAM_FAILURES = 3
POLL_SECONDS = 30
_STEP = re.compile(r'\.?([^.\[\]"]+)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]')
Callback = Callable[["Config"], None]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What is served now; replaced as a whole, never changed."""

    document: dict[str, Any]
    version: int
    revision: int
    epoch: str
    etag: str
    stale: bool


class Config:
    """The configuration of ``service``; ``get`` answers from memory.

    ``url``, ``token`` and ``environment`` come from ``CONFIGSVC_URL``, ``CONFIGSVC_TOKEN`` (or the
    file that ``CONFIGSVC_TOKEN_FILE`` names) and ``CONFIGSVC_ENVIRONMENT`` when they are not given.
    The last good copy is kept in ``cache_dir`` (``CONFIGSVC_CACHE_DIR``) and is used, marked
    ``stale``, when the server is away at the start. Raises :class:`ConfigError` when the server
    refuses the first fetch, or is away and there is no copy.
    """

    def __init__(
        self,
        service: str,
        *,
        environment: str | None = None,
        url: str | None = None,
        token: str | None = None,
        instance: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        variables = os.environ
        environment = environment or variables.get("CONFIGSVC_ENVIRONMENT")
        self._remote = Remote(
            url or variables.get("CONFIGSVC_URL", "http://127.0.0.1:8000"),
            token or _token(),
            service,
            environment,
            instance or variables.get("CONFIGSVC_INSTANCE"),
        )
        folder = cache_dir or variables.get("CONFIGSVC_CACHE_DIR")
        self._copy = Path(folder) / f"{service}@{environment or 'default'}.json" if folder else None
        self._callbacks: list[tuple[str, Callback]] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._cursor = ""
        self._snapshot = self._first()

    @property
    def document(self) -> dict[str, Any]:
        """The whole configuration; treat it as read-only."""
        return self._snapshot.document

    @property
    def version(self) -> int:
        """The version that is in use."""
        return self._snapshot.version

    @property
    def stale(self) -> bool:
        """Whether it comes from the copy on disk and was not confirmed since."""
        return self._snapshot.stale

    def get(self, key: str, default: Any = None) -> Any:
        """The value at a dotted key (``settings.hosts[0]``, ``settings["a.b"]``), else ``default``."""
        found, value = _find(self._snapshot.document, key)
        return value if found else default

    def on_change(self, callback: Callback, key: str = "") -> None:
        """Call ``callback(config)`` after each change (of ``key``, when given); starts watching."""
        self._callbacks.append((key, callback))
        self.start()

    def start(self) -> None:
        """Watch in a daemon thread; harmless when it runs already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="configsvc", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop watching; what is in memory stays."""
        self._stop.set()

    def __enter__(self) -> "Config":
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # -- the first copy --------------------------------------------------------------------

    def _first(self) -> _Snapshot:
        try:
            fetched = self._remote.fetch(None)
        except AwayError as error:
            kept = self._read_copy()
            if kept is None:
                raise ConfigError(
                    503, f"The server is away and there is no copy: {error}"
                ) from error
            logger.warning("The server is away (%s): using the copy on disk.", error)
            return kept
        if fetched is None:
            raise ConfigError(204, "The server answered nothing to the first fetch.")
        snapshot = _snapshot(fetched)
        self._write_copy(snapshot)
        return snapshot

    def _read_copy(self) -> _Snapshot | None:
        if self._copy is None:
            return None
        try:
            kept = json.loads(self._copy.read_text())
            return _Snapshot(**{**kept, "etag": "", "stale": True})
        except (OSError, ValueError, TypeError):
            return None

    def _write_copy(self, snapshot: _Snapshot) -> None:
        if self._copy is None:
            return
        names = ("document", "version", "revision", "epoch")
        text = json.dumps({name: getattr(snapshot, name) for name in names})
        try:
            self._copy.parent.mkdir(parents=True, exist_ok=True)
            handle, path = tempfile.mkstemp(dir=self._copy.parent)  # mode 0600
            with os.fdopen(handle, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(path).replace(self._copy)
        except OSError as error:
            logger.warning("The copy on disk could not be written: %s", error)

    # -- watching --------------------------------------------------------------------------

    def _watch(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                if failures >= STREAM_FAILURES:
                    self._poll()
                else:
                    self._follow()
                failures = 0
            except ConfigError as error:
                logger.error("The server refuses: %s", error)  # noqa: TRY400 - no traceback needed
                failures += 1
            except AwayError as error:
                logger.info("Watching was interrupted: %s", error)
                failures = failures + 1 if failures < STREAM_FAILURES else 0
            except Exception:
                logger.exception("Watching failed; trying again.")
                failures += 1
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 10))
            self._stop.wait(random.uniform(0, longest))  # noqa: S311 - spreads clients

    def _follow(self) -> None:
        """Read the stream; a cut one is resumed at the last revision that was read whole."""
        for event in self._remote.stream(self._cursor):
            if self._stop.is_set():
                return
            self._take(event)

    def _take(self, event: Event) -> None:
        if event.kind in ("ready", "resync"):
            self._refresh()
            if event.kind == "resync":
                self._cursor = f"{event.data['epoch']}-{event.data['revision']}"
        elif event.kind == "changed":
            self._refresh()
        if event.id:
            self._cursor = event.id

    def _poll(self) -> None:
        """One long poll: for when streams do not get through."""
        now = self._snapshot
        fetched = self._remote.fetch(
            now.etag, after=f"{now.epoch}-{now.revision}", wait=POLL_SECONDS
        )
        if fetched is not None:
            self._replace(_snapshot(fetched))

    def _refresh(self) -> None:
        try:
            fetched = self._remote.fetch(self._snapshot.etag or None)
        except ConfigError as error:
            logger.warning("The configuration is not served any more (%s); keeping ours.", error)
            return
        if fetched is not None:
            self._replace(_snapshot(fetched))

    def _replace(self, new: _Snapshot) -> None:
        old = self._snapshot
        if new.epoch == old.epoch and new.revision < old.revision:
            return  # an older answer that came late
        self._snapshot = new
        self._write_copy(new)
        if (new.epoch, new.version) == (old.epoch, old.version) and new.document == old.document:
            return
        for key, callback in tuple(self._callbacks):
            if not key or _find(old.document, key) != _find(new.document, key):
                with _logged():
                    callback(self)


@contextlib.contextmanager
def _logged() -> Any:
    try:
        yield
    except Exception:
        logger.exception("A callback failed; the others still hear of the change.")


def _snapshot(fetched: Fetched) -> _Snapshot:
    envelope = fetched.envelope
    return _Snapshot(
        document=envelope["config"],
        version=envelope["version"],
        revision=envelope["revision"],
        epoch=fetched.epoch,
        etag=fetched.etag,
        stale=False,
    )


def _token() -> str:
    path = os.environ.get("CONFIGSVC_TOKEN_FILE")
    return Path(path).read_text().strip() if path else os.environ.get("CONFIGSVC_TOKEN", "")


def _find(document: Any, key: str) -> tuple[bool, Any]:
    node, position = document, 0
    while position < len(key):
        match = _STEP.match(key, position)
        if match is None:
            raise ValueError(f"This is no key: {key}")
        name, index, quoted = match.groups()
        step: Any = int(index) if index else (name or re.sub(r"\\(.)", r"\1", quoted or ""))
        if (isinstance(node, dict) and step in node) or (
            isinstance(node, list) and isinstance(step, int) and step < len(node)
        ):
            node = node[step]
        else:
            return False, None
        position = match.end()
    return True, node

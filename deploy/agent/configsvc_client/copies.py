"""The last good copy on disk."""

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from configsvc_client.envelopes import is_about, is_envelope

logger = logging.getLogger(__name__)

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept: the server's envelope, its entity tag and its epoch."""

    envelope: dict[str, Any]
    etag: str
    epoch: str


class Copy:
    """The copy of one configuration: a file (0600) in ``folder``, replaced as a whole.

    Whoever reads it, at whatever moment, finds the old copy or the new one, also after a power cut.
    """

    def __init__(
        self, folder: Path, service: str, environment: str | None, unit: str | None = None
    ) -> None:
        self._service, self._environment = service, environment
        names = [
            urllib.parse.quote(each.lower(), safe="") for each in (service, environment) if each
        ]
        variant = f"+{_digest(unit)[:16]}" if unit else ""  # units are served different documents
        self.path = folder / f"{'@'.join(names)}{variant}.json"

    def read(self) -> Kept | None:
        """The copy; ``None`` when there is none, or it is damaged or of something else."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("The copy %s cannot be read: %s", self.path, error)
            return None
        kept = self._understand(text)
        if kept is None:
            logger.warning("The copy %s is damaged, or of something else.", self.path)
        return kept

    def write(self, kept: Kept) -> None:
        """Replace the copy. A disk that refuses is logged; the configuration is served all the same."""
        envelope = json.dumps(kept.envelope)
        members = {
            "format": FORMAT,
            "epoch": kept.epoch,
            "etag": kept.etag,
            "sha256": _digest(envelope),
            "envelope": envelope,
        }
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self.path, json.dumps(members).encode())
        except OSError as error:
            logger.warning("The copy %s could not be written: %s", self.path, error)

    def _understand(self, text: str) -> Kept | None:
        try:
            members = json.loads(text)
            if members["format"] != FORMAT or members["sha256"] != _digest(members["envelope"]):
                return None
            kept = Kept(json.loads(members["envelope"]), members["etag"], members["epoch"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        if not is_envelope(kept.envelope):
            return None
        return kept if is_about(kept.envelope, self._service, self._environment) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _replace(path: Path, content: bytes) -> None:
    """Write beside ``path``, sync, rename, sync the folder. Raises :class:`OSError`."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

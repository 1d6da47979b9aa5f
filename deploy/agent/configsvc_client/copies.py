"""The last good copy on disk."""

import hashlib
import json
import logging
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from configsvc_client import numbers
from configsvc_client.envelopes import is_about, is_envelope
from configsvc_client.errors import ConfigError
from configsvc_client.files import replace
from configsvc_client.sealing import Seal

logger = logging.getLogger(__name__)

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept: the server's envelope, its entity tag and its epoch; where they were asked for, the
    keys of the sections of type environment variables."""

    envelope: dict[str, Any]
    etag: str
    epoch: str
    env_sections: tuple[str, ...] | None = None


class Copy:
    """The copy of one configuration: a file (0600) in ``folder``, replaced as a whole.

    Whoever reads it, at whatever moment, finds the old copy or the new one, also after a power cut.
    With a ``seal`` its content is encrypted; ``variant`` keeps two of the same configuration apart.
    """

    def __init__(
        self,
        folder: Path,
        service: str,
        environment: str | None,
        unit: str | None = None,
        *,
        seal: Seal | None = None,
        variant: str = "",
        loads: Callable[[str], Any] = json.loads,
    ) -> None:
        self._service, self._environment, self._seal = service, environment, seal
        self._loads = loads
        names = [
            urllib.parse.quote(each.lower(), safe="") for each in (service, environment) if each
        ]
        variant += f"+{_digest(unit)[:16]}" if unit else ""  # units are served different documents
        suffix = "json" if seal is None else "sealed"
        self.path = folder / f"{'@'.join(names)}{variant}.{suffix}"

    @property
    def is_outdated(self) -> bool:
        """Whether it is sealed by a secret that was replaced since."""
        return self._seal is not None and self._seal.is_outdated

    def read(self) -> Kept | None:
        """The copy; ``None`` when there is none, or it is damaged or of something else."""
        try:
            content = self.path.read_bytes()
            if self._seal is not None:
                content = self._seal.open(content, self.path.name)
            text = content.decode()
        except FileNotFoundError:
            return None
        except (OSError, ValueError, ConfigError) as error:
            logger.warning("The copy %s cannot be read: %s", self.path, error)
            return None
        kept = self._understand(text)
        if kept is None:
            logger.warning("The copy %s is damaged, or of something else.", self.path)
        return kept

    def write(self, kept: Kept) -> None:
        """Replace the copy. A disk that refuses is logged; the configuration is served all the same."""
        envelope = numbers.dumps(kept.envelope)
        sections = None if kept.env_sections is None else json.dumps(kept.env_sections)
        members = {
            "format": FORMAT,
            "epoch": kept.epoch,
            "etag": kept.etag,
            "sha256": _digest(envelope + (sections or "")),
            "envelope": envelope,
        }
        if sections is not None:
            members["env_sections"] = sections
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            content = json.dumps(members).encode()
            if self._seal is not None:
                content = self._seal.seal(content, self.path.name)
            replace(self.path, content)
        except (OSError, ConfigError) as error:
            logger.warning("The copy %s could not be written: %s", self.path, error)

    def _understand(self, text: str) -> Kept | None:
        try:
            members = json.loads(text)
            sections = members.get("env_sections")
            hashed = members["envelope"] + (sections or "")
            if members["format"] != FORMAT or members["sha256"] != _digest(hashed):
                return None
            keys = None if sections is None else tuple(map(str, json.loads(sections)))
            kept = Kept(self._loads(members["envelope"]), members["etag"], members["epoch"], keys)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        if not is_envelope(kept.envelope):
            return None
        return kept if is_about(kept.envelope, self._service, self._environment) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

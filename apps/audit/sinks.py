"""Where copies of the ledger go as it grows: a file, a syslog collector."""

import json
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from django.conf import settings

from apps.audit import syslog
from apps.audit.exporting import ascii_line, fields_of, json_line
from apps.audit.models import AuditEvent
from apps.core import clock

WARNED = ("refused", "login.failed")


class Sink(Protocol):
    """Takes events in order. ``required``: without it no act happens."""

    @property
    def name(self) -> str:
        """What the sink is called, here and in its cursor's row."""

    @property
    def required(self) -> bool:
        """Whether acts fail while it cannot be written."""

    def write(self, events: Sequence[AuditEvent]) -> None:
        """Have the events safely there. Raises :class:`OSError`."""


@dataclass(frozen=True, slots=True)
class FileSink:
    """JSON lines at the end of a file, on disk before ``write`` returns.

    The file is opened for each batch, so that it may be moved away. What a failed write left is
    taken back. Writers of one host take turns by the ledger's lock.
    """

    path: Path
    required: bool
    name: str = "file"

    def write(self, events: Sequence[AuditEvent]) -> None:
        """Append the events, and wait for the disk."""
        octets = "".join(map(json_line, events)).encode()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            before = os.fstat(descriptor)
            try:
                view = memoryview(octets)
                while view:
                    view = view[file.write(view) or 0 :]
                os.fsync(descriptor)
            except OSError:
                if stat.S_ISREG(before.st_mode):
                    with suppress(OSError):
                        file.truncate(before.st_size)
                raise
        if before.st_size == 0:
            _sync_folder(self.path.parent)


def _sync_folder(folder: Path) -> None:
    """Let a new file's name survive a power cut too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class SyslogSink:
    """A collector that speaks RFC 5424; ``address`` as :func:`apps.audit.syslog.send` takes it."""

    address: str
    required: bool
    authorities: str = ""
    name: str = "syslog"

    def write(self, events: Sequence[AuditEvent]) -> None:
        """Hand the events over."""
        syslog.send([_message(each) for each in events], self.address, self.authorities)


def _message(event: AuditEvent) -> syslog.Message:
    short = {**fields_of(event), "data": "", "shortened": True}
    return syslog.Message(
        at=clock.rfc3339(event.at),
        kind=event.action,
        text=ascii_line(event),
        short=json.dumps(short, sort_keys=True, separators=(",", ":")),
        warns=event.action.startswith(WARNED),
    )


def configured() -> list[Sink]:
    """The sinks that the settings name."""
    found: list[Sink] = []
    if settings.AUDIT_FILE:
        found.append(FileSink(Path(settings.AUDIT_FILE), settings.AUDIT_FILE_REQUIRED))
    if settings.AUDIT_SYSLOG:
        found.append(
            SyslogSink(
                settings.AUDIT_SYSLOG, settings.AUDIT_SYSLOG_REQUIRED, settings.AUDIT_SYSLOG_CA
            )
        )
    return found

"""The programs that do the work: pgBackRest, and PostgreSQL's own."""

import ctypes
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from point_in_time.settings import STANZA, Settings

PR_SET_PDEATHSIG = 1


class RefusedError(Exception):
    """It cannot be done, or was not; the message says why. ``status`` is a program's, if one failed."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def say(text: str) -> None:
    """Tell the operator how far it is."""
    print(text, file=sys.stderr, flush=True)


def run(command: Sequence[str | Path], *, sent: str = "") -> str:
    """What a program wrote. Raises :class:`RefusedError` with its complaint when it failed."""
    done = _run(command, input=sent, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise RefusedError(f"{Path(command[0]).name}: {said}", done.returncode)
    return done.stdout


def _run(command: Sequence[str | Path], **streams: Any) -> "subprocess.CompletedProcess[str]":
    words = [str(part) for part in command]
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    try:
        return subprocess.run(
            words,
            text=True,
            check=False,
            env=environment,
            preexec_fn=end_with_parent(signal.SIGTERM),
            **streams,
        )
    except FileNotFoundError as error:
        raise RefusedError(f"There is no {words[0]} here. Install it first.") from error


def end_with_parent(with_signal: signal.Signals) -> Callable[[], None]:
    """What a child calls first so that Linux ends it with us: also when we are killed."""
    set_signal = ctypes.CDLL(None).prctl

    def ask() -> None:
        set_signal(PR_SET_PDEATHSIG, int(with_signal))

    return ask


def pgbackrest(settings: Settings, verb: str, *options: str) -> str:
    """What pgBackRest answers. Raises :class:`RefusedError` when it fails.

    So it does when others may read the passphrase.
    """
    check_passphrase(settings)
    return run(["pgbackrest", *settings.options(), verb, *options])


def watch_pgbackrest(settings: Settings, verb: str, *options: str) -> None:
    """The same for what takes long: its progress goes to the terminal."""
    check_passphrase(settings)
    told = ["--log-level-console=info", "--log-timestamp"]
    done = _run(["pgbackrest", *settings.options(), *told, verb, *options], stdout=sys.stderr)
    if done.returncode:
        raise RefusedError(f"pgbackrest {verb} failed.")


def check_passphrase(settings: Settings) -> None:
    """Raise :class:`RefusedError` where the passphrase is missing, or is not the owner's alone."""
    try:
        mode = stat.S_IMODE(settings.passphrase.stat().st_mode)
    except OSError as error:
        raise RefusedError(f"{settings.passphrase}: {error.strerror}. Run setup first.") from error
    if mode & 0o077:
        raise RefusedError(f"Others may read {settings.passphrase}: chmod 600 it.")


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup: what it is called, and between which places of the log it was taken."""

    label: str
    kind: str
    timeline: int
    start: int
    stop: int
    ended: int


@dataclass(frozen=True, slots=True)
class Known:
    """What the repository holds: the server's version, and its backups, the oldest first."""

    version: str
    archive: str
    timelines: frozenset[int]
    backups: tuple[Backup, ...]


def place(lsn: str) -> int:
    """A place in the log as a number: ``0/16B3740``."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def written(at: int) -> str:
    """The inverse of :func:`place`."""
    return f"{at >> 32:X}/{at & 0xFFFFFFFF:X}"


def look_up(settings: Settings) -> Known:
    """What the repository holds. Raises :class:`RefusedError` when there is no backup in it."""
    found: list[dict[str, Any]] = json.loads(pgbackrest(settings, "info", "--output=json"))
    if not found or not found[0].get("db") or not found[0].get("backup"):
        raise RefusedError("There is no backup in this repository.")
    database = found[0]["db"][-1]
    backups = [
        Backup(
            label=each["label"],
            kind=each["type"],
            timeline=int(each["archive"]["start"][:8], 16),
            start=place(each["lsn"]["start"]),
            stop=place(each["lsn"]["stop"]),
            ended=each["timestamp"]["stop"],
        )
        for each in found[0]["backup"]
        if each["database"]["id"] == database["id"] and not each.get("error")
    ]
    if not backups:
        raise RefusedError("There is no backup of this server's version in the repository.")
    archive = f"archive/{STANZA}/{database['version']}-{database['id']}"
    named = pgbackrest(settings, "repo-ls", r"--filter=^[0-9A-F]{8}\.history$", archive).split()
    timelines = {1, *(int(name[:8], 16) for name in named)}
    return Known(database["version"], archive, frozenset(timelines), tuple(backups))


def read_archived(settings: Settings, known: Known, name: str) -> str:
    """The text of a file of the archive."""
    return pgbackrest(settings, "repo-get", f"{known.archive}/{name}")


def server_program(settings: Settings, version: str, name: str) -> Path:
    """The path of one of PostgreSQL's programs, of the version that the backups are of."""
    folder = Path(settings.binaries or f"/usr/lib/postgresql/{version}/bin")
    program = folder / name
    if not program.exists():
        raise RefusedError(
            f"There is no {program}: install PostgreSQL {version}, or give --binaries."
        )
    return program

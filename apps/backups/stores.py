"""Where archives are kept."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

from apps.backups.work import working_in
from apps.engine.archives import MAX_START
from apps.engine.errors import NOTHING_HERE, NotFoundError, UnavailableError

SUFFIX: Final = ".configsvc"
PART: Final = ".part"
COPY: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of a store: its name and size in bytes."""

    name: str
    size: int


class Store(Protocol):
    """A place for archives. Names are those that :func:`check_name` lets through; others are listed
    alone, unless no page could show them. Raises :class:`UnavailableError` while it cannot be read.
    """

    def list(self) -> list[Stored]:
        """The archives by name; files that are not whole yet are none."""

    def start(self, name: str) -> bytes:
        """The first bytes of one, with the whole header. Raises :class:`NotFoundError`."""

    def put(self, path: Path, name: str) -> None:
        """Keep the file at ``path`` under ``name``; it is there whole, or not at all."""

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Read one from its start. Raises :class:`NotFoundError`."""

    def delete(self, name: str) -> None:
        """Delete one; harmless when it is gone."""

    def close(self) -> None:
        """Let go of what was only needed while it was read."""


def check_name(name: str) -> str:
    """``name`` when it is that of an archive. Raises :class:`NotFoundError`: nothing else is opened."""
    if not is_plain(name):
        raise NotFoundError(NOTHING_HERE)
    return name


def is_plain(name: str) -> bool:
    """Whether it may be that of an archive: printable ASCII, no path, and no option of a command."""
    printable = name.isascii() and name.isprintable() and name.endswith(SUFFIX)
    return printable and name[0] not in ".-" and "/" not in name and "\\" not in name


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What the folder's disk refuses is said in our words."""
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UnavailableError(f"The folder of backups failed: {why}.") from error


class FolderStore:
    """A folder (0700) on this machine; see :class:`Store`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def list(self) -> list[Stored]:
        """See :class:`Store`."""
        with _told():
            if not self.folder.is_dir():
                return []
            found = [each for each in self.folder.iterdir() if each.name.endswith(SUFFIX)]
            shown = (each for each in found if each.name[0] != "." and each.name.isprintable())
            stored = [
                Stored(each.name, each.stat().st_size)
                for each in shown
                if each.is_file() and not each.is_symlink()
            ]
        return sorted(stored, key=lambda each: each.name)

    def start(self, name: str) -> bytes:
        """See :class:`Store`."""
        with self.open(name) as file, _told():
            return file.read(MAX_START)

    def put(self, path: Path, name: str) -> None:
        """See :class:`Store`."""
        part = self.folder / f".{check_name(name)}{PART}"
        with working_in(self.folder):
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as target, path.open("rb") as source:
                    shutil.copyfileobj(source, target, COPY)
                    target.flush()
                    os.fsync(target.fileno())
                part.rename(self.folder / name)
            except OSError:  # a full disk, which a half archive would keep full
                part.unlink(missing_ok=True)
                raise
            sync_folder(self.folder)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """See :class:`Store`."""
        path = self.folder / check_name(name)
        with _told():
            if not path.is_file() or path.is_symlink():
                raise NotFoundError(NOTHING_HERE)
            opened = path.open("rb")
        with opened as file:
            yield file

    def delete(self, name: str) -> None:
        """See :class:`Store`."""
        (self.folder / check_name(name)).unlink(missing_ok=True)
        sync_folder(self.folder)

    def close(self) -> None:
        """See :class:`Store`."""


def sync_folder(folder: Path) -> None:
    """Let what was made or deleted in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

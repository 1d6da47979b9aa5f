"""Replacing a file so that whoever reads it finds the old content or the new one, whole."""

import contextlib
import os
import tempfile
from pathlib import Path

PRIVATE = 0o600


def replace(path: Path, content: bytes) -> None:
    """Write beside ``path`` (0600), sync, rename, sync the folder. Raises :class:`OSError`."""
    written = stage(path, content)
    try:
        written.replace(path)
    except OSError:
        written.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def stage(path: Path, content: bytes, mode: int = PRIVATE) -> Path:
    """A synced file beside ``path``, to be renamed to it. Raises :class:`OSError`.

    Nobody else can read it before it has its ``mode``; what fails leaves no file behind.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    return Path(name)


def sync_folder(folder: Path) -> None:
    """Make the renames in it last. Raises :class:`OSError`."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

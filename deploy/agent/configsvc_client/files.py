"""Replacing a file so that whoever reads it finds the old content or the new one, whole."""

import contextlib
import os
import tempfile
from pathlib import Path

PRIVATE = 0o600


def replace(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Write beside ``path``, sync, rename, sync the folder. Raises :class:`OSError`.

    Nobody else can read it before it has its ``mode``; what fails leaves no file behind.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
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

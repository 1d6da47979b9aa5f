"""Who works with the SQLite database of a data folder: one server, workers, or a restore alone."""

import fcntl
from pathlib import Path
from typing import IO, Final

from django.conf import settings
from django.db import connection

SERVER: Final = "server.lock"
WORKERS: Final = "workers.lock"


def hold(name: str, *, shared: bool = False) -> IO[str] | None:
    """Hold a lock of that name beside the database until it is closed, or the process ends; ``None`` on
    PostgreSQL, where connections are counted. Raises :class:`BlockingIOError` while others hold it.
    """
    if connection.vendor != "sqlite":
        return None
    path = Path(str(settings.DATABASES["default"]["NAME"])).parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file

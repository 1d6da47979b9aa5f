"""The folder of this machine that archives are made and tried in."""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LEFT: Final = (".copy-*", ".making-*", ".drill-*")


@contextlib.contextmanager
def working_in(work: Path) -> Iterator[None]:
    """Hold ``work``, made where it is missing. What a process that died has left in it (a copy of the
    database, a half-made archive) goes as soon as nobody else works there: locks end with processes.
    """
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (work / ".lock").open("w") as lock:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for pattern in LEFT:
                for each in work.glob(pattern):
                    shutil.rmtree(each, ignore_errors=True)
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield

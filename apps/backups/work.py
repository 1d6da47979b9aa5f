"""Folders that archives are made, tried and kept in, and what processes that died leave there."""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LEFT: Final = (".copy-*", ".making-*", ".drill-*", ".fetched-*", ".*.part")


@contextlib.contextmanager
def working_in(work: Path) -> Iterator[None]:
    """Hold ``work``, made where it is missing. What a process that died has left in it (a copy of the
    database, a half-made or half-stored archive) goes as soon as nobody else works there: locks end with processes.
    """
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (work / ".lock").open("a+") as lock:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for pattern in LEFT:
                for each in work.glob(pattern):
                    _remove(each)
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def _remove(left: Path) -> None:
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)

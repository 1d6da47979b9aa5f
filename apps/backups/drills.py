"""A backup counts when a drill has restored it."""

import shutil
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import IO, Final

from django.conf import settings

from apps.backups.work import working_in
from apps.backups.writing import Progress

WITHIN: Final = timedelta(hours=6)
MAX_PROBLEM: Final = 2_000


def drill(name: str, folder: Path, progress: Progress) -> str:
    """Restore an archive into a scratch database in ``folder``, by the command that people would use,
    in a process of its own. Returns what it complained of: nothing when all was well.

    ``folder`` is made anew and deleted, so that one whose process died is cleared by the next try.
    """
    with working_in(folder.parent):
        return _restore_on_trial(name, folder, progress)


def _restore_on_trial(name: str, folder: Path, progress: Progress) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    scratch = str(folder / "drill.sqlite3")
    command = ["manage.py", "backup", "restore", name, "--into", scratch, "--tell"]
    try:
        with subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, *command],
            cwd=settings.BASE_DIR,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as program:
            assert program.stderr is not None  # noqa: S101 - as asked above
            watchdog = threading.Timer(WITHIN.total_seconds(), program.kill)
            watchdog.daemon = True
            watchdog.start()
            said = _follow(program.stderr, progress)
            code = program.wait()
            watchdog.cancel()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if code == 0:
        return ""
    return said[-MAX_PROBLEM:].strip() or f"It ended without a word (status {code})."


def _follow(lines: IO[str], progress: Progress) -> str:
    """Hand on what the command tells of its progress; returns what else it says."""
    said = ""
    for line in lines:
        parts = line.rstrip("\n").split("\t")
        if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit():  # noqa: PLR2004 - as it tells
            progress(parts[0], int(parts[1]), int(parts[2]))
        else:
            said = (said + line)[-MAX_PROBLEM:]
    return said

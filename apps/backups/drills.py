"""A backup counts when a drill has restored it."""

import subprocess
import sys
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import Final

from django.conf import settings

from apps.backups.catalogue import read_catalogue, store
from apps.backups.models import Drill
from apps.core import clock
from apps.core.transactions import writing

WITHIN: Final = timedelta(hours=6)
OLD: Final = timedelta(days=2)
"""After so long without one that went well, people are warned."""
MAX_PROBLEM: Final = 2_000


def run_drill() -> Drill | None:
    """Restore the newest archive into a scratch database, by the command that people would use, in a
    process of its own; ``None`` while there is none.
    """
    newest = next((each for each in read_catalogue(store()) if each.header), None)
    if newest is None or newest.header is None:
        return None
    with writing():
        drill = Drill.objects.create(archive=newest.name, started_at=clock.now())
    settings.BACKUP_WORK.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings.BACKUP_WORK, prefix=".drill-") as folder:
        command = [
            "manage.py",
            "backup",
            "restore",
            newest.name,
            "--into",
            f"{folder}/drill.sqlite3",
        ]
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, *command],
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=WITHIN.total_seconds(),
            check=False,
        )
    drill.ended_at = clock.now()
    if done.returncode == 0:
        drill.revision = newest.header.revision
    else:
        drill.problem = (done.stderr or done.stdout)[-MAX_PROBLEM:] or "It ended without a word."
    with writing():
        drill.save()
    return drill


def last_good_drill() -> Drill | None:
    """The last one that went well."""
    return Drill.objects.filter(revision__isnull=False).first()


def is_old(drill: Drill | None) -> bool:
    """Whether people should be warned of it."""
    return drill is None or clock.now() - drill.started_at > OLD

"""What the job runner does for this app: archives, drills and pruning by themselves."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from apps.backups.drills import run_drill
from apps.backups.services import create_backup, prune_backups
from apps.core.actor import system
from apps.core.jobs import Claim, Kind, register
from apps.engine.errors import DomainError

ROBOT = system("backups")
DAY = timedelta(days=1)
SEGMENT_EVERY = timedelta(seconds=50)
"""So that no more than a minute is lost: a job begins some seconds after it is due."""


def register_kinds() -> None:
    """Called when the app is ready."""
    if not settings.BACKUPS_SCHEDULED:
        return
    minute = timedelta(minutes=1)
    register(Kind("backup.full", "Back up everything", _full, every=DAY, delay=minute))
    register(
        Kind(
            "backup.drill", "Restore the newest backup, to try it", _drill, every=DAY, delay=DAY / 2
        )
    )
    register(Kind("backup.prune", "Delete old backups", _prune, every=DAY, delay=DAY / 4))
    if connection.vendor == "sqlite":
        title = "Back up what came since"
        register(Kind("backup.segment", title, _segment, every=SEGMENT_EVERY, delay=2 * minute))


def _full(_claim: Claim) -> datetime | None:
    create_backup(actor=ROBOT)
    return None


def _segment(_claim: Claim) -> datetime | None:
    create_backup(actor=ROBOT, full=False)
    return None


def _drill(_claim: Claim) -> datetime | None:
    drill = run_drill()
    if drill is not None and drill.problem:
        raise DomainError(drill.problem)
    return None


def _prune(_claim: Claim) -> datetime | None:
    prune_backups(actor=ROBOT)
    return None

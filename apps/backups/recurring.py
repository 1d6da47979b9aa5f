"""What the job runner does for this app: what was asked, and archives, drills and pruning by
themselves.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from apps.backups.models import Run
from apps.backups.runs import ask_run, kind
from apps.backups.services import create_backup
from apps.core.actor import system
from apps.core.jobs import Claim, Kind, register

ROBOT = system("backups")
DAY = timedelta(days=1)
SEGMENT_EVERY = timedelta(seconds=50)
"""So that no more than a minute is lost: a job begins some seconds after it is due."""


def register_kinds() -> None:
    """Called when the app is ready."""
    register(kind())
    if not settings.BACKUPS_SCHEDULED:
        return
    minute = timedelta(minutes=1)
    register(Kind("backup.full", "Ask for a backup of everything", _full, every=DAY, delay=minute))
    title = "Ask for the newest backup to be restored on trial"
    register(Kind("backup.drill", title, _drill, every=DAY, delay=DAY / 2))
    title = "Ask for old backups to be deleted"
    register(Kind("backup.prune", title, _prune, every=DAY, delay=DAY / 4))
    if connection.vendor == "sqlite":
        title = "Back up what came since"
        register(Kind("backup.segment", title, _segment, every=SEGMENT_EVERY, delay=2 * minute))


def _full(_claim: Claim) -> datetime | None:
    ask_run(actor=ROBOT, kind=Run.CREATE)
    return None


def _segment(_claim: Claim) -> datetime | None:
    """By the minute: what it makes is an archive, and no run to look at."""
    create_backup(actor=ROBOT, full=False)
    return None


def _drill(_claim: Claim) -> datetime | None:
    ask_run(actor=ROBOT, kind=Run.DRILL)
    return None


def _prune(_claim: Claim) -> datetime | None:
    ask_run(actor=ROBOT, kind=Run.PRUNE)
    return None

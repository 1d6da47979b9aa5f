"""The command line: one verb, and where things are."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from datetime import datetime

from point_in_time.installing import back_up, check, set_up
from point_in_time.programs import RefusedError, pgbackrest, say
from point_in_time.restoring import Wanted, restore
from point_in_time.settings import add_options, read_settings

ABOUT = """\
pgBackRest for the PostgreSQL of configsvc: encrypted backups and every piece of the log, restored to
the end or to one act of the ledger exactly. Run it as the user that PostgreSQL runs as.
"""


def moment(text: str) -> datetime:
    """A time with its zone: ``2026-11-27T12:00:00Z``."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise argparse.ArgumentTypeError("say the zone too: 2026-11-27T12:00:00Z, or …+01:00")
    return found


def timeline(text: str) -> str:
    """``latest``, or a number."""
    if text != "latest" and not text.isdecimal():
        raise argparse.ArgumentTypeError("latest, or a number")
    return text


def parser() -> argparse.ArgumentParser:
    """What can be said."""
    made = argparse.ArgumentParser(prog="pgbackrest", description=ABOUT)
    add_options(made)
    verbs = made.add_subparsers(dest="verb", required=True)
    verbs.add_parser("setup", help="write the configuration and a passphrase; archive from now on")
    backup = verbs.add_parser("backup", help="take a backup, beside the running server")
    backup.add_argument("kind", nargs="?", default="incr", choices=("full", "diff", "incr"))
    verbs.add_parser("check", help="exit 0 when archiving works and the newest backup is recent")
    verbs.add_parser("info", help="which backups there are")
    back = verbs.add_parser("restore", help="restore the data folder of a stopped server")
    to = back.add_mutually_exclusive_group(required=True)
    to.add_argument("--to-revision", type=int, metavar="N", help="to this act of the ledger")
    to.add_argument(
        "--to-time", type=moment, metavar="T", help="to the last act that was not later"
    )
    to.add_argument("--latest", action="store_true", help="to the end of the log")
    back.add_argument("--preview", action="store_true", help="find it, and touch nothing")
    back.add_argument("--over", action="store_true", help="replace what lies in the data folder")
    back.add_argument(
        "--timeline",
        type=timeline,
        default="latest",
        help="mean the acts of an earlier timeline, as they were before a restore",
    )
    return made


def main(arguments: Sequence[str]) -> int:
    """Do what is said. 0: done; 1: refused or failed, with the reason on standard error."""
    given = parser().parse_args(arguments)
    settings = read_settings(given)
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # so that what was begun is cleared away
    try:
        if os.geteuid() == 0:
            raise RefusedError("Not as root: sudo -u postgres …")  # noqa: TRY301 - one way out
        if given.verb == "setup":
            set_up(settings)
        elif given.verb == "backup":
            back_up(settings, given.kind)
        elif given.verb == "check":
            check(settings)
        elif given.verb == "info":
            print(pgbackrest(settings, "info"), end="")
        else:
            wanted = Wanted(revision=given.to_revision, time=given.to_time)
            restore(
                settings, wanted, over=given.over, preview=given.preview, timeline=given.timeline
            )
    except RefusedError as error:
        say(str(error))
        return 1
    return 0

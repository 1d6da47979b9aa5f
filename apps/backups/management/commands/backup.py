"""``manage.py backup``: create, list, verify, restore and prune archives, and confirm rights."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import Error as DatabaseError
from django.db import connection

from apps.access.holds import are_held, confirm_rights, require_held
from apps.backups import replacing, restoring, withdrawals
from apps.backups.catalogue import Archive, chain_of, openers, read_catalogue, store, store_at
from apps.backups.comparing import compare_with_now
from apps.backups.held import NAMED, describe_held, named_in
from apps.backups.services import create_backup, prune_backups, verify_backup
from apps.backups.stores import PART, Store
from apps.core import clock
from apps.core.actor import system
from apps.core.commands import QuickCommand
from apps.core.folder_lock import SERVER, WORKERS, hold
from apps.engine.errors import NOTHING_HERE, DomainError, NotFoundError

ACTOR = system("backup")
HELD = """Rights are held: tokens and grants do not work, and only superusers log in. One of them looks
through them on the page 'Confirm rights' of the portal, or here: manage.py backup confirm."""


class Command(QuickCommand):
    """Archives of the whole installation."""

    help = "Make, list, verify, restore and prune archives of the whole installation."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make an archive of everything")
        create.add_argument(
            "--segment", action="store_true", help="what came since (on PostgreSQL a full one)"
        )
        listing = verbs.add_parser("list", help="the archives, the newest first")
        verify = verbs.add_parser("verify", help="exit 0 when the archive is whole, else 1")
        verify.add_argument("name", nargs="?", help="the newest, where none is named")
        restore = verbs.add_parser("restore", help="replace the database by an archive's")
        restore.add_argument("name", nargs="?", help="the newest, where none is named")
        restore.add_argument("--at", help="a time: the last archive that was made by then")
        restore.add_argument(
            "--into", type=Path, help="a new SQLite file, in place of the database"
        )
        restore.add_argument("--yes", action="store_true", help="without asking")
        restore.add_argument("--tell", action="store_true", help="progress in lines, for programs")
        confirm = verbs.add_parser("confirm", help="let rights count again after a restore")
        for name, what in NAMED.items():
            confirm.add_argument(
                f"--{name}", nargs="+", default=[], metavar=what, help=f"{what} to withdraw"
            )
        confirm.add_argument("--yes", action="store_true", help="without asking")
        for each in (listing, verify, restore):
            each.add_argument(
                "--store",
                metavar="URL",
                help="S3-compatible storage, https://HOST/BUCKET/PREFIX, in place of the settings'",
            )
        prune = verbs.add_parser("prune", help="delete what retention does not keep")
        prune.add_argument("--dry-run", action="store_true", help="say what that would be")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do one of them."""
        self._tells = options.get("tell", False)
        for name in ("name", "at", "store"):
            if options.get(name) == "":  # a variable that is not set, which means no newest one
                raise CommandError(f"'{name}' is empty: leave it away, or say which.")
        try:
            getattr(self, f"_{options['verb']}")(options)
        except DomainError as error:
            told = "There is no such archive." if error.detail == NOTHING_HERE else error.detail
            raise CommandError(f"{told} (code {error.code})") from error
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            raise CommandError(f"{error.strerror or error}{where}") from error
        except (DatabaseError, connection.Database.Error) as error:  # type: ignore[attr-defined] # the driver
            told = (str(error).splitlines() or [type(error).__name__])[0]
            raise CommandError(f"The database refused: {told}") from error

    def _create(self, options: dict[str, Any]) -> None:
        made = create_backup(actor=ACTOR, full=not options["segment"], progress=self._progress)
        if made is None:
            self.stdout.write("Nothing has moved since the last archive.")
            return
        self.stdout.write(f"{made.name}  revision {made.header.revision}  {made.size} bytes")

    def _list(self, options: dict[str, Any]) -> None:
        for each in read_catalogue(_place(options)):
            self.stdout.write(_line(each))

    def _verify(self, options: dict[str, Any]) -> None:
        place = _place(options)
        name = options["name"] or _newest(place, None)
        checked = verify_backup(actor=ACTOR, name=name, place=place, progress=self._progress)
        last = checked.last
        self.stdout.write(
            f"{name} is whole: {len(checked.headers)} archive(s), revision {last['revision']}."
        )

    def _prune(self, options: dict[str, Any]) -> None:
        plan = prune_backups(actor=ACTOR, dry_run=options["dry_run"])
        word = "would be deleted" if options["dry_run"] else "deleted"
        for name, why in plan.kept.items():
            self.stdout.write(f"{name}  kept: {', '.join(why)}")
        for each in plan.gone:
            self.stdout.write(f"{each.name}  {word}")
        self.stdout.write(f"{len(plan.gone)} archive(s) {word}.")

    def _restore(self, options: dict[str, Any]) -> None:
        if options["name"] and options["at"]:
            raise CommandError("Give the name of an archive, or --at a time, not both.")
        place = _place(options)
        name = options["name"] or _newest(place, options["at"])
        chain = chain_of(read_catalogue(place), name)
        with _no_server(options["into"]):
            checked = restoring.check_chain(openers(place, chain), self._progress)
            if options["into"] is not None:
                self._restore_into(options["into"], checked)
                return
            self._progress("Reading what was withdrawn since", 0, 0)
            last = checked.last
            present = withdrawals.read_present(last["revision"], last["hash"])
            for line in compare_with_now(checked, present):
                self.stdout.write(line)
            if not options["yes"] and not self._confirmed("restore", "replace the database"):
                raise CommandError("Nothing was changed.")
            sqlite = connection.vendor == "sqlite"
            restore = replacing.restore_sqlite if sqlite else replacing.restore_postgres
            finish = replacing.Finish(ACTOR, name, present)
            epoch = restore(checked, finish, self._progress)
        self.stdout.write(f"Restored: revision {checked.last['revision']}, epoch {epoch}.")
        if are_held():
            self.stdout.write(HELD)

    def _restore_into(self, into: Path, checked: restoring.Checked) -> None:
        if into.exists():
            raise CommandError(f"{into} exists: name a new file.")
        if not into.parent.is_dir():
            raise CommandError(f"There is no folder {into.parent}.")
        growing = into.with_name(f".{into.name}{PART}")
        with restoring.new_sqlite(growing):
            restoring.fill(checked, self._progress)
        growing.rename(into)
        self.stdout.write(f"Restored into {into}: revision {checked.last['revision']}.")

    def _confirm(self, options: dict[str, Any]) -> None:
        require_held()
        withdraw = named_in(options)
        for line in describe_held(withdraw):
            self.stdout.write(line)
        if not options["yes"] and not self._confirmed("confirm", "let these rights count"):
            raise CommandError("Nothing was changed.")
        confirm_rights(actor=ACTOR, withdraw=withdraw)
        self.stdout.write("Confirmed: rights count again.")

    def _confirmed(self, word: str, what: str) -> bool:
        self.stdout.write(f"Type '{word}' to {what}: ", ending="")
        self.stdout.flush()
        return sys.stdin.readline().strip() == word

    def _progress(self, what: str, done: int, of: int) -> None:
        if self._tells:
            self.stderr.write(f"{what}\t{done}\t{of}")
        elif self.stderr.isatty():
            share = f" {100 * done // of} %" if of else ""
            self.stderr.write(f"\r\x1b[K{what}{share}", ending="")


@contextlib.contextmanager
def _no_server(into: Path | None) -> Iterator[None]:
    """Refuse while a server or a worker runs on the data folder; none starts meanwhile."""
    with contextlib.ExitStack() as held:
        for name, what in () if into else ((SERVER, "server"), (WORKERS, "worker")):
            try:
                lock = hold(name)
            except BlockingIOError as error:
                raise CommandError(f"A {what} runs on this data folder: stop it first.") from error
            if lock is not None:
                held.enter_context(lock)
        yield


def _place(options: dict[str, Any]) -> Store:
    return store_at(options["store"]) if options["store"] else store()


def _newest(place: Store, at: str | None) -> str:
    """The newest archive, or the newest that was made by a time."""
    until = _moment(at) if at else None
    for each in read_catalogue(place):
        if each.created_at is not None and (until is None or each.created_at <= until):
            return each.name
    raise NotFoundError("There is no such archive.")


def _moment(text: str) -> datetime:
    try:
        return clock.read_rfc3339(text)
    except ValueError as error:
        raise CommandError("Write a time as 2026-11-24T09:30:00Z.") from error


def _line(each: Archive) -> str:
    if each.header is None:
        return f"{each.name}  {each.size} bytes  {each.problem}"
    head = each.header
    return (
        f"{each.name}  {head.kind}  {head.created_at}  revision {head.epoch}-{head.revision}"
        f"  {each.size} bytes"
    )

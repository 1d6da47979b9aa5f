"""Import a folder of configuration files."""

import argparse
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError

from apps.configs.services.bringing import READERS, TREE, Run, bring
from apps.configs.services.import_report import REFUSED, Row
from apps.configs.services.importing import Imported, find_files, import_files
from apps.core.actor import system
from apps.core.commands import QuickCommand
from apps.engine.errors import DomainError, NotFoundError, Problem
from apps.engine.importers.reading import unpacked
from apps.registry.selectors import get_default_environment, get_environment

MAX_NAMED: Final = 20


class Command(QuickCommand):
    """``manage.py import_configs PATH --environment E [--from KIND] [--map THERE=HERE]… [--dry-run]``."""

    help = "Import JSON, YAML, TOML, XML, .env and .properties files, one service each."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options of the contract."""
        parser.add_argument("path", type=Path)
        parser.add_argument("--environment", help="of what names none; needed but for --from tree")
        parser.add_argument(
            "--from",
            dest="kind",
            choices=(TREE, *READERS),
            help="what PATH is: a folder or ZIP archive of that system's; tree: our own export",
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="THERE=HERE",
            help="a foreign name of an environment (profile, namespace) and the one here",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would happen, store nothing"
        )
        parser.add_argument(
            "--acknowledge",
            action="store_true",
            help="store sections and rules although live configurations fail them",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Import, report a line for each file, and fail when any was refused."""
        path: Path = options["path"]
        if not path.exists():
            raise CommandError(f"There is no {path}.")
        if options["kind"]:
            self._bring(path, options)
        else:
            self._import(path, options)

    def _import(self, path: Path, options: dict[str, Any]) -> None:
        if not options["environment"]:
            raise CommandError("Say which --environment the files are for.")
        try:
            environment = get_environment(options["environment"])
        except NotFoundError as error:
            raise CommandError(f"There is no environment {options['environment']}.") from error
        looked = find_files(path)
        files = looked.files
        for reason, others in looked.passed_over.items():
            self.stdout.write(_passed_over(reason, others, path))
        if not files:
            raise CommandError(f"There is no configuration file in {path}.")
        found = import_files(
            actor=system("import_configs"),
            files=files,
            environment=environment,
            dry_run=options["dry_run"],
            progress=self._progress,
        )
        for each in found:
            self.stdout.write(_line(each, _name_of(each.path, path)))
        refused = sum(1 for each in found if each.error)
        if refused:
            raise CommandError(f"{refused} of {len(files)} files were refused; nothing was stored.")
        done = "would be imported" if options["dry_run"] else "imported"
        self.stdout.write(self.style.SUCCESS(f"{len(found)} files {done} into {environment}."))

    def _bring(self, path: Path, options: dict[str, Any]) -> None:
        try:
            rows = bring(
                actor=system("import_configs"),
                kind=options["kind"],
                files=self._read(path),
                default=options["environment"] or get_default_environment().slug,
                mapped=_mapped(options["map"]),
                run=Run(options["dry_run"], options["acknowledge"]),
            )
        except DomainError as error:
            raise CommandError(error.detail) from error
        for row in rows:
            self.stdout.write(_told(row))
        refused = sum(1 for row in rows if row.status == REFUSED)
        if refused:
            raise CommandError(f"{refused} of {len(rows)} were refused; nothing was stored.")
        done = "would be" if options["dry_run"] else "are"
        changed = sum(1 for row in rows if row.status in ("created", "updated"))
        self.stdout.write(self.style.SUCCESS(f"{changed} of {len(rows)} {done} new or changed."))

    def _read(self, path: Path) -> dict[str, bytes]:
        """The files of a folder or of an archive, or the one file."""
        if path.is_file():
            content = path.read_bytes()
            return unpacked(content) if path.suffix.lower() == ".zip" else {path.name: content}
        found = [each for each in sorted(path.rglob("*")) if each.is_file()]
        files = {}
        for number, each in enumerate(found, start=1):
            files[each.relative_to(path).as_posix()] = each.read_bytes()
            self._progress(number, len(found))
        return files

    def _progress(self, done: int, total: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\rread {done} of {total}", ending="\n" if done == total else "")


def _passed_over(reason: str, paths: list[Path], folder: Path) -> str:
    names = [_name_of(each, folder) for each in paths]
    shown = [each if each.isprintable() else ascii(each) for each in names[:MAX_NAMED]]
    more = f" and {len(paths) - MAX_NAMED} more" if len(paths) > MAX_NAMED else ""
    return f"passed over {len(paths)} {reason}: {', '.join(shown)}{more}"


def _mapped(texts: list[str]) -> dict[str, str]:
    if any("=" not in each for each in texts):
        raise CommandError("--map is written THERE=HERE, as in prod=production.")
    return {there: here for there, _equals, here in (each.partition("=") for each in texts)}


def _told(row: Row) -> str:
    version = f" version {row.version}" if row.version and row.status != "unchanged" else ""
    problems = "; ".join(
        f"{_place(each)}{each.pointer} {each.message}".strip()
        for each in (*row.errors, *row.warnings)
    )
    return f"{row.status:<12} {row.kind} {row.name}{version}{f': {problems}' if problems else ''}"


def _place(problem: Problem) -> str:
    if problem.line:
        return f"line {problem.line}: "
    return f"{problem.service}@{problem.environment} " if problem.service else ""


def _name_of(path: Path, folder: Path) -> str:
    """A file's name as seen from the folder."""
    return path.name if path == folder else str(path.relative_to(folder))


def _line(each: Imported, name: str) -> str:
    if each.error is not None:
        places = "; ".join(
            f"line {problem.line}: {problem.message}" if problem.line else problem.message
            for problem in each.error.problems
        )
        return f"refused    {name}: {places or each.error.detail}"
    if each.outcome is None:
        return f"not stored {name}"
    state = "unchanged" if each.outcome.unchanged else f"version {each.outcome.version}"
    notes = [" (new service)"] if each.created else []
    if each.escaped:
        notes.append(f" ({each.escaped} '${{' written as '$${{')")
    return f"{state:<10} {name} -> {each.service}{''.join(notes)}"

"""Import a folder of configuration files."""

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.configs.services.importing import Imported, find_files, import_files
from apps.core.actor import system
from apps.engine.errors import NotFoundError
from apps.registry.selectors import get_environment


class Command(BaseCommand):
    """``manage.py import_configs PATH --environment E [--dry-run]``."""

    help = "Import JSON, YAML, TOML, XML, .env and .properties files, one service each."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options of the contract."""
        parser.add_argument("path", type=Path)
        parser.add_argument("--environment", required=True)
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would happen, store nothing"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Import, report a line for each file, and fail when any was refused."""
        path: Path = options["path"]
        if not path.exists():
            raise CommandError(f"There is no {path}.")
        try:
            environment = get_environment(options["environment"])
        except NotFoundError as error:
            raise CommandError(f"There is no environment {options['environment']}.") from error
        files = find_files(path)
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
            self.stdout.write(_line(each))
        refused = sum(1 for each in found if each.error)
        if refused:
            raise CommandError(f"{refused} of {len(files)} files were refused; nothing was stored.")
        done = "would be imported" if options["dry_run"] else "imported"
        self.stdout.write(self.style.SUCCESS(f"{len(found)} files {done} into {environment}."))

    def _progress(self, done: int, total: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\rread {done} of {total}", ending="\n" if done == total else "")


def _line(each: Imported) -> str:
    if each.error is not None:
        places = "; ".join(
            f"line {problem.line}: {problem.message}" if problem.line else problem.message
            for problem in each.error.problems
        )
        return f"refused    {each.path.name}: {places or each.error.detail}"
    if each.outcome is None:
        return f"not stored {each.path.name}"
    state = "unchanged" if each.outcome.unchanged else f"version {each.outcome.version}"
    notes = [" (new service)"] if each.created else []
    if each.escaped:
        notes.append(f" ({each.escaped} '${{' written as '$${{')")
    return f"{state:<10} {each.path.name} -> {each.service}{''.join(notes)}"

"""Export the installation, or a part of it, as a folder tree."""

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from apps.configs.services.exporting import export_tree
from apps.core.actor import system
from apps.core.commands import QuickCommand
from apps.engine.errors import DomainError


class Command(QuickCommand):
    """``manage.py export_configs FOLDER [--service S]… [--environment E]…``."""

    help = "Export configurations, templates, rules and services as files, without secrets' values."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("folder", type=Path, help="a folder that is empty, or not there yet")
        parser.add_argument("--service", action="append", default=[], help="this one alone; repeat")
        parser.add_argument("--environment", action="append", default=[], help="likewise")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write the files; a folder that holds something is refused."""
        folder: Path = options["folder"]
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CommandError(f"{folder} holds something: name an empty folder.")
        try:
            files = export_tree(
                actor=system("export_configs"),
                services=options["service"],
                environments=options["environment"],
            ).files
        except DomainError as error:
            raise CommandError(error.detail) from error
        for number, (path, content) in enumerate(files.items(), start=1):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            if self.stderr.isatty():
                ending = "\n" if number == len(files) else ""
                self.stderr.write(f"\rwrote {number} of {len(files)}", ending=ending)
        self.stdout.write(self.style.SUCCESS(f"{len(files)} files are in {folder}."))

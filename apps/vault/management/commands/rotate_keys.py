"""Wrap every data key by the current key-encryption key."""

import argparse
from typing import Any

from django.core.management.base import CommandError

from apps.core.actor import system
from apps.core.commands import QuickCommand
from apps.engine.errors import DomainError
from apps.vault.rewrapping import forget_unused, make_key, rewrap_all


class Command(QuickCommand):
    """``manage.py rotate_keys``: while reads and writes go on; can be stopped and started again."""

    help = "Wrap all secrets' keys by the current key, so that older keys can be removed."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--new-key", action="store_true", help="first put a new key into the key file"
        )
        parser.add_argument(
            "--forget-unused",
            action="store_true",
            help="then take the keys out of the key file that wrap nothing any more",
        )
        parser.add_argument("--batch", type=int, default=200)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Say what was done, with progress on long runs."""
        actor = system("rotate_keys")
        try:
            if options["new_key"]:
                self.stdout.write(f"New key {make_key(actor=actor)}.")
            done = 0
            for count, left in rewrap_all(actor=actor, batch=max(1, options["batch"])):
                done += count
                self.stdout.write(f"{done} wrapped again, {left} to go")
            if options["forget_unused"]:
                for key_id in forget_unused(actor=actor):
                    self.stdout.write(f"Removed key {key_id}.")
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write("Every secret is wrapped by the current key.")

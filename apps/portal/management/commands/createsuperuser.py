"""Make a superuser; what Django's own command does, with events in the ledger."""

import argparse
from typing import Any

from django.core.management.base import CommandError

from apps.access.people import create_superuser
from apps.core.actor import system
from apps.core.commands import QuickCommand
from apps.engine.errors import InvalidError
from apps.portal.management.passwords import ask_password, explained


class Command(QuickCommand):
    """``manage.py createsuperuser``: asks for name and password.

    With ``--noinput`` there is no password: the person logs in by single sign-on, or
    ``changepassword`` gives one.
    """

    help = "Make a person who may do everything."
    requires_migrations_checks = True

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options that Django's command has."""
        parser.add_argument("--username")
        parser.add_argument("--email", default="")
        parser.add_argument(
            "--noinput",
            "--no-input",
            action="store_false",
            dest="interactive",
            help="ask nothing, and give no password",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Make it in one transaction, or say what is wrong."""
        interactive, username = options["interactive"], options["username"]
        if not username and interactive:
            username = input("Username: ")
        if not username:
            raise CommandError("Give a name with --username.")
        password = ask_password() if interactive else None
        try:
            create_superuser(
                actor=system("createsuperuser"),
                username=username,
                email=options["email"],
                password=password,
            )
        except InvalidError as error:
            raise explained(error) from error
        self.stdout.write(f"'{username}' may do everything.")

"""Give a person a new password; what Django's own command does, with an event in the ledger."""

import argparse
import getpass
from typing import Any

from django.core.management.base import CommandError

from apps.access.people import set_password
from apps.core.actor import system
from apps.core.commands import QuickCommand
from apps.core.models import User
from apps.engine.errors import InvalidError
from apps.portal.management.passwords import ask_password, explained


class Command(QuickCommand):
    """``manage.py changepassword [USER]``: asks for it twice; the person's sessions end."""

    help = "Give a person a new password."
    requires_migrations_checks = True

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options that Django's command has."""
        parser.add_argument("username", nargs="?", help="by default your own name on this machine")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask, and set it, or say what is wrong with it."""
        username = options["username"] or getpass.getuser()
        user = User.objects.filter(username__iexact=username).first()
        if user is None:
            raise CommandError(f"There is no person '{username}'.")
        self.stdout.write(f"A new password for '{user.username}'")
        try:
            set_password(actor=system("changepassword"), user=user, password=ask_password())
        except InvalidError as error:
            raise explained(error) from error
        self.stdout.write("The password is set, and the sessions of before have ended.")

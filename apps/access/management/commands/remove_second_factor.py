"""Take away a person's lost second factor, after somebody made sure who asks."""

import argparse
from typing import Any

from django.core.management.base import CommandError

from apps.access.logins import remove_factors
from apps.access.selectors import find_holder
from apps.core.actor import system
from apps.core.commands import QuickCommand
from apps.core.models import User


class Command(QuickCommand):
    """``manage.py remove_second_factor USER``: the person logs in by password and enrols anew."""

    help = __doc__

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Who."""
        parser.add_argument("user")

    def handle(self, **options: Any) -> None:
        """Remove them all, end the sessions, write it into the ledger."""
        user = find_holder(f"user:{options['user']}")
        if not isinstance(user, User):
            raise CommandError("There is no such person.")
        count = remove_factors(actor=system("remove_second_factor"), user=user)
        self.stdout.write(f"Removed {count} of {user.username}; the sessions have ended.")

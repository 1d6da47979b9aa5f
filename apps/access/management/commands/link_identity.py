"""Let somebody at the OpenID Connect provider log in as a person who exists already."""

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from apps.access.identities import link
from apps.access.selectors import find_holder
from apps.core.actor import system
from apps.core.commands import QuickCommand
from apps.core.models import User
from apps.engine.errors import DomainError


class Command(QuickCommand):
    """``manage.py link_identity USER SUBJECT``: SUBJECT is the provider's ``sub`` of the person."""

    help = __doc__

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Who here, and who there."""
        parser.add_argument("user")
        parser.add_argument("subject")

    def handle(self, **options: Any) -> None:
        """Link them and write it into the ledger."""
        issuer = str(settings.SINGLE_SIGN_ON["issuer"])
        if not issuer:
            raise CommandError("CONFIGSVC_OIDC_ISSUER is not set.")
        user = find_holder(f"user:{options['user']}")
        if not isinstance(user, User):
            raise CommandError("There is no such person.")
        try:
            link(
                actor=system("link_identity"), user=user, issuer=issuer, subject=options["subject"]
            )
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"Linked {user.username}.")

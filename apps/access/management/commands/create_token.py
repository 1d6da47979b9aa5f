"""Make a token for a service account, and the account if need be."""

import argparse
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError

from apps.access.policy import Place
from apps.access.roles import ROLES
from apps.access.selectors import get_account
from apps.access.services import create_account, create_token, grant
from apps.core import clock
from apps.core.actor import system
from apps.core.commands import QuickCommand
from apps.core.transactions import writing
from apps.engine.errors import DomainError, NotFoundError
from apps.registry.selectors import get_environment, get_service


class Command(QuickCommand):
    """``manage.py create_token ACCOUNT``: prints the token alone on standard output."""

    help = "Print a new token of a service account, made if need be with the given grants."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options of the contract."""
        parser.add_argument("account")
        parser.add_argument("--environment", help="the account's own environment")
        parser.add_argument(
            "--grant",
            action="append",
            default=[],
            metavar="ROLE[:SERVICE[@ENV]]",
            help=f"one of {', '.join(ROLES)}, everywhere or on a service or configuration",
        )
        parser.add_argument("--expires", type=int, metavar="DAYS")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it in one transaction, or say what is wrong."""
        try:
            with writing():
                raw = self._create(options)
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(raw)

    def _create(self, options: dict[str, Any]) -> str:
        actor = system("create_token")
        environment = get_environment(options["environment"]) if options["environment"] else None
        try:
            account = get_account(options["account"])
        except NotFoundError:
            account = create_account(actor=actor, slug=options["account"], environment=environment)
        for text in options["grant"]:
            role, _colon, where = text.partition(":")
            service, _at, place = where.partition("@")
            grant(
                actor=actor,
                to=f"service-account:{account.slug}",
                role=role,
                on=Place(
                    get_service(service) if service not in ("", "*") else None,
                    get_environment(place) if place else None,
                ),
            )
        days = options["expires"]
        expires_at = clock.now() + timedelta(days=days) if days is not None else None
        _token, raw = create_token(actor=actor, account=account, expires_at=expires_at)
        return raw

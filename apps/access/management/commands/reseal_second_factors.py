"""Seal the secrets of second factors with the current signing key."""

from typing import Any

from apps.access.logins import reseal_factors
from apps.core.commands import QuickCommand


class Command(QuickCommand):
    """``manage.py reseal_second_factors``: afterwards an earlier signing key can be left out."""

    help = __doc__

    def handle(self, **_options: Any) -> None:
        """Reseal row by row; it may be stopped and started again."""
        self.stdout.write(f"Sealed {reseal_factors()} anew.")

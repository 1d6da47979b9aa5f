"""What the commands of this project have in common."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core.safety import UnsafeStartError
from apps.engine.errors import UnavailableError


class QuickCommand(BaseCommand):
    """A command that starts without Django's system checks, which import every page and interface.

    That is two thirds of its time, and says only what the project's tests have said already.
    """

    requires_system_checks = ()

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run it. A refusal to start, and what is away, are told in a sentence as other errors are."""
        try:
            return super().execute(*args, **options)
        except (UnsafeStartError, UnavailableError) as error:
            raise CommandError(str(error)) from error

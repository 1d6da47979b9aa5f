"""What the commands of this project have in common."""

from django.core.management.base import BaseCommand


class QuickCommand(BaseCommand):
    """A command that starts without Django's system checks, which import every page and interface.

    That is two thirds of its time, and says only what the project's tests have said already.
    """

    requires_system_checks = ()

"""Make the append-only triggers that are missing."""

from typing import Any

from django.db import connection, transaction

from apps.core.appendonly import append_only_tables, create_triggers, list_missing_triggers
from apps.core.commands import QuickCommand


class Command(QuickCommand):
    """``manage.py make_triggers``: says what was missing, and makes it again."""

    help = "Make missing append-only triggers again, after you have compared with your backups."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Print each trigger that was missing, then make all of them."""
        missing = list_missing_triggers(connection)
        with transaction.atomic():
            for table in append_only_tables():
                create_triggers(connection, table)
        for name in missing:
            self.stdout.write(f"made {name}")
        self.stdout.write(f"{len(missing)} trigger(s) were missing.")

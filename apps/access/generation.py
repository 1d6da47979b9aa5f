"""Triggers that raise the access generation: the net below ``access.services``.

Whatever changes who may do what, or which services and environments there are, by whichever
path, raises one number in the same transaction, and every process drops what it has remembered
about rights and places when it sees the number move.
"""

import secrets
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

# table -> the columns whose update matters; none: every update
WATCHED: dict[str, tuple[str, ...]] = {
    "access_serviceuserpermission": (),
    "access_servicegrouppermission": (),
    "access_environmentuserpermission": (),
    "access_environmentgrouppermission": (),
    "access_configurationuserpermission": (),
    "access_configurationgrouppermission": (),
    "access_token": ("withdrawn_at", "expires_at", "digest"),
    "access_serviceaccount": ("deleted_at", "environment_id"),
    "core_user": ("is_active", "is_superuser", "is_staff", "password", "sessions_since"),
    "core_user_groups": (),
    "core_user_user_permissions": (),
    "auth_group_permissions": (),
    "access_grant": (),
    "access_role": (),
    "access_keyrule": (),
    "access_keyruleuserpermission": (),
    "access_keyrulegrouppermission": (),
    "registry_service": (),
    "registry_environment": (),
    "registry_dependency": ("target",),
    "django_session": (),
}
ENDINGS = frozenset({"django_session"})
"""The tables of which only what is deleted matters: a log-out ends what the session opened."""
EVENTS = ("insert", "update", "delete")
LARGEST_FIRST = 2**62
RAISE = "UPDATE access_accessgeneration SET number = number + 1"


def begin_anew(**_sender: Any) -> None:
    """Give the generation a number that it never had: another epoch's database may count up to one for which
    this or another process remembers tokens and rights that it does not have.
    """
    with connection.cursor() as cursor:
        number = secrets.randbelow(LARGEST_FIRST)
        cursor.execute("UPDATE access_accessgeneration SET number = %s", [number])


def create_triggers(connection: BaseDatabaseWrapper) -> None:
    """Make the triggers afresh on the tables and columns that there are; harmless when they exist."""
    drop_triggers(connection)
    present = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        if connection.vendor != "sqlite":
            cursor.execute(
                "CREATE OR REPLACE FUNCTION configsvc_access_moved() RETURNS trigger AS $$ "
                f"BEGIN {RAISE}; RETURN NULL; END $$ LANGUAGE plpgsql"
            )
        for table, columns in WATCHED.items():
            if table not in present:
                continue
            cursor.execute(f'SELECT * FROM "{table}" LIMIT 0')  # noqa: S608 - one of ours
            found = {name for name, *_rest in cursor.description}
            for event in ("delete",) if table in ENDINGS else EVENTS:
                when = event.upper()
                if event == "update" and columns:
                    when += " OF " + ", ".join(each for each in columns if each in found)
                cursor.execute(_statement(connection.vendor, table, event, when))


def _statement(vendor: str, table: str, event: str, when: str) -> str:
    head = f'CREATE TRIGGER "{table}_{event}_generation" AFTER {when} ON "{table}" '
    if vendor == "sqlite":
        return f"{head} BEGIN {RAISE}; END"
    return f"{head} FOR EACH STATEMENT EXECUTE FUNCTION configsvc_access_moved()"


def drop_triggers(connection: BaseDatabaseWrapper) -> None:
    """Remove the triggers."""
    present = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        for table in WATCHED.keys() & present:
            on = "" if connection.vendor == "sqlite" else f' ON "{table}"'
            for event in EVENTS:
                cursor.execute(f'DROP TRIGGER IF EXISTS "{table}_{event}_generation"{on}')

"""Where PostgreSQL is, as libpq reads it (PostgreSQL, "Connection URIs"): several hosts to try in turn, and
its options, such as ``sslmode`` and ``target_session_attrs``.
"""

from typing import Any

from configsvc.env import UnsafeSettingError

FORM = "DATABASE_URL is postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME?sslmode=verify-full"
OURS = {"user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT", "dbname": "NAME"}


def read_database_url(url: str) -> dict[str, Any]:
    """Django's settings for it; what else the URL says is in ``OPTIONS``.

    Raises :class:`UnsafeSettingError` for what libpq does not understand, without showing it.
    """
    from psycopg import ProgrammingError  # not loaded where there is SQLite alone
    from psycopg.conninfo import conninfo_to_dict

    scheme, _colon, rest = url.partition(":")
    try:
        found = conninfo_to_dict(f"postgresql:{rest}" if scheme == "pgsql" else url)
    except ProgrammingError:
        raise UnsafeSettingError(f"{FORM}: this one libpq does not understand.") from None
    settings = {name: str(found.pop(of, "") or "") for of, name in OURS.items()}
    return {"ENGINE": "django.db.backends.postgresql", **settings, "OPTIONS": found}

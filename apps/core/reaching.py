"""Whether the database is there at all: asked by a connection of its own, for a pool waits and tries again."""

from typing import Any, Final

from django.db import connection

CONNECT_WITHIN: Final = 3
"""Seconds, which libpq takes as a whole number of at least two."""


def takes_connections() -> bool | None:
    """Whether PostgreSQL takes a new connection; ``None`` for SQLite, which takes none."""
    if connection.vendor != "postgresql":
        return None
    driver: Any = connection  # the backend's, which has its module
    parameters = {**driver.get_connection_params(), "connect_timeout": CONNECT_WITHIN}
    try:
        driver.Database.connect(**parameters).close()
    except driver.Database.Error:
        return False
    return True

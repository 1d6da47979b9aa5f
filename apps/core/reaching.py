"""Whether the database is there at all, and how long this process waits for it."""

from typing import Any, Final

from django.db import InterfaceError, OperationalError, connection

CONNECT_WITHIN: Final = 3
"""Seconds for each of its hosts, which libpq takes as a whole number of at least two."""
AWAY: Final = (OperationalError, InterfaceError)
"""What a statement raises when the database is away."""
FULL: Final = ("too many clients", "too many connections", "connection slots are reserved")
"""What a server says that is there and has as many connections as it takes."""


def takes_connections() -> bool | None:
    """Whether PostgreSQL takes new connections, or is there and full; ``None`` for SQLite, which takes none.

    Asked by a connection of its own, for a pool waits and tries again.
    """
    if connection.vendor != "postgresql":
        return None
    driver: Any = connection  # the backend's, which has its module
    parameters = {**driver.get_connection_params(), "connect_timeout": CONNECT_WITHIN}
    try:
        driver.Database.connect(**parameters).close()
    except driver.Database.Error as error:
        return any(mark in str(error) for mark in FULL)
    return True


def bound_waiting() -> None:
    """From now on this process serves, and waits for each statement for a time
    (:data:`apps.core.bounded.ANSWERED_WITHIN`), and for a connection as long as the settings say.
    """
    pool = _find_pool()
    if pool is not None:
        from apps.core.bounded import ANSWERED_WITHIN, BoundedConnection

        pool.timeout = connection.settings_dict["OPTIONS"]["pool"]["timeout"]
        BoundedConnection.bound = ANSWERED_WITHIN


def stop_waiting() -> None:
    """The database is away: until :func:`bound_waiting` nobody waits for a connection, and whoever waits
    for a statement already gives up soon. Idle connections go, for they lead to a server that is gone.
    """
    pool = _find_pool()
    if pool is not None:
        from apps.core.bounded import GIVEN_UP_WITHIN, BoundedConnection

        pool.timeout = 0
        BoundedConnection.bound = GIVEN_UP_WITHIN
        pool.drain()


def _find_pool() -> Any:
    """The process's pool of connections; ``None`` on SQLite."""
    return connection.pool if connection.vendor == "postgresql" else None  # type: ignore[attr-defined] # PostgreSQL's

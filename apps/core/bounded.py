"""Connections to PostgreSQL on which nobody waits without end.

A server that is stopped, or whose disk is stuck, leaves its connections open: the kernel of its host
answers for it, so neither keepalives nor ``tcp_user_timeout`` end the waiting, and a
``statement_timeout`` is for the server itself to keep. So the client has a bound of its own.
"""

import math
import time
from typing import Any, ClassVar, Final, TypeVar

import psycopg
from psycopg.abc import PQGen

ANSWERED_WITHIN: Final = 30.0
"""Seconds in which a process that serves hears something of a statement. What it waits for longest is a
lock, while somebody publishes to all that a template has; clients do not wait longer for it, either.
Backups, drills and the verifier have connections of their own, and commands no bound.
"""
GIVEN_UP_WITHIN: Final = 5.0
"""The same while the database takes no new connections, which took some seconds to find out."""

Found = TypeVar("Found")


class BoundedConnection(psycopg.Connection[Any]):
    """One that is closed when the server says nothing for ``bound`` seconds, with the idle ones of its
    pool, for they lead to the same server. Whoever waited gets :class:`psycopg.OperationalError`: an act
    whose commit was not answered may have been done.
    """

    bound: ClassVar[float] = math.inf
    """Of all connections of this process, as of now: those that are waited for already, too."""

    def wait(self, gen: PQGen[Found], interval: float = 0.1, timeout: float | None = None) -> Found:
        """See psycopg, which comes back to ``gen`` with nothing after each ``interval``."""
        return super().wait(self._bounded(gen), interval, timeout)

    def _bounded(self, gen: PQGen[Found]) -> PQGen[Found]:
        heard = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard = time.monotonic()
                elif time.monotonic() - heard > self.bound:
                    self._give_up(time.monotonic() - heard)
                wanted = gen.send(ready)
        except StopIteration as done:
            found: Found = done.value
            return found

    def _give_up(self, seconds: float) -> None:
        pool = getattr(self, "_pool", None)
        self.close()
        if pool is not None:
            pool.drain()
        raise psycopg.OperationalError(f"PostgreSQL has said nothing for {seconds:.0f} seconds.")

"""Doing jobs: in threads of the server, in worker processes, or at once."""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from apps.core import jobs
from apps.engine.errors import DomainError

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0
THREADS = 2


def run(held: jobs.Claim) -> None:
    """Do one claimed job and write down what became of it.

    What a :class:`DomainError` says is kept with the job; of other exceptions the name alone, as
    their texts may hold anything. They are logged with their traceback.
    """
    kind = jobs.kind_of(held.job.kind)
    try:
        if held.job.attempts > kind.max_attempts:
            kind.give_up(held, held.job.last_error)
            jobs.fail(held, held.job.last_error)
            return
        again_at = kind.run(held)
    except jobs.LaterError as later:
        jobs.postpone(held, later.at)
    except DomainError as error:
        _fail(kind, held, error.detail)
    except Exception as error:
        logger.exception("The job %s failed.", held.job.kind)
        _fail(kind, held, f"{type(error).__name__}: the server's log has the reason.")
    else:
        jobs.finish(held, again_at=again_at)


def _fail(kind: jobs.Kind, held: jobs.Claim, error: str) -> None:
    if held.is_last:
        kind.give_up(held, error)
    jobs.fail(held, error)


def run_due(*, now: datetime | None = None) -> int:
    """Do what is due, one after the other, in this thread; gives how many."""
    count = 0
    while (held := jobs.claim(process_name(), now=now)) is not None:
        run(held)
        count += 1
    return count


def process_name() -> str:
    """Host and process number, as the history of runs shows them."""
    return f"{socket.gethostname()}:{os.getpid()}"[:200]


class Runner:
    """Threads that look for due jobs every second until stopped, and one that keeps their leases.

    A process that dies leaves its leases to run out; then others do its jobs again.
    """

    def __init__(self, threads: int = THREADS) -> None:
        self._stop = threading.Event()
        self._held: set[uuid.UUID] = set()
        self._lock = threading.Lock()
        names = [*(f"jobs-{number}" for number in range(threads)), "job-leases"]
        targets = [*([self._work] * threads), self._keep]
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in zip(names, targets, strict=True)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, within: float) -> None:
        """Take no more jobs, and wait ``within`` seconds in all for those that run."""
        self._stop.set()
        ends = time.monotonic() + within
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))

    def _work(self) -> None:
        recurring = False
        while not self._stop.is_set():
            found = False
            try:
                close_old_connections()
                if not recurring:
                    jobs.put_recurring()
                    recurring = True
                found = self._run_one()
            except Exception as error:
                self._complain(error)
            if not found:
                self._stop.wait(LOOK_EVERY)
        connection.close()

    def _run_one(self) -> bool:
        held = jobs.claim(process_name())
        if held is None:
            return False
        with self._holding(held.owner):
            run(held)
        return True

    @contextmanager
    def _holding(self, owner: uuid.UUID) -> Iterator[None]:
        with self._lock:
            self._held.add(owner)
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(owner)

    def _keep(self) -> None:
        every = settings.JOB_LEASE.total_seconds() / 3
        while not self._stop.wait(every):
            with self._lock:
                held = list(self._held)
            try:
                close_old_connections()
                if held:
                    jobs.extend(held)
            except Exception as error:
                self._complain(error)
        connection.close()

    @staticmethod
    def _complain(error: Exception) -> None:
        if isinstance(error, DatabaseError):
            logger.warning("Jobs wait: the database is away (%s).", type(error).__name__)
        else:
            logger.error("Jobs could not be looked for.", exc_info=error)

"""The process that the agent runs: started, signalled, ended within a bound, and reaped."""

import contextlib
import logging
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence

logger = logging.getLogger(__name__)


class Child:
    """One command, run any number of times, one after the other.

    It leads a process group of its own, so that what it leaves behind can be ended; on a terminal it
    shares the agent's, to be able to read from it. Whoever holds it reaps: see :func:`reaped`.
    """

    def __init__(self, command: Sequence[str], *, own_group: bool = True) -> None:
        self.command, self.own_group = list(command), own_group
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """While it runs, or has ended without being reaped."""
        return self._process.pid if self._process else None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it. Raises :class:`OSError` when it cannot be started."""
        self._process = subprocess.Popen(  # noqa: S603 - the command is the operator's
            self.command,
            env=dict(environment),
            process_group=0 if self.own_group else None,
            restore_signals=True,
        )
        logger.info("Started %s as %s.", self.command[0], self._process.pid)

    def send(self, number: int) -> None:
        """Send a signal to the process itself."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kill it, with all that is in its group."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._kill_group(self._process.pid)

    def note_end(self, status: int) -> int:
        """It was reaped with this wait status: end what it left in its group; its exit code, or minus
        the signal that killed it.
        """
        if self._process is None:
            raise RuntimeError("There is no process.")
        self._kill_group(self._process.pid)
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code  # or its own end would wait for it again
        self._process = None
        return code

    def _kill_group(self, leader: int) -> None:
        if self.own_group:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(leader, signal.SIGKILL)


def reaped() -> Iterator[tuple[int, int]]:
    """Pid and wait status of every process that ended since: the child's, and what was handed on to
    an agent that is the first process of a container.
    """
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def as_exit_code(code: int) -> int:
    """As shells say it: 128 and the number of the signal that killed it."""
    return code if code >= 0 else 128 - code

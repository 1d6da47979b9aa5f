"""The loop of ``configsvc-agent run``: a configuration, its files, one process, and what happens to it."""

import logging
import os
import signal
import time
from dataclasses import dataclass, field
from typing import Final

from configsvc_agent.child import Child, as_exit_code, reaped
from configsvc_agent.errors import RenderError, WriteError
from configsvc_agent.outputs import Made, Outputs
from configsvc_agent.telling import News, Teller
from configsvc_agent.variables import environment_of_child
from configsvc_agent.waiting import Waiter
from configsvc_client.state import State

logger = logging.getLogger(__name__)

ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
PASSED_ON: Final = (
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGCONT,
)
OF_THE_TERMINAL: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH)
NOT_FOUND: Final = 127
NOT_STARTED: Final = 126
_MAX_DOUBLINGS: Final = 16


@dataclass(frozen=True, slots=True)
class Action:
    """What is done on a change: ``restart``, ``signal`` with a number, ``url``, or ``none``."""

    kind: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """How soon, and how long. All in seconds."""

    quiet: float = 0.5
    """A change is acted upon after so long without another."""

    longest: float = 5.0
    """And after so long at most."""

    kill_after: float = 30.0
    """A process that was asked to end is killed after so long."""

    write_again: float = 10.0
    """Files that a disk refused are tried again after so long."""

    settled: float = 1.0
    """A process that runs for so long after its start has taken its configuration."""

    first_pause: float = 1.0
    """Before a process that ended by itself is started again; doubled for each further time."""

    longest_pause: float = 60.0
    """But at most so long."""

    stable: float = 10.0
    """A process that ran for so long begins anew with the first pause."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted. ``restarts`` is ``never``, ``on-failure`` or ``always``: of a process that ended
    by itself."""

    outputs: Outputs
    action: Action
    restarts: str = "never"
    stop_signal: int = signal.SIGTERM
    pristine: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    pace: Pace = Pace()


class Runner:
    """Runs once, in the main thread. The configuration may change in another one at any time."""

    def __init__(self, plan: Plan, state: State, child: Child | None, teller: Teller) -> None:
        self._plan, self._state, self._child, self._teller = plan, state, child, teller
        self._waiter = Waiter()
        self._made = Made()
        self._version, self._environment, self._service = 0, "", ""
        self._changed_at: float | None = None
        self._seen = state.snapshot
        self._failures = 0
        self._started_at = 0.0
        self._ending = 0  # the signal by which the agent was asked to end
        self._restarting = False
        self._over: int | None = None

    def run(self) -> int:
        """Write, start, follow; the exit code. Raises :class:`RenderError` for a first version that
        cannot be written."""
        self._waiter.catch([*ENDING, *PASSED_ON, signal.SIGCHLD])
        self._state.listen(self._waiter.wake, None)
        try:
            self._begin()
            while self._over is None:
                self._step(*self._waiter.wait())
            return self._over
        finally:
            if self._child is not None and self._child.pid is not None:
                self._child.kill()
            self._waiter.close()

    def _begin(self) -> None:
        self._seen = self._state.snapshot
        self._make()
        self._plan.outputs.write(self._made)
        if self._child is None:
            self._tell(calls=self._plan.action.kind == "url")
        else:
            self._start()

    def _step(self, signals: list[int], due: list[str]) -> None:
        for number in signals:
            if number == signal.SIGCHLD:
                self._reap()
            else:
                self._take_signal(number)
        if not (self._ending or self._state.snapshot.is_same_as(self._seen)):
            self._note_change()
        acts = {
            "apply": self._apply,
            "kill": self._kill,
            "start": self._start,
            "settled": self._settle,
        }
        for name in due:
            if self._over is None:
                acts[name]()

    # -- changes ---------------------------------------------------------------------------

    def _note_change(self) -> None:
        """Act when it has been quiet for a while; a row of changes is acted upon once."""
        self._seen = self._state.snapshot
        now, pace = time.monotonic(), self._plan.pace
        if self._changed_at is None:
            self._changed_at = now
        self._waiter.at("apply", max(0.0, min(pace.quiet, self._changed_at + pace.longest - now)))

    def _apply(self) -> None:
        """Bring the present version to files and process, or keep all as it was and say why."""
        self._changed_at = None
        before, version = self._made, self._version
        try:
            self._make()
            changed = self._plan.outputs.write(self._made)
        except RenderError as error:
            failed = self._state.snapshot.version
            logger.error("Version %s is not used, all stays as it was: %s", failed, error)  # noqa: TRY400 - no traceback needed
            self._made, self._version = before, version
            if isinstance(error, WriteError):
                self._waiter.at("apply", self._plan.pace.write_again)
            return
        if changed or self._made.variables != before.variables:
            logger.info("Version %s changes what the process has.", self._version)
            self._act()
        elif not (self._restarting or self._waiter.expects("settled")):
            self._tell()

    def _make(self) -> None:
        snapshot = self._state.snapshot
        envelope = snapshot.envelope
        self._made = self._plan.outputs.make(envelope, snapshot.env_sections)
        self._version = int(envelope["version"])
        self._service, self._environment = envelope["service"], envelope["environment"]

    def _act(self) -> None:
        action = self._plan.action
        if action.kind == "restart" and self._child is not None:
            self._restart()
        elif action.kind == "signal" and self._child is not None:
            self._child.send(action.number)
            self._tell()
        else:
            self._tell(calls=action.kind == "url")

    def _tell(self, *, calls: bool = False) -> None:
        self._teller.tell(News(self._service, self._environment, self._version, calls))

    # -- the process -----------------------------------------------------------------------

    def _start(self) -> None:
        if self._child is None or self._ending:
            return
        own = environment_of_child(os.environ, self._made.variables, pristine=self._plan.pristine)
        self._started_at = time.monotonic()
        try:
            self._child.start({**own, **self._plan.variables})
        except OSError as error:
            logger.error("%s cannot be started: %s", self._child.command[0], error)  # noqa: TRY400 - no traceback needed
            missing = isinstance(error, FileNotFoundError)
            self._end_of_child(NOT_FOUND if missing else NOT_STARTED)
            return
        self._waiter.at("settled", self._plan.pace.settled)

    def _settle(self) -> None:
        """It runs, so it has taken its configuration."""
        if self._child is not None and self._child.pid is not None and not self._restarting:
            self._tell()

    def _restart(self) -> None:
        self._waiter.forget("settled")
        if self._child is None or self._child.pid is None:
            self._waiter.at("start", 0.0)  # it ended by itself: perhaps for what was changed now
        elif not self._restarting:
            self._restarting = True
            self._stop(self._plan.stop_signal)

    def _stop(self, number: int) -> None:
        if self._child is not None:
            self._child.send(number)
            self._child.send(signal.SIGCONT)  # a stopped one could not end
        if not self._waiter.expects("kill"):
            self._waiter.at("kill", self._plan.pace.kill_after)

    def _kill(self) -> None:
        if self._child is not None:
            logger.warning("The process did not end in time: it is killed.")
            self._child.kill()

    def _reap(self) -> None:
        for pid, status in reaped():
            if self._child is not None and pid == self._child.pid:
                self._end_of_child(as_exit_code(self._child.note_end(status)))

    def _end_of_child(self, code: int) -> None:
        for name in ("kill", "settled"):
            self._waiter.forget(name)
        if self._ending:
            self._over = code
        elif self._restarting:
            self._restarting = False
            self._start()
        elif self._plan.restarts == "always" or (self._plan.restarts == "on-failure" and code):
            self._waiter.at("start", self._pause(code))
        else:
            self._over = code

    def _pause(self, code: int) -> float:
        pace = self._plan.pace
        if time.monotonic() - self._started_at >= pace.stable:
            self._failures = 0
        pause = min(
            pace.longest_pause, pace.first_pause * 2.0 ** min(self._failures, _MAX_DOUBLINGS)
        )
        self._failures += 1
        logger.warning("The process ended with %s: it is started again in %g s.", code, pause)
        return pause

    # -- signals ---------------------------------------------------------------------------

    def _take_signal(self, number: int) -> None:
        if number in ENDING:
            self._end(number)
        elif self._child is not None and not (number in OF_THE_TERMINAL and self._shares_terminal):
            self._child.send(number)

    def _end(self, number: int) -> None:
        """Pass the signal on, and end with the process; it has so long as ``kill_after`` says."""
        self._ending = number
        for name in ("start", "apply", "settled"):
            self._waiter.forget(name)
        if self._child is None:
            self._over = 0
        elif self._child.pid is None:
            self._over = as_exit_code(-number)
        elif number in OF_THE_TERMINAL and self._shares_terminal:
            self._waiter.at("kill", self._plan.pace.kill_after)  # it has heard it itself
        else:
            self._stop(number)

    @property
    def _shares_terminal(self) -> bool:
        return self._child is not None and not self._child.own_group

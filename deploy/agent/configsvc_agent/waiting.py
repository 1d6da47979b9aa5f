"""Waiting in one thread for signals, for other threads, and for times."""

import contextlib
import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Iterable
from typing import Any


class Waiter:
    """Made and used in the main thread; ``wake`` may be called in any. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        for end in (self._reading, self._writing):
            os.set_blocking(end, False)
        self._signals: deque[int] = deque()
        self._due: dict[str, float] = {}
        self._before: dict[int, Any] = {}

    def catch(self, numbers: Iterable[int]) -> None:
        """Take these signals instead of what they do otherwise."""
        for number in numbers:
            self._before[number] = signal.signal(number, self._note)

    def close(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._reading)
        os.close(self._writing)

    def wake(self) -> None:
        """End the waiting at once."""
        with contextlib.suppress(OSError):  # it is full, so it wakes; or all is over
            os.write(self._writing, b"x")

    def at(self, name: str, seconds: float) -> None:
        """Be reminded of ``name`` in so many seconds; a time that was set for it is replaced."""
        self._due[name] = time.monotonic() + seconds

    def forget(self, name: str) -> None:
        """Not to be reminded of it any more."""
        self._due.pop(name, None)

    def expects(self, name: str) -> bool:
        """Whether its time is still to come."""
        return name in self._due

    def wait(self) -> tuple[list[int], list[str]]:
        """The signals that came and the names that are due, once there is a reason to go on."""
        left = min(self._due.values(), default=None)
        timeout = None if left is None else max(0.0, left - time.monotonic())
        with selectors.DefaultSelector() as selector:
            selector.register(self._reading, selectors.EVENT_READ)
            if not self._signals:
                selector.select(timeout)
        self._drain()
        came = [self._signals.popleft() for _ in range(len(self._signals))]
        now = time.monotonic()
        due = [name for name, when in self._due.items() if when <= now]
        for name in due:
            del self._due[name]
        return came, due

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reading, 4096):
                pass

    def _note(self, number: int, _frame: object) -> None:
        self._signals.append(number)
        self.wake()

"""Telling listeners that the ledger has grown. A hint only: the ledger itself is the truth."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

_listeners: list[Callable[[], None]] = []
_lock = threading.Lock()


def subscribe(listener: Callable[[], None]) -> Callable[[], None]:
    """Call ``listener`` after each committed act of this process, from the committing thread.

    It must return at once. Gives back the function that ends the subscription.
    """
    with _lock:
        _listeners.append(listener)

    def unsubscribe() -> None:
        with _lock:
            if listener in _listeners:
                _listeners.remove(listener)

    return unsubscribe


def notify() -> None:
    """Wake every listener; one that fails is logged and keeps no other from hearing."""
    with _lock:
        listeners = tuple(_listeners)
    for listener in listeners:
        try:
            listener()
        except Exception:
            logger.exception("A wake-up failed; its listener will look by itself.")

"""What a process counts in memory comes into the database every few seconds."""

import logging
import threading

from django.db import close_old_connections, connection

from apps.audit import refusals
from apps.delivery import reads, warming
from apps.rollouts import assigning
from apps.vault import disclosing

logger = logging.getLogger(__name__)

EVERY = 5.0


class Counting:
    """A thread that writes the counters of reads, exposures, disclosures and refusals, and what is asked most, until
    stopped, then once.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="counting", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, within: float) -> None:
        """Write what is left; waits ``within`` seconds for it."""
        self._stop.set()
        self._thread.join(within)

    def _work(self) -> None:
        while not self._stop.wait(EVERY):
            self._flush(everything=False)
        self._flush(everything=True)
        connection.close()

    @staticmethod
    def _flush(*, everything: bool) -> None:
        try:
            close_old_connections()
            reads.flush()
            assigning.flush()
            disclosing.flush()
            refusals.flush(everything=everything)
            warming.flush(everything=everything)
        except Exception:
            logger.exception("Counters could not be written.")

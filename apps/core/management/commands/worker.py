"""Do jobs in a process of its own."""

import signal
import threading
from typing import Any

from django.core.management.base import CommandError

from apps.core.commands import QuickCommand
from apps.core.folder_lock import WORKERS, hold
from apps.core.reaching import bound_waiting
from apps.core.runner import THREADS, Runner
from apps.core.safety import refuse_unsafe

STOP_WITHIN = 20.0


class Command(QuickCommand):
    """``manage.py worker``: any number of them, beside servers that run no jobs themselves."""

    help = "Run due jobs until stopped. Set CONFIGSVC_JOBS_IN_SERVER=false for the servers then."

    def add_arguments(self, parser: Any) -> None:
        """Declare the options."""
        parser.add_argument("--threads", type=int, default=THREADS)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Refuse what is unsafe; then work until SIGTERM or SIGINT, and finish what is begun."""
        refuse_unsafe()
        try:
            lock = hold(WORKERS, shared=True)
        except BlockingIOError as error:
            raise CommandError("A backup is being restored here: start me after it.") from error
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        bound_waiting()
        runner = Runner(max(1, options["threads"]))
        runner.start()
        self.stdout.write("Working.")
        stopped.wait()
        runner.stop(STOP_WITHIN)
        if lock is not None:
            lock.close()

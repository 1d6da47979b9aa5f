"""A streaming replica of a private PostgreSQL, and the processes of either."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.real_services import (
    _await_answer,
    _await_port,
    _stop,
    _unprivileged,
    find_postgres,
    free_port,
)


class Standby:
    """Made by ``pg_basebackup``, it follows the server at ``url`` from then on; ``start`` and ``stop`` it.

    Raises :class:`RuntimeError` where PostgreSQL has come without that program.
    """

    def __init__(self, url):
        of = urlsplit(url)
        self.folder = Path(tempfile.mkdtemp(prefix="configsvc-standby-"))
        self.folder.chmod(0o755)
        self.user, self.data, self.port = _unprivileged(), self.folder / "data", free_port()
        self.url = f"postgres://{of.username}@127.0.0.1:{self.port}{of.path}"
        self.process = None
        self.programs = find_postgres(self.folder)
        if self.programs is None or not (self.programs / "pg_basebackup").exists():
            shutil.rmtree(self.folder)
            raise RuntimeError(f"There is no pg_basebackup in {self.programs}.")
        if self.user:
            os.chown(self.folder, self.user["user"], self.user["group"])
        source = f"host={of.hostname} port={of.port} user={of.username}"
        copy = [self.programs / "pg_basebackup", "-D", self.data, "-d", source]
        self._run([*copy, "-R", "-c", "fast", "--no-sync"])

    def _run(self, command):
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, **self.user)

    def start(self):
        """Begin, or go on, to follow; by then it answers."""
        self.process = subprocess.Popen(
            [self.programs / "postgres", "-D", self.data, "-k", self.data, "-p", str(self.port)]
            + ["-F", "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self.user,
        )
        _await_port(self.port, self.process)
        _await_answer(self.url)

    def stop(self):
        """End it; what was not sent to it by then it has not."""
        _stop(self.process, signal.SIGQUIT)

    def promote(self):
        """Have it write from now on, on a timeline of its own."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            assert connection.execute("SELECT pg_promote()").fetchone() == (True,)

    def close(self):
        """End it, and remove it."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Processes:
    """Those of the PostgreSQL at ``url``, on a Linux."""

    def __init__(self, url):
        with psycopg.connect(url) as connection:
            [folder] = connection.execute("SHOW data_directory").fetchone()
        self.first = int(Path(folder, "postmaster.pid").read_text().split()[0])

    def signal(self, number):
        """Tell them all; the first is stopped by then, and makes no more of them."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.first, signal.SIGSTOP)
        for each in [*self._children(), self.first]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, number)

    def _children(self):
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(status.read_text().rpartition(")")[2].split()[1]) == self.first:
                    yield int(status.parent.name)

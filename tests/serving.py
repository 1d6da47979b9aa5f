"""Real server processes for tests: ``manage.py serve`` on a free port, with its own database."""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx

from tests.real_services import free_port

TOP = Path(__file__).resolve().parent.parent
START_WITHIN = 180


class Installation:
    """A data folder and a database; any number of servers on them (one, on SQLite)."""

    def __init__(self, folder, demo=False, migrated=True):
        self.folder = Path(folder)
        self.demo = demo
        self.servers = []
        self.workers = []
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("CONFIGSVC_") and name != "DJANGO_SETTINGS_MODULE"
        }
        self.environment["CONFIGSVC_DATA_DIR"] = str(self.folder)
        self.environment["PYTHONUNBUFFERED"] = "1"
        self.database = None
        if os.environ.get("DATABASE_URL"):
            self.database = f"served_{secrets.token_hex(6)}"
            self._sql(f"CREATE DATABASE {self.database}")
            parts = urlsplit(os.environ["DATABASE_URL"])
            self.environment["DATABASE_URL"] = urlunsplit(parts._replace(path=f"/{self.database}"))
        if migrated:
            self._begin_migrated()

    def _begin_migrated(self):
        """Begin with the tables there already: a copy of what migrations made once for this run."""
        ready = Path(os.environ["CONFIGSVC_TEST_SHARED"])
        with (ready / f"lock-{self.is_postgres}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.is_postgres:
                self._copy_postgres(ready)
            else:
                self._copy_sqlite(ready)

    def _copy_postgres(self, ready):
        template = f"migrated_{ready.name.rpartition('-')[2].lower()}"
        if not (ready / "postgres").exists():
            self.manage("migrate", "-v0")
            self._sql(f"CREATE DATABASE {template} TEMPLATE {self.database}")
            (ready / "postgres").touch()
        else:
            self._sql(f"DROP DATABASE {self.database}")
            self._sql(f"CREATE DATABASE {self.database} TEMPLATE {template}")

    def _copy_sqlite(self, ready):
        name = "configsvc.sqlite3"
        if not (ready / name).exists():
            self.manage("migrate", "-v0")
            shutil.copy2(self.folder / name, ready / "unfinished")
            (ready / "unfinished").rename(ready / name)
        else:
            shutil.copy2(ready / name, self.folder / name)

    @property
    def is_postgres(self):
        return self.database is not None

    def _sql(self, statement):
        import psycopg

        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(statement)

    def manage(self, *arguments, check=True):
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=TOP,
            env=self.environment,
            check=check,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def start(self, *options, port=None):
        server = Server(self, options, port or free_port())
        self.servers.append(server)
        return server

    def work(self):
        """A worker process, once it says that it works."""
        worker = subprocess.Popen(
            [sys.executable, "manage.py", "worker"],
            cwd=TOP,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = worker.stdout.readline()
        assert "Working" in said, said + worker.stdout.read()
        self.workers.append(worker)
        return worker

    def token(self, role="administrator", account="tester"):
        made = self.manage("create_token", account, "--environment", "production", "--grant", role)
        return made.stdout.strip()

    def close(self):
        for worker in self.workers:
            worker.kill()
            worker.wait()
        for server in self.servers:
            server.stop()
        if self.database:
            self._sql(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")


class Server:
    """One process. ``url`` is where it answers."""

    def __init__(self, installation, options, port):
        self.port = port
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = installation.folder / f"server-{self.port}.log"
        command = [sys.executable, "manage.py", "serve", "--port", str(self.port), *options]
        if not installation.demo:
            command.append("--no-demo")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=TOP, env=installation.environment, stdout=log, stderr=log
            )
        ends = time.monotonic() + START_WITHIN
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            if self.process.poll() is not None or time.monotonic() > ends:
                raise AssertionError(f"The server did not start:\n{self.log.read_text()}")
            time.sleep(0.05)

    @property
    def password(self):
        return re.search(r"Password\s+(\S+)", self.log.read_text()).group(1)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def client(self, token, **options):
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **options)


@contextlib.contextmanager
def installation(demo=False, migrated=True):
    with tempfile.TemporaryDirectory(prefix="configsvc-served-") as folder:
        made = Installation(folder, demo, migrated)
        try:
            yield made
        finally:
            made.close()

"""Real server processes for tests: ``manage.py serve`` on a free port, with its own database."""

import contextlib
import fcntl
import json
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
from urllib.request import urlopen

import httpx

from tests import starting
from tests.commands import TOP, Commands
from tests.real_services import free_port

START_WITHIN = 180


def until(holds, within=60):
    """Wait until it does, at most so many seconds."""
    ends = time.monotonic() + within
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.05)


class Installation:
    """A data folder and a database; any number of servers on them (one, on SQLite).

    A ``prepared`` one begins as a server's first start leaves it, copied from one that this run
    made: keys, tables, ``admin`` with ``password``, the demonstration where ``demo``, and the
    administrator's token ``raw``. Another begins with nothing.
    """

    def __init__(self, folder, demo=False, prepared=True):
        self.folder = Path(folder)
        self.demo = demo
        self.starts_as_usual = not prepared  # what must hold of a start is tried with these
        self.servers = []
        self.workers = []
        self.commands, self.commands_environment = None, None
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
            parts = urlsplit(os.environ["DATABASE_URL"])
            self.environment["DATABASE_URL"] = urlunsplit(parts._replace(path=f"/{self.database}"))
        if prepared:
            self._begin_prepared()
        elif self.database:
            self._sql(f"CREATE DATABASE {self.database}")

    def _begin_prepared(self):
        ready = Path(os.environ["CONFIGSVC_TEST_SHARED"])
        kind = f"{'demo' if self.demo else 'bare'}-{'postgres' if self.is_postgres else 'sqlite'}"
        with (ready / f"{kind}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (ready / f"{kind}.json").exists():
                self._prepare(ready, kind)
            known = json.loads((ready / f"{kind}.json").read_text())
            if self.database:
                self._sql(f"CREATE DATABASE {self.database} TEMPLATE {known['database']}")
        shutil.copytree(ready / kind, self.folder, dirs_exist_ok=True)
        self.raw, self.password = known["raw"], known["password"]

    def _prepare(self, ready, kind):
        first = Installation(ready / kind, self.demo, prepared=False)
        first.folder.mkdir()
        try:
            server = first.start()
            token = ("create_token", "tester", "--environment", "production")
            raw = first.manage(*token, "--grant", "administrator").stdout.strip()
            known = {"raw": raw, "password": server.password, "database": first.database}
        finally:
            first.stop()
        (ready / f"{kind}.json").write_text(json.dumps(known))

    @property
    def is_postgres(self):
        return self.database is not None

    def _sql(self, statement):
        import psycopg

        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(statement)

    def tables(self):
        """The names of the tables in its PostgreSQL database."""
        import psycopg

        with psycopg.connect(self.environment["DATABASE_URL"]) as connection:
            found = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            return [name for (name,) in connection.execute(found)]

    def manage(self, *arguments, check=True, within=120):
        done = starting.run(arguments, self.environment, within, self.starts_as_usual)
        if check:
            done.check_returncode()
        return done

    def run(self, *arguments, check=True):
        """The same as ``manage`` without the time of a start: by a process that has the program
        loaded, which is begun anew when the environment has changed.
        """
        if self.commands_environment != self.environment:
            self._end_commands()
            self.commands_environment = dict(self.environment)
            self.commands = Commands(self.commands_environment)
        status, _seconds, output, errors = self.commands.run(*arguments)
        done = subprocess.CompletedProcess(arguments, status, output, errors)
        assert not check or status == 0, output + errors
        return done

    def _end_commands(self):
        if self.commands is not None:
            self.commands.close()

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

    def token(self, role, account):
        """The token of a new account with ``ROLE`` or ``ROLE:SERVICE``, made at the server."""
        role, _colon, service = role.partition(":")
        to = f"service-account:{account}"
        on = {"service": service} if service else {}
        with self.servers[-1].client(self.raw) as client:
            for path, body in (
                ("/service-accounts", {"slug": account, "environment": "production"}),
                ("/grants", {"to": to, "role": role, "on": on}),
                (f"/service-accounts/{account}/tokens", {}),
            ):
                answer = client.post(path, json=body)
                assert answer.status_code == 201, answer.text
        return answer.json()["token"]

    def stop(self):
        for worker in self.workers:
            worker.kill()
            worker.wait()
        for server in self.servers:
            server.stop()

    def close(self):
        self.stop()
        self._end_commands()
        if self.database:
            self._sql(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")


@contextlib.contextmanager
def shared_folder():
    """Where this run and its workers keep what all of them begin with."""
    with tempfile.TemporaryDirectory(prefix="configsvc-shared-") as folder:
        os.environ["CONFIGSVC_TEST_SHARED"] = folder
        try:
            yield
        finally:
            del os.environ["CONFIGSVC_TEST_SHARED"]


class Server:
    """One process. ``url`` is where it answers."""

    def __init__(self, installation, options, port):
        self.port = port
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = installation.folder / f"server-{self.port}.log"
        arguments = ["serve", "--port", str(self.port), *options]
        if not installation.demo:
            arguments.append("--no-demo")
        with self.log.open("w") as log:
            self.process = starting.start(
                arguments,
                installation.environment,
                log,
                log,
                as_usual=installation.starts_as_usual or "--workers" in options,
            )
        ends = time.monotonic() + START_WITHIN
        while True:
            with contextlib.suppress(OSError):
                if urlopen(f"{self.url}/readyz", timeout=2).status == 200:  # noqa: S310 - our own
                    return
            if self.process.poll() is not None or time.monotonic() > ends:
                self.stop()  # one with workers would begin them anew for ever
                raise AssertionError(f"The server did not start:\n{self.log.read_text()}")
            time.sleep(0.05)

    @property
    def password(self):
        """What its log shows at the first start on a data folder."""
        return re.search(r"Password\s+(\S+)", self.log.read_text()).group(1)

    def running_seconds(self):
        """How long it has run on a CPU, which others' work hardly moves, as Linux tells."""
        _name, _, fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")
        return sum(map(int, fields.split()[11:13])) / os.sysconf("SC_CLK_TCK")

    def own_seconds(self):
        """How long of that it has run outside of the kernel."""
        _name, _, fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")
        return int(fields.split()[11]) / os.sysconf("SC_CLK_TCK")

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
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        options = {"timeout": 30, "verify": False} | options  # without TLS; its set-up is slow
        return httpx.Client(base_url=self.url, headers=headers, **options)


@contextlib.contextmanager
def installation(demo=False, prepared=True):
    with tempfile.TemporaryDirectory(prefix="configsvc-served-") as folder:
        made = Installation(folder, demo, prepared)
        try:
            yield made
        finally:
            made.close()

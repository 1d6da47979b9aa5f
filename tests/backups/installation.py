"""A PostgreSQL of configsvc that is backed up as ``deploy/backup`` says, to be destroyed."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import psycopg

from tests.backups.pgbackrest import SYSTEM_PATH, TOP, Place
from tests.real_services import free_port

PYTHON = shutil.which("python3", path=SYSTEM_PATH) or sys.executable
HEAD = "SELECT number, hash FROM audit_head"
ACT = "SELECT number, hash FROM audit_auditevent WHERE number = revision AND revision = {n}"
ROWS = """
SELECT (SELECT md5(string_agg(hash, ',' ORDER BY number)) FROM audit_auditevent WHERE number <= {n}),
    (SELECT md5(string_agg(v::text, ',' ORDER BY v.id)) FROM configs_version v WHERE revision <= {n}),
    (SELECT max(revision) FROM configs_version WHERE revision <= {n})
"""


class Installation(Place):
    """A server in a folder of its own, its repository beside it, and our script to handle both."""

    def __init__(self, binaries):
        super().__init__(binaries)
        shutil.copytree(TOP / "deploy" / "backup", self.folder / "backup")
        self.port = free_port()
        self.process = None
        self.url = f"postgres://configsvc@127.0.0.1:{self.port}/postgres"

    def __exit__(self, *raised):
        self.stop(signal.SIGQUIT)
        super().__exit__(*raised)

    def environment(self):
        return super().environment() | {
            "BACKUP_FOLDER": str(self.folder / "settings"),
            "BACKUP_REPOSITORY": str(self.folder / "repository"),
            "PGDATA": str(self.data),
            "PGHOST": str(self.folder),
            "PGPORT": str(self.port),
            "PGUSER": "configsvc",
            "PGDATABASE": "postgres",
            "PGBIN": str(self.binaries),
        }

    def script(self, *arguments, check=True):
        """``deploy/backup/pgbackrest``, by the system's Python, as PostgreSQL's user."""
        return self.run(PYTHON, self.folder / "backup" / "pgbackrest", *arguments, check=check)

    def kill_after(self, seconds, *arguments):
        """Begin it, and kill the script alone, in the way of an accident."""
        script = [PYTHON, self.folder / "backup" / "pgbackrest", *arguments]
        process = subprocess.Popen(
            script,
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self.user,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        process.wait()

    def await_stopped(self):
        """Wait until what the killed one had started has ended with it."""
        ends = time.monotonic() + 60
        while (self.data / "postmaster.pid").exists():
            assert time.monotonic() < ends
            time.sleep(0.1)

    def start(self, *settings):
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.data, "-k", self.folder]
                + ["-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-F"]
                + [part for each in settings for part in ("-c", each)],
                cwd=self.folder,
                env=self.environment(),
                stdout=log,
                stderr=log,
                **self.user,
            )
        ends = time.monotonic() + 60
        while True:
            try:
                return psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                if time.monotonic() > ends or self.process.poll() is not None:
                    raise AssertionError((self.folder / "server.log").read_text()) from None
                time.sleep(0.05)

    def stop(self, with_signal=signal.SIGINT):
        if self.process and self.process.poll() is None:
            self.process.send_signal(with_signal)
            self.process.wait(60)

    def destroy(self):
        """As when the disk breaks: at once, and nothing of it is left."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.data)

    def ask(self, statement):
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(statement).fetchall()

    def archive(self):
        """Wait until all of the log up to now is in the archive."""
        name = self.ask("SELECT pg_walfile_name(pg_switch_wal())")[0][0]
        ends = time.monotonic() + 60
        archived = "SELECT last_archived_wal FROM pg_stat_archiver"
        while (self.ask(archived)[0][0] or "")[8:24] < name[8:]:
            assert time.monotonic() < ends, (self.folder / "server.log").read_text()
            time.sleep(0.05)

    def log(self):
        """What the server said last."""
        return (self.folder / "server.log").read_text()[-4_000:]

    def state_at(self, revision):
        """Where the ledger was at an act, and digests of the rows that there were by then."""
        return self.ask(ACT.format(n=revision)) + self.ask(ROWS.format(n=revision))

    def state(self):
        """The same of all that there is."""
        return self.ask(HEAD) + self.ask(ROWS.format(n=2**62))

    @contextlib.contextmanager
    def acting(self):
        """Acts are made meanwhile."""
        process = self._begin("-m", "tests.backups.acts")
        assert process.stdout.readline() == "ready\n", process.communicate()
        try:
            yield
        finally:
            said = process.communicate(timeout=60)
        assert process.returncode == 0, said

    def python(self, *arguments):
        """What a part of the project says, run on this database as whoever runs the tests."""
        process = self._begin(*arguments)
        said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        return said[0]

    def _begin(self, *arguments):
        data = self.folder / "configsvc"
        data.mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=TOP,
            env=kept | {"DATABASE_URL": self.url, "CONFIGSVC_DATA_DIR": str(data)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

"""PostgreSQL on a restored data folder, for nobody else: it recovers, is asked, and is stopped.

It listens on a socket in a folder that only this user may enter, with a configuration of its own,
because Debian keeps the real one outside the data folder. ``-c`` goes over ``postgresql.auto.conf``
too, which comes with the backup.
"""

import contextlib
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from point_in_time.programs import RefusedError, end_with_parent, run, say, server_program
from point_in_time.settings import Settings

TELL_EVERY = 10.0
PORT = 5432
"""A name in the socket's folder, and nothing else."""
STATUS_LINE = 7
"""Of ``postmaster.pid``, where PostgreSQL says how far it is, to pg_ctl too."""
LINES_OF_LOG = 12


@dataclass(frozen=True, slots=True)
class PrivateServer:
    """A server that has recovered and was promoted, and how to ask it."""

    settings: Settings
    program: Path
    socket: Path

    def ask(self, statement: str, **values: str) -> list[list[str]]:
        """The rows of a statement; ``:'name'`` in it is one of ``values``, quoted by psql."""
        command: list[str | Path] = [self.program, "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1"]
        for name, value in values.items():
            command += ["-v", f"{name}={value}"]
        command += ["-h", self.socket, "-p", str(PORT), "-U", self.settings.user]
        command += ["-d", self.settings.database]
        return [line.split("\t") for line in run(command, sent=statement).splitlines()]


@contextlib.contextmanager
def private_server(
    settings: Settings, data: Path, *, version: str, lasting: bool
) -> Iterator[PrivateServer]:
    """Recover ``data`` and promote it; it is stopped at the end.

    ``lasting`` says that this is the data to go on with: the log from here is kept for the real
    server to archive, the history file of the new timeline first. Otherwise nothing is synced.
    Raises :class:`RefusedError` with the end of the server's log when it does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="configsvc-restore-") as name:
        folder = Path(name)
        log = folder / "log"
        (folder / "postgresql.conf").touch()
        (folder / "pg_ident.conf").touch()
        (folder / "pg_hba.conf").write_text("local all all trust\n")  # the folder is the lock
        server = PrivateServer(settings, server_program(settings, version, "psql"), folder)
        command: list[str | Path] = [server_program(settings, version, "postgres"), "-D", data]
        for setting in _configuration(folder, lasting=lasting):
            command += ["-c", setting]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                cwd=folder,
                preexec_fn=end_with_parent(signal.SIGINT),  # noqa: PLW1509 - there are no threads
            )
        try:
            _await_promotion(data, process, log)
            yield server
        finally:
            _stop(process)


def _configuration(folder: Path, *, lasting: bool) -> list[str]:
    return [
        f"config_file={folder}/postgresql.conf",
        f"hba_file={folder}/pg_hba.conf",
        f"ident_file={folder}/pg_ident.conf",
        f"unix_socket_directories={folder}",
        "listen_addresses=",
        f"port={PORT}",
        "ssl=off",
        "logging_collector=off",
        "log_destination=stderr",
        "shared_preload_libraries=",
        "autovacuum=off",
        "hot_standby=off",  # else limits as high as the old server's would be demanded
        "max_prepared_transactions=100",
        f"archive_mode={'on' if lasting else 'off'}",
        "archive_command=",
        f"fsync={'on' if lasting else 'off'}",
    ]


def _await_promotion(data: Path, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until it accepts connections, which it does, without a hot standby, when promoted."""
    told = time.monotonic()
    while process.poll() is None:
        with contextlib.suppress(OSError):
            lines = (data / "postmaster.pid").read_text().splitlines()
            if len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready":
                return
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            say("  … " + "".join(_last_lines(log, 1)))
        time.sleep(0.05)
    raise RefusedError("PostgreSQL did not recover:\n" + "\n".join(_last_lines(log, LINES_OF_LOG)))


def _last_lines(log: Path, count: int) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-count:]


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop it in order; what it has to write comes first, however long that takes."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    process.wait()

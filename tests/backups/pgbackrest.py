"""pgBackRest and a PostgreSQL that it knows: ``python -m tests.backups.pgbackrest find``.

pgBackRest refuses a PostgreSQL that is newer than itself, as those of the wheels are; so each that
the system has is tried, the newest first. Nothing is installed here: ``deploy/test`` does that.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.real_services import _unprivileged

TOP = Path(__file__).resolve().parents[2]
GIVEN = "CONFIGSVC_TEST_PGBACKREST"
MEMORY, ENOUGH = "/dev/shm", 2 * 2**30  # noqa: S108 - a folder with a random name is made there
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


def find():
    """The folder of the programs of a PostgreSQL that pgBackRest knows, or ``None``."""
    if GIVEN in os.environ:
        return Path(os.environ[GIVEN])
    if not shutil.which("pgbackrest", path=SYSTEM_PATH):
        return None
    found = [each for each in Path("/usr/lib/postgresql").glob("*/bin") if _is_server(each)]
    found.sort(key=lambda each: float(each.parent.name), reverse=True)
    return next((each for each in found if _is_known(each)), None)


def _is_server(binaries):
    return all((binaries / name).exists() for name in ("postgres", "initdb", "pg_waldump", "psql"))


def _is_known(binaries):
    with Place(binaries) as place:
        place.initialize()
        made = f"[all]\npg1-path={place.data}\n[global]\nrepo1-path={place.folder}/repository\n"
        place.write(place.folder / "all.conf", f"{made}log-path={place.folder}\n")
        done = place.run(
            "pgbackrest",
            f"--config={place.folder}/all.conf",
            f"--lock-path={place.folder}/lock",
            "--stanza=all",
            "--no-online",
            "stanza-create",
            check=False,
        )
        return done.returncode == 0


def quick_folder():
    """Memory, where there is enough: pgBackRest syncs each of some 1,500 files of a restore."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(MEMORY).free > ENOUGH and os.access(MEMORY, os.W_OK):
            return MEMORY
    return None


class Place:
    """A folder that PostgreSQL's user may use, and how to run programs as him there."""

    def __init__(self, binaries):
        self.binaries = binaries
        self.user = _unprivileged()
        self.folder = Path(tempfile.mkdtemp(prefix="configsvc-pgbackrest-", dir=quick_folder()))
        self.data = self.folder / "data"
        self.port = 0
        self._own(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_raised):
        shutil.rmtree(self.folder, ignore_errors=True)

    def _own(self, path):
        if self.user:
            os.chown(path, self.user["user"], self.user["group"])

    def write(self, path, text):
        path.write_text(text)
        self._own(path)

    def initialize(self):
        self.run(
            self.binaries / "initdb",
            *("-D", self.data, "-U", "configsvc", "-A", "trust", "-E", "UTF8", "--no-sync"),
        )

    def environment(self):
        return {"PATH": SYSTEM_PATH, "HOME": str(self.folder), "TMPDIR": str(self.folder)}

    def run(self, *command, check=True):
        done = subprocess.run(
            list(map(str, command)),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            **self.user,
        )
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done


if __name__ == "__main__":
    known = find() if sys.argv[1:] == ["find"] else None
    if known is None:
        sys.exit("There is no pgBackRest, or no PostgreSQL that it knows.")
    print(known)

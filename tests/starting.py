"""Processes of ``manage.py`` that are forked from one which has loaded the libraries already.

Half of what a server's start takes is the loading of libraries, and a run of the tests starts two
hundred processes. ``manage.py`` itself, its settings and everything of this project but the engine
are loaded by each process, in its own environment. What must be started as a user does is started
by ``subprocess``: see :class:`tests.serving.Installation`.

``python -m tests.starting FD`` is what forks. It reads lines of JSON from a socket: ``{"start":
[arguments, environment]}``, with open files for its input, output and errors, is answered with the
process's number, ``{"ended": number}`` with its return code as ``subprocess`` tells it, or ``null``.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
LOADED = (
    "a2wsgi",
    "channels.generic.websocket",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.asymmetric.types",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.serialization",
    "csv",
    "detect_secrets",
    "django.contrib.admin",
    "django.contrib.admindocs.views",
    "django.contrib.auth.checks",
    "django.contrib.postgres.fields",
    "django.core.handlers.asgi",
    "django.core.management",
    "django.core.servers.basehttp",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.db.migrations.executor",
    "django.test",
    "fido2.server",
    "javaproperties",
    "jsonschema_rs",
    "prometheus_client",
    "psycopg_pool",
    "redis.asyncio",
    "requests",
    "rest_framework.permissions",
    "tomlkit",
    "uvicorn",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "apps.engine.credentials",
    "apps.engine.formats",
    "apps.engine.importers",
    "apps.engine.schemas",
)
"""What loads without settings and takes long. One that is missing is loaded where it is needed."""
LONGEST_MESSAGE = 1 << 20
LOOK_EVERY = 0.005


class Starter:
    """Begins processes; ``started`` gives each as a :class:`Process`."""

    def __init__(self):
        self._ours, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.starting", str(theirs.fileno())],
                cwd=TOP,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                pass_fds=[theirs.fileno()],
            )
        self._answers = self._ours.makefile("r")

    def started(self, arguments, environment, *files):
        asked = {"start": [list(map(str, arguments)), environment]}
        numbers = [each.fileno() for each in files]
        return Process(self._ask(asked, numbers), arguments, self)

    def ended(self, number):
        return self._ask({"ended": number})

    def _ask(self, question, files=()):
        with self._lock:
            line = json.dumps(question).encode() + b"\n"
            sent = socket.send_fds(self._ours, [line], files)
            self._ours.sendall(line[sent:])
            return json.loads(self._answers.readline())

    def close(self):
        self._ours.close()
        self._answers.close()
        self._process.wait(60)


class Process:
    """What the tests use of :class:`subprocess.Popen`, for a child of the starter."""

    def __init__(self, pid, arguments, starter):
        self.pid, self.args, self.returncode = pid, arguments, None
        self._starter = starter

    def poll(self):
        if self.returncode is None:
            self.returncode = self._starter.ended(self.pid)
        return self.returncode

    def wait(self, timeout=None):
        ends = time.monotonic() + timeout if timeout is not None else None
        while self.poll() is None:
            if ends is not None and time.monotonic() > ends:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(LOOK_EVERY)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


_starters = []


@contextlib.contextmanager
def quick_starts():
    """Meanwhile :func:`start` and :func:`run` fork, from the first of them on."""
    _starters.append(None)
    try:
        yield
    finally:
        starter = _starters.pop()
        if starter is not None:
            starter.close()


def start(arguments, environment, output, errors, as_usual=False):
    """``manage.py`` with these ``arguments``, which writes to two open files."""
    with Path(os.devnull).open("rb") as nothing:
        command = ["manage.py", *arguments]
        return start_python(command, environment, nothing, output, errors, as_usual=as_usual)


def start_python(arguments, environment, *files, as_usual=False):
    """Python with ``arguments``, a script or ``-m MODULE`` and more, and open files: its input, its
    output and its errors.
    """
    if _starters and not as_usual:
        return _starter().started(arguments, environment, *files)
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=TOP,
        env=environment,
        **dict(zip(("stdin", "stdout", "stderr"), files, strict=True)),
    )


def run(arguments, environment, within, as_usual=False):
    """The same until it has ended, with its output and errors as text."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = start(arguments, environment, output, errors, as_usual)
        try:
            status = process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(arguments, status, output.read(), errors.read())


def _starter():
    if _starters[-1] is None:
        _starters[-1] = Starter()
    return _starters[-1]


def main(number):
    """Fork what is asked for until the other end of the socket is closed."""
    for name in LOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=number) as asking:
        while (question := _question(asking)) is not None:
            asked, files = question
            if "ended" in asked:
                done, status = os.waitpid(asked["ended"], os.WNOHANG)
                answer = os.waitstatus_to_exitcode(status) if done else None
            elif (answer := os.fork()) == 0:
                break
            for each in files:
                os.close(each)
            asking.sendall(json.dumps(answer).encode() + b"\n")
    if question is not None:
        _be(*asked["start"], files)


def _question(asking):
    """The next question and its open files; ``None`` when nobody asks any more."""
    line, files = b"", []
    while not line.endswith(b"\n"):
        more, given, _flags, _from = socket.recv_fds(asking, LONGEST_MESSAGE, 3)
        if not more:
            return None
        line += more
        files += given
    return json.loads(line), files


def _be(arguments, environment, files):
    """Be Python with these arguments in this environment, to the end of the interpreter."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main(int(sys.argv[1]))

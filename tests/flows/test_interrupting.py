"""Ctrl-C: the server and the commands end by SIGINT, which a terminal sends to all of them, without a traceback."""

import contextlib
import os
import signal
import subprocess
import sys

import httpx
import pytest

from tests.real_services import free_port
from tests.serving import TOP, installation

pytestmark = pytest.mark.servers
same_on_every_database = pytest.mark.servers(database=False)
WITHIN = 300
WORKERS_THAT_NEVER_SERVE = """\
import sys, time
if "--multiprocessing-fork" in sys.orig_argv:
    print("A worker begins", flush=True)
    time.sleep(600)
"""
LOSES_EXCEPTIONS = """\
import sys, time
class Lost:
    def __del__(self):  # which tells of an exception, and goes on
        print("Lost from here", flush=True)
        time.sleep(600)
class Finder:
    def find_spec(name, path, target=None):
        if name == "uvicorn":
            sys.meta_path.remove(Finder)
            Lost()
sys.meta_path.insert(0, Finder)
"""


def begin(made, *command):
    """A command, and what it starts, that hear SIGINT, which whoever runs the tests in the background ignores."""
    return subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "manage.py", *command],
        cwd=TOP,
        env=made.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def interrupt_after(process, beginning):
    """What it says once it has said a line that begins so and is interrupted."""
    for line in process.stdout:
        if line.startswith(beginning):
            break
    os.killpg(process.pid, signal.SIGINT)
    try:
        return process.communicate(timeout=WITHIN)[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@same_on_every_database
@pytest.mark.parametrize(("line", "codes"), [("Preparing", (130,)), ("API", (0, 130))])
def test_serve__interrupted__ends_quietly_and_starts_again(line, codes):
    with installation(prepared=False) as made:
        process = begin(made, "serve", "--no-demo", "--port", str(free_port()))

        said = interrupt_after(process, line)

        assert process.returncode in codes, said
        assert "Traceback" not in said
        assert httpx.get(f"{made.start().url}/readyz").status_code == 200


@pytest.mark.postgresql
def test_serve__interrupted_while_its_workers_begin__ends_them_quietly(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WORKERS_THAT_NEVER_SERVE)
    with installation() as made:
        made.environment["PYTHONPATH"] = str(tmp_path)
        process = begin(made, "serve", "--workers", "2", "--port", str(free_port()))

        said = interrupt_after(process, "A worker begins")

    assert process.returncode == 0, said
    assert "Traceback" not in said


@same_on_every_database
def test_serve__interrupted_where_exceptions_are_lost__ends(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(LOSES_EXCEPTIONS)
    with installation(prepared=False) as made:
        made.environment["PYTHONPATH"] = str(tmp_path)
        process = begin(made, "serve", "--no-demo", "--port", str(free_port()))

        said = interrupt_after(process, "Lost from here")

    assert (process.returncode, said) == (130, "")


@same_on_every_database
def test_command__interrupted__ends_quietly():
    with installation() as made:
        wait = "import time; print('Waiting', flush=True); time.sleep(600)"
        process = begin(made, "shell", "-c", wait)

        said = interrupt_after(process, "Waiting")

    assert (process.returncode, said) == (130, "")

"""Ctrl-C: the server and the commands end by SIGINT without a traceback."""

import signal
import subprocess
import sys

import httpx
import pytest

from tests.real_services import free_port
from tests.serving import TOP, installation

pytestmark = pytest.mark.servers(database=False)
WITHIN = 300


def begin(made, *command):
    """A command that hears SIGINT, which whoever runs the tests in the background ignores."""
    return subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "manage.py", *command],
        cwd=TOP,
        env=made.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def interrupt_after(process, beginning):
    """What it says once it has said a line that begins so and is interrupted."""
    for line in process.stdout:
        if line.startswith(beginning):
            break
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=WITHIN)[0]


@pytest.mark.parametrize(("line", "codes"), [("Preparing", (130,)), ("API", (0, 130))])
def test_serve__interrupted__ends_quietly_and_starts_again(line, codes):
    with installation(prepared=False) as made:
        process = begin(made, "serve", "--no-demo", "--port", str(free_port()))

        said = interrupt_after(process, line)

        assert process.returncode in codes, said
        assert "Traceback" not in said
        assert httpx.get(f"{made.start().url}/readyz").status_code == 200


def test_command__interrupted__ends_quietly():
    with installation() as made:
        wait = "import time; print('Waiting', flush=True); time.sleep(600)"
        process = begin(made, "shell", "-c", wait)

        said = interrupt_after(process, "Waiting")

    assert (process.returncode, said) == (130, "")

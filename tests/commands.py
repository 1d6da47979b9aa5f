"""Commands of one installation, each in a process of its own that is forked from one which has the
program loaded: hundreds of them, to be killed at any moment, cost no start.

``python -m tests.commands`` is what forks. It reads lines of JSON, ``[arguments, seconds or null,
file of the output, file of errors]``, and answers each with ``[status, seconds]`` once the command has ended; it is killed
(``kill -9``) after its seconds. ``drill NAME FOLDER`` is the drill of the job runner.
"""

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.starting import start_python

TOP = Path(__file__).resolve().parent.parent


class Commands:
    """The commands of an installation with this ``environment``."""

    def __init__(self, environment):
        self.folder = tempfile.TemporaryDirectory(prefix="configsvc-commands-")
        self.files = [str(Path(self.folder.name) / name) for name in ("output", "errors")]
        (asked, asking), (answering, answered) = os.pipe(), os.pipe()
        with open(asked, "rb") as asked, open(answered, "wb") as answered:  # noqa: PTH123 - numbers
            command = ["-m", "tests.commands"]
            self.process = start_python(command, environment, asked, answered, sys.__stderr__)
        self._asking, self._answering = os.fdopen(asking, "w"), os.fdopen(answering)

    def __enter__(self):
        return self

    def __exit__(self, *_raised):
        self.close()

    def close(self):
        self._asking.close()
        self.process.wait(60)
        self._answering.close()
        self.folder.cleanup()

    def run(self, *arguments, within=None):
        """The status of a command (negative: killed), its seconds, its output and its errors."""
        self._asking.write(json.dumps([arguments, within, *self.files]) + "\n")
        self._asking.flush()
        status, seconds = json.loads(self._answering.readline())
        output, errors = (Path(each).read_text() for each in self.files)
        assert "Traceback" not in errors, errors
        return status, seconds, output, errors

    def ask(self, *arguments, within=None):
        """The status of a command, its seconds, and what it said."""
        status, seconds, output, errors = self.run(*arguments, within=within)
        return status, seconds, output + errors

    def __call__(self, *arguments):
        """What a command says that must end well."""
        status, _seconds, said = self.ask(*arguments)
        assert status == 0, said
        return said


def main():
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "configsvc.settings")
    django.setup()
    for line in sys.stdin:
        arguments, within, *files = json.loads(line)
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _be(arguments, *files)
        status = os.waitstatus_to_exitcode(_wait(child, within))
        print(json.dumps([status, time.monotonic() - began]), flush=True)


def _wait(child, within):
    ends = time.monotonic() + within if within is not None else None
    while True:
        done, status = os.waitpid(child, os.WNOHANG if ends else 0)
        if done:
            return status
        if time.monotonic() > ends:
            os.kill(child, signal.SIGKILL)
            ends = None
        else:
            time.sleep(0.001)


def _be(arguments, output, errors):
    """Become the command; never returns."""
    status = 1
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    try:
        _run(arguments)
        status = 0
    except SystemExit as ended:
        status = ended.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(arguments):
    from django.core.management import execute_from_command_line

    from apps.backups.drills import drill

    if arguments[0] == "drill":
        problem = drill(arguments[1], Path(arguments[2]), lambda *_told: None)
        if problem:
            sys.exit(problem)
        return
    execute_from_command_line(["manage.py", *arguments])


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Django's command line, with this project's settings. What these refuse is said in a sentence."""

import gc
import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130  # as shells tell of SIGINT: 128, and the signal's number
OBJECTS_BETWEEN_COLLECTIONS = 50_000  # loading makes many objects, and all of them stay


def _take_data_folder(arguments: list[str]) -> None:
    """Let ``--data DIR`` stand for the variable that settings read before commands run."""
    for index, argument in enumerate(arguments):
        if argument == "--data" and index + 1 < len(arguments):
            os.environ["CONFIGSVC_DATA_DIR"] = arguments[index + 1]
        elif argument.startswith("--data="):
            os.environ["CONFIGSVC_DATA_DIR"] = argument.partition("=")[2]


def _end(_number: int, _frame: FrameType | None) -> None:
    """End at once, wherever it is: all that is acknowledged is stored. An exception may be lost on its way,
    as those are that come within a weak reference's callback, and then the server would go on.
    """
    os._exit(INTERRUPTED)


def _run(arguments: list[str]) -> None:
    from django.core.management import execute_from_command_line  # it may be interrupted already

    from configsvc.env import UnsafeSettingError

    try:
        execute_from_command_line(arguments)
    except UnsafeSettingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)  # until it serves
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "configsvc.settings")
    _take_data_folder(sys.argv[2:])
    try:
        _run(sys.argv)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)

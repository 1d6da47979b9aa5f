"""The command ``configsvc-agent``."""

import logging
import signal
import sys
from collections.abc import Sequence

from configsvc_agent import commands
from configsvc_agent.arguments import parse
from configsvc_agent.errors import RenderError, UsageError
from configsvc_client.errors import ConfigError

logger = logging.getLogger("configsvc_agent")

NOT_STARTED = 1
WRONG_USE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code: the child's, 1 when there is nothing to start with, 2 for wrong
    use.
    """
    asked = parse(list(sys.argv[1:] if arguments is None else arguments))
    logging.basicConfig(
        level=asked.log_level.upper(),
        format="configsvc-agent: %(levelname)s: %(message)s",
        stream=sys.stderr,
    )
    if asked.log_level != "debug":
        logging.getLogger("configsvc_client").setLevel(logging.WARNING)
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # also the first process of a container ends by them
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    try:
        return commands.run(asked) if asked.act == "run" else commands.serve(asked)
    except UsageError as error:
        return _say(error, WRONG_USE)
    except (ConfigError, RenderError, ValueError, OSError) as error:
        return _say(error, NOT_STARTED)


def _say(error: Exception, code: int) -> int:
    logger.critical("%s", error)
    return code


if __name__ == "__main__":
    sys.exit(main())

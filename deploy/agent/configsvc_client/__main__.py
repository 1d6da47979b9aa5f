"""The command: ``configsvc-client validate PATH``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from configsvc_client import validating
from configsvc_client.errors import AwayError, ConfigError
from configsvc_client.settings import read_token, variable
from configsvc_client.wire import Wire

VALID, INVALID, NOT_ASKED = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    asked = _parser().parse_args(arguments)
    try:
        wire = Wire(asked.url, variable("CA_FILE") or True)
        documents = validating.find_documents(asked.path, asked.service, asked.environment)
        reports = []
        for report in validating.validate(wire, read_token, documents):
            reports.append(report)
            for line in report.lines():
                print(line, flush=True)
        if asked.junit:
            asked.junit.write_text(validating.junit(reports), encoding="utf-8")
    except (ConfigError, AwayError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return NOT_ASKED
    failed = sum(bool(each.errors) for each in reports)
    if failed:
        print(f"{failed} of {len(reports)} configurations cannot be published.")
        return INVALID
    print(f"{len(reports)} configuration(s) can be published.")
    return VALID


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="configsvc-client", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="validate")
    check = commands.add_parser(
        "validate", help="what publishing files would say; nothing is stored"
    )
    check.add_argument("path", type=Path, help="a file, or a folder of files")
    check.add_argument("--service", default="", help="whose configuration a single file is")
    check.add_argument(
        "--environment",
        default=variable("ENVIRONMENT") or "",
        help="of all files; without it they are SERVICE/ENVIRONMENT.yaml",
    )
    check.add_argument("--junit", type=Path, metavar="FILE", help="a report as JUnit XML")
    check.add_argument("--url", default=variable("URL") or "http://127.0.0.1:8000")
    return parser


if __name__ == "__main__":
    sys.exit(main())

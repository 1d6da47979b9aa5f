"""What ``configsvc-agent`` can be told, and its help."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from configsvc_client.settings import variable

RUN: Final = """\
Give COMMAND the configuration of SERVICE as environment variables (--env), files (--file,
--template) or both; follow its changes, and bring them to the process (--on-change).

  configsvc-agent run --env checkout -- ./server
  configsvc-agent run --file yaml:/etc/app/app.yaml --on-change signal:HUP checkout -- ./server
  configsvc-agent run --template nginx.j2:/etc/nginx/app.conf --on-change signal:HUP edge -- \\
      nginx -g 'daemon off;'
  configsvc-agent run --file toml:app.toml --on-change url:http://127.0.0.1:9000/reload checkout
  configsvc-agent run --once --file env:.env checkout

Without COMMAND it keeps the files up to date until it is ended. Files are written whole, with mode
0600, and only where their bytes change; where they do not, nothing is signalled or restarted. When a
version cannot be rendered all files, variables and the process stay as they are, and the log says why."""
ENDS: Final = """\
environment variables:
  Those of sections of type environment variables stand under their own names (env.LOG_LEVEL is LOG_LEVEL).
  Else settings.hosts[0] is SETTINGS__HOSTS__0: steps joined by __, in capitals, _ for other characters. Two
  keys of one name are an error. Null, empty objects and unrevealed secrets set nothing. What is
  configured goes before what the agent inherited; CONFIGSVC_TOKEN is not handed on.

how it ends:
  SIGTERM, SIGINT and SIGQUIT go to COMMAND, which is killed after --kill-timeout; SIGHUP, SIGUSR1,
  SIGUSR2 and SIGWINCH are passed on. The exit code is COMMAND's, 128 + N when signal N ended it, 126 or
  127 when it could not be started; 1 when there is no configuration to start with, 2 for wrong use.

environment of the agent:
  CONFIGSVC_URL, CONFIGSVC_TOKEN or CONFIGSVC_TOKEN_FILE, CONFIGSVC_ENVIRONMENT, CONFIGSVC_INSTANCE,
  CONFIGSVC_CACHE_DIR, CONFIGSVC_CACHE_KEY_FILE and CONFIGSVC_CA_FILE stand for the options."""
SERVE: Final = """\
Serve the configurations of SERVICES to processes of this host from one connection to the server: GET
/config/SERVICE in all formats but .properties, ETag, long polls (after, wait), min_revision, key, section and value, as
the server does.

  configsvc-agent serve --listen 127.0.0.1:8100 --local-token-file /run/configsvc/token checkout cart
  configsvc-agent serve --listen unix:/run/configsvc/agent.sock --socket-mode 0660 checkout cart

Over TCP every request sends the token of --local-token-file, which is made (0600) where there is none.
On a Unix socket its mode says who may ask. Only loopback addresses are listened on."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments; ``command`` is what stands behind ``--``. Ends the process for wrong ones."""
    arguments = list(arguments)
    command: list[str] = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, command = arguments[:at], arguments[at + 1 :]
    parser = argparse.ArgumentParser(
        prog="configsvc-agent", description="A sidecar for configurations of configsvc."
    )
    acts = parser.add_subparsers(dest="act", required=True, metavar="run|serve")
    run = _add(acts, "run", "run a command with its configuration", RUN, ENDS)
    _add_run(run)
    serve = _add(acts, "serve", "serve configurations to local processes", SERVE, "")
    serve.add_argument("services", nargs="+", metavar="SERVICE", help="which to serve, at most 100")
    for each in (run, serve):
        _add_common(each, listens=each is serve)
    asked = parser.parse_args(arguments)
    asked.command = command
    if command and asked.act == "serve":
        parser.error("serve runs no command.")
    return asked


def _add(acts: Any, name: str, said: str, description: str, epilog: str) -> Any:
    return acts.add_parser(
        name,
        help=said,
        description=description,
        epilog=epilog,
        usage=f"%(prog)s [OPTIONS] {'SERVICE [-- COMMAND …]' if name == 'run' else 'SERVICE …'}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("service", metavar="SERVICE", help="whose configuration")
    made = run.add_argument_group("what is made of it")
    made.add_argument("--env", action="store_true", help="environment variables of COMMAND")
    made.add_argument(
        "--env-prefix", metavar="PREFIX", help="in front of each name, LOG_LEVEL too; implies --env"
    )
    made.add_argument("--env-keep-case", action="store_true", help="names are not put in capitals")
    made.add_argument(
        "--pristine", action="store_true", help="COMMAND inherits no variable but PATH"
    )
    made.add_argument(
        "--file",
        action="append",
        default=[],
        metavar="FORMAT:PATH",
        help="a file in json, yaml, toml, xml or env; may be repeated",
    )
    made.add_argument(
        "--template",
        action="append",
        default=[],
        metavar="SOURCE:PATH",
        help="a file of a Jinja2 template; may be repeated",
    )
    made.add_argument(
        "--section", default="", metavar="KEY", help="of --env and --file: this key alone"
    )
    made.add_argument(
        "--file-mode", type=_mode, default=0o600, metavar="OCTAL", help="default: 0600"
    )
    made.add_argument("--once", action="store_true", help="write the files and end")
    _add_changes(run)


def _add_changes(run: argparse.ArgumentParser) -> None:
    then = run.add_argument_group("on changes")
    then.add_argument(
        "--on-change",
        default="",
        metavar="restart|signal:NAME|url:URL|none",
        help="restart COMMAND (the default), send it a signal, POST to a URL, or just write the files",
    )
    then.add_argument(
        "--wait",
        type=_range,
        default=(0.5, 5.0),
        metavar="QUIET[:MOST]",
        help="act after so many seconds without a further change, and after MOST; default: 0.5:5",
    )
    then.add_argument(
        "--restart",
        choices=("never", "on-failure", "always"),
        default="never",
        help="when COMMAND ends by itself: end as it did (default), or start it again, after 1 s, 2 s, … 60 s",
    )
    then.add_argument(
        "--kill-signal", default="TERM", metavar="NAME", help="asks COMMAND to end for a restart"
    )
    then.add_argument(
        "--kill-timeout",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="then it is killed; default: 30",
    )


def _add_common(each: argparse.ArgumentParser, *, listens: bool) -> None:
    server = each.add_argument_group("the server")
    server.add_argument("--url", default=variable("URL") or "http://127.0.0.1:8000")
    server.add_argument("--environment", default=variable("ENVIRONMENT"))
    server.add_argument("--token-file", metavar="FILE", help="read anew for each request")
    server.add_argument("--ca-file", default=variable("CA_FILE"), metavar="FILE")
    server.add_argument(
        "--instance",
        default=variable("INSTANCE"),
        help="its name at the server; default: the host's",
    )
    server.add_argument(
        "--reveal", action="store_true", help="with the values of secrets; needs the right 'reveal'"
    )
    server.add_argument(
        "--start-timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="wait so long for a server that is away where there is no copy; default: 60",
    )
    kept = each.add_argument_group("the last good copy")
    kept.add_argument(
        "--cache-dir",
        type=Path,
        default=variable("CACHE_DIR"),
        metavar="DIR",
        help="where it is kept, encrypted; without it there is none",
    )
    kept.add_argument(
        "--cache-key-file",
        type=Path,
        default=variable("CACHE_KEY_FILE"),
        metavar="FILE",
        help="32 random bytes or more that seal it; default: the token does",
    )
    kept.add_argument("--cache-plain", action="store_true", help="not encrypted; not with --reveal")
    local = each.add_argument_group("local processes")
    local.add_argument(
        "--listen",
        metavar="127.0.0.1:PORT|unix:PATH",
        required=listens,
        help="serve this host's processes",
    )
    local.add_argument(
        "--local-token-file", type=Path, metavar="FILE", help="the token that they send"
    )
    local.add_argument(
        "--socket-mode", type=_mode, default=0o600, metavar="OCTAL", help="default: 0600"
    )
    each.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")


def _seconds(text: str) -> float:
    value = float(text.removesuffix("s"))
    if not 0 <= value <= 86400:  # noqa: PLR2004 - a day
        raise ValueError(text)
    return value


def _range(text: str) -> tuple[float, float]:
    quiet, colon, most = text.partition(":")
    return _seconds(quiet), max(_seconds(quiet), _seconds(most) if colon else _seconds(quiet) * 4)


def _mode(text: str) -> int:
    value = int(text, 8)
    if not 0 <= value <= 0o777:  # noqa: PLR2004 - permissions have nine bits
        raise ValueError(text)
    return value


_seconds.__name__, _range.__name__, _mode.__name__ = "number of seconds", "QUIET[:MOST]", "mode"

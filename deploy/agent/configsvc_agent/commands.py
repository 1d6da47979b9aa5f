"""``run`` and ``serve``: options made into what does the work."""

import argparse
import contextlib
import logging
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from configsvc_agent.child import Child
from configsvc_agent.errors import UsageError
from configsvc_agent.outputs import (
    File,
    Outputs,
    Variables,
    check_paths,
    parse_file,
    parse_template,
)
from configsvc_agent.running import ENDING, Action, Pace, Plan, Runner
from configsvc_agent.serving import LocalServer, local_token, parse_address
from configsvc_agent.telling import Hook, News, Report, Teller
from configsvc_agent.upstream import Kind, Settings, Upstream, default_instance
from configsvc_agent.waiting import Waiter
from configsvc_client.errors import ConfigError
from configsvc_client.sealing import Seal
from configsvc_client.settings import check_sendable, read_token
from configsvc_client.state import Snapshot

logger = logging.getLogger(__name__)

_MOST_SERVICES: Final = 100
_KEY_BYTES: Final = 32
_LAST_WORDS: Final = 2.0


def run(asked: argparse.Namespace) -> int:
    """``configsvc-agent run``; its exit code. Raises what :func:`settings_of` does, and
    :class:`RenderError` for a first version that cannot be rendered.
    """
    action, hook = _action(asked)
    plan = _plan(asked, action)
    settings = replace(settings_of(asked), asks_sections=plan.outputs.needs_sections)
    upstream = Upstream(settings, _kinds([asked.service], asked, always_plain=bool(asked.listen)))
    state = upstream.find(asked.service, revealed=asked.reveal)
    if state is None:
        raise RuntimeError("The service is not followed.")
    report = Report(settings.wire(), settings.token, settings.instance or "")
    if asked.once:
        return _run_once(plan.outputs, state.snapshot, hook, report)
    child = Child(asked.command, own_group=not sys.stdin.isatty()) if asked.command else None
    teller = Teller(report.say, hook)
    with _serving(asked, upstream) as local:
        plan = replace(plan, variables=_local_variables(asked, local))
        upstream.start()
        teller.start()
        try:
            return Runner(plan, state, child, teller).run()
        finally:
            teller.close(_LAST_WORDS)
            upstream.close()


def serve(asked: argparse.Namespace) -> int:
    """``configsvc-agent serve``, until a signal ends it."""
    if len(asked.services) > _MOST_SERVICES:
        raise UsageError(f"At most {_MOST_SERVICES} services.")
    upstream = Upstream(settings_of(asked), _kinds(asked.services, asked, always_plain=True))
    waiter = Waiter()
    waiter.catch(ENDING)
    with _serving(asked, upstream):
        upstream.start()
        try:
            while not waiter.wait()[0]:
                pass
        finally:
            upstream.close()
            waiter.close()
    return 0


def settings_of(asked: argparse.Namespace) -> Settings:
    """Where configurations come from. Raises :class:`UsageError`, and :class:`ValueError` or
    :class:`ConfigError` for a URL, token or instance that is none.
    """
    _check_listening(asked)
    token = _token(asked.token_file)
    token()
    instance = asked.instance or default_instance()
    check_sendable("instance", instance)
    settings = Settings(
        url=asked.url,
        token=token,
        environment=asked.environment,
        verify=asked.ca_file or True,
        instance=instance,
        cache=asked.cache_dir and Path(asked.cache_dir),
        seal=_seal(asked, token) if asked.cache_dir else None,
        start_within=asked.start_timeout,
    )
    settings.wire()
    return settings


def _token(path: str | None) -> Callable[[], str]:
    if path is None:
        return read_token

    def read() -> str:
        try:
            return read_token(Path(path).read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(401, f"The token file {path} cannot be read.") from error

    return read


def _seal(asked: argparse.Namespace, token: Callable[[], str]) -> Seal | None:
    if asked.cache_plain:
        if asked.reveal:
            raise UsageError("Revealed secrets are kept encrypted alone: leave --cache-plain out.")
        return None
    path = asked.cache_key_file and Path(asked.cache_key_file)
    if path:
        _check_key(path)
    elif not token():
        raise UsageError("There is no token to seal the copy with: --cache-key-file FILE.")
    try:
        return Seal(path.read_bytes if path else lambda: token().encode())
    except ImportError as error:
        raise UsageError(
            "The last good copy is encrypted with the package cryptography, which is not installed: "
            "pip install 'configsvc-client[agent]', or --cache-plain."
        ) from error


def _check_key(path: Path) -> None:
    if len(path.read_bytes()) < _KEY_BYTES:
        raise UsageError(f"{path} holds less than {_KEY_BYTES} bytes: head -c 32 /dev/urandom >it.")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UsageError(f"Others may read {path}: chmod 600 it first.")


def _kinds(services: Sequence[str], asked: argparse.Namespace, *, always_plain: bool) -> list[Kind]:
    names = dict.fromkeys(name.lower() for name in services)
    plain = [(name, False) for name in names] if always_plain or not asked.reveal else []
    return plain + ([(name, True) for name in names] if asked.reveal else [])


def _plan(asked: argparse.Namespace, action: Action) -> Plan:
    files: list[File] = [parse_file(each) for each in asked.file]
    files += [parse_template(each) for each in asked.template]
    check_paths(files)
    wants_variables = asked.env or asked.env_prefix is not None or asked.env_keep_case
    if not asked.command and (wants_variables or not files):
        raise UsageError("Say what to make: --file or --template, or --env with a -- COMMAND.")
    named = Variables(asked.env_prefix or "", asked.env_keep_case) if wants_variables else None
    quiet, longest = asked.wait
    return Plan(
        Outputs(files, named, asked.section, asked.file_mode, asked.reveal),
        action,
        restarts=asked.restart,
        stop_signal=signal_number(asked.kill_signal),
        pristine=asked.pristine,
        pace=Pace(quiet=quiet, longest=longest, kill_after=asked.kill_timeout),
    )


def _action(asked: argparse.Namespace) -> tuple[Action, Hook | None]:
    kind, _colon, rest = (asked.on_change or ("restart" if asked.command else "none")).partition(
        ":"
    )
    if kind in ("restart", "signal") and not asked.command:
        raise UsageError(f"--on-change {kind} needs a -- COMMAND.")
    if kind == "signal":
        return Action(kind, signal_number(rest)), None
    if kind == "url":
        return Action(kind), Hook(rest)
    if kind in ("restart", "none") and not rest:
        return Action(kind), None
    raise UsageError("--on-change wants restart, signal:NAME, url:URL or none.")


def signal_number(name: str) -> int:
    """``HUP``, ``SIGHUP`` or ``1``. Raises :class:`UsageError`."""
    text = name.upper().removeprefix("SIG")
    try:
        return signal.Signals(int(text)) if text.isdigit() else signal.Signals[f"SIG{text}"]
    except (KeyError, ValueError) as error:
        raise UsageError(f"There is no signal {name}: HUP, USR1, TERM, …") from error


def _check_listening(asked: argparse.Namespace) -> None:
    if asked.listen and parse_address(asked.listen).path is None and not asked.local_token_file:
        raise UsageError("Over TCP local processes need a token: --local-token-file PATH.")


@contextlib.contextmanager
def _serving(asked: argparse.Namespace, upstream: Upstream) -> Iterator[LocalServer | None]:
    """The local server, where one is asked for."""
    if not asked.listen:
        yield None
        return
    address = parse_address(asked.listen, asked.socket_mode)
    path = asked.local_token_file
    token = None
    if path is not None:
        local_token(path)
        token = lambda: local_token(path)  # noqa: E731 - read anew: it may be replaced
    local = LocalServer(address, upstream, token, reveals=asked.reveal)
    local.start()
    logger.info("Serving local processes at %s.", local.url)
    try:
        yield local
    finally:
        local.close()


def _local_variables(asked: argparse.Namespace, local: LocalServer | None) -> dict[str, str]:
    """How the child reaches the agent, with the variables that the clients know."""
    if local is None or not local.url.startswith("http"):
        return {}
    return {
        "CONFIGSVC_URL": local.url,
        "CONFIGSVC_TOKEN_FILE": os.path.abspath(asked.local_token_file),  # noqa: PTH100 - links stay
    }


def _run_once(outputs: Outputs, snapshot: Snapshot, hook: Hook | None, report: Report) -> int:
    """Write the files, tell once, and end."""
    envelope = snapshot.envelope
    changed = outputs.write(outputs.make(envelope, snapshot.env_sections))
    news = News(envelope["service"], envelope["environment"], snapshot.version, calls=changed)
    teller = Teller(report.say, hook)
    teller.start()
    teller.tell(news)
    teller.close(_LAST_WORDS * 5)
    return 0

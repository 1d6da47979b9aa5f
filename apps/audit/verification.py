"""Running the verifier, which is a program of its own, and keeping what it found."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from django.db import connection

from apps.audit.models import Verification
from apps.core import clock
from apps.core.actor import Actor
from apps.engine.errors import UnavailableError

PROGRAM = Path(__file__).with_name("verifier.py")
_running = threading.Lock()


def program_text() -> str:
    """The verifier as auditors download it."""
    return PROGRAM.read_text("utf-8")


def ledger_source() -> str:
    """Where the verifier finds this installation's ledger: a file or a PostgreSQL address."""
    chosen = connection.settings_dict
    if connection.vendor == "sqlite":
        return str(chosen["NAME"])
    user = quote(str(chosen["USER"] or ""), safe="")
    if chosen["PASSWORD"]:
        user += ":" + quote(str(chosen["PASSWORD"]), safe="")
    places = {name.lower(): chosen[name] for name in ("HOST", "PORT") if chosen[name]}
    at = f"{user}@" if user else ""
    return f"postgresql://{at}/{quote(str(chosen['NAME']), safe='')}?{urlencode(places)}"


def verify(
    *, actor: Actor, checkpoints: Path | None = None, keys: Path | None = None, quiet: bool = True
) -> Verification:
    """Verify the ledger by the separate program; what it found is kept as a row.

    ``quiet`` keeps its progress from standard error. Raises :class:`UnavailableError` when the
    ledger or one of the files could not be read.
    """
    arguments = [sys.executable, "-I", str(PROGRAM), "-", "--json"]
    arguments += ["--checkpoint", str(checkpoints)] if checkpoints else []
    arguments += ["--keys", str(keys)] if keys else []
    done = subprocess.run(  # noqa: S603 - our own program; the address goes by standard input
        arguments,
        input=ledger_source() + "\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if quiet else None,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        detail = (done.stderr or "").strip().splitlines()[-1:] or ["see above"]
        raise UnavailableError(f"The ledger could not be verified: {detail[0]}")
    return _keep(actor, json.loads(done.stdout))


def _keep(actor: Actor, found: dict[str, Any]) -> Verification:
    held = f"{found['checkpoints']} checkpoints" if found["checkpoints"] else "no checkpoint"
    outcome = (
        f"Every link holds up to revision {found['revision']}, with {held}."
        if found["ok"]
        else f"Revision {found['revision']} does not hold: {found['reason']}."
    )
    row = Verification(
        at=clock.now(),
        actor=actor.name,
        ok=found["ok"],
        revision=found["revision"],
        events=found["events"],
        checkpoints=found["checkpoints"],
        outcome=" ".join([outcome, *(f"{note.capitalize()}." for note in found["notes"])]),
    )
    row.save()
    return row


def start_verification(*, actor: Actor) -> bool:
    """Verify beside the present request. ``False`` when this process is at it already."""
    if not _running.acquire(blocking=False):
        return False
    threading.Thread(target=_verify_beside, args=(actor,), daemon=True).start()
    return True


def is_running() -> bool:
    """Whether this process verifies just now."""
    return _running.locked()


def _verify_beside(actor: Actor) -> None:
    try:
        verify(actor=actor)
    except UnavailableError as error:
        _fail(actor, error.detail)
    finally:
        _running.release()
        connection.close()


def _fail(actor: Actor, reason: str) -> None:
    empty = {"ok": False, "revision": 0, "events": 0, "checkpoints": 0}
    Verification(at=clock.now(), actor=actor.name, outcome=reason, **empty).save()

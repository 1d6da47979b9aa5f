"""Running the verifier, which is a program of its own, and keeping what it found."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import connection

from apps.audit.models import Verification
from apps.core import clock, jobs
from apps.core.actor import Actor
from apps.core.jobs import Claim
from apps.core.models import Job
from apps.core.transactions import writing
from apps.engine.errors import UnavailableError
from apps.engine.values import Tree

PROGRAM = Path(__file__).with_name("verifier.py")
JOB = "audit.verify_now"


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
    places |= settings.DATABASE_OPTIONS
    at = f"{user}@" if user else ""
    return f"postgresql://{at}/{quote(str(chosen['NAME']), safe='')}?{urlencode(places)}"


def verify(
    *,
    actor: Actor,
    checkpoints: Path | None = None,
    keys: Path | None = None,
    progress: Callable[[str], object] = lambda _line: None,
) -> Verification:
    """Verify the ledger as :func:`run_verifier` does; what it found is kept as a row."""
    return _keep(actor, run_verifier(checkpoints=checkpoints, keys=keys, progress=progress))


def run_verifier(
    *,
    checkpoints: Path | None = None,
    keys: Path | None = None,
    progress: Callable[[str], object] = lambda _line: None,
) -> dict[str, Any]:
    """What the separate program finds of the ledger.

    Compared are the checkpoints in the database, in the server's own file where there is one, and
    in the file ``checkpoints``.

    ``progress`` is told what it says on the way. Raises :class:`UnavailableError` when the ledger
    or one of the files could not be read.
    """
    arguments = [sys.executable, "-I", str(PROGRAM), "-", "--json"]
    arguments += ["--checkpoint", str(checkpoints)] if checkpoints else []
    arguments += ["--keys", str(keys)] if keys else []
    own = Path(settings.CHECKPOINT_FILE)
    arguments += ["--own", str(own)] if own.exists() and own != checkpoints else []
    said, last = "", "see above"
    with subprocess.Popen(  # noqa: S603 - our own program; the address goes by standard input
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None  # noqa: S101 - as asked above
        assert program.stdout is not None  # noqa: S101 - likewise
        assert program.stderr is not None  # noqa: S101 - likewise
        program.stdin.write(ledger_source() + "\n")
        program.stdin.close()
        for line in program.stderr:
            last = line.strip() or last
            progress(last)
        said = program.stdout.read()
    if program.returncode not in (0, 1):
        raise UnavailableError(f"The ledger could not be verified: {last}")
    found: dict[str, Any] = json.loads(said)
    return found


def _keep(actor: Actor, found: dict[str, Any]) -> Verification:
    count = found["checkpoints"] or "no"
    held = f"{count} checkpoint" if count in (1, "no") else f"{count} checkpoints"
    held += f" ({', '.join(found['compared'])})" if found["compared"] else ""
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
    """Have the ledger verified by the job runner. ``False`` when that is about to happen already."""
    with writing():
        if find_running() is not None:
            return False
        argument: Tree = {"actor": actor.name}
        jobs.put(JOB, "", due_at=clock.now(), subject="Waiting", argument=argument)
    return True


def find_running() -> Job | None:
    """The verification that somebody asked for and that is not over; ``subject`` says how far."""
    return Job.objects.filter(kind=JOB, finished_at__isnull=True).first()


def _run(claim: Claim) -> None:
    row = Job.objects.filter(pk=claim.job.pk)
    row.update(subject="Running")
    actor = Actor(name=str(claim.argument.get("actor", "system:jobs")))
    try:
        verify(actor=actor, progress=lambda line: row.update(subject=line[:400]))
    except UnavailableError as error:
        empty = {"ok": False, "revision": 0, "events": 0, "checkpoints": 0}
        Verification(at=clock.now(), actor=actor.name, outcome=error.detail, **empty).save()
    row.update(subject=f"Asked by {actor.name}")


def kind() -> jobs.Kind:
    """The kind of the job that people ask for."""
    return jobs.Kind(JOB, "Verify the ledger, as somebody asked", _run)

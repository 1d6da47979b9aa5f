"""What the job runner does for this app by itself: verifying, signing where the
ledger ends, serving its sinks."""

from datetime import timedelta

from django.conf import settings

from apps.audit import refusals, sending, verification
from apps.audit.checkpoints import write_checkpoint
from apps.audit.verification import verify
from apps.core.actor import system
from apps.core.jobs import Claim, Kind, register

DAILY = timedelta(days=1)
AT_FIRST = timedelta(hours=1)


def register_kinds() -> None:
    """Called when the app is ready."""
    register(sending.kind())
    register(verification.kind())
    register(Kind("audit.verify", "Verify the ledger", _verify, every=DAILY, delay=AT_FIRST))
    every = timedelta(minutes=settings.CHECKPOINT_MINUTES)
    title = "Sign the ledger's end"
    register(Kind("audit.checkpoint", title, _checkpoint, every=every, delay=min(every, AT_FIRST)))


def _verify(_claim: Claim) -> None:
    verify(actor=system("jobs"))
    refusals.prune_reads()


def _checkpoint(_claim: Claim) -> None:
    write_checkpoint(actor=system("jobs"), file=settings.CHECKPOINT_FILE)

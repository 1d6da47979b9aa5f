"""Signed checkpoints of the ledger, and the keys that sign."""

import os
from functools import cache
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from apps.audit.models import Checkpoint, Head, PublicKey
from apps.audit.services import Event, append, lock_ledger
from apps.core import clock, jobs
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import signing
from apps.engine.errors import UnavailableError
from apps.engine.signing import Signer
from apps.engine.values import Tree, canonical

SEND = "audit.send_checkpoints"
"""The job that sends checkpoints on; the layer that may call Connections does it."""


@cache
def _signer_of(text: str) -> Signer:
    return signing.signer(text)


def current_signer() -> Signer:
    """The key that this installation signs by now."""
    return _signer_of(settings.SIGNATURE_KEY)


def register_key(*, actor: Actor) -> Signer:
    """Keep the current public key for ever. The first time is an event; later nothing happens."""
    signer = current_signer()
    if PublicKey.objects.filter(pk=signer.key_id).exists():
        return signer
    with writing():
        lock_ledger()  # of two servers that start together one adds it, and the other sees it
        _row, created = PublicKey.objects.get_or_create(
            key_id=signer.key_id, defaults={"public": signer.public, "created_at": clock.now()}
        )
        if created:
            append([Event("signature_key.added", f"key:{signer.key_id}", {})], actor=actor)
    return signer


def public_keys() -> dict[str, Tree]:
    """Every key that this installation has signed by, the current one first (RFC 7517)."""
    current = current_signer().public
    older = PublicKey.objects.exclude(public=current).values_list("public", flat=True)
    return {"keys": [signing.jwk(public) for public in (current, *older)]}


def write_checkpoint(*, actor: Actor, file: Path | None = None) -> Checkpoint:
    """Sign where the ledger ends now; kept as a row, and appended to ``file`` as a line.

    The line is on disk before this returns. Raises :class:`UnavailableError` when the file
    cannot be written; the row is kept all the same.
    """
    signer = register_key(actor=actor)
    with writing():
        head = Head.objects.select_for_update().get(pk=1)
        at = clock.now()
        line = signing.checkpoint_line(
            signer, epoch=head.epoch, revision=head.number, digest=head.hash, at=clock.rfc3339(at)
        )
        made = Checkpoint(revision=head.number, at=at, line=canonical(line))
        made.save()
        if settings.CHECKPOINT_WEBHOOK:
            jobs.put(SEND, "", due_at=at)
    if file is not None:
        _append_line(file, made.line)
    return made


def _end_line(file: BinaryIO) -> None:
    """Take back a line that a power cut left without its end: it was never promised."""
    end = start = file.seek(0, os.SEEK_END)
    while start and not (file.seek(start - 1) >= 0 and file.read(1) == b"\n"):
        start -= 1
    if start != end:
        file.truncate(start)


def _append_line(path: Path, line: str) -> None:
    try:
        with path.open("a+b") as file:
            _end_line(file)
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UnavailableError(f"The checkpoint's file cannot be written: {error.strerror}.") from (
            error
        )

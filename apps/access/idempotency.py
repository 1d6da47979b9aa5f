"""``Idempotency-Key``: the first successful answer to a POST again, for 24 hours.

The record is written in the transaction of the act itself, so that one is never there without
the other, whatever dies in between.
"""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Q

from apps.access.models import IdempotencyRecord
from apps.access.rights import key_rights
from apps.access.selectors import digest_of
from apps.core import clock
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine.errors import ConflictError, InvalidError, MalformedError

LIFE = timedelta(hours=24)
MAX_KEY = 255
MAX_PATH = 1_000
_running: set[tuple[str, str, str]] = set()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Remembered:
    """An answer as it is kept. ``credential_id``: the body held a credential and is not kept."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    credential_id: str = ""


def run(
    *, actor: Actor, key: str, path: str, body: bytes, act: Callable[[], Remembered]
) -> tuple[Remembered, bool]:
    """Do ``act`` once for this actor, key and path; gives the answer and whether it is a repeat.

    The caller has asked the actor's rights already. Raises :class:`InvalidError` for the same
    key with another body (422), :class:`ConflictError` while the first is running, and for a
    repeat whose answer held a credential, or speaks of keys by rights that have changed since.
    """
    if not (key.isascii() and key.isprintable() and 0 < len(key) <= MAX_KEY):
        raise MalformedError(f"An Idempotency-Key is 1 to {MAX_KEY} printable ASCII characters.")
    name = (actor.name, key, path if len(path) <= MAX_PATH else digest_of(path))
    with _lock:
        if name in _running:
            raise ConflictError("The first request with this key is running.", code="running")
        _running.add(name)
    try:
        with writing():
            return _run(name, _digest(body), key_rights(actor), act)
    finally:
        with _lock:
            _running.discard(name)


def forget_answers(texts: Sequence[str], *, service: str) -> int:
    """Drop the remembered answers that hold one of ``texts``; gives their number.

    Without any text, one too short to look for, all that were given on a path of the service go.
    """
    holding = Q()
    for text in texts:
        holding |= Q(body__contains=text)
    if not texts:
        holding = Q(path__icontains=f"/{service}") | Q(path__regex=r"^[0-9a-f]{64}$")
    count, _kinds = IdempotencyRecord.objects.filter(holding).delete()
    return count


def _run(
    name: tuple[str, str, str], digest: str, rights: str, act: Callable[[], Remembered]
) -> tuple[Remembered, bool]:
    _claim(name)
    now = clock.now()
    IdempotencyRecord.objects.filter(created_at__lt=now - LIFE).delete()
    user_key, key, path = name
    known = IdempotencyRecord.objects.filter(user_key=user_key, key=key, path=path).first()
    if known is not None:
        return _repeat(known, digest, rights), True
    answer = act()
    IdempotencyRecord.objects.create(
        user_key=user_key,
        key=key,
        path=path,
        body_digest=digest,
        key_rights=rights,
        status=answer.status,
        headers=json.dumps(answer.headers),
        body="" if answer.credential_id else answer.body,
        credential_id=answer.credential_id,
        created_at=now,
    )
    return answer, False


def _claim(name: tuple[str, str, str]) -> None:
    """Hold the key in the database too, where other processes may have the first request."""
    if connection.vendor != "postgresql":
        return
    number = int.from_bytes(hashlib.sha256("\n".join(name).encode()).digest()[:8], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        if not cursor.fetchone()[0]:
            raise ConflictError("The first request with this key is running.", code="running")


def _repeat(known: IdempotencyRecord, digest: str, rights: str) -> Remembered:
    if not hmac.compare_digest(known.body_digest, digest):
        raise InvalidError("This Idempotency-Key was used with another body.", code="key_reused")
    if known.key_rights != rights and not known.credential_id:
        raise ConflictError(
            "This was done already; the rules about keys have changed since, so its answer is "
            "not given again. Fetch what is there now.",
            code="already_done",
        )
    if known.credential_id:
        raise ConflictError(
            "This was done already; its answer held a credential and is not kept.",
            code="already_done",
            id=known.credential_id,
        )
    return Remembered(known.status or 200, known.body, json.loads(known.headers))


def _digest(body: bytes) -> str:
    key = hashlib.sha256(b"configsvc idempotency\n" + settings.SECRET_KEY.encode()).digest()
    return hmac.new(key, body, hashlib.sha256).hexdigest()

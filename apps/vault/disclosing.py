"""Answers with values that an account was given before, opened again from memory, without the database.

Such an answer is kept as a value is stored: sealed under a key of its own, which is kept wrapped by the
key-encryption key (:mod:`apps.engine.sealing`); and it is opened for each who asks. The first disclosure to
an account is an event (:func:`apps.vault.services.disclose`); these are counted, in memory first, and
written every few seconds.
"""

import secrets
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db.models import F

from apps.core.transactions import writing
from apps.engine import sealing
from apps.engine.errors import IntegrityError, SealedError
from apps.vault.models import Disclosure
from apps.vault.providers import key_provider
from apps.vault.selectors import Found

_CONTEXT = b"an answer with revealed secrets, in the memory of one process"

_lock = threading.Lock()
_waiting: dict[tuple[uuid.UUID, str], tuple[int, float]] = {}


@dataclass(frozen=True, slots=True)
class SealedAnswer:
    """An answer's bytes, sealed, and what is disclosed to which account by opening it."""

    account: str
    versions: tuple[uuid.UUID, ...]
    key_id: str
    wrapped: bytes = field(repr=False)
    sealed: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes, about."""
        return 1_000 + len(self.sealed)

    def read(self, _revision: int) -> bytes | None:
        """The bytes, which are disclosed by this; ``None``: they do not open any more, for the key is
        gone, or something is damaged.
        """
        try:
            key = key_provider().unwrap(self.key_id, self.wrapped, _CONTEXT)
            body = sealing.unseal(self.sealed, key=key, context=_CONTEXT)
        except (SealedError, IntegrityError):
            return None
        self._count()
        return body

    def _count(self) -> None:
        now = time.time()
        with _lock:
            for version in self.versions:
                counted = version, self.account
                _waiting[counted] = _waiting.get(counted, (0, now))[0] + 1, now


def seal_answer(body: bytes, *, account: str, found: Iterable[Found]) -> SealedAnswer | None:
    """The same for memory; ``None`` where another server would be asked for the key each time: whoever
    waits for that holds up everybody else.
    """
    provider = key_provider()
    key = secrets.token_bytes(sealing.KEY_BYTES)
    try:
        if not provider.is_local(provider.current()):
            return None
        key_id, wrapped = provider.wrap(key, _CONTEXT)
    except SealedError:
        return None
    nonce = secrets.token_bytes(sealing.NONCE_BYTES)
    sealed = sealing.seal(body, key=key, nonce=nonce, context=_CONTEXT)
    versions = tuple({each.version.pk for each in found})
    return SealedAnswer(account, versions, key_id, wrapped, sealed)


def flush() -> None:
    """Write what was counted since the last time. What cannot be written waits for the next time."""
    with _lock:
        taken = dict(_waiting)
        _waiting.clear()
    if not taken:
        return
    try:
        with writing():
            for (version_id, account), (count, at) in sorted(taken.items()):
                rows = Disclosure.objects.filter(version=version_id, account=account)
                rows.update(count=F("count") + count, last_at=datetime.fromtimestamp(at, UTC))
    except Exception:
        with _lock:
            for key, (count, at) in taken.items():
                more, last = _waiting.get(key, (0, at))
                _waiting[key] = count + more, last
        raise


def forget_waiting() -> None:
    """Forget what waits: for tests, which empty the tables."""
    with _lock:
        _waiting.clear()

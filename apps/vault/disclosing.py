"""Values that an account was given before, opened again from memory, without the database.

A version is kept as it is stored, sealed and with its wrapped key, and opened for each who asks. The first
disclosure to an account is an event (:func:`apps.vault.services.disclose`); these are counted, in
memory first, and written every few seconds.
"""

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import F

from apps.core import clock
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import sealing
from apps.engine.errors import IntegrityError, SealedError
from apps.engine.values import Tree, parse_canonical
from apps.vault.models import Disclosure
from apps.vault.providers import key_provider
from apps.vault.selectors import Found
from apps.vault.versions import context_of

_lock = threading.Lock()
_waiting: dict[tuple[uuid.UUID, str], tuple[int, datetime]] = {}


@dataclass(frozen=True, slots=True)
class SealedValue:
    """A version as it is stored, and what it is bound to."""

    version_id: uuid.UUID
    key_id: str
    wrapped: bytes = field(repr=False)
    sealed: bytes = field(repr=False)
    context: bytes = field(repr=False)

    @classmethod
    def of(cls, found: Found) -> "SealedValue":
        """What was found, which has just been opened."""
        wrapped = found.version.wrapped
        return cls(
            version_id=found.version.pk,
            key_id=wrapped.key_id,
            wrapped=bytes(wrapped.wrapped),
            sealed=bytes(found.version.sealed),
            context=context_of(found.secret, found.version.pk),
        )

    @property
    def is_local(self) -> bool:
        """Whether it is opened here, and no other server is asked for its key."""
        return key_provider().is_local(self.key_id)

    @property
    def size(self) -> int:
        """Bytes, about."""
        return 400 + len(self.wrapped) + len(self.sealed) + len(self.context)

    def open(self) -> Tree:
        """The value. Raises :class:`SealedError` and :class:`IntegrityError`."""
        key = key_provider().unwrap(self.key_id, self.wrapped, self.context)
        return parse_canonical(sealing.unseal(self.sealed, key=key, context=self.context).decode())


def disclose_again(*, actor: Actor, values: Mapping[str, SealedValue]) -> dict[str, Tree] | None:
    """The values by name, for an account that has been given these versions; ``None`` where one does
    not open any more: its key is gone, or something is damaged.
    """
    try:
        opened = {name: each.open() for name, each in values.items()}
    except (SealedError, IntegrityError):
        return None
    now = clock.now()
    with _lock:
        for version_id in {each.version_id for each in values.values()}:
            count, _at = _waiting.get((version_id, actor.name), (0, now))
            _waiting[version_id, actor.name] = count + 1, now
    return opened


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
                rows.update(count=F("count") + count, last_at=at)
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

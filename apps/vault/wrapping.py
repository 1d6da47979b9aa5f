"""Data keys of versions that are still to be made, wrapped while no lock is held.

The key service may be slow, and whoever writes waits for whoever holds the locks. So an act that
makes versions asks for their keys as it goes along; where one is missing, all that it has done is
taken back, the key is wrapped, and the act is done again.
"""

import secrets as random
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

from apps.access.policy import Place
from apps.audit.selectors import last_number_of
from apps.engine import sealing
from apps.engine.errors import ConflictError, SealedError
from apps.vault.models import Secret
from apps.vault.providers import NO_KEY, key_provider
from apps.vault.selectors import is_sealed

ATTEMPTS = 10
KEY_CHANGES = ("key.rotated", "key.removed")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a version will be: its ids, and its data key (32 bytes) plain and wrapped.

    ``as_of`` is the number of the last event that told of changed keys before it was wrapped.
    """

    secret_id: uuid.UUID
    version_id: uuid.UUID
    key: bytes = field(repr=False)
    key_id: str
    wrapped: bytes
    as_of: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Where a version belongs. ``name``: what the secret is found by, which may not be there yet."""

    service_id: int
    environment_id: int
    name: str


@dataclass(slots=True)
class _Pool:
    """What one act has asked for, and what it was given."""

    wanted: dict[_Wanted, uuid.UUID] = field(default_factory=dict)
    ready: dict[_Wanted, Prepared | SealedError] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)

    def fill(self) -> None:
        """Wrap a key for each that is wanted; what went wrong is told to who asks for it."""
        as_of = last_key_change()
        sealed = is_sealed()
        while self.wanted:
            wanted, secret_id = self.wanted.popitem()
            try:
                ready = SealedError(NO_KEY) if sealed else _wrap(wanted, secret_id, as_of)
                self.ready[wanted] = ready
            except SealedError as error:
                self.ready[wanted] = error


class AgainError(Exception):
    """No refusal: the act is taken back, and done again with the keys that it asked for."""


_pool: ContextVar[_Pool | None] = ContextVar("keys ahead", default=None)


def with_keys_ahead(act: Callable[[], Made]) -> Made:
    """Do ``act``, and do it again where it asks for keys that are not there yet.

    The outermost call counts, and is made outside of any transaction. ``act`` changes nothing but
    the database, in one transaction. Raises what ``act`` raises, and :class:`ConflictError` for
    keys that change faster than they are wrapped.
    """
    if _pool.get() is not None:
        return act()
    pool = _Pool()
    token = _pool.set(pool)
    try:
        for _ in range(ATTEMPTS):
            try:
                return act()
            except AgainError:
                pool.fill()
    finally:
        _pool.reset(token)
    raise ConflictError("The keys were changed meanwhile: nothing was stored. Try again.")


def key_for_new(place: Place, slug: str) -> Prepared:
    """The key of the first version of a secret that is to be made at ``place``, for one act inside
    :func:`with_keys_ahead`, which asks before it takes a lock. Raises :class:`SealedError`.
    """
    service, environment = place.service, place.environment
    assert service is not None and environment is not None  # noqa: S101, PT018 - as a secret has both
    return _take(_Wanted(service.pk, environment.pk, slug), uuid.uuid4())


def key_for_next(secret: Secret) -> Prepared:
    """The key of the next version of a secret, likewise."""
    wanted = _Wanted(secret.service_id, secret.environment_id, secret.pk.hex)
    return _take(wanted, secret.pk)


def check_current(prepared: Prepared) -> None:
    """Have the act done again unless what wrapped the key still does. The caller holds the ledger's
    lock: whoever changes keys holds it too, and so nothing is wrapped by one that is forgotten.
    """
    pool = _pool.get()
    if prepared.as_of != last_key_change():
        if pool is not None:
            pool.ready.clear()
        raise AgainError


def ids_again() -> dict[str, int]:
    """The ids of rows that were made by an attempt which was taken back, by name: made again with
    them, what was wrapped for them is theirs.
    """
    pool = _pool.get()
    return {} if pool is None else pool.ids


def last_key_change() -> int:
    """The number of the last event that told of a rotated or forgotten key; 0 without any."""
    return last_number_of(KEY_CHANGES)


def _take(wanted: _Wanted, secret_id: uuid.UUID) -> Prepared:
    pool = _pool.get()
    found = pool and pool.ready.get(wanted)
    if isinstance(found, SealedError):
        raise SealedError(found.detail)
    if not found:
        if pool is not None:
            pool.wanted[wanted] = secret_id
        raise AgainError
    return found


def _wrap(wanted: _Wanted, secret_id: uuid.UUID, as_of: int) -> Prepared:
    version_id = uuid.uuid4()
    context = context_at(wanted.service_id, wanted.environment_id, secret_id, version_id)
    key = random.token_bytes(sealing.KEY_BYTES)
    key_id, wrapped = key_provider().wrap(key, context)
    return Prepared(secret_id, version_id, key, key_id, wrapped, as_of)


def context_at(
    service_id: int, environment_id: int, secret_id: uuid.UUID, version_id: uuid.UUID
) -> bytes:
    """What a version's value and key are bound to: where it belongs."""
    return sealing.context_of(
        service=service_id,
        environment=environment_id,
        secret=secret_id.hex,
        version=version_id.hex,
    )

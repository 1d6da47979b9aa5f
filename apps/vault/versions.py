"""A secret's versions: sealing, opening, pointing. A value is a local variable here."""

import secrets as random
import uuid
from typing import Any

from apps.audit.services import Act, Event, append
from apps.core.actor import Actor
from apps.core.transactions import lock_row, writing
from apps.engine import sealing, values
from apps.engine.errors import (
    NOTHING_HERE,
    DestroyedError,
    IntegrityError,
    InvalidError,
    NotFoundError,
    SealedError,
    invalid,
)
from apps.engine.values import Tree, canonical, parse_canonical
from apps.vault.models import KnownKey, Secret, SecretStage, SecretVersion, WrappedKey
from apps.vault.providers import key_provider
from apps.vault.wrapping import Prepared, check_current, context_at

MAX_VALUE = 65_536
DESTROYED = "This version was destroyed: nobody can read it."


def lock(secret: Secret) -> Secret:
    """The secret as committed, inside the caller's transaction: others wait who would move it.

    The composition lock is taken first, as by every act that moves what configurations are made
    of, so that what is told of them keeps its order. Raises :class:`NotFoundError` for one that
    was deleted.
    """
    lock_row("registry_composition", "id")
    found = (
        Secret.objects.present()
        .select_for_update(of=("self",))
        .select_related("service", "environment")
        .filter(pk=secret.pk)
        .first()
    )
    if found is None:
        raise NotFoundError(NOTHING_HERE)
    return found


def find_stage(secret: Secret, stage: str) -> SecretVersion | None:
    """The version that a stage points to."""
    rows = SecretVersion.objects.select_related("wrapped", "secret__service", "secret__environment")
    return rows.filter(secret=secret, stages__stage=stage).first()


def open_version(actor: Actor, version: SecretVersion) -> Tree:
    """A version's value. Damage is written to the ledger before it is raised."""
    wrapped = getattr(version, "wrapped", None)
    if wrapped is None:
        raise DestroyedError(DESTROYED)
    try:
        return _open(version, wrapped)
    except IntegrityError:
        with writing():
            event = event_of("secret.integrity", version.secret, version=version.number)
            append([event], actor=actor)
        raise


def _open(version: SecretVersion, wrapped: WrappedKey) -> Tree:
    context = context_of(version.secret, version.pk)
    key = unwrap(wrapped, context)
    plain = sealing.unseal(bytes(version.sealed), key=key, context=context)
    return parse_canonical(plain.decode())


def unwrap(wrapped: WrappedKey, context: bytes) -> bytes:
    """A version's data key.

    Raises :class:`SealedError` when the key that wrapped it is not here, :class:`IntegrityError`
    for what does not open, and for the name of a key that never wrapped anything here, and
    :class:`DestroyedError` for a version that was destroyed meanwhile.
    """
    try:
        key = key_provider().unwrap(wrapped.key_id, bytes(wrapped.wrapped), context)
    except SealedError:
        if not KnownKey.objects.filter(pk=wrapped.key_id).exists():
            raise IntegrityError(
                "A wrapped key bears the name of no key that was ever here."
            ) from None
        fresh = WrappedKey.objects.filter(pk=wrapped.pk).first()
        if fresh is None:
            raise DestroyedError(DESTROYED) from None
        if fresh.key_id == wrapped.key_id:
            raise
        return unwrap(fresh, context)  # wrapped again since it was read, and the old key removed
    if len(key) != sealing.KEY_BYTES:
        raise IntegrityError("A wrapped key is damaged: it does not open.")
    return key


def context_of(secret: Secret, version_id: uuid.UUID) -> bytes:
    """What a version's value and key are bound to: where it belongs."""
    return context_at(secret.service_id, secret.environment_id, secret.pk, version_id)


def add_version(
    *, secret: Secret, plain: bytes, prepared: Prepared, events: list[Event], actor: Actor
) -> SecretVersion:
    """The next version, under the key that was ``prepared`` for it, and the act's events; no stage
    points to it yet. The caller holds the secret's lock, and is in :func:`with_keys_ahead`.
    """
    context = context_of(secret, prepared.version_id)
    nonce = random.token_bytes(sealing.NONCE_BYTES)
    sealed = sealing.seal(plain, key=prepared.key, nonce=nonce, context=context)
    number = next_number(secret)
    act: Act = append(events, actor=actor)
    check_current(prepared)  # the ledger is locked now
    version = SecretVersion(
        id=prepared.version_id,
        secret=secret,
        number=number,
        sealed=sealed,
        author=actor.name,
        revision=act.revision,
        created_at=act.at,
    )
    version.save(force_insert=True)
    KnownKey.objects.get_or_create(key_id=prepared.key_id)
    WrappedKey.objects.create(version=version, key_id=prepared.key_id, wrapped=prepared.wrapped)
    return version


def next_number(secret: Secret) -> int:
    """The number of the version that would be made now."""
    last = secret.versions.order_by("-number").values_list("number", flat=True).first()
    return (last or 0) + 1


def point(secret: Secret, stage: str, version: SecretVersion) -> None:
    """Move one pointer."""
    SecretStage.objects.update_or_create(
        secret=secret, stage=stage, defaults={"version_id": version.pk}
    )


def make_current(secret: Secret, version: SecretVersion) -> None:
    """Move the pointers: what was current is previous now."""
    before = find_stage(secret, "current")
    if before is not None:
        point(secret, "previous", before)
    point(secret, "current", version)


def destroy_key(version: SecretVersion) -> bool:
    """Delete a version's wrapped key and its pointers; whether there was a key."""
    version.stages.all().delete()
    count, _each = WrappedKey.objects.filter(version=version).delete()
    return bool(count)


def check_value(value: object) -> bytes:
    """The canonical bytes of a value. Errors never show it."""
    if not isinstance(value, (str, dict)) or value in ("", {}):
        raise invalid("/value", "type", "A secret's value is text or an object, not empty.")
    try:
        values.check({"value": value})
    except InvalidError:
        raise
    except Exception as error:
        raise invalid("/value", "value", "The value holds what cannot be stored.") from error
    plain = canonical(value).encode()
    if len(plain) > MAX_VALUE:
        raise invalid("/value", "length", f"A value has at most {MAX_VALUE} bytes.")
    return plain


def event_of(action: str, secret: Secret, **data: Any) -> Event:
    """An event about a secret; ``data`` holds numbers and names."""
    return Event(action, target_of(secret), data)


def target_of(secret: Secret) -> str:
    """What the ledger calls a secret."""
    return f"secret:{secret}"

"""Writing, opening and ending secrets. A value is a local variable here and nowhere else."""

import secrets as random
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.access import policy
from apps.access.policy import Place
from apps.audit.services import Act, Event, append
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.names import check_slug, check_text
from apps.core.transactions import writing
from apps.engine import sealing, values
from apps.engine.errors import (
    GoneError,
    IntegrityError,
    InvalidError,
    NotFoundError,
    SealedError,
    invalid,
)
from apps.engine.values import Tree, canonical, parse_canonical
from apps.registry.models import Configuration
from apps.vault.models import Disclosure, Secret, SecretStage, SecretVersion, WrappedKey
from apps.vault.providers import NO_KEY, key_provider
from apps.vault.selectors import Found, is_sealed, key_of, list_users, place_of

MAX_VALUE = 65_536


def create_secret(
    *, actor: Actor, place: Place, slug: str, value: Tree, description: str = ""
) -> Secret:
    """Make a secret with its first version, which is current. Needs ``secure`` there.

    ``value`` is text or an object. Raises :class:`InvalidError` for a taken name or a wrong
    value, :class:`SealedError` without the key.
    """
    policy.require(actor, "secure", place)
    check_slug(slug)
    policy.require(actor, "secure", place, [key_of(slug)])
    check_text("description", description, 10_000)
    plain = _check_value(value)
    with writing():
        if _same_name(place, slug):
            raise invalid("/name", "taken", "There is a secret of this name here.")
        Configuration.objects.get_or_create(service=place.service, environment=place.environment)
        secret = Secret(
            service=place.service,
            environment=place.environment,
            slug=slug,
            description=description,
            created_at=clock.now(),
            created_by=actor.name,
        )
        mark_history(secret, actor)
        secret.save()
        _add_version(secret, 1, plain, actor, "secret.created")
    return secret


def write_secret(*, actor: Actor, secret: Secret, value: Tree) -> SecretVersion:
    """Give a secret a new value, which is current from now on; the old one is ``previous``."""
    policy.require(actor, "secure", place_of(secret), [key_of(secret.slug)])
    plain = _check_value(value)
    with writing():
        last = secret.versions.select_for_update().order_by("-number").first()
        number = last.number + 1 if last else 1
        return _add_version(secret, number, plain, actor, "secret.written")


def delete_secret(*, actor: Actor, secret: Secret) -> None:
    """Hide a secret and destroy its keys: its values cannot be read again by anybody.

    Raises :class:`InvalidError` naming the live configurations that use it.
    """
    policy.require(actor, "secure", place_of(secret), [key_of(secret.slug)])
    with writing():
        users = list_users(secret)
        if users:
            shown = [str(each) for each in users if _sees(actor, each)]
            hidden = len(users) - len(shown)
            names = ", ".join([*shown, *([f"{hidden} more"] if hidden else [])])
            raise invalid("", "in_use", f"Live configurations use it: {names}.")
        secret.deleted_at = clock.now()
        mark_history(secret, actor)
        secret.save()
        secret.stages.all().delete()
        WrappedKey.objects.filter(version__secret=secret).delete()
        append([_event("secret.deleted", secret)], actor=actor)


def destroy_version(*, actor: Actor, version: SecretVersion) -> None:
    """Destroy one version's key for good. Refused for the current one."""
    policy.require(actor, "secure", place_of(version.secret), [key_of(version.secret.slug)])
    with writing():
        if version.stages.filter(stage="current").exists():
            raise invalid("", "current", "This version is current: write a new value first.")
        version.stages.all().delete()
        WrappedKey.objects.filter(version=version).delete()
        event = _event("secret.destroyed", version.secret, version=version.number)
        append([event], actor=actor)


def reveal(*, actor: Actor, secret: Secret, number: int | None = None) -> tuple[int, Tree]:
    """A secret's value, the current one unless a ``number`` is given; and that number.

    Needs ``reveal`` there. The event is committed before the value is given out. Raises
    :class:`SealedError`, :class:`IntegrityError`, :class:`GoneError` for a destroyed version.
    """
    policy.require(actor, "reveal", place_of(secret), [key_of(secret.slug)])
    rows = SecretVersion.objects.select_related("wrapped", "secret__service", "secret__environment")
    rows = rows.filter(secret=secret)
    version = (
        rows.filter(stages__stage="current").first()
        if number is None
        else rows.filter(number=number).first()
    )
    if version is None:
        raise NotFoundError("There is no such version.")
    value = open_version(actor, version)
    with writing():
        append([_event("secret.revealed", secret, version=version.number)], actor=actor)
    return version.number, value


def disclose(*, actor: Actor, found: Mapping[str, Found]) -> dict[str, Tree]:
    """The current values of secrets, given out with a configuration, by name.

    The caller has asked the rights. The first disclosure of a version to an account is an event,
    committed before this returns; later ones are counted.
    """
    opened = {name: open_version(actor, each.version) for name, each in found.items()}
    now = clock.now()
    with writing():
        events = [
            _event("secret.disclosed", each.secret, version=each.version.number)
            for each in {each.version.pk: each for each in found.values()}.values()
            if _count(each.version, actor, now)
        ]
        if events:
            append(events, actor=actor)
    return opened


def _count(version: SecretVersion, actor: Actor, now: datetime) -> bool:
    """Count a disclosure; whether it is the first."""
    row, first = Disclosure.objects.select_for_update().get_or_create(
        version=version, account=actor.name, defaults={"first_at": now, "last_at": now}
    )
    if not first:
        row.last_at, row.count = now, row.count + 1
        row.save(update_fields=["last_at", "count"])
    return first


def open_version(actor: Actor, version: SecretVersion) -> Tree:
    """A version's value. Damage is written to the ledger before it is raised."""
    wrapped = getattr(version, "wrapped", None)
    if wrapped is None:
        raise GoneError("This version was destroyed: nobody can read it.")
    try:
        return _open(version, wrapped)
    except IntegrityError:
        with writing():
            event = _event("secret.integrity", version.secret, version=version.number)
            append([event], actor=actor)
        raise


def _open(version: SecretVersion, wrapped: WrappedKey) -> Tree:
    context = context_of(version.secret, version.pk)
    key = key_provider().unwrap(wrapped.key_id, bytes(wrapped.wrapped), context)
    if len(key) != sealing.KEY_BYTES:
        raise IntegrityError("A wrapped key is damaged: it does not open.")
    plain = sealing.unseal(bytes(version.sealed), key=key, context=context)
    return parse_canonical(plain.decode())


def context_of(secret: Secret, version_id: uuid.UUID) -> bytes:
    """What a version's value and key are bound to: where it belongs."""
    return sealing.context_of(
        service=secret.service_id,
        environment=secret.environment_id,
        secret=secret.pk.hex,
        version=version_id.hex,
    )


def _add_version(
    secret: Secret, number: int, plain: bytes, actor: Actor, action: str
) -> SecretVersion:
    if is_sealed():
        raise SealedError(NO_KEY)
    version_id = uuid.uuid4()
    context = context_of(secret, version_id)
    key = random.token_bytes(sealing.KEY_BYTES)
    nonce = random.token_bytes(sealing.NONCE_BYTES)
    sealed = sealing.seal(plain, key=key, nonce=nonce, context=context)
    act: Act = append([_event(action, secret, version=number)], actor=actor)
    # under the ledger's lock, so that a key that is being forgotten wraps nothing any more
    key_id, wrapped = key_provider().wrap(key, context)
    version = SecretVersion(
        id=version_id,
        secret=secret,
        number=number,
        sealed=sealed,
        author=actor.name,
        revision=act.revision,
        created_at=act.at,
    )
    version.save(force_insert=True)
    WrappedKey.objects.create(version=version, key_id=key_id, wrapped=wrapped)
    _make_current(secret, version)
    return version


def _make_current(secret: Secret, version: SecretVersion) -> None:
    """Move the pointers: what was current is previous now."""
    before = SecretStage.objects.filter(secret=secret, stage="current").first()
    if before is not None:
        SecretStage.objects.update_or_create(
            secret=secret, stage="previous", defaults={"version_id": before.version_id}
        )
    SecretStage.objects.update_or_create(
        secret=secret, stage="current", defaults={"version": version}
    )


def _check_value(value: object) -> bytes:
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


def _same_name(place: Place, slug: str) -> bool:
    named = Secret.objects.named(slug)
    return named.filter(service=place.service, environment=place.environment).exists()


def _sees(actor: Actor, configuration: Configuration) -> bool:
    return policy.sees(actor, Place(configuration.service, configuration.environment))


def _event(action: str, secret: Secret, **data: Any) -> Event:
    return Event(action, f"secret:{secret}", data)

"""Writing, opening and ending secrets. A value is a local variable here and nowhere else."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.access import policy
from apps.access.policy import EVERYWHERE, Place
from apps.audit.services import append
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.names import check_slug, check_text
from apps.core.transactions import lock_row, writing
from apps.engine.errors import NotFoundError, invalid, taken
from apps.engine.values import Tree
from apps.registry.models import Configuration
from apps.vault import news, rotating, schedules
from apps.vault.connections import list_connections
from apps.vault.models import Disclosure, Secret, SecretVersion, WrappedKey
from apps.vault.selectors import Found, key_of, list_users, place_of
from apps.vault.versions import (
    add_version,
    check_value,
    destroy_key,
    event_of,
    lock,
    make_current,
    next_number,
    open_version,
)
from apps.vault.wrapping import key_for_new, key_for_next, with_keys_ahead


def create_secret(
    *,
    actor: Actor,
    place: Place,
    slug: str,
    value: Tree,
    description: str = "",
    rotation: Mapping[str, Tree] | None = None,
) -> Secret:
    """Make a secret with its first version, which is current. Needs ``secure`` there.

    ``value`` is text or an object; ``rotation`` is as :func:`schedules.read_settings` reads it.
    Raises :class:`InvalidError` for a taken name or a wrong value, :class:`SealedError` without
    the key.
    """
    policy.require(actor, "secure", place)
    check_slug(slug)
    policy.require(actor, "secure", place, [key_of(slug)])
    check_text("description", description, 10_000)
    plain = check_value(value)

    def create() -> Secret:
        return _create(actor, place, slug, description, plain, rotation)

    return with_keys_ahead(create)


def _create(
    actor: Actor,
    place: Place,
    slug: str,
    description: str,
    plain: bytes,
    rotation: Mapping[str, Tree] | None,
) -> Secret:
    prepared = key_for_new(place, slug)
    with writing():
        lock_row("registry_composition", "id")
        wanted = None
        if rotation is not None:
            wanted = schedules.read_settings(actor=actor, place=place, given=rotation)
        if _same_name(place, slug):
            raise taken("/name", "There is a secret of this name here.")
        Configuration.objects.get_or_create(service=place.service, environment=place.environment)
        secret = Secret(
            id=prepared.secret_id,
            service=place.service,
            environment=place.environment,
            slug=slug,
            description=description,
            created_at=clock.now(),
            created_by=actor.name,
        )
        mark_history(secret, actor)
        secret.save()
        events = [event_of("secret.created", secret, version=1), *news.events_about(secret)]
        if wanted is not None:
            events.append(schedules.put_rotation(secret, wanted, actor))
        made = add_version(
            secret=secret, plain=plain, prepared=prepared, events=events, actor=actor
        )
        make_current(secret, made)
    return secret


def write_secret(*, actor: Actor, secret: Secret, value: Tree) -> SecretVersion:
    """Give a secret a new value, which is current from now on; the old one is ``previous``.

    With a rotation, what was ``previous`` until now ends after the time that it says; without one
    it stays until somebody destroys it.
    """
    policy.require(actor, "secure", place_of(secret), [key_of(secret.slug)])
    plain = check_value(value)
    return with_keys_ahead(lambda: _write(actor, secret, plain))


def _write(actor: Actor, secret: Secret, plain: bytes) -> SecretVersion:
    prepared = key_for_next(secret)
    with writing():
        secret = lock(secret)
        written = event_of("secret.written", secret, version=next_number(secret))
        events = [written, *news.events_about(secret)]
        made = add_version(
            secret=secret, plain=plain, prepared=prepared, events=events, actor=actor
        )
        make_current(secret, made)
        rotation = schedules.find_rotation(secret)
        if rotation is not None:
            schedules.end_unstaged(secret, rotation)
    return made


def delete_secret(*, actor: Actor, secret: Secret) -> None:
    """Hide a secret and destroy its keys: its values cannot be read again by anybody.

    Raises :class:`InvalidError` naming the live configurations that use it, and the connections.
    """
    policy.require(actor, "secure", place_of(secret), [key_of(secret.slug)])
    with writing():
        secret = lock(secret)
        users = list_users(secret)
        if users:
            shown = [str(each) for each in users if _sees(actor, each)]
            hidden = len(users) - len(shown)
            names = ", ".join([*shown, *([f"{hidden} more"] if hidden else [])])
            raise invalid("", "in_use", f"Live configurations use it: {names}.")
        _refuse_credential(actor, secret)
        _refuse_unended(secret)
        secret.deleted_at = clock.now()
        mark_history(secret, actor)
        secret.save()
        schedules.remove_rotation(secret, actor)
        rotating.forget(secret)
        secret.stages.all().delete()
        WrappedKey.objects.filter(version__secret=secret).delete()
        append([event_of("secret.deleted", secret)], actor=actor)


def _refuse_credential(actor: Actor, secret: Secret) -> None:
    """Refuse while a connection uses the secret; administrators are told which."""
    names = [each.slug for each in list_connections().filter(credential=secret.pk)]
    if names:
        shown = ", ".join(names) if policy.allowed_free(actor, "manage", EVERYWHERE) else len(names)
        raise invalid("", "in_use", f"Connections use it: {shown}.")


def _refuse_unended(secret: Secret) -> None:
    """Refuse while a connection still accepts a value before the current one: with its key it
    could not be taken back there any more.
    """
    kept = secret.versions.filter(wrapped__isnull=False)
    numbers = [str(each.number) for each in kept if schedules.is_in_use(each)]
    if numbers:
        raise invalid(
            "",
            "in_use",
            f"Version {', '.join(numbers)} is still accepted where its connection brought it: "
            "destroy it first, which takes it back there.",
        )


def update_secret(*, actor: Actor, secret: Secret, changes: Mapping[str, Any]) -> None:
    """Change what a secret is for (``description``) and its ``rotation`` (``None``: none any more).

    Needs ``secure`` there. Raises :class:`InvalidError`, and :class:`ConflictError` for the
    rotation while one runs.
    """
    policy.require(actor, "secure", place_of(secret), [key_of(secret.slug)])
    description = changes.get("description")
    if description is not None:
        check_text("description", description, 10_000)
    given = changes.get("rotation")
    with writing():
        secret = lock(secret)
        wanted = None
        if given is not None:
            wanted = schedules.read_settings(actor=actor, place=place_of(secret), given=given)
        events = schedules.change(secret, wanted, actor) if "rotation" in changes else []
        if description not in (None, secret.description):
            secret.description = description
            mark_history(secret, actor)
            secret.save()
            events.append(event_of("secret.changed", secret))
        if events:
            append(events, actor=actor)


def destroy_version(*, actor: Actor, version: SecretVersion) -> bool:
    """Destroy one version's key for good; whether it is done. Refused for the current one.

    A value that is still accepted where a connection brought it is taken back there first, by a
    job that is due now, and its key is destroyed after that.
    """
    policy.require(actor, "secure", place_of(version.secret), [key_of(version.secret.slug)])
    with writing():
        lock(version.secret)
        stages = set(version.stages.values_list("stage", flat=True))
        if "current" in stages:
            raise invalid("", "current", "This version is current: write a new value first.")
        if "pending" in stages:
            raise invalid("", "pending", "A rotation is at work with it: it ends by itself.")
        later = schedules.end_now(version)
        if not later:
            destroy_key(version)
        action = "secret.ending" if later else "secret.destroyed"
        append([event_of(action, version.secret, version=version.number)], actor=actor)
    return not later


def reveal(*, actor: Actor, secret: Secret, number: int | None = None) -> tuple[int, Tree]:
    """A secret's value, the current one unless a ``number`` is given; and that number.

    Needs ``reveal`` there. The event is committed before the value is given out. Raises
    :class:`SealedError`, :class:`IntegrityError`, :class:`DestroyedError` for a destroyed version.
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
        append([event_of("secret.revealed", secret, version=version.number)], actor=actor)
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
            event_of("secret.disclosed", each.secret, version=each.version.number)
            for _pk, each in sorted({each.version.pk: each for each in found.values()}.items())
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


def _same_name(place: Place, slug: str) -> bool:
    named = Secret.objects.named(slug)
    return named.filter(service=place.service, environment=place.environment).exists()


def _sees(actor: Actor, configuration: Configuration) -> bool:
    return policy.sees(actor, Place(configuration.service, configuration.environment))

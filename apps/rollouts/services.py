"""What running consumers say about themselves."""

import re
from collections.abc import Collection

from apps.access.policy import Place
from apps.configs.models import Version
from apps.core import clock
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine.errors import invalid
from apps.registry.selectors import find_configuration
from apps.rollouts.models import Instance

_NAME = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?")


def check_instance_name(name: str) -> str:
    """``name`` when it is 1 to 200 printable ASCII characters, else :class:`InvalidError`."""
    if not _NAME.fullmatch(name):
        raise invalid("", "instance", "An instance's name is 1 to 200 printable ASCII characters.")
    return name


def note_instance(*, actor: Actor, place: Place, name: str, version: int | None = None) -> None:
    """Remember that an instance of the actor's service account was seen at ``place``.

    ``version`` is the one it says it runs; without one the version known before stays. What
    people look at in a browser is no instance and is not kept. Written at most once a minute
    unless the version moved. Raises :class:`InvalidError` for a version that never was.
    """
    check_instance_name(name)
    if actor.account_id is None or place.service is None or place.environment is None:
        return
    configuration = find_configuration(place.service, place.environment)
    known = Version.objects.filter(configuration=configuration)
    if version is not None and not known.filter(number=version).exists():
        raise invalid("/version", "version", "There is no such version of this configuration.")
    if configuration is None:
        return
    now = clock.now()
    row = Instance.objects.filter(
        account_id=actor.account_id, name=name, configuration=configuration
    ).first()
    fresh = row is not None and now - row.seen_at < clock.MINUTE
    if row is not None and fresh and version in (None, row.version):
        return
    changed: dict[str, object] = {"seen_at": now}
    if version is not None:
        changed["version"] = version
    Instance.objects.update_or_create(
        account_id=actor.account_id, name=name, configuration=configuration, defaults=changed
    )


def note_watching(*, actor: Actor, configurations: Collection[int], name: str) -> None:
    """Remember that an instance of the actor's service account watches these configurations.

    As :func:`note_instance` does of one, without the version that it runs.
    """
    check_instance_name(name)
    if actor.account_id is None:
        return
    now = clock.now()
    known = Instance.objects.filter(account_id=actor.account_id, name=name)
    fresh = set(
        known.filter(seen_at__gt=now - clock.MINUTE).values_list("configuration", flat=True)
    )
    rows = [
        Instance(account_id=actor.account_id, name=name, configuration_id=each, seen_at=now)
        for each in configurations
        if each not in fresh
    ]
    with writing():
        Instance.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["account", "name", "configuration"],
            update_fields=["seen_at"],
        )

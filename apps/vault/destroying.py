"""The end of an earlier value: nothing accepts it any more, and its key is deleted for good."""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from apps.audit.services import append
from apps.core import clock, jobs
from apps.core.models import Connection
from apps.core.transactions import writing
from apps.engine.errors import NotFoundError
from apps.vault.models import SecretVersion
from apps.vault.rotating import ROBOT, open_credential
from apps.vault.rotators import rotator_of
from apps.vault.rotators.base import Task, contained
from apps.vault.schedules import is_running
from apps.vault.versions import destroy_key, event_of, find_stage, lock, open_version

LOOK_AGAIN = timedelta(minutes=1)
MAX_ATTEMPTS = 300  # about two and a half days: where the value is used may be out of reach


def end_version(held: jobs.Claim) -> None:
    """End one version, unless it is gone already; later while a rotation runs."""
    version = _find(held)
    if version is None:
        return
    if is_running(version.secret):
        raise jobs.LaterError(clock.now() + LOOK_AGAIN)
    _destroy(version, retired=_retire(version, held.argument))


def destroy_anyway(held: jobs.Claim, _error: str) -> None:
    """Where it was used cannot be told; but nobody is to read it here any more."""
    version = _find(held)
    if version is not None:
        _destroy(version, retired=False)


def _find(held: jobs.Claim) -> SecretVersion | None:
    """The version, where it still has a key and is not current."""
    rows = SecretVersion.objects.select_related("wrapped", "secret__service", "secret__environment")
    found = rows.filter(pk=uuid.UUID(held.argument["version"]), wrapped__isnull=False).first()
    if found is None or found.stages.filter(stage__in=("current", "pending")).exists():
        return None
    return found


def _retire(version: SecretVersion, ended: Mapping[str, Any]) -> bool:
    """Have the rotator take the value back from where it was used; whether it could be told.

    ``ended`` says how it came to be used (:func:`schedules.put_end`).
    """
    if "rotator" not in ended:
        return False  # a row of before it was kept
    rotator = rotator_of(ended["rotator"])
    if not rotator.needs:
        return True
    connection = Connection.objects.filter(pk=ended["connection"], deleted_at=None).first()
    current = find_stage(version.secret, "current")
    if connection is None or current is None:
        return False
    task = Task(
        key=version.pk.hex,
        secret=str(version.secret),
        options=ended["options"],
        current=open_version(ROBOT, current),
        connection=connection,
        credential=open_credential(connection),
    )
    value = open_version(ROBOT, version)
    with contained():
        rotator.retire(task, value)
    return True


def _destroy(version: SecretVersion, *, retired: bool) -> None:
    with writing():
        try:
            secret = lock(version.secret)
        except NotFoundError:
            return  # its keys went with it
        if version.stages.filter(stage="current").exists() or not destroy_key(version):
            return
        event = event_of("secret.destroyed", secret, version=version.number, retired=retired)
        append([event], actor=ROBOT)

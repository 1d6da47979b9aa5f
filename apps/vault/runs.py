"""What is known of a secret's rotations: the settings, how the last one went, when the next is."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from apps.core.models import Job
from apps.core.windows import first_of_each
from apps.engine.values import Tree
from apps.vault.connections import DESTROY
from apps.vault.models import Rotation, RotationRun, Secret, SecretStage
from apps.vault.schedules import DUE, ROTATE, present_settings

IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Status:
    """How the last rotation went (``run``; ``None``: there was none), and what is due.

    ``error`` is why it failed, or why the last attempt of one that goes on did. ``previous_until``:
    when the value before will be destroyed.
    """

    run: RotationRun | None
    error: str
    next_at: datetime | None
    previous_until: datetime | None

    @property
    def state(self) -> str:
        """``idle``, ``running``, ``done`` or ``failed``."""
        return self.run.state if self.run is not None else IDLE


def present_rotation(rotation: Rotation | None, *, whole: bool) -> Tree:
    """The settings; those of the rotator and the connection for whoever may change them."""
    return None if rotation is None else shown_settings(present_settings(rotation), whole=whole)


def shown_settings(settings: Mapping[str, Tree], *, whole: bool) -> Tree:
    """The same of settings as they are given."""
    if whole:
        return dict(settings)
    return {name: settings[name] for name in ("rotator", "every_days", "keep_hours")}


def status_of(secret: Secret) -> Status:
    """How a secret's rotation stands."""
    return statuses_of([secret])[secret.pk]


def statuses_of(secrets: Collection[Secret]) -> dict[uuid.UUID, Status]:
    """How the rotation of each of the secrets stands, in three statements."""
    keys = [each.pk for each in secrets]
    stages = SecretStage.objects.filter(secret__in=keys, stage="previous")
    previous = dict(stages.values_list("secret_id", "version_id"))
    rows = RotationRun.objects.select_related("began_with", "pending").filter(secret__in=keys)
    order = ("-started_at", "-pk")
    newest = first_of_each(rows, by=("secret_id",), order=order, after=0, until=1)
    runs = {each.secret_id: each for each in newest}
    rotating = Q(kind__in=(DUE, ROTATE), key__in=[key.hex for key in keys])
    ending = Q(kind=DESTROY, key__in=[key.hex for key in previous.values()])
    pending = Job.objects.filter(rotating | ending, finished_at__isnull=True)
    jobs = {(each.kind, each.key): each for each in pending}
    return {key: _status(key, runs.get(key), previous.get(key), jobs) for key in keys}


def _status(
    key: uuid.UUID,
    run: RotationRun | None,
    previous: uuid.UUID | None,
    jobs: Mapping[tuple[str, str], Job],
) -> Status:
    error = run.error if run is not None else ""
    if run is not None and run.state == "running":
        job = jobs.get((ROTATE, key.hex))
        error = job.last_error if job is not None else ""
    due = jobs.get((DUE, key.hex))
    destroy = jobs.get((DESTROY, previous.hex)) if previous is not None else None
    return Status(run, error, due.due_at if due else None, destroy.due_at if destroy else None)


def list_rotation_runs(secret: Secret) -> QuerySet[RotationRun]:
    """A secret's rotations, newest first."""
    return RotationRun.objects.select_related("began_with", "pending").filter(secret=secret)

"""What is known of a secret's rotations: the settings, how the last one went, when the next is."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from apps.core.models import Job
from apps.engine.values import Tree
from apps.vault.connections import DESTROY
from apps.vault.models import Rotation, RotationRun, Secret
from apps.vault.schedules import DUE, ROTATE, present_settings
from apps.vault.selectors import find_stage_id

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
    if rotation is None:
        return None
    shown = present_settings(rotation)
    if whole:
        return shown
    return {name: shown[name] for name in ("rotator", "every_days", "keep_hours")}


def status_of(secret: Secret) -> Status:
    """How a secret's rotation stands."""
    previous = find_stage_id(secret, "previous")
    run = list_rotation_runs(secret).first()
    error = run.error if run is not None else ""
    if run is not None and run.state == "running":
        error = _pending(ROTATE, secret.pk.hex).values_list("last_error", flat=True).first() or ""
    return Status(
        run,
        error,
        _due(DUE, secret.pk.hex),
        _due(DESTROY, previous.hex) if previous is not None else None,
    )


def list_rotation_runs(secret: Secret) -> QuerySet[RotationRun]:
    """A secret's rotations, newest first."""
    return RotationRun.objects.select_related("began_with", "pending").filter(secret=secret)


def _due(kind: str, key: str) -> datetime | None:
    return _pending(kind, key).values_list("due_at", flat=True).first()


def _pending(kind: str, key: str) -> QuerySet[Job]:
    return Job.objects.filter(kind=kind, key=key, finished_at__isnull=True)

"""The jobs of this app: rotations by schedule, doing one, and ending the value before."""

import uuid
from datetime import datetime, timedelta

from django.conf import settings

from apps.core import clock
from apps.core.jobs import Claim, Kind, LaterError, register
from apps.core.transactions import writing
from apps.engine.errors import ConflictError
from apps.vault import checkpoint_webhook, destroying, rotating
from apps.vault.connections import DESTROY
from apps.vault.models import Rotation, RotationRun
from apps.vault.schedules import DUE, ROTATE, begin_rotation, put_due


def register_kinds() -> None:
    """Called when the app is ready."""
    register(Kind(DUE, "Rotation of a secret is due", begin_by_schedule, give_up=keep_the_schedule))
    if settings.CHECKPOINT_WEBHOOK:
        register(checkpoint_webhook.kind())
    register(Kind(ROTATE, "Rotate a secret", rotating.advance, give_up=rotating.give_up))
    register(
        Kind(
            DESTROY,
            "End a secret's value before",
            destroying.end_version,
            max_attempts=destroying.MAX_ATTEMPTS,
            give_up=destroying.destroy_anyway,
        )
    )


def _find(held: Claim) -> Rotation | None:
    rows = Rotation.objects.select_related("secret__service", "secret__environment")
    return rows.filter(secret=uuid.UUID(held.job.key), secret__deleted_at__isnull=True).first()


def keep_the_schedule(held: Claim, _error: str) -> None:
    """One that could not be begun is missed; the next is due all the same."""
    rotation = _find(held)
    if rotation is not None:
        with writing():
            put_due(rotation)


def begin_by_schedule(held: Claim) -> datetime | None:
    """Begin the rotation that is due, and say when the next one is."""
    rotation = _find(held)
    if rotation is None or rotation.every_days is None:
        return None
    begun = RotationRun.objects.filter(
        secret=rotation.secret, started_at__gte=held.job.due_at
    ).exists()  # by this job, before its process died
    if not begun:
        try:
            begin_rotation(actor=rotating.ROBOT, secret=rotation.secret)
        except ConflictError as error:
            if error.code == "previous_in_use":
                until = clock.read_rfc3339(str(error.extra["until"]))
                raise LaterError(max(until, clock.now()) + destroying.LOOK_AGAIN) from None
            if error.code == "ending":
                raise LaterError(clock.now() + destroying.LOOK_AGAIN) from None
    return clock.now() + timedelta(days=rotation.every_days)

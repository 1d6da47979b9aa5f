"""What the job runner does for this app: experiments that start and stop by themselves."""

import uuid
from functools import partial

from apps.access.selectors import find_actor_named
from apps.core.actor import system
from apps.core.jobs import Claim, Kind, register
from apps.rollouts.experiments import START, STOP, end_by_schedule
from apps.rollouts.models import Experiment


def register_kinds() -> None:
    """Called when the app is ready."""
    register(Kind(START, "Start an experiment", partial(_end, START)))
    register(Kind(STOP, "Stop an experiment", partial(_end, STOP)))


def _end(act: str, held: Claim) -> None:
    """Start one with the rights, as they are now, of who scheduled it; a stop takes nobody's."""
    rows = Experiment.objects.select_related("configuration__service", "configuration__environment")
    found = rows.filter(pk=uuid.UUID(held.job.key)).first()
    if found is not None:
        by = str(held.argument.get("by", ""))
        end_by_schedule(find_actor_named(by) if act == START else system("jobs"), found, act)

"""Letting a job run now: an act of an administrator, in the ledger as any other."""

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.audit.services import Event, append
from apps.core import jobs
from apps.core.actor import Actor
from apps.core.models import Job
from apps.core.transactions import writing


def may_see_jobs(actor: Actor) -> bool:
    """Whether the actor may see what the server does by itself: administrators and auditors."""
    return any(policy.allowed_free(actor, verb, EVERYWHERE) for verb in ("manage", "audit"))


def run_job_now(*, actor: Actor, pk: int) -> Job:
    """Let a pending or failed job run now, with all its attempts. Needs ``manage`` everywhere.

    Raises :class:`NotFoundError`, and :class:`ConflictError` for one that runs or is over.
    """
    policy.require_free(actor, "manage", EVERYWHERE)
    with writing():
        job = jobs.make_due(pk)
        append([Event("job.put", f"job:{job.kind}", {"subject": job.subject})], actor=actor)
    return job

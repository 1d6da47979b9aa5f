"""Jobs: what is due, what runs, what failed and why, what is over; and trying one again."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from apps.access import policy
from apps.access.job_control import may_see_jobs, run_job_now
from apps.access.policy import EVERYWHERE
from apps.core import jobs
from apps.core.models import Job
from apps.engine import values
from apps.engine.errors import DomainError, MalformedError
from apps.portal.shared import actor_of, render, tell
from apps.portal.shared import page as guarded_page

PAGE = 50
MAX_KEY = 2**63
STATES = (("failed", "Failed"), ("running", "Running"), ("due", "Due"), ("past", "Done"))


@guarded_page
def page(request: HttpRequest) -> HttpResponse:
    """Jobs in one state, with their attempts."""
    actor = actor_of(request)
    if not may_see_jobs(actor):
        policy.require_free(actor, "manage", EVERYWHERE)
    if request.method == "POST":
        return _run_now(request)
    asked = request.GET.get("state", "")
    state = asked if asked in dict(STATES) else "due"
    found = Paginator(jobs.list_jobs(state), PAGE).get_page(request.GET.get("page"))
    rows = list(found)
    runs = jobs.list_runs(rows)
    return render(
        request,
        "portal/jobs.html",
        title="Jobs",
        state=state,
        states=[
            {"name": name, "title": title, "count": jobs.list_jobs(name).count()}
            for name, title in STATES
        ],
        rows=[_row(job, runs[job.pk]) for job in rows],
        page=found,
        may_run=policy.allowed_free(actor, "manage", EVERYWHERE),
    )


def _row(job: Job, runs: list[Any]) -> dict[str, Any]:
    over = job.finished_at is not None
    return {
        "job": job,
        "title": jobs.title_of(job.kind),
        "runs": runs,
        "may_run": job.lease_owner is None and (not over or job.outcome == "failed"),
        "over": over,
    }


def _run_now(request: HttpRequest) -> HttpResponse:
    number = values.whole(request.POST.get("job", ""))
    if number is None or number >= MAX_KEY:
        raise MalformedError("The job is a number.")
    try:
        job = run_job_now(actor=actor_of(request), pk=number)
        messages.success(request, f"{jobs.title_of(job.kind)}: it is due now.")
    except DomainError as error:
        tell(request, error)
    return HttpResponseRedirect(reverse("admin:jobs"))

"""Archives of the whole installation, and the runs that make, check, try and prune them."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.http import HttpResponse

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.api.base import (
    ApiView,
    answer_json,
    paged,
    paged_together,
    read_body,
    read_members,
    read_number,
    typed,
)
from apps.api.documentation import BACKUP, BACKUP_RUN, BACKUPS, LIST, PRUNING, documented
from apps.backups import selectors
from apps.backups.catalogue import Archive
from apps.backups.pruning import Plan
from apps.backups.runs import ask_run
from apps.core import clock
from apps.core.actor import Actor
from apps.engine.values import Tree

ADDRESS = "/backups"


def present_archives(rows: Sequence[Archive]) -> list[Tree]:
    """Archives as lists show them; what cannot be read has a ``problem`` alone."""
    return [present_archive(each) for each in selectors.look_up(rows)]


def present_archive(each: selectors.Looked) -> dict[str, Tree]:
    """What an archive says of itself, and what came of it when it was looked at."""
    header = each.archive.header
    return {
        "name": each.archive.name,
        "kind": header.kind if header else None,
        "created_at": header.created_at if header else None,
        "epoch": header.epoch if header else None,
        "revision": header.revision if header else None,
        "bytes": each.archive.size,
        "verified_at": _moment(each.verified_at),
        "drilled_at": _moment(each.drilled_at),
        "problem": each.problem or None,
    }


def find_archive(actor: Actor, name: str) -> dict[str, Tree]:
    """One, with the archives that it stands on and itself in ``needs``. Raises
    :class:`NotFoundError`.
    """
    chain = selectors.find_chain(actor=actor, name=name)
    [shown] = selectors.look_up(chain[-1:])
    return {**present_archive(shown), "needs": [each.name for each in chain]}


def present_run(run: Any) -> dict[str, Tree]:
    """How far a run is, or what came of it."""
    return {
        "id": str(run.pk),
        "kind": run.kind,
        "state": run.state,
        "archive": run.archive or None,
        "author": run.author,
        "asked_at": clock.rfc3339(run.asked_at),
        "started_at": _moment(run.started_at),
        "ended_at": _moment(run.ended_at),
        "progress": {"step": run.step, "done": run.done, "total": run.total},
        "revision": run.revision,
        "bytes": run.size,
        "problem": run.problem or None,
    }


def present_plan(plan: Plan) -> dict[str, Tree]:
    """What pruning keeps, and why, and what it takes."""
    return {
        "keep": settings.BACKUP_KEEP,
        "kept": [{"name": name, "because": list(why)} for name, why in plan.kept.items()],
        "deleted": [{"name": each.name, "bytes": each.size} for each in plan.gone],
        "bytes": plan.size,
    }


def _moment(at: Any) -> str | None:
    return clock.rfc3339(at) if at is not None else None


class RunningView(ApiView):
    """What begins a run: 202 with it, and its address in ``Location``."""

    def start(self, request: Any, kind: str, archive: str = "") -> HttpResponse:
        """Have it done, once for an ``Idempotency-Key``."""

        def authorize() -> None:
            policy.require_free(self.actor, "manage", EVERYWHERE)

        def act() -> HttpResponse:
            authorize()
            run = ask_run(actor=self.actor, kind=kind, archive=archive)
            root, _found, _rest = request.path.partition(ADDRESS)
            headers = {"Location": f"{root}{ADDRESS}/runs/{run.pk}"}
            return answer_json({"run": present_run(run)}, 202, headers)

        return self.once(act, authorize)

    def refuse_members(self, request: Any) -> None:
        """There is nothing to say: an empty body, or an empty object."""
        if read_body(request):
            read_members(request, ())


class BackupsView(RunningView):
    """All archives."""

    @documented("List the backups", BACKUPS)
    def get(self, request: Any) -> HttpResponse:
        """The newest first; ``redaction=REVISION``: those that hold what that act took out."""
        redaction = read_number(request.GET.get("redaction"), "redaction")
        rows = selectors.list_archives(actor=self.actor, redaction=redaction)
        return paged_together(request, rows, present_archives)

    @documented("Make a backup of everything", BACKUP_RUN)
    def post(self, request: Any) -> HttpResponse:
        """Have the job runner make a full archive; the run that does so already, if there is one."""
        self.refuse_members(request)
        return self.start(request, "create")


class BackupView(ApiView):
    """One archive."""

    @documented("Fetch what a backup says of itself", BACKUP)
    def get(self, _request: Any, name: str) -> HttpResponse:
        """With the archives that restoring it needs. Its content is read by the command alone."""
        return answer_json(find_archive(self.actor, name))


class BackupVerifyView(RunningView):
    """Reading an archive whole."""

    @documented("Verify a backup and all that it stands on", BACKUP_RUN)
    def post(self, request: Any, name: str) -> HttpResponse:
        """Every piece is opened, and every link of its ledger is checked."""
        self.refuse_members(request)
        return self.start(request, "verify", name)


class BackupDrillView(RunningView):
    """Restoring on trial."""

    @documented("Restore the newest backup on trial", BACKUP_RUN)
    def post(self, request: Any) -> HttpResponse:
        """Into a scratch database, which is compared with it and thrown away."""
        self.refuse_members(request)
        return self.start(request, "drill")


class BackupPruneView(RunningView):
    """Deleting what retention does not keep."""

    @documented("Delete old backups, or see which", PRUNING)
    def post(self, request: Any) -> HttpResponse:
        """``{"dry_run":true}``: what is kept and why, and what would go."""
        members = read_members(request, ("dry_run",)) if read_body(request) else {}
        if typed(members, "dry_run", bool, False):
            policy.require_free(self.actor, "manage", EVERYWHERE)
            return answer_json({**present_plan(selectors.plan(actor=self.actor)), "dry_run": True})
        return self.start(request, "prune")


class BackupRunsView(ApiView):
    """All runs."""

    @documented("List what was done with backups", LIST)
    def get(self, request: Any) -> HttpResponse:
        """The last that was asked for first."""
        return paged(request, selectors.list_runs(actor=self.actor), present_run)


class BackupRunView(ApiView):
    """One run."""

    @documented("Fetch how far a run is, or what came of it", BACKUP)
    def get(self, _request: Any, pk: str) -> HttpResponse:
        """``state``: ``waiting``, ``running``, ``done`` or ``failed``."""
        return answer_json(present_run(selectors.get_run(actor=self.actor, pk=pk)))

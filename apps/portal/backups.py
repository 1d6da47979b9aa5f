"""Backups: whether the last was restored on trial, what would be lost now, and every archive."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render as render_template
from django.urls import reverse

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.backups import selectors
from apps.backups.catalogue import Archive
from apps.backups.pruning import Plan
from apps.backups.runs import ask_run
from apps.engine.errors import DomainError, ForbiddenError, MalformedError
from apps.portal.shared import actor_of, render, tell
from apps.portal.shared import page as guarded_page

GROUPS = 25
SEGMENTS = 100
LAST_RUNS = 20
SAID = {
    "create": "A backup is being made.",
    "verify": "The backup is being verified.",
    "drill": "The newest backup is being restored on trial.",
    "prune": "Old backups are being deleted.",
}


@dataclass(slots=True)
class Group:
    """A full archive and the segments behind it, the newest first. ``full`` is ``None`` where it is
    gone, or where the archive cannot be read.
    """

    full: Archive | None
    segments: list[Archive] = field(default_factory=list)

    @property
    def newest(self) -> Archive:
        """The last moment that it brings back."""
        return self.segments[0] if self.segments else self._first

    @property
    def _first(self) -> Archive:
        assert self.full is not None  # noqa: S101 - a group holds something
        return self.full

    @property
    def name(self) -> str:
        """What its page is called by."""
        return (self.full or self.newest).name

    @property
    def size(self) -> int:
        """All its bytes."""
        return sum(each.size for each in self.archives)

    @property
    def archives(self) -> list[Archive]:
        """All of it, the newest first."""
        return [*self.segments, *([self.full] if self.full else [])]


@guarded_page
def page(request: HttpRequest) -> HttpResponse:
    """Everything about backups; by POST one of the acts."""
    actor = actor_of(request)
    archives = selectors.list_archives(actor=actor)
    if request.method == "POST":
        return _act(request)
    groups = group(archives)
    opened = next((each for each in groups if each.name == request.GET.get("of")), None)
    rows = opened.archives if opened else groups
    found = Paginator(rows, SEGMENTS if opened else GROUPS).get_page(request.GET.get("page"))
    shown: Any = list(found)
    return render(
        request,
        "portal/backups.html",
        title="Backups",
        drills=selectors.last_drills(),
        exposure=selectors.measure_exposure(archives),
        count=len(archives),
        opened=opened,
        page=found,
        rows=_looked(shown) if opened else _grouped(shown),
        plan=_plan(selectors.plan(actor=actor), groups) if request.GET.get("prune") else None,
        keep=settings.BACKUP_KEEP,
        is_scheduled=settings.BACKUPS_SCHEDULED,
        may_manage=policy.allowed_free(actor, "manage", EVERYWHERE),
        **_runs(request),
    )


@guarded_page
def running(request: HttpRequest) -> HttpResponse:
    """The table of runs alone, which the page asks for again while one of them goes on."""
    answer = render_template(request, "portal/backup_runs.html", _runs(request))
    answer["Cache-Control"] = "no-store"
    return answer


def _runs(request: HttpRequest) -> dict[str, Any]:
    runs = list(selectors.list_runs(actor=actor_of(request))[:LAST_RUNS])
    return {"runs": runs, "goes_on": any(each.ended_at is None for each in runs)}


def group(archives: Sequence[Archive]) -> list[Group]:
    """Archives, the newest first, by the full one that they stand on."""
    found: dict[str, Group] = {}
    for each in archives:
        header = each.header
        key = header.base if header else each.name
        of = found.setdefault(key, Group(None))
        if header is not None and header.kind == "segment":
            of.segments.append(each)
        else:
            of.full = each
    return list(found.values())


def _looked(rows: list[Archive]) -> list[dict[str, Any]]:
    return [
        {
            "looked": each,
            "archive": each.archive,
            "command": _command(each.archive) if each.archive.header else "",
        }
        for each in selectors.look_up(rows)
    ]


def _grouped(groups: list[Group]) -> list[dict[str, Any]]:
    """A row for each group: what came of the last of its archives that was looked at."""
    known = {
        each.archive.name: each
        for each in selectors.look_up([one for each in groups for one in each.archives])
    }
    rows = []
    for each in groups:
        looked = [known[one.name] for one in each.archives]
        newest = each.newest
        rows.append(
            {
                "group": each,
                "archive": each.full,
                "newest": newest,
                "verified_at": _latest([one.verified_at for one in looked]),
                "drilled_at": _latest([one.drilled_at for one in looked]),
                "problems": [one for one in looked if one.problem],
                "command": _command(newest) if each.full and newest.header else "",
            }
        )
    return rows


def _latest(times: Sequence[datetime | None]) -> datetime | None:
    return max((each for each in times if each is not None), default=None)


def _command(archive: Archive) -> str:
    return f"manage.py backup restore {shlex.quote(archive.name)}"


def _plan(plan: Plan, groups: list[Group]) -> dict[str, Any]:
    """What pruning keeps, by groups, and what it takes."""
    kept = [
        {
            "name": each.name,
            "why": plan.kept.get(each.name, []),
            "segments": sum(one.name in plan.kept for one in each.segments),
        }
        for each in groups
    ]
    return {
        "kept": [each for each in kept if each["why"] or each["segments"]],
        "full": [each for each in plan.gone if each.header and each.header.kind == "full"],
        "segments": sum(bool(each.header and each.header.kind == "segment") for each in plan.gone),
        "count": len(plan.gone),
        "size": plan.size,
    }


def _act(request: HttpRequest) -> HttpResponse:
    kind, name = request.POST.get("act", ""), request.POST.get("name", "")
    if kind not in SAID:
        raise MalformedError("Choose what to do.")
    try:
        ask_run(actor=actor_of(request), kind=kind, archive=name if kind == "verify" else "")
        messages.success(request, SAID[kind])
    except ForbiddenError:
        raise
    except DomainError as error:
        tell(request, error)
    return HttpResponseRedirect(reverse("admin:backups"))

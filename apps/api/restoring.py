"""``/rollback``: many configurations made again what they were at a point in time."""

from typing import Any

from django.http import HttpResponse

from apps.access.policy import Place
from apps.api.base import ApiView, answer_json, bad_member, read_members, read_texts, typed
from apps.api.documentation import WRITE_ANYWHERE, documented
from apps.api.points import require_point
from apps.api.writing import present_affected, present_outcome
from apps.configs.selectors.configurations import resolve_scope
from apps.configs.services.bases import Options
from apps.configs.services.point_in_time import LEAVE, Restored, Wanted, restore
from apps.core import clock
from apps.engine.values import Tree

MEMBERS = ("service", "environment", "at", "keys", "absent", "message", "dry_run")


class RollbackEverywhereView(ApiView):
    """Going back to a point in time."""

    @documented("Make configurations again what they were at a point in time", WRITE_ANYWHERE)
    def post(self, request: Any) -> HttpResponse:
        """A service, an environment, one of both or everything; new versions, in one act."""
        return self.once(lambda: self._restore(request), lambda: self._scope(request))

    def _scope(self, request: Any) -> Place:
        members = read_members(request, MEMBERS)
        return resolve_scope(
            actor=self.actor,
            service=typed(members, "service", str),
            environment=typed(members, "environment", str),
            verb="rollback",
        )

    def _restore(self, request: Any) -> HttpResponse:
        members = read_members(request, MEMBERS)
        scope = self._scope(request)
        given = members.get("at")
        if given is None:
            raise bad_member("at", "Say to which time or revision: 'at'.")
        if isinstance(given, bool) or not isinstance(given, (str, int)):
            raise bad_member("at", "'at' is a time such as 2026-11-24T09:30:00Z, or a revision.")
        point = require_point(given)
        restored = restore(
            actor=self.actor,
            wanted=Wanted(
                scope, point, read_texts(members, "keys"), typed(members, "absent", str, LEAVE)
            ),
            options=Options(
                message=typed(members, "message", str, ""),
                dry_run=typed(members, "dry_run", bool, False),
            ),
        )
        return _answer(restored, dry_run=typed(members, "dry_run", bool, False))


def _answer(restored: Restored, *, dry_run: bool) -> HttpResponse:
    """201 when versions were made; 200 for a dry run, and when all is as it was."""
    data: dict[str, Tree] = {
        "at": {"revision": restored.point.revision, "time": clock.rfc3339(restored.point.at)},
        "results": [
            {"service": each.service, "environment": each.environment, **present_outcome(each)}
            for each in restored.outcomes
        ],
        "unchanged": restored.unchanged,
        "absent": [
            {"service": str(place.service), "environment": str(place.environment)}
            for place in restored.absent
        ],
        "affected": present_affected(restored.affected),
    }
    if dry_run:
        return answer_json({**data, "dry_run": True})
    if restored.revision is None:
        return answer_json(data)
    return answer_json({"revision": restored.revision, **data}, 201)

"""``at``: a point in time, as every read of a configuration takes it."""

from typing import Any

from apps.api.base import bad_member, read_time
from apps.audit.selectors import Point, find_point
from apps.delivery.points import find_revision, is_revision
from apps.engine.errors import NotFoundError


def read_point(given: object, name: str = "at") -> Point | None:
    """A time (RFC 3339), ``REVISION`` or ``EPOCH-REVISION``: the state after the last act by then.

    ``None`` when none is given. Raises :class:`ConflictError` (code ``epoch``) for a revision of
    another epoch or above the ledger's head, :class:`NotFoundError` for what was before the first
    act.
    """
    if given is None or given == "":
        return None
    text = str(given)
    found = find_revision(text) if is_revision(text) else _by_time(given, name)
    if found is None:
        raise NotFoundError("Nothing had been done by then.")
    return found


def require_point(at: str) -> Point:
    """The same of a point that is named. Raises :class:`MalformedError` for an empty text, too."""
    point = read_point(at)
    if point is None:
        raise bad_member("at", "'at' is a time such as 2026-11-24T09:30:00Z, or a revision.")
    return point


def point_of(request: Any) -> Point | None:
    """The point that a request's query names."""
    return read_point(request.GET.get("at"))


def _by_time(given: object, name: str) -> Point | None:
    moment = read_time(given, name)
    return None if moment is None else find_point(at=moment)

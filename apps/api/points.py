"""``at``: a point in time, as every read of a configuration takes it."""

from typing import Any

from apps.api.base import read_time
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


def point_of(request: Any) -> Point | None:
    """The point that a request's query names."""
    return read_point(request.GET.get("at"))


def _by_time(given: object, name: str) -> Point | None:
    moment = read_time(given, name)
    return None if moment is None else find_point(at=moment)

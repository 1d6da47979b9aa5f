"""``at``: a point in time, as every read of a configuration takes it."""

from contextlib import suppress
from datetime import datetime
from typing import Any

from apps.api.base import bad_member, read_time
from apps.audit.selectors import Point, find_point
from apps.delivery.points import find_revision, is_revision
from apps.engine.errors import MalformedError, NotFoundError


def read_point(given: str | None) -> Point | None:
    """The state that ``at`` names, as :func:`require_point`; ``None`` when none is given."""
    return None if given is None else require_point(given)


def require_point(given: str | int) -> Point:
    """A time (RFC 3339), ``REVISION`` or ``EPOCH-REVISION``: the state after the last act by then.

    Raises :class:`MalformedError` for what is neither, :class:`ConflictError` (code ``epoch``) for
    a revision of another epoch or above the ledger's head, :class:`NotFoundError` for what was
    before the first act.
    """
    text = str(given)
    found = find_revision(text) if is_revision(text) else find_point(at=_time(text))
    if found is None:
        raise NotFoundError("Nothing had been done by then.")
    return found


def point_of(request: Any) -> Point | None:
    """The point that a request's query names. Raises :class:`MalformedError` for two of them."""
    given = request.GET.getlist("at")
    if len(given) > 1:
        raise bad_member("at", "Give 'at' once.")
    return read_point(given[0] if given else None)


def _time(text: str) -> datetime:
    with suppress(MalformedError):
        moment = read_time(text, "at")
        if moment is not None:
            return moment
    raise bad_member("at", "'at' is a time such as 2026-11-24T09:30:00Z, or a revision.")

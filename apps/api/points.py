"""``at``: a point in time, as every read of a configuration takes it."""

import re
from typing import Any, Final

from apps.api.base import read_time
from apps.audit.selectors import Point, find_point, head
from apps.delivery.requests import read_cursor
from apps.engine.errors import ConflictError, NotFoundError

_REVISION: Final = re.compile(r"([0-9a-z]{1,16}-)?[0-9]{1,18}", re.IGNORECASE)


def read_point(given: object, name: str = "at") -> Point | None:
    """A time (RFC 3339), ``REVISION`` or ``EPOCH-REVISION``: the state after the last act by then.

    ``None`` when none is given. Raises :class:`ConflictError` (code ``epoch``) for a revision of
    another epoch or above the ledger's head, :class:`NotFoundError` for what was before the first
    act.
    """
    if given is None or given == "":
        return None
    found = _by_revision(str(given)) if _REVISION.fullmatch(str(given)) else _by_time(given, name)
    if found is None:
        raise NotFoundError("Nothing had been done by then.")
    return found


def point_of(request: Any) -> Point | None:
    """The point that a request's query names."""
    return read_point(request.GET.get("at"))


def _by_revision(text: str) -> Point | None:
    cursor, reached = read_cursor(text), head()
    assert cursor is not None  # noqa: S101 - the text is not empty
    if cursor.epoch not in (None, reached.epoch) or cursor.revision > reached.revision:
        raise ConflictError(
            f"The ledger ends at {reached.epoch}-{reached.revision}, so this revision is of "
            "another epoch.",
            code="epoch",
            epoch=reached.epoch,
        )
    return find_point(number=cursor.revision)


def _by_time(given: object, name: str) -> Point | None:
    moment = read_time(given, name)
    return None if moment is None else find_point(at=moment)

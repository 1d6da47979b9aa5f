"""Points in time as they are written: by the revision of an act."""

import re
from typing import Final

from apps.audit.selectors import Point, Position, find_point, head
from apps.delivery.requests import read_cursor
from apps.delivery.watch import Cursor
from apps.engine.errors import ConflictError

_REVISION: Final = re.compile(r"([0-9a-z]{1,16}-)?[0-9]{1,18}", re.IGNORECASE)


def is_revision(text: str) -> bool:
    """Whether it is ``REVISION`` or ``EPOCH-REVISION``."""
    return _REVISION.fullmatch(text) is not None


def find_revision(text: str) -> Point | None:
    """The last act by ``REVISION`` or ``EPOCH-REVISION``; ``None`` before the first.

    Raises :class:`ConflictError` (code ``epoch``) for one of another epoch or above the ledger's head.
    """
    cursor = read_cursor(text)
    assert cursor is not None  # noqa: S101 - the text is not empty
    require_reached(cursor, head())
    return find_point(number=cursor.revision)


def require_reached(cursor: Cursor, end: Position) -> None:
    """Raise :class:`ConflictError` (code ``epoch``) for what is beyond the ledger's end."""
    if cursor.is_beyond(end.epoch, end.revision):
        raise ConflictError(
            f"The ledger ends at {end.epoch}-{end.revision}: this revision is of another epoch, or "
            "has not been reached.",
            code="epoch",
            epoch=end.epoch,
        )

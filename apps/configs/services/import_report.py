"""What became of the things of an import, a row for each."""

from dataclasses import dataclass, field
from typing import Final

from apps.engine.errors import DomainError, Problem

REFUSED: Final = "refused"
NOT_STORED: Final = "not_stored"


@dataclass(slots=True)
class Row:
    """What became of one thing. ``status`` is ``created``, ``updated``, ``unchanged``, ``kept`` (a
    secret that is there already), ``passed_over``, ``refused`` or ``not_stored``, because another one of
    its act was refused.
    """

    kind: str
    name: str
    status: str
    files: tuple[str, ...] = ()
    version: int | None = None
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    @property
    def said(self) -> str:
        """The status in words."""
        return self.status.replace("_", " ")


def problems_of(error: DomainError) -> list[Problem]:
    """What a refusal says, as at least one problem."""
    return list(error.problems) or [Problem("", error.code, error.detail)]


def blame(rows: list[Row], error: DomainError) -> None:
    """Give each configuration its own problems; what is of none of them is told with the first."""
    names = {row.name.lower(): row for row in rows}
    for each in problems_of(error):
        place = f"{each.service}@{each.environment}".lower()
        names.get(place, rows[0]).errors.append(each)
    for row in rows:
        if not row.errors:
            row.status = NOT_STORED

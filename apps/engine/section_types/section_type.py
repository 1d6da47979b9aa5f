"""What a section type is, and how its check says what it found."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from apps.engine.errors import Problem
from apps.engine.paths import Path, outermost_list, pointer
from apps.engine.values import Number, Tree

MAX_FINDINGS: Final = 100
LARGEST: Final = 10**300


class Unknown:
    """Stands in a tree for a secret: whatever is asked of it, nothing can be said."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(slots=True)
class Findings:
    """What a check found, with pointers into the section; no message repeats a value.

    At most ``MAX_FINDINGS`` of each kind. ``others`` are further places that a finding depends on,
    whether something stands there or not: who may not see them is not told.
    """

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def error(self, path: Path, code: str, message: str, *others: Path) -> None:
        """Note what must be changed before the document can be published."""
        _note(self.errors, path, code, message, others)

    def warn(self, path: Path, code: str, message: str, *others: Path) -> None:
        """Note what is allowed and hardly meant."""
        _note(self.warnings, path, code, message, others)


def _note(
    found: list[Problem], path: Path, code: str, message: str, others: tuple[Path, ...]
) -> None:
    if len(found) >= MAX_FINDINGS:
        return
    places = (path, *others)
    lists = {outermost_list(each) for each in places} - {*places}  # they are seen whole or not
    beside = (*map(pointer, places), *sorted(map(pointer, lists)))
    found.append(Problem(pointer(path), code, message, beside=beside))


Check = Callable[[dict[str, Tree], Findings], None]


@dataclass(frozen=True, slots=True)
class SectionType:
    """A declared type of a top-level key.

    ``schema`` holds beside the service's own; ``examine`` looks at what a schema cannot say, and
    passes over what has not the shape that ``schema`` asks for. ``example`` is a section that is
    valid, for people who begin one.
    """

    name: str
    label: str
    description: str
    schema: dict[str, Any]
    example: dict[str, Any]
    examine: Check

    def check(self, section: Tree) -> Findings:
        """What does not make sense in ``section``, in which ``UNKNOWN`` stands for secrets.

        Linear in its size.
        """
        findings = Findings()
        if isinstance(section, dict):
            self.examine(section, findings)
        return findings


def find_number(value: Tree) -> float | None:
    """A number as a double; ``None`` for everything else, and for what a double cannot hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Number)):
        return None
    return float(value) if not isinstance(value, int) or abs(value) < LARGEST else None

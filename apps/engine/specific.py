"""Keys that belong to one environment: where a section's schema says ``x-environment-specific``."""

from collections.abc import Mapping
from typing import Final

from apps.engine.annotations import Annotated, items_of
from apps.engine.errors import invalid
from apps.engine.paths import Path
from apps.engine.values import Tree

MARK: Final = "x-environment-specific"


class SpecificKeys:
    """Which paths the schemas of sections, by key, mark; asked as a pattern of keys is."""

    def __init__(self, schemas: Mapping[str, Tree]) -> None:
        self._annotated = Annotated(MARK, _marks, schemas)

    def covers(self, path: Path) -> bool:
        """Whether ``path`` is marked, or something that it lies in."""
        return any(each.said for each in self._annotated.along(path))

    def reaches(self, path: Path) -> bool:
        """Whether something at ``path`` or inside of it is marked."""
        if not path:
            return bool(self._annotated.schemas)
        return bool(self._annotated.at(path).schemas) or self.covers(path)


def check_marks(schema: Tree) -> None:
    """Raise :class:`InvalidError` for a mark inside a list: a list is taken as a whole."""
    annotated = Annotated(MARK, _marks, {"": schema})
    if not annotated.schemas:
        return
    everything = annotated.within("", [schema])
    in_lists = annotated.within("", [item for each in everything for item in items_of(each)])
    if in_lists:
        message = f"'{MARK}' is for members of objects: mark the list itself."
        raise invalid("/schema", "specific", message)


def _marks(value: object) -> bool:
    return value is True

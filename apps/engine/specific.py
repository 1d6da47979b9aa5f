"""Keys that belong to one environment: where a section's schema says ``x-environment-specific``."""

from collections.abc import Mapping
from typing import Final

from apps.engine.annotations import Annotated, Schema, items_of
from apps.engine.errors import invalid
from apps.engine.paths import Path
from apps.engine.values import Tree

MARK: Final = "x-environment-specific"


class SpecificKeys:
    """Which paths the schemas of sections, by key, mark; asked as a pattern of keys is."""

    def __init__(self, schemas: Mapping[str, Tree]) -> None:
        self._annotated = Annotated(MARK, schemas)

    def covers(self, path: Path) -> bool:
        """Whether ``path`` is marked, or something that it lies in."""
        ways = (path[:length] for length in range(1, len(path) + 1))
        return any(_marks(each) for way in ways for each in self._annotated.at(way))

    def reaches(self, path: Path) -> bool:
        """Whether something at ``path`` or inside of it is marked."""
        if not path:
            return bool(self._annotated.schemas)
        if self.covers(path):
            return True
        inside = self._annotated.within(str(path[0]), list(self._annotated.at(path)))
        return any(map(_marks, inside))


def check_marks(schema: Tree) -> None:
    """Raise :class:`InvalidError` for a mark inside a list: a list is taken as a whole."""
    annotated = Annotated(MARK, {"": schema})
    if not annotated.schemas:
        return
    everything = annotated.within("", [schema])
    in_lists = annotated.within("", [item for each in everything for item in items_of(each)])
    if any(map(_marks, in_lists)):
        message = f"'{MARK}' is for members of objects: mark the list itself."
        raise invalid("/schema", "specific", message)


def _marks(schema: Schema) -> bool:
    return schema.get(MARK) is True

"""Lists whose items are known by a member: where a section's schema says ``x-merge-key``."""

from collections.abc import Mapping
from typing import Final

from apps.engine.annotations import Annotated
from apps.engine.paths import Path
from apps.engine.values import Tree, canonical

KEYWORD: Final = "x-merge-key"


class MergeKeys:
    """By the path of a list, the member by which its items merge; equal where the schemas are that
    say so.
    """

    def __init__(self, schemas: Mapping[str, Tree]) -> None:
        self._annotated = Annotated(KEYWORD, schemas)
        self._text = canonical(self._annotated.schemas) if self._annotated.schemas else ""
        self._known: dict[Path, str | None] = {}

    def of(self, path: Path) -> str | None:
        """The member for the list at ``path``: the first that a subschema for it names. All items
        of a list are alike.
        """
        if not self._text:
            return None
        place = tuple(0 if isinstance(step, int) else step for step in path)
        if place not in self._known:
            self._known[place] = self._find(place) if place else None
        return self._known[place]

    def _find(self, place: Path) -> str | None:
        named = (each.get(KEYWORD) for each in self._annotated.at(place))
        return next((member for member in named if isinstance(member, str)), None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MergeKeys) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


NO_KEYS: Final = MergeKeys({})

"""Taking chosen keys of one document into another."""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from apps.engine.merge import ABSENT, is_object
from apps.engine.paths import Glob, Path
from apps.engine.values import Tree

EVERYTHING: Final = (Glob("**"),)


class Keys(Protocol):
    """Some keys of documents, as :class:`Glob` says which."""

    def covers(self, path: Path) -> bool:
        """Whether ``path``, or something that it lies in, is one of them."""

    def reaches(self, path: Path) -> bool:
        """Whether something inside of ``path`` may be one of them too."""


def with_chosen(now: Tree, other: Tree, chosen: Sequence[Keys], kept: Sequence[Keys] = ()) -> Tree:
    """The object ``now`` with every key that ``chosen`` covers as it is in ``other``, also where it is
    in one of them alone; what ``kept`` covers stays as it is. A list is taken
    as a whole, and no glob chooses within it.
    """
    choosing = _Choosing(chosen, kept)
    taken = choosing.at(now, other, ())
    return {} if taken is ABSENT else taken


class _Choosing:
    def __init__(self, chosen: Sequence[Keys], kept: Sequence[Keys]) -> None:
        self._chosen = chosen
        self._kept = kept

    def at(self, mine: Any, theirs: Any, path: Path) -> Any:
        """What stands at ``path``; each side may be ``ABSENT``."""
        if any(glob.covers(path) for glob in self._kept):
            return mine
        taken = any(glob.covers(path) for glob in self._chosen)
        inside = self._kept if taken else self._chosen
        winner, loser = (theirs, mine) if taken else (mine, theirs)
        if not any(glob.reaches(path) for glob in inside):
            return winner
        if not is_object(winner) and (winner is not ABSENT or not is_object(loser)):
            return winner
        left, right = (side if is_object(side) else {} for side in (mine, theirs))
        members = {}
        for key in dict.fromkeys([*left, *right]):
            value = self.at(left.get(key, ABSENT), right.get(key, ABSENT), (*path, key))
            if value is not ABSENT:
                members[key] = value
        return members if members or winner is not ABSENT else ABSENT

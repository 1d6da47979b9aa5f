"""Documents as they are given to resolving, and values out of those that are served already."""

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from apps.engine.paths import Path, find
from apps.engine.resolved import Unresolved, Value, missing, plain
from apps.engine.spots import Spot
from apps.engine.uses import Target, Use
from apps.engine.values import Tree


@dataclass(frozen=True, slots=True)
class Document:
    """A merged document, or, with ``served``, one as it is served, with its secrets and uses."""

    tree: Tree
    secrets: tuple[Spot, ...] = ()
    uses: tuple[Use, ...] = ()
    served: bool = False


class Parts:
    """The secrets and uses of a document that is served, found by where they stand."""

    def __init__(self, document: Document) -> None:
        self._secrets = _sorted(document.secrets)
        self._uses = _sorted(document.uses)
        self._uses_at: dict[Path, list[Use]] = {}
        for use in document.uses:
            self._uses_at.setdefault(use.path, []).append(use)
        self.secret_paths = {spot.path for spot in document.secrets}

    def at(self, path: Path) -> tuple[tuple[Spot, ...], tuple[Use, ...]]:
        """Those at ``path`` and inside of it, by their paths from there. What ``path`` lies in may
        come from elsewhere: then it comes from as far inside of that.
        """
        length = len(path)
        secrets = tuple(
            Spot(spot.path[length:], spot.names, spot.texts)
            for spot in _within(self._secrets, path)
        )
        around = (
            Use((), Target(use.target.document, (*use.target.path, *path[at:])), use.hops)
            for at in range(length)
            for use in self._uses_at.get(path[:at], ())
        )
        inside = (Use(use.path[length:], use.target, use.hops) for use in _within(self._uses, path))
        return secrets, (*around, *inside)


Placed = TypeVar("Placed", Spot, Use)


def _sorted(parts: Iterable[Placed]) -> list[tuple[tuple[str, ...], int, Placed]]:
    named = [(tuple(map(str, part.path)), index, part) for index, part in enumerate(parts)]
    return sorted(named, key=lambda each: each[:2])


def _within(parts: Sequence[tuple[tuple[str, ...], int, Placed]], path: Path) -> list[Placed]:
    steps = tuple(map(str, path))
    start = bisect_left(parts, (steps, -1), key=lambda each: each[:2])
    found = []
    for named, _index, part in itertools.islice(parts, start, None):
        if named[: len(steps)] != steps:
            break
        if part.path[: len(path)] == path:
            found.append(part)
    return found


def value_in(document: Document, parts: Parts, target: Target) -> Value:
    """The value of a key of a document that is served. Raises :class:`Unresolved`."""
    path = target.path
    if any(path[:length] in parts.secret_paths for length in range(len(path))):
        raise Unresolved("reference", f"{target} would be inside of a secret.")
    secrets, uses = parts.at(path)
    return replace(inside(document.tree, path, target), secrets=secrets, uses=uses)


def inside(tree: Tree, path: Path, target: Target) -> Value:
    """What stands at ``path`` in a tree that holds nothing to resolve."""
    found, node = find(tree, path)
    if not found:
        raise Unresolved("reference", missing(target))
    return plain(node)

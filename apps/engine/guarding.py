"""Which keys of a document somebody may see or change: patterns that take keys out of grants.

A rule's pattern covers a key and all that is inside of it. A key that rules cover needs every one
of them; a key that none covers is free. What may not be seen is left out of a document, and put
back into what its reader writes.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from apps.engine.errors import ForbiddenError
from apps.engine.merge import ABSENT, RESERVED
from apps.engine.paths import (
    Glob,
    Path,
    States,
    find,
    format_path,
    leaves,
    outermost_list,
    parse_path,
)
from apps.engine.values import Tree

TRANSPARENT: Final = frozenset({"$replace", "$append", "$prepend", "$literal"})
"""Markers of a source that stand between a key and its value."""


class Rule(NamedTuple):
    """A pattern of keys, and whether the right is held for what it covers."""

    glob: Glob
    held: bool


@dataclass(frozen=True, slots=True)
class Guard:
    """What somebody may do, by one verb, with the keys of one configuration.

    ``free``: with the keys that no rule covers.
    """

    free: bool
    rules: tuple[Rule, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether every key is allowed."""
        return self.free and all(rule.held for rule in self.rules)

    def allows(self, path: Path) -> bool:
        """Whether the key at ``path`` is allowed. Inside of a list the list is judged too."""
        covering = [rule.held for rule in self.rules if rule.glob.covers(path)]
        return all(covering) if covering else self.free

    def allows_whole(self, path: Path) -> bool:
        """Whether the key at ``path`` is allowed, and whatever may be inside of it."""
        return self.passes_rules_in(path) and self.allows(path)

    def passes_rules_in(self, path: Path) -> bool:
        """Whether every rule is held that covers the key at ``path`` or something inside of it."""
        return all(rule.held for rule in self.rules if rule.glob.reaches(path))

    def passes_rules_in_list(self, path: Path) -> bool:
        """The same for a leaf of a document, where a list is one: it may be a list, and no object."""
        return all(rule.held for rule in self.rules if rule.glob.reaches_items(path))

    def passes_rules(self, path: Path) -> bool:
        """Whether every rule that covers the key at ``path`` is held."""
        return all(rule.held for rule in self.rules if rule.glob.covers(path))

    def allowed_keys(self, keys: Iterable[str], *trees: Tree) -> list[str]:
        """Those of ``keys`` (dotted paths of leaves) that are allowed, in their order.

        A list is left out too that hides because of what is in it in one of ``trees``: give the
        documents before and after.
        """
        if self.is_open:
            return list(keys)
        allowed = {key: parse_path(key) for key in keys}
        allowed = {key: path for key, path in allowed.items() if self.allows(path)}
        for tree in trees:
            hides = functools.cache(lambda path, tree=tree: self._hides(tree, path))
            allowed = {
                key: path
                for key, path in allowed.items()
                if not (find(tree, path)[0] and hides(outermost_list(path)))
            }
        return list(allowed)

    def _hides(self, tree: Tree, path: Path) -> bool:
        """Whether what is in ``tree`` at an allowed path, which leads through no list, is left out."""
        watched: Watched = tuple((rule, rule.glob.begin()) for rule in self.rules)
        for step in path:
            watched = _advance(_settled(watched), step)
        seen, _hidden = _Splitter(self.free, source=False).split(find(tree, path)[1], watched, path)
        return seen is ABSENT

    def needs_documents(self, keys: Iterable[str]) -> bool:
        """Whether :meth:`allowed_keys` of these may come out otherwise without ``trees``."""
        if self.is_open:
            return False
        judged = (parse_path(key) for key in keys)
        return any(
            self.allows(path) and not self.allows_whole(outermost_list(path)) for path in judged
        )


OPEN: Final = Guard(free=True)


def split(tree: Tree, guard: Guard, *, source: bool = False) -> tuple[Any, Any]:
    """What of ``tree`` is allowed and what is not, each in its objects; ``ABSENT`` for nothing.

    An object whose children are all hidden is hidden; a hidden match in a list hides the outermost
    list. Together the two hold everything, and nothing is in both. In a ``source`` the markers of
    composing are passed through: what they hold is judged as the key that it is for.
    """
    if guard.is_open:
        return tree, ABSENT
    start = tuple((rule, rule.glob.begin()) for rule in guard.rules)
    return _Splitter(guard.free, source).split(tree, start, ())


def visible(tree: Tree, guard: Guard, *, source: bool = False) -> Tree:
    """What of the object ``tree`` is allowed; an empty object when nothing is."""
    seen, _hidden = split(tree, guard, source=source)
    return {} if seen is ABSENT else seen


def visible_to_either(tree: Tree, one: Guard, other: Guard, *, source: bool = False) -> Tree:
    """What of the object ``tree`` one of two guards allows; an empty object when that is nothing."""
    seen, rest = split(tree, one, source=source)
    also = ABSENT if rest is ABSENT else split(rest, other, source=source)[0]
    joined = graft(seen, also)
    return {} if joined is ABSENT else joined


def graft(seen: Any, hidden: Any, *, path: Path = ()) -> Tree:
    """``seen``, which was written without knowing of ``hidden``, with ``hidden`` kept in it.

    Raises :class:`ForbiddenError` where something else stands in the way of a hidden key.
    """
    if hidden is ABSENT:
        return seen
    if seen is ABSENT:
        return hidden
    if not (isinstance(seen, dict) and isinstance(hidden, dict)):
        raise _in_the_way(path)
    if "$replace" in seen and "$replace" not in hidden:
        return {**seen, "$replace": graft(seen["$replace"], hidden, path=path)}
    if not RESERVED.isdisjoint(seen.keys() ^ hidden.keys()):
        raise _in_the_way(path)
    kept = {key: hidden.get(key, ABSENT) for key in seen}
    joined = {key: graft(seen[key], part, path=(*path, key)) for key, part in kept.items()}
    return joined | {key: part for key, part in hidden.items() if key not in joined}


def refused_keys(tree: Tree, guard: Guard) -> list[str]:
    """The dotted paths of the leaves of a source that are not allowed, sorted."""
    _seen, hidden = split(tree, guard, source=True)
    if hidden is ABSENT:
        return []
    return sorted({format_path(_unmarked(path)) for path, _leaf in leaves(hidden)})


def _unmarked(path: Path) -> Path:
    return tuple(step for step in path if step not in TRANSPARENT)


def _in_the_way(path: Path) -> ForbiddenError:
    where = f"'{format_path(path)}'" if path else "the document"
    return ForbiddenError(
        f"What is written at {where} stands in the way of keys that you may not change.",
        code="restricted_key",
    )


Watched = Sequence[tuple[Rule, States | None]]
"""Each rule with how far its pattern has come; ``None``: it covers the place."""


class _Splitter(NamedTuple):
    """The walk. ``free`` as in :class:`Guard`."""

    free: bool
    source: bool

    def split(self, tree: Tree, watched: Watched, path: Path) -> tuple[Any, Any]:
        watched = _settled(watched)
        if any(states is None and not rule.held for rule, states in watched):
            return ABSENT, tree
        covered = any(states is None for _rule, states in watched)
        if not any(states is not None for _rule, states in watched):
            return (tree, ABSENT) if covered or self.free else (ABSENT, tree)
        if isinstance(tree, dict) and tree:
            return self._object(tree, watched, path)
        if isinstance(tree, list) and tree:
            return self._list(tree, watched, path)
        return (tree, ABSENT) if covered or self.free else (ABSENT, tree)

    def _object(self, tree: dict[str, Tree], watched: Watched, path: Path) -> tuple[Any, Any]:
        seen, hidden = {}, {}
        for key, child in tree.items():
            passes = self.source and key in TRANSPARENT
            below = watched if passes else _advance(watched, key)
            mine, theirs = self.split(child, below, (*path, key))
            if mine is not ABSENT:
                seen[key] = mine
            if theirs is not ABSENT:
                hidden[key] = theirs
        return seen or ABSENT, hidden or ABSENT

    def _list(self, tree: list[Tree], watched: Watched, path: Path) -> tuple[Any, Any]:
        for index, child in enumerate(tree):
            _mine, theirs = self.split(child, _advance(watched, index), (*path, index))
            if theirs is not ABSENT:
                return ABSENT, tree
        return tree, ABSENT


def _settled(watched: Watched) -> Watched:
    """The same at a place: patterns that are used up there cover it."""
    return tuple(
        (rule, None if states is None or rule.glob.ends(states) else states)
        for rule, states in watched
    )


def _advance(watched: Watched, step: str | int) -> Watched:
    moved = (
        (rule, states if states is None else rule.glob.advance(states, step))
        for rule, states in watched
    )
    return tuple((rule, states) for rule, states in moved if states is None or states)

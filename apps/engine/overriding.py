"""Finding the smallest edit of a source that makes the composed document a wanted one.

The edit goes down the source, what lies below it and the wanted document together. What gives
its wanted value already stays as it is written, and what a lower layer gives is not copied.
"""

from collections.abc import Callable
from typing import Any

from apps.engine import spots
from apps.engine.errors import DomainError
from apps.engine.lines import common_ends
from apps.engine.merge import (
    ABSENT,
    LIST_MARKERS,
    RESERVED,
    escape_text,
    identity,
    is_object,
    merge_at,
    removes_item,
)
from apps.engine.merge_keys import NO_KEYS, MergeKeys
from apps.engine.paths import Path
from apps.engine.resolving import ALONE, Resolver, nothing_else
from apps.engine.values import Tree, same


def resolve_alone(tree: Tree) -> Tree:
    """The value of a merged tree that refers to nothing outside of it."""
    return Resolver(nothing_else).part(ALONE, tree)


def override(
    source: Tree,
    below: Tree,
    wanted: Tree,
    merge_keys: MergeKeys = NO_KEYS,
    resolve: Callable[[Tree], Tree] = resolve_alone,
) -> Tree:
    """The smallest edit of ``source`` such that composing it over ``below`` gives ``wanted``.

    ``below`` is the merged, unresolved tree of the lower layers, ``wanted`` an effective
    document. Every key of ``source`` that composes to its wanted value stays as it is written;
    a source that does so as a whole is given back as it is. Objects are edited key by key: what
    is not wanted from below is removed by name, and keys that come later still pass through.
    ``resolve`` gives the value of a merged tree as references stand now: one that gives the
    wanted value stays, and follows what it names.
    """
    return _smallest(_Editor(merge_keys, resolve, written), source, below, wanted)


def override_merged(
    source: Tree, below: Tree, wanted: Tree, merge_keys: MergeKeys = NO_KEYS
) -> Tree:
    """The same where ``wanted`` is a merged, unresolved tree: its references stay references."""
    return _smallest(_Editor(merge_keys, _as_it_is, _as_it_is), source, below, wanted)


def _as_it_is(tree: Tree) -> Tree:
    return tree


def _smallest(editor: "_Editor", source: Tree, below: Tree, wanted: Tree) -> Tree:
    if editor.gives(source, below, wanted, ()):
        return source
    edited = editor.edit(source, below, wanted, ())
    edited = {} if edited is ABSENT else edited
    if editor.gives(edited, below, wanted, ()):
        return edited
    return {"$replace": editor.write(wanted)}


def written(tree: Tree) -> Tree:
    """``tree`` as it must be written so that composing gives it back.

    What has the form of a secret is meant as one: so it is read, and so it is sent back.
    """
    if isinstance(tree, str):
        return _written_text(tree)
    if isinstance(tree, list):
        return [written(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if spots.is_secret(tree):
        return tree
    if _looks_reserved(tree):
        return {"$literal": tree}
    return {key: written(child) for key, child in tree.items()}


def _written_text(text: str) -> str:
    texts, names = spots.split(text)
    inside = [*map(spots.shown, names), ""]
    pairs = zip(map(escape_text, texts), inside, strict=True)
    return "".join(part for pair in pairs for part in pair)


class _Editor:
    """The walk. In its methods any argument but ``path`` may be ``ABSENT``, nothing."""

    def __init__(
        self,
        merge_keys: MergeKeys,
        resolve: Callable[[Tree], Tree],
        write: Callable[[Tree], Tree],
    ) -> None:
        self.merge_keys = merge_keys
        self.resolve = resolve
        self.write = write

    def gives(self, source: Any, below: Any, wanted: Any, path: Path) -> bool:
        """Whether composing this one place gives what is wanted."""
        try:
            merged = below if source is ABSENT else self._merged(source, below, path)
            if merged is ABSENT or wanted is ABSENT:
                return merged is wanted
            return same(self.resolve(merged), wanted)
        except DomainError:
            return False

    def edit(self, source: Any, below: Any, wanted: Any, path: Path) -> Any:
        """What must stand in the source at ``path``."""
        inherits = source is ABSENT and is_object(below)
        if _is_plain(wanted) and (inherits or _is_plain(source)):
            members = self._edit_members({} if inherits else source, below, wanted, path)
            return members or (ABSENT if inherits else members)
        if isinstance(wanted, list) and isinstance(source, list):
            return self._edit_list(source, below, wanted, path)
        if wanted is not ABSENT and _marker(source) == "$replace":
            return {"$replace": self.edit(source["$replace"], ABSENT, wanted, path)}
        if self.gives(source, below, wanted, path):
            return source
        return self._rewrite(source, below, wanted, path)

    def _rewrite(self, source: Any, below: Any, wanted: Any, path: Path) -> Any:
        """The same where ``source`` has to go, or is a marker with another value to come."""
        if wanted is ABSENT:
            return ABSENT if below is ABSENT else {"$remove": True}
        marker = _marker(source)
        if marker == "$remove":
            return self.edit(ABSENT, below, wanted, path)
        if marker == "$literal" and self.write is written:
            return {"$literal": wanted}
        if marker in LIST_MARKERS:
            extended = self._edit_extension(marker, source[marker], below, wanted, path)
            if extended is not None:
                return extended
        if _is_plain(wanted) and is_object(below):
            return self._edit_members({}, below, wanted, path) or ABSENT
        if isinstance(wanted, list):
            return self._edit_list([], below, wanted, path)
        return self.write(wanted)

    def _edit_members(
        self, source: dict[str, Tree], below: Any, wanted: dict[str, Tree], path: Path
    ) -> dict[str, Tree]:
        lower = below if is_object(below) else {}
        result = {}
        for key in dict.fromkeys([*source, *wanted, *lower]):
            mine, under = source.get(key, ABSENT), lower.get(key, ABSENT)
            edited = self.edit(mine, under, wanted.get(key, ABSENT), (*path, key))
            if edited is not ABSENT:
                result[key] = edited
        return result

    def _edit_list(self, source: list[Tree], below: Any, wanted: list[Tree], path: Path) -> Tree:
        member = self.merge_keys.of(path)
        if member is None or not isinstance(below, list):
            return self._edit_items(source, wanted, path)
        if self.gives(source, below, wanted, path):
            return source
        merging = self._edit_merging(source, below, wanted, member, path)
        return {"$replace": self.write(wanted)} if merging is None else merging

    def _edit_items(self, source: list[Tree], wanted: list[Tree], path: Path) -> list[Tree]:
        """A list that replaces: item by item, or what differs between a common start and end."""
        if len(source) == len(wanted):
            pairs = zip(source, wanted, strict=True)
            return [
                self.edit(mine, ABSENT, goal, (*path, i)) for i, (mine, goal) in enumerate(pairs)
            ]
        if self.gives(source, ABSENT, wanted, path):  # items that remove nothing leave no trace
            return source
        inside = (*path, 0)
        start, end = common_ends(
            source, wanted, lambda mine, goal: self.gives(mine, ABSENT, goal, inside)
        )
        between = [self.write(item) for item in wanted[start : len(wanted) - end]]
        return [*source[:start], *between, *source[len(source) - end :]]

    def _edit_extension(
        self, marker: str, items: Tree, below: Any, wanted: Tree, path: Path
    ) -> Tree | None:
        """``$append`` or ``$prepend`` with other items, if what it extends is wanted still."""
        try:
            base = [] if below is ABSENT else self.resolve(below)
        except DomainError:
            return None
        if not (isinstance(base, list) and isinstance(wanted, list) and isinstance(items, list)):
            return None
        added = len(wanted) - len(base)
        head, tail = (len(base), len(wanted)) if marker == "$append" else (0, added)
        if added < 0 or not same(wanted[:head] + wanted[tail:], base):
            return None
        return {marker: self._edit_items(items, wanted[head:tail], path)}

    def _edit_merging(
        self, source: list[Tree], below: list[Tree], wanted: list[Tree], member: str, path: Path
    ) -> list[Tree] | None:
        """A list that merges by ``member``; ``None`` where merging cannot give what is wanted."""
        lower, goal = _by_identity(below, member), _by_identity(wanted, member)
        mine = _by_identity(source, member) or {}
        if lower is None or goal is None:
            return None
        edited = []
        for named in dict.fromkeys([*mine, *lower]):
            if named in lower:
                own, under = mine.get(named, ABSENT), lower[named]
                edited.append(self._edit_item(own, under, goal.get(named, ABSENT), member, path))
        for named, item in goal.items():
            if named not in lower:
                edited.append(self.edit(mine.get(named, ABSENT), ABSENT, item, (*path, 0)))
        found = [item for item in edited if item is not ABSENT]
        return found if self.gives(found, below, wanted, path) else None

    def _edit_item(self, source: Any, below: Tree, wanted: Any, member: str, path: Path) -> Any:
        removed = source is not ABSENT and removes_item(source, member)
        if wanted is ABSENT:
            return source if removed else {member: below[member], "$remove": True}
        edited = self.edit(ABSENT if removed else source, below, wanted, (*path, 0))
        if edited is ABSENT or member in edited:
            return edited
        return {member: below[member], **edited}

    def _merged(self, source: Tree, below: Any, path: Path) -> Any:
        return merge_at(path, below, source, self.merge_keys)


def _by_identity(items: list[Tree], member: str) -> dict[object, Tree] | None:
    """The items by their merge key; ``None`` when one has none or two have the same."""
    found: dict[object, Tree] = {identity(item, member): item for item in items}
    return None if None in found or len(found) != len(items) else found


def _marker(tree: Any) -> str:
    """The reserved name that is the only member of an object, or nothing."""
    return next(iter(tree)) if _looks_reserved(tree) and len(tree) == 1 else ""


def _looks_reserved(tree: Any) -> bool:
    return isinstance(tree, dict) and not tree.keys().isdisjoint(RESERVED)


def _is_plain(tree: Any) -> bool:
    return isinstance(tree, dict) and tree.keys().isdisjoint(RESERVED)

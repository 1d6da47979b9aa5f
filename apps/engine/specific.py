"""Keys that belong to one environment: where a section's schema says ``x-environment-specific``."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from apps.engine.errors import invalid
from apps.engine.paths import Path, find
from apps.engine.values import Tree

MARK: Final = "x-environment-specific"
_TOGETHER: Final = ("allOf", "anyOf", "oneOf")
_ALSO: Final = ("if", "then", "else")
_IN_LISTS: Final = ("items", "prefixItems", "contains", "unevaluatedItems", "additionalItems")
_MEMBERS: Final = ("properties", "patternProperties")


class SpecificKeys:
    """Which paths the schemas of sections, by key, mark; asked as a pattern of keys is.

    A subschema that may hold for a key counts, whatever its conditions say.
    """

    def __init__(self, schemas: Mapping[str, Tree]) -> None:
        self._schemas = {key: schema for key, schema in schemas.items() if _mentions(schema)}

    def covers(self, path: Path) -> bool:
        """Whether ``path`` is marked, or something that it lies in."""
        return any(MARK in each and each[MARK] is True for each in self._on_the_way(path))

    def reaches(self, path: Path) -> bool:
        """Whether something at ``path`` or inside of it is marked."""
        if not path:
            return bool(self._schemas)
        if self.covers(path):
            return True
        schema = self._schemas.get(str(path[0]))
        return any(_reaches(schema, each, frozenset()) for each in self._at(path))

    def _on_the_way(self, path: Path) -> Iterator[dict[str, Any]]:
        for length in range(1, len(path) + 1):
            yield from self._at(path[:length])

    def _at(self, path: Path) -> list[dict[str, Any]]:
        root = self._schemas.get(str(path[0]))
        found = list(_all(root, root, frozenset()))
        for step in path[1:]:
            found = [
                inner
                for each in found
                for child in _children(each, str(step))
                for inner in _all(root, child, frozenset())
            ]
        return found


def check_marks(schema: Tree) -> None:
    """Raise :class:`InvalidError` for a mark inside a list: a list is taken as a whole."""
    if isinstance(schema, dict):
        if any(_mentions(schema.get(name)) for name in _IN_LISTS):
            message = f"'{MARK}' is for members of objects: mark the list itself."
            raise invalid("/schema", "specific", message)
        for child in schema.values():
            check_marks(child)
    elif isinstance(schema, list):
        for child in schema:
            check_marks(child)


def _mentions(tree: Tree) -> bool:
    if isinstance(tree, dict):
        return tree.get(MARK) is True or any(map(_mentions, tree.values()))
    return isinstance(tree, list) and any(map(_mentions, tree))


def _all(root: Tree, schema: Tree, seen: frozenset[str]) -> Iterator[dict[str, Any]]:
    """A subschema with those that hold for the same value: combined ones, and behind references."""
    if not isinstance(schema, dict):
        return
    yield schema
    for name in _TOGETHER:
        for child in schema[name] if isinstance(schema.get(name), list) else ():
            yield from _all(root, child, seen)
    for name in _ALSO:
        yield from _all(root, schema.get(name), seen)
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#") and reference not in seen:
        steps = reference.removeprefix("#").split("/")[1:]
        path = tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)
        there, target = find(root, path)
        if there:
            yield from _all(root, target, seen | {reference})


def _children(schema: dict[str, Any], step: str) -> Iterator[Tree]:
    """The subschemas for a member; those of patterns count for every one."""
    properties = schema.get("properties")
    named = properties.get(step) if isinstance(properties, dict) else None
    if named is not None:
        yield named
    patterns = schema.get("patternProperties")
    if isinstance(patterns, dict):
        yield from patterns.values()
    if named is None and "additionalProperties" in schema:
        yield schema["additionalProperties"]


def _reaches(root: Tree, schema: dict[str, Any], seen: frozenset[int]) -> bool:
    """Whether something below a subschema is marked; one that holds itself is looked at once."""
    if id(schema) in seen:
        return False
    below: list[Tree] = []
    for name in _MEMBERS:
        members = schema.get(name)
        below += members.values() if isinstance(members, dict) else ()
    below.append(schema.get("additionalProperties"))
    inner = (each for child in below for each in _all(root, child, frozenset()))
    return any(
        each.get(MARK) is True or _reaches(root, each, seen | {id(schema)}) for each in inner
    )

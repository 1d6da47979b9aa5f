"""What the schemas of sections say of the keys of a document, beside what they demand of them.

A subschema that may hold for a key counts, whatever its conditions say: documents are asked about
before they are whole. References are followed, in circles too.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from apps.engine.paths import Path
from apps.engine.schemas import matches
from apps.engine.subschemas import References
from apps.engine.values import Tree

_TOGETHER: Final = ("allOf", "anyOf", "oneOf")
_ALSO: Final = ("if", "then", "else")
_DEPENDENT: Final = ("dependentSchemas", "dependencies")
_ITEMS: Final = ("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains")
_OTHERS: Final = ("additionalProperties", "unevaluatedProperties")
Schema = dict[str, Any]


def mentions(tree: Tree, keyword: str) -> bool:
    """Whether ``keyword`` stands anywhere in a schema."""
    if isinstance(tree, dict):
        return keyword in tree or any(mentions(child, keyword) for child in tree.values())
    return isinstance(tree, list) and any(mentions(child, keyword) for child in tree)


class Annotated:
    """The schemas of sections, by key, as far as they mention an annotation."""

    def __init__(self, keyword: str, schemas: Mapping[str, Tree]) -> None:
        self.schemas = {key: each for key, each in schemas.items() if mentions(each, keyword)}
        self._references = {key: References(each) for key, each in self.schemas.items()}

    def at(self, path: Path) -> list[Schema]:
        """The subschemas that may hold for the key at ``path``, those it is written in first."""
        section = str(path[0])
        found = self._closure(section, [self.schemas.get(section)], _nothing)
        for step in path[1:]:
            inner = [child for each in found for child in _children(each, step)]
            found = self._closure(section, inner, _nothing)
        return found

    def within(self, section: str, schemas: list[Tree]) -> list[Schema]:
        """Subschemas with all that may hold for the same value, or for what is in it."""
        return self._closure(section, schemas, lambda each: [*_members(each), *items_of(each)])

    def _closure(
        self, section: str, schemas: list[Tree], further: Callable[[Schema], list[Tree]]
    ) -> list[Schema]:
        """Subschemas with those for the same value and ``further`` ones, each once."""
        found: dict[int, Schema] = {}
        waiting = schemas[::-1]
        while waiting:
            schema = waiting.pop()
            if isinstance(schema, dict) and id(schema) not in found:
                found[id(schema)] = schema
                targets = (each for _name, each in self._references[section].of(schema))
                waiting += [
                    *further(schema),
                    *(target for each in targets for target in each),
                    *_beside(schema),
                ][::-1]
        return list(found.values())


def _nothing(_schema: Schema) -> list[Tree]:
    return []


def _beside(schema: Schema) -> Iterator[Tree]:
    """The subschemas for the same value, references aside."""
    for name in _TOGETHER:
        yield from schema[name] if isinstance(schema.get(name), list) else ()
    for name in _DEPENDENT:
        yield from schema[name].values() if isinstance(schema.get(name), dict) else ()
    yield from (schema[name] for name in _ALSO if name in schema)


def _children(schema: Schema, step: str | int) -> Iterator[Tree]:
    """The subschemas for a member, or for an item, of which index is not asked."""
    if isinstance(step, int):
        yield from items_of(schema)
        return
    found = []
    properties = schema.get("properties")
    if isinstance(properties, dict) and step in properties:
        found.append(properties[step])
    patterns = schema.get("patternProperties")
    if isinstance(patterns, dict):
        found += [each for pattern, each in patterns.items() if matches(pattern, step)]
    yield from found or (schema[name] for name in _OTHERS if name in schema)


def _members(schema: Schema) -> Iterator[Tree]:
    for name in ("properties", "patternProperties"):
        yield from schema[name].values() if isinstance(schema.get(name), dict) else ()
    yield from (schema[name] for name in _OTHERS if name in schema)


def items_of(schema: Schema) -> Iterator[Tree]:
    """The subschemas for the items of a list."""
    for name in _ITEMS:
        given = schema.get(name)
        yield from given if isinstance(given, list) else (given,)

"""What the schemas of sections say of the keys of a document, beside what they demand of them.

A subschema that may hold for a key counts, whatever its conditions say: documents are asked about
before they are whole. References are followed, in circles too.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from apps.engine.errors import LimitError, Problem
from apps.engine.paths import Path
from apps.engine.schemas import matches
from apps.engine.subschemas import References
from apps.engine.values import Tree

_TOGETHER: Final = ("allOf", "anyOf", "oneOf")
_ALSO: Final = ("if", "then", "else")
_DEPENDENT: Final = ("dependentSchemas", "dependencies")
_ITEMS: Final = ("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains")
_OTHERS: Final = ("additionalProperties", "unevaluatedProperties")
MAX_VISITS: Final = 1_000_000
"""How many subschemas are looked at for all paths: two seconds or so, at most."""
FEW_PATTERNS: Final = 128
"""So many regular expressions stay compiled."""
COMPILING: Final = 20
"""How many visits it takes to match a name where they do not."""
_TOO_MANY: Final = (
    "The documents are too large for the schema of a section: finding what it says of their keys "
    "could take too long. Combine less in the schema (allOf, anyOf, $ref, patternProperties)."
)
Schema = dict[str, Any]


def mentions(tree: Tree, keyword: str) -> bool:
    """Whether ``keyword`` stands anywhere in a schema."""
    if isinstance(tree, dict):
        return keyword in tree or any(mentions(child, keyword) for child in tree.values())
    return isinstance(tree, list) and any(mentions(child, keyword) for child in tree)


class Place:
    """What may hold for a value: the subschemas that lead to what is asked for, and what is said of
    the value itself by the first that says so.
    """

    def __init__(self, schemas: list[Schema], said: Any) -> None:
        self.schemas, self.said = schemas, said
        self.inner: dict[str | int | None, Place] = {}
        self.names = {name for each in schemas for name in _dict(each, "properties")}
        self.patterns = sum(len(_dict(each, "patternProperties")) for each in schemas)


class Annotated:
    """The schemas of sections, by key, as far as they mention an annotation with a value that
    ``says`` something.

    What may hold at a path is found step by step and each step is taken once, however many paths
    lead there. Raises :class:`LimitError` when that takes more than ``MAX_VISITS``.
    """

    def __init__(
        self, keyword: str, says: Callable[[object], bool], schemas: Mapping[str, Tree]
    ) -> None:
        self.schemas = {key: each for key, each in schemas.items() if mentions(each, keyword)}
        self._keyword, self._says = keyword, says
        self._references = {key: References(each) for key, each in self.schemas.items()}
        self._visits = 0
        self._leading: dict[int, Schema] = {}
        patterns: set[str] = set()
        for section in self.schemas:
            self._leading |= self._find_leading(section)
        for each in self._leading.values():
            patterns |= _dict(each, "patternProperties").keys()
        self._match = 1 if len(patterns) <= FEW_PATTERNS else COMPILING
        self._places: dict[tuple[str, tuple[int, ...]], Place] = {}

    def at(self, path: Path) -> Place:
        """What may hold for the key at ``path``, which is not empty."""
        *_, found = self.along(path)
        return found

    def along(self, path: Path) -> Iterator[Place]:
        """What may hold for each key on the way to ``path``, and for that key."""
        if not path:
            return
        section = str(path[0])
        place = self._place(section, [self.schemas.get(section)])
        yield place
        for step in path[1:]:
            place = self._step(section, place, step)
            yield place

    def within(self, section: str, schemas: list[Tree]) -> list[Schema]:
        """Subschemas with all that may hold for the same value, or for what is in it."""
        return self._closure(section, schemas, _inside)

    def _step(self, section: str, place: Place, step: str | int) -> Place:
        if isinstance(step, int):
            known: str | int | None = 0
        else:  # all names that no schema tells apart are one
            known = step if step in place.names or place.patterns else None
        if known not in place.inner:
            self._count(len(place.schemas) + place.patterns * self._match)
            inner = [child for each in place.schemas for child in _children(each, step)]
            place.inner[known] = self._place(section, inner)
        return place.inner[known]

    def _place(self, section: str, schemas: list[Tree]) -> Place:
        """The place for which ``schemas`` are written: one for the same ones."""
        own = {id(each): each for each in schemas if id(each) in self._leading}
        known = (section, tuple(own))
        if known not in self._places:
            found = self._closure(section, list(own.values()), _nothing)
            given = (each.get(self._keyword) for each in found)
            said = next((value for value in given if self._says(value)), None)
            self._count(sum(1 + len(_dict(each, "properties")) for each in found))
            self._places[known] = Place(found, said)
        return self._places[known]

    def _count(self, visits: int) -> None:
        self._visits += visits
        if self._visits > MAX_VISITS:
            raise LimitError(_TOO_MANY, [Problem("", "reach", _TOO_MANY)])

    def _find_leading(self, section: str) -> dict[int, Schema]:
        """The subschemas from which one can be reached that says something, by identity."""
        found: dict[int, Schema] = {}
        holders: dict[int, list[Schema]] = {}
        waiting: list[Tree] = [self.schemas[section]]
        while waiting:
            schema = waiting.pop()
            if isinstance(schema, dict) and id(schema) not in found:
                found[id(schema)] = schema
                parts = [*_inside(schema), *self._same(section, schema)]
                self._count(len(parts))
                for part in parts:
                    holders.setdefault(id(part), []).append(schema)
                waiting += parts
        leading: dict[int, Schema] = {}
        waiting = [each for each in found.values() if self._says(each.get(self._keyword))]
        while waiting:
            schema = waiting.pop()
            if isinstance(schema, dict) and id(schema) not in leading:
                leading[id(schema)] = schema
                waiting += holders.get(id(schema), ())
        return leading

    def _same(self, section: str, schema: Schema) -> Iterator[Tree]:
        """The subschemas for the same value."""
        for _name, targets in self._references[section].of(schema):
            yield from targets
        yield from _beside(schema)

    def _closure(
        self, section: str, schemas: list[Tree], further: Callable[[Schema], list[Tree]]
    ) -> list[Schema]:
        """Of subschemas, those for the same value and ``further`` ones, the leading; each once."""
        found: dict[int, Schema] = {}
        waiting = schemas[::-1]
        while waiting:
            schema = waiting.pop()
            if id(schema) in self._leading and id(schema) not in found:
                schema = self._leading[id(schema)]
                found[id(schema)] = schema
                inner = [*further(schema), *self._same(section, schema)]
                self._count(len(inner))
                waiting += inner[::-1]
        return list(found.values())


def _nothing(_schema: Schema) -> list[Tree]:
    return []


def _inside(schema: Schema) -> list[Tree]:
    return [*_members(schema), *items_of(schema)]


def _dict(schema: Schema, name: str) -> dict[str, Tree]:
    given = schema.get(name)
    return given if isinstance(given, dict) else {}


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

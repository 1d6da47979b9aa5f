"""What a document breaks of a schema, as problems: which key, by which rule, and what else that
depends on. No message repeats a value of the document.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from apps.engine.errors import Problem
from apps.engine.paths import Path, find, outermost_list, pointer
from apps.engine.values import Tree, canonical

_NAMED: Final = ("properties", "patternProperties")
_INSIDE: Final = ("additionalProperties", "unevaluatedProperties")
_ITEMS: Final = ("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains")
_CONDITIONS: Final = ("then", "else", "dependentSchemas", "dependencies")
_SCALARS: Final = frozenset(("string", "number", "integer", "boolean", "null"))
ON_NAMES: Final = ("false", "additionalProperties", "unevaluatedProperties", "propertyNames")
"""Rules that refuse a member whatever its value is."""

_TEXTS: Final = {
    "type": "This must be of type {}.",
    "enum": "This must be one of {}.",
    "const": "This must be {}.",
    "minimum": "This must be at least {}.",
    "maximum": "This must be at most {}.",
    "exclusiveMinimum": "This must be more than {}.",
    "exclusiveMaximum": "This must be less than {}.",
    "multipleOf": "This must be a multiple of {}.",
    "minLength": "This must have at least {} characters.",
    "maxLength": "This must have at most {} characters.",
    "minItems": "This must have at least {} items.",
    "maxItems": "This must have at most {} items.",
    "minProperties": "This must have at least {} members.",
    "maxProperties": "This must have at most {} members.",
    "pattern": "This must match the pattern {}.",
    "format": "This must have the format {}.",
    "uniqueItems": "The items must differ from each other.",
    "items": "There are more items than are allowed here.",
    "additionalItems": "There are more items than are allowed here.",
    "unevaluatedItems": "There are more items than are allowed here.",
    "anyOf": "This matches none of the allowed shapes.",
    "oneOf": "This must match exactly one of the allowed shapes.",
    "not": "This has a shape that is not allowed.",
    "contains": "No item has the needed shape.",
    "false": "Nothing is allowed here.",
}


def problems_of(error: Any, schema: Tree, tree: Tree) -> Iterator[Problem]:
    """The problems that an error of the validator is about: one for each key that is missing, or
    that may not be there.
    """
    broken = _Broken(error, schema, tree)
    if broken.keyword in ("additionalProperties", "unevaluatedProperties"):
        for name in _unexpected(error, broken.value):
            yield broken.at(name, f"The member '{name}' is not allowed here.")
    elif broken.keyword == "propertyNames":
        for name in _misnamed(error, broken.value):
            yield broken.at(name, f"The name '{name}' is not allowed here. {broken.message}")
    elif broken.rule == "required":
        name = error.kind.property
        yield broken.at(name, _lacking(name, broken.needing(name)))
    else:
        yield broken.problem(broken.path, broken.message)


@dataclass(frozen=True, slots=True)
class _Broken:
    """An error of the validator, with the schema and the whole document that it is about."""

    error: Any
    schema: Tree
    tree: Tree

    @property
    def path(self) -> Path:
        return tuple(self.error.instance_path)

    @property
    def value(self) -> Tree:
        return find(self.tree, self.path)[1]

    @property
    def rule(self) -> str:
        """What kind of error it is to the validator, which has its own names for some."""
        return str(self.error.kind.name)

    @property
    def keyword(self) -> str:
        """The keyword that fails; ``propertyNames`` whatever is the matter with a name, and ``false``
        for a subschema that allows nothing.
        """
        steps = list(self.error.schema_path)
        if self.rule == "propertyNames":
            return self.rule
        if self.rule == "falseSchema" and (
            not steps or steps[-2:-1] in [[each] for each in _NAMED]
        ):
            return "false"
        return next((step for step in reversed(steps) if isinstance(step, str)), "schema")

    @property
    def expected(self) -> Tree:
        """What the schema demands there; ``None`` where that is not found."""
        return find(self.schema, tuple(self.error.schema_path))[1]

    @property
    def message(self) -> str:
        expected, steps = self.expected, list(self.error.schema_path)
        keyword = self.keyword
        if keyword == "propertyNames":
            keyword = next((step for step in reversed(steps) if isinstance(step, str)), keyword)
        text = _TEXTS.get(keyword, f"The rule '{keyword}' of the schema does not hold.")
        if "{}" not in text:
            return text
        if expected is None:
            return f"The rule '{keyword}' of the schema does not hold."
        shown = expected if isinstance(expected, str) else canonical(expected)
        return text.format(shown[:200])

    def at(self, name: str, message: str) -> Problem:
        """A problem of the member ``name``."""
        return self.problem((*self.path, name), message)

    def needing(self, name: str) -> list[str]:
        """The members that are there and need ``name``; none where an object always needs it."""
        expected, value = self.expected, self.value
        if not (isinstance(expected, dict) and isinstance(value, dict)):
            return []
        return [key for key, needs in expected.items() if key in value and name in _texts(needs)]

    def is_scalar(self, name: str) -> bool:
        """Whether the member ``name`` is declared beside the rule as a single value."""
        around = find(self.schema, tuple(self.error.schema_path)[:-1])[1]
        members = around.get("properties") if isinstance(around, dict) else None
        declared = members.get(name) if isinstance(members, dict) else None
        kinds = declared.get("type") if isinstance(declared, dict) else None
        return _SCALARS.issuperset(kinds if isinstance(kinds, list) else [kinds])

    def problem(self, path: Path, message: str) -> Problem:
        """A problem at ``path``, with all that it depends on."""
        depends: list[Path] = []
        found, value = find(self.tree, path)
        if found:
            looks_inside = self.keyword not in ("type", *ON_NAMES)
            if looks_inside and isinstance(value, (dict, list)):
                depends.append(path)
        elif not self.is_scalar(str(path[-1])):
            depends.append(path)
        if self.rule == "required":
            depends += [(*self.path, each) for each in self.needing(str(path[-1]))]
        if self.keyword == "unevaluatedProperties":
            depends.append(self.path)
        condition = _condition(list(self.error.evaluation_path))
        if condition is not None:
            depends.append(path[:condition])
        if outermost_list(path) != path:
            depends.append(outermost_list(path))
        beside = tuple(dict.fromkeys(map(pointer, depends)))
        return Problem(pointer(path), self.keyword, message, beside=beside)


def _unexpected(error: Any, value: Tree) -> Sequence[str]:
    named = getattr(error.kind, "unexpected", None)
    return named if named is not None else list(value) if isinstance(value, dict) else []


def _misnamed(error: Any, value: Tree) -> list[str]:
    inner = getattr(error.kind, "error", None)
    if inner is not None:
        return [str(inner.instance)]
    return list(value) if isinstance(value, dict) else []


def _texts(needs: Tree) -> list[Tree]:
    return needs if isinstance(needs, list) else []


def _lacking(name: str, needing: Sequence[str]) -> str:
    beside = f" beside '{needing[0]}'" if needing else ""
    return f"The member '{name}' is required here{beside}."


def _condition(steps: Sequence[str | int]) -> int | None:
    """How far down in the document the first condition stands that ``steps`` through the schema
    lead over; ``None``: there is none.
    """
    at, depth = 0, 0
    while at < len(steps):
        keyword = steps[at]
        if keyword in _CONDITIONS and at + 1 < len(steps):
            return depth
        by_name = keyword in _NAMED
        depth += by_name or keyword in _INSIDE or keyword in _ITEMS
        by_index = at + 1 < len(steps) and isinstance(steps[at + 1], int)
        at += 2 if by_name or by_index else 1
    return None

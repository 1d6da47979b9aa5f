"""An example of a section that its own schema allows, for people who begin one.

Only the schema and the type go into it, nothing of any document.
"""

from typing import Any, Final, NamedTuple

from apps.engine import schemas
from apps.engine.paths import find
from apps.engine.section_types.section_type import SectionType
from apps.engine.values import Tree

MAX_MEMBERS: Final = 50
_EMPTY: Final[dict[str, Tree]] = {
    "string": "",
    "boolean": False,
    "array": [],
    "object": {},
    "null": None,
}


def example_of(kind: SectionType, schema: Tree) -> dict[str, Tree]:
    """An example of a section of that type with that schema: the schema's own first example, else
    the type's without what the schema refuses, and something for each member that the schema requires
    (of free sections: that it names, in place of the type's).
    """
    rules: dict[str, Any] = schema if isinstance(schema, dict) else {}
    own = rules.get("examples")
    if isinstance(own, list) and own and isinstance(own[0], dict):
        return own[0]
    named = rules.get("properties")
    properties = named if isinstance(named, dict) else {}
    if not kind.schema and properties:
        return {name: _placeholder(properties[name]) for name in list(properties)[:MAX_MEMBERS]}
    required = [name for name in rules.get("required", ()) if name in properties]
    made = {name: _placeholder(properties[name]) for name in required[:MAX_MEMBERS]}
    for name, value in kind.example.items():
        made = made if name in made else _Growing(schema).grown(made, (name,), value)
    return made


class _Growing(NamedTuple):
    """Takes into a tree what of an example the schema has nothing against."""

    schema: Tree

    def grown(self, kept: dict[str, Tree], path: tuple[str, ...], value: Tree) -> dict[str, Tree]:
        """``kept`` with ``value`` at ``path``, or with a part of it, unless that makes it worse."""
        before = len(schemas.validate(self.schema, kept))
        whole = _with(kept, path, value)
        if len(schemas.validate(self.schema, whole)) <= before:
            return whole
        if not isinstance(value, dict):
            return kept
        part = _with(kept, path, {})
        for name, child in value.items():
            part = self.grown(part, (*path, name), child)
        is_better = len(schemas.validate(self.schema, part)) <= before
        return part if is_better and find(part, path)[1] else kept


def _with(tree: dict[str, Tree], path: tuple[str, ...], value: Tree) -> dict[str, Tree]:
    first, *rest = path
    inner = _with(tree.get(first, {}), tuple(rest), value) if rest else value
    return {**tree, first: inner}


def _placeholder(schema: Tree) -> Tree:
    """A value that the schema names, or the plainest one of its type."""
    rules = schema if isinstance(schema, dict) else {}
    for name in ("default", "const"):
        if name in rules:
            return rules[name]
    for name in ("examples", "enum"):
        if isinstance(rules.get(name), list) and rules[name]:
            return rules[name][0]
    kind = rules.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind in ("integer", "number"):
        return rules.get("minimum", 0)
    return _EMPTY.get(kind, "") if isinstance(kind, str) else ""

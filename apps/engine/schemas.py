"""JSON Schema: checking schemas when they are saved, and documents when they are published.

Draft 2020-12 (and draft 7 where ``$schema`` says so) by the compiled validator jsonschema-rs,
offline, with regular expressions that run in linear time. Messages name the key and the rule and
never repeat the document's values.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from apps.engine.errors import Problem, invalid
from apps.engine.paths import find
from apps.engine.values import Number, Tree, canonical, escape

MAX_PROBLEMS: Final = 100
MAX_REACH: Final = 100_000
MAX_UNIQUE_ITEMS: Final = 100_000
DRAFTS: Final = {
    "https://json-schema.org/draft/2020-12/schema": jsonschema_rs.Draft202012Validator,
    "http://json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
}
DEFAULT_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_VALUES: Final = ("const", "enum", "default", "examples")
_NO_SUBSCHEMAS: Final = ("$defs", "definitions", *_VALUES)
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")


def check_schema(schema: Tree) -> None:
    """Raise :class:`InvalidError` unless ``schema`` can be used here.

    Refused are: what the draft's meta-schema refuses (code ``schema``), other drafts, a ``$ref``
    out of the document (``remote_ref``: nothing is ever fetched), and references that fan out to
    more than ``MAX_REACH`` subschemas (``reach``: validating would take exponential time).
    """
    if not isinstance(schema, (dict, bool)):
        raise invalid("/schema", "schema", "A JSON Schema is an object, true or false.")
    _draft(schema)
    for pointer, reference in _references(schema, ""):
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise invalid(
                f"/schema{pointer}", "remote_ref", "A $ref may point into this schema alone."
            )
    _check_reach(schema)
    try:
        _compile(canonical(schema))
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        pointer = "".join(f"/{escape(step)}" for step in getattr(error, "instance_path", ()))
        message = getattr(error, "message", "") or "This is not a usable JSON Schema."
        raise invalid(f"/schema{pointer}", "schema", str(message)[:300]) from error


def validate(schema: Tree, tree: Tree) -> list[Problem]:
    """What ``tree`` breaks of a schema that :func:`check_schema` accepted; at most a hundred.

    ``pointer`` is the place in ``tree``, ``code`` the keyword that fails.
    """
    if schema in ({}, True):
        return []
    validator = _compile(canonical(schema))
    found: list[Problem] = []
    for error in validator.iter_errors(_plain(tree)):
        found.append(_problem(error, schema))
        if len(found) >= MAX_PROBLEMS:
            break
    return found


@lru_cache(maxsize=256)
def _compile(text: str) -> Any:
    schema = json.loads(text)
    return _draft(schema)(
        schema,
        offline=True,
        validate_formats=True,
        pattern_options=jsonschema_rs.RegexOptions(),
    )


def _draft(schema: Tree) -> Any:
    named = schema.get("$schema", DEFAULT_DRAFT) if isinstance(schema, dict) else DEFAULT_DRAFT
    draft = DRAFTS.get(named.rstrip("#")) if isinstance(named, str) else None
    if draft is None:
        known = ", ".join(DRAFTS)
        raise invalid("/schema/$schema", "draft", f"The draft is one of {known}.")
    return draft


def _references(schema: Tree, pointer: str) -> Iterator[tuple[str, Tree]]:
    if isinstance(schema, dict):
        for key, child in schema.items():
            place = f"{pointer}/{escape(key)}"
            if key in _REFERENCES and not isinstance(child, dict):
                yield place, child
            elif key not in _VALUES:
                yield from _references(child, place)
    elif isinstance(schema, list):
        for index, child in enumerate(schema):
            yield from _references(child, f"{pointer}/{index}")


def _check_reach(schema: Tree) -> None:
    """Refuse schemas whose references multiply: 25 doubled ``allOf`` are 33 million subschemas."""
    if _Reach(schema).of(schema, frozenset()) > MAX_REACH:
        raise invalid("/schema", "reach", "Its references fan out too far to be checked quickly.")


class _Reach:
    """Counts the subschemas that validating one value can come by, references followed."""

    def __init__(self, schema: Tree) -> None:
        self._schema = schema
        self._known: dict[str, int] = {}

    def of(self, node: Tree, open_references: frozenset[str]) -> int:
        """The count from ``node`` on."""
        if isinstance(node, list):
            return sum(self.of(child, open_references) for child in node)
        if not isinstance(node, dict):
            return 0
        total = 1
        for key, child in node.items():
            if key in _REFERENCES and isinstance(child, str):
                total += self._follow(child, open_references)
            elif key not in _NO_SUBSCHEMAS:
                total += self.of(child, open_references)
        return total

    def _follow(self, reference: str, open_references: frozenset[str]) -> int:
        if reference in open_references:
            return 1  # recursion follows the document, whose depth is limited
        if reference not in self._known:
            target = _target(self._schema, reference)
            reach = self.of(target, open_references | {reference})
            self._known[reference] = min(reach, MAX_REACH + 1)
        return self._known[reference]


def _target(schema: Tree, reference: str) -> Tree:
    node = schema
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict):
            node = node.get(name)
        elif isinstance(node, list) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return node


def _plain(tree: Tree) -> Tree:
    """The tree with plain numbers, as the validator takes them."""
    if isinstance(tree, Number):
        value = float(tree)
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(tree, dict):
        return {key: _plain(child) for key, child in tree.items()}
    return [_plain(child) for child in tree] if isinstance(tree, list) else tree


def _problem(error: Any, schema: Tree) -> Problem:
    steps = list(error.schema_path)
    keyword = next((str(step) for step in reversed(steps) if isinstance(step, str)), "schema")
    pointer = "".join(f"/{escape(step)}" for step in error.instance_path)
    return Problem(pointer, keyword, _message(keyword, _expected(schema, steps), error))


def _expected(schema: Tree, steps: list[str | int]) -> Tree:
    """What the schema demands at the failing keyword; ``None`` behind a reference."""
    return find(schema, tuple(steps))[1]


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
    "additionalProperties": "There is a member that is not allowed here.",
    "unevaluatedProperties": "There is a member that is not allowed here.",
    "propertyNames": "A member's name is not allowed here.",
    "required": "A required member is missing: {}.",
    "anyOf": "This matches none of the allowed shapes.",
    "oneOf": "This must match exactly one of the allowed shapes.",
    "not": "This has a shape that is not allowed.",
    "dependentRequired": "A member that another one needs is missing.",
    "contains": "No item has the needed shape.",
}


def _message(keyword: str, expected: Tree, error: Any) -> str:
    text = _TEXTS.get(keyword, f"The rule '{keyword}' of the schema does not hold.")
    if keyword == "required":
        missing = getattr(error.kind, "property", None)
        return text.format(missing) if isinstance(missing, str) else "A required member is missing."
    if "{}" not in text:
        return text
    if expected is None:
        return f"The rule '{keyword}' of the schema does not hold."
    shown = expected if isinstance(expected, str) else canonical(expected)
    return text.format(shown[:200])

"""JSON Schema: checking schemas when they are saved, and documents when they are published.

Draft 2020-12 (and draft 7 where ``$schema`` says so) by the compiled validator jsonschema-rs,
offline, with regular expressions that run in linear time. Messages name the key and the rule and
never repeat the document's values.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

import jsonschema_rs

from apps.engine.errors import InvalidError, Problem, invalid
from apps.engine.schema_costs import CHARACTERS, COPIED, MAX_STEPS, Costs, measure
from apps.engine.schema_problems import problems_of
from apps.engine.subschemas import check_references
from apps.engine.values import Number, Tree, canonical, escape

MAX_PROBLEMS: Final = 100
DRAFTS: Final = {
    "https://json-schema.org/draft/2020-12/schema": jsonschema_rs.Draft202012Validator,
    "http://json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
}
DEFAULT_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def check_schema(schema: Tree) -> None:
    """Raise :class:`InvalidError` unless ``schema`` can be used here.

    Refused are: what the draft's meta-schema refuses (code ``schema``), other drafts, a ``$ref``
    out of the document (``remote_ref``: nothing is ever fetched) or to nothing in it
    (``reference``), and what could take too long to check, whatever the document (``reach``).
    """
    if not isinstance(schema, (dict, bool)):
        raise invalid("/schema", "schema", "A JSON Schema is an object, true or false.")
    _ready(canonical(schema))


def validate(schema: Tree, tree: Tree) -> list[Problem]:
    """What ``tree`` breaks of a schema that :func:`check_schema` accepted; at most a hundred.

    ``pointer`` is the place in ``tree``, that of a missing member too, ``code`` the keyword that
    fails. When that could take too long, by the costs of the schema and the size of ``tree``, it is
    the one problem (``reach``), and when only telling all problems could, the first one stands for all.
    """
    if schema in ({}, True):
        return []
    try:
        ready = _ready(canonical(schema))
    except InvalidError as error:  # it was saved when less was refused
        return [replace(each, pointer="") for each in error.problems]
    sizes = _sizes(tree)
    if _steps(ready.costs.checked, sizes) > MAX_STEPS:
        return [Problem("", "reach", _TOO_LONG, beside=("",))]
    plain = _plain(tree)
    if ready.validator.is_valid(plain):
        return []
    if _steps(ready.costs.told, sizes) > MAX_STEPS:
        return [_first(ready, plain, schema)]
    errors = ready.validator.iter_errors(plain)
    found = (each for error in errors for each in problems_of(error, schema, plain))
    return list(dict.fromkeys(itertools.islice(found, MAX_PROBLEMS)))


def matches(pattern: str, name: str) -> bool:
    """Whether a member's name matches a regular expression of a schema that was checked."""
    return bool(_pattern(pattern).is_valid(name))


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> Any:
    rules = jsonschema_rs.RegexOptions()
    return jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=rules)


class _Ready(NamedTuple):
    """A schema that can be used: its validator, and what using it costs."""

    validator: Any
    costs: Costs


_TOO_LONG: Final = (
    "The document is too large for its schema: checking it could take too long. Make the document "
    "smaller, or combine less in the schema (allOf, anyOf, $ref)."
)
_NOT_ALL: Final = "It does not match its schema, and is too large for that schema to tell where."


@lru_cache(maxsize=256)
def _ready(text: str) -> _Ready:
    schema = json.loads(text)
    draft = _draft(schema)
    costs = Costs((1,), (1,), has_alternatives=False)
    if isinstance(schema, dict):
        costs = measure(schema, check_references(schema))
    try:
        validator = draft(
            schema,
            offline=True,
            validate_formats=True,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        pointer = "".join(f"/{escape(step)}" for step in getattr(error, "instance_path", ()))
        message = getattr(error, "message", "") or "This is not a usable JSON Schema."
        raise invalid(f"/schema{pointer}", "schema", str(message)[:300]) from error
    return _Ready(validator, costs)


def _sizes(tree: Tree) -> list[int]:
    """By depth, how many values there are, long texts counted as several."""
    sizes: list[int] = []
    level = [tree]
    while level:
        size = len(level)
        inner: list[Tree] = []
        for node in level:
            if isinstance(node, dict):
                inner += node.values()
                size += sum(map(len, node)) // CHARACTERS
            elif isinstance(node, list):
                inner += node
            elif isinstance(node, str):
                size += len(node) // CHARACTERS
        sizes.append(size)
        level = inner
    return sizes


def _steps(costs: Sequence[int], sizes: Sequence[int]) -> int:
    """The steps that a document of these sizes may take: what is at a value, and what is in it."""
    total, inside = 0, sum(sizes)
    for cost, size in zip(costs, sizes, strict=False):
        total += cost * (size + inside // COPIED)
        inside -= size
    return total


def _first(ready: _Ready, plain: Tree, schema: Tree) -> Problem:
    """The first problem alone; where there are alternatives, telling that takes as long as all."""
    if not ready.costs.has_alternatives:
        try:
            ready.validator.validate(plain)
        except jsonschema_rs.ValidationError as error:
            return next(problems_of(error, schema, plain))
    return Problem("", "schema", _NOT_ALL, beside=("",))


def _draft(schema: Tree) -> Any:
    named = schema.get("$schema", DEFAULT_DRAFT) if isinstance(schema, dict) else DEFAULT_DRAFT
    draft = DRAFTS.get(named.rstrip("#")) if isinstance(named, str) else None
    if draft is None:
        known = ", ".join(DRAFTS)
        raise invalid("/schema/$schema", "draft", f"The draft is one of {known}.")
    return draft


def _plain(tree: Tree) -> Tree:
    """The tree with plain numbers, as the validator takes them."""
    if isinstance(tree, Number):
        value = float(tree)
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(tree, dict):
        return {key: _plain(child) for key, child in tree.items()}
    return [_plain(child) for child in tree] if isinstance(tree, list) else tree

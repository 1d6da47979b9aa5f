"""How much work a schema can make, told before anything is validated.

For each depth of a document, what one value there can cost at most, whatever the document holds: all
rules that meet there, each as often as it does. What is alternative (the members of an object by
their names, the items of a list by their indexes, an object or a list) counts once, at its most;
what holds for one value together is added, references followed. A schema that meets itself twice at
one level below doubles with each level, and so shows here as any other cost does.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from apps.engine.errors import InvalidError, invalid
from apps.engine.subschemas import ALTERNATIVES, REFERENCES, References, parts
from apps.engine.values import MAX_DEPTH, Tree

MAX_COST: Final = 100_000
"""The steps that one value may take; a step is ten to twenty nanoseconds."""
MAX_STEPS: Final = 10_000_000
"""The steps that a whole document may take."""
MAX_NESTING: Final = 100
"""How many subschemas may hold inside of each other for one value: the validator's stack takes six
times as many at each level of the deepest document."""
FAILURE: Final = 100
"""The steps that telling of a broken rule takes."""
COPIED: Final = 25
"""How many values inside of a value are copied or compared, for a broken rule, in one step."""
CHARACTERS: Final = 16
"""How many characters of a text take as long as one more value."""
_PROPERTY: Final = 100
"""The states that a regular expression needs for ``\\p{…}``."""
_COMPARED: Final = 8
"""The steps that comparing with one value of an ``enum`` takes."""
_CAP: Final = 2**40
_RULES: Final = frozenset(
    (
        *("type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum"),
        *("exclusiveMinimum", "maxLength", "minLength", "pattern", "maxItems", "minItems"),
        *("uniqueItems", "maxProperties", "minProperties", "required", "dependentRequired"),
        *("format", "contentMediaType", "contentEncoding", "contains", "propertyNames", "not"),
        *("additionalProperties", "additionalItems", "unevaluatedProperties", "unevaluatedItems"),
        *ALTERNATIVES,
    )
)
_IN_PLACE: Final = {
    "allOf": (0, 1, 1),
    **dict.fromkeys((*REFERENCES, "then", "else"), (0, 1, 0)),
    **dict.fromkeys(("dependentSchemas", "dependencies"), (0, 1, 0)),
    **dict.fromkeys(ALTERNATIVES, (1, 1, 1)),
    **dict.fromkeys(("if", "not"), (1, 0, 1)),
}
"""What holds for the same value: how often it is checked again, and its failures told, when
failures are told; how often it is checked again to learn what it leaves unevaluated."""
_ONE_OF: Final = (
    *("properties", "additionalProperties"),
    *("items", "prefixItems", "additionalItems"),
)
"""What is applied to what is inside, only one of which to the same member or item."""
_ALONE: Final = (0, 1, 0)
_EACH: Final = {
    **dict.fromkeys(("patternProperties", "propertyNames"), _ALONE),
    "contains": (1, 0, 0),
    **dict.fromkeys(("unevaluatedProperties", "unevaluatedItems"), (0, 1, 1)),
}
"""What is applied to each beside the others, counted as in ``_IN_PLACE``."""
_ITEMS: Final = ("items", "prefixItems", "additionalItems", "contains", "unevaluatedItems")
_OBJECTS, _LISTS = 0, 1


class _Cost(NamedTuple):
    """The steps to check a value, to tell what is wrong, and to learn what was not evaluated."""

    checked: int = 0
    told: int = 0
    marked: int = 0


Pair = tuple[_Cost, _Cost]
"""Where the value is an object, and where it is a list."""
_NO_COST: Final = _Cost()
_NOTHING: Final[Pair] = (_NO_COST, _NO_COST)


@dataclass(slots=True)
class _Schema:
    """A subschema: what it costs by itself, and its parts: for the same value, and inside of it."""

    own: _Cost
    names: int
    marks: int
    unevaluated: tuple[bool, bool]
    in_place: list[tuple[tuple[int, int, int], int]]
    applied: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Costs:
    """By depth, the most that one value there costs: to check it, and to tell what is wrong."""

    checked: tuple[int, ...]
    told: tuple[int, ...]
    has_alternatives: bool


def measure(document: dict[str, Tree], references: References) -> Costs:
    """What validating by ``document`` costs.

    Raises :class:`InvalidError` (``reach``) when one value may take more than ``MAX_COST`` steps, and
    for references that lead back to the same value.
    """
    schemas = _read(document, references)
    checked, told = [], []
    for pair in _levels(schemas, id(document)):
        checked.append(max(each.checked for each in pair))
        told.append(max(each.told for each in pair))
        if checked[-1] > MAX_COST or told[-1] > MAX_STEPS:
            raise _refused(
                "Its references and combinations multiply: checking one value by them may take too "
                "long. Say each thing once, in one place."
            )
    return Costs(tuple(checked), tuple(told), _has_alternatives(schemas))


def _has_alternatives(schemas: dict[int, _Schema]) -> bool:
    alternatives = _IN_PLACE[ALTERNATIVES[0]]
    return any(times == alternatives for each in schemas.values() for times, _ in each.in_place)


def _refused(message: str) -> InvalidError:
    return invalid("/schema", "reach", message)


def _read(document: Tree, references: References) -> dict[int, _Schema]:
    """All subschemas that may be met, by identity."""
    found: dict[int, _Schema] = {}
    waiting = [document]
    while waiting:
        schema = waiting.pop()
        if id(schema) in found:
            continue
        children = [(part.keyword, part.schema) for part in parts(schema)]
        for keyword, targets in references.of(schema):
            children += [(keyword, target) for target in targets]
        plain = sum(not isinstance(child, dict) for _, child in children)
        links = [(keyword, id(child)) for keyword, child in children if isinstance(child, dict)]
        found[id(schema)] = _by_itself(schema, plain, links)
        waiting += [child for _, child in children if isinstance(child, dict)]
    return found


def _by_itself(schema: dict[str, Tree], plain: int, links: list[tuple[str, int]]) -> _Schema:
    """A subschema with ``plain`` parts that are only true or false."""
    rules, failing = 1 + plain, plain
    for keyword in schema.keys() & _RULES:
        rules += _weight(keyword, schema[keyword])
        failing += _nodes(schema[keyword]) if "equired" in keyword else 1
    patterns = schema.get("patternProperties")
    names = sum(map(pattern_size, patterns)) if isinstance(patterns, dict) else 0
    properties = schema.get("properties")
    marks = names + (len(properties) // 8 if isinstance(properties, dict) else 0)
    own = _Cost(rules, rules + failing * FAILURE, 1)
    unevaluated = ("unevaluatedProperties" in schema, "unevaluatedItems" in schema)
    in_place = [(_IN_PLACE[keyword], key) for keyword, key in links if keyword in _IN_PLACE]
    applied = [(keyword, key) for keyword, key in links if keyword not in _IN_PLACE]
    return _Schema(own, names, marks, unevaluated, in_place, applied)


def _weight(keyword: str, given: Tree) -> int:
    """The steps of one rule for one value."""
    if keyword == "pattern" and isinstance(given, str):
        return pattern_size(given)
    if keyword == "uniqueItems":
        return COPIED
    if keyword == "dependentRequired":
        return _nodes(given)
    if keyword == "enum" and isinstance(given, list):
        deep = any(isinstance(each, (dict, list)) for each in given)  # else they are hashed
        return _nodes(given) * _COMPARED if deep else 1
    return 1


def _nodes(tree: Tree) -> int:
    if isinstance(tree, (dict, list)):
        return 1 + sum(map(_nodes, tree.values() if isinstance(tree, dict) else tree))
    return 1


_TOKEN: Final = re.compile(r"\\.|\{([0-9]+)(?:,([0-9]*))?\}|.", re.DOTALL)


def pattern_size(pattern: str) -> int:
    """About how many states a regular expression has, its counted repetitions written out."""
    open_groups, last = [0], 0
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if token[1] is not None:
            times = max(int(token[2] or token[1]), 1)
            open_groups[-1] += last * (times - 1)
            last *= times
        elif text == "(":
            open_groups.append(0)
        elif text == ")":
            last = open_groups.pop() if len(open_groups) > 1 else open_groups[0]
            open_groups[-1] += last
        elif text not in "*+?|":
            last = _PROPERTY if text in ("\\p", "\\P") else 1
            open_groups[-1] += last
    return min(sum(open_groups) + 1, _CAP)


def _ordered(schemas: dict[int, _Schema]) -> list[int]:
    """The subschemas, each behind those that hold for the same value because of it."""
    order: list[int] = []
    entered: set[int] = set()
    left: set[int] = set()
    for start in schemas:
        stack = [start]
        while stack:
            key = stack[-1]
            if key in entered:
                stack.pop()
                if key not in left:
                    left.add(key)
                    order.append(key)
                continue
            entered.add(key)
            for _, child in schemas[key].in_place:
                if child not in left:
                    if child in entered:
                        raise _refused("It leads back to itself at the same value.")
                    stack.append(child)
    return order


def _refuse_long(schemas: dict[int, _Schema], order: list[int]) -> None:
    """Refuse what would fill the validator's stack."""
    nesting: dict[int, int] = {}
    for key in order:
        nesting[key] = 1 + max((nesting[each] for _, each in schemas[key].in_place), default=0)
        if nesting[key] > MAX_NESTING:
            raise _refused(
                f"More than {MAX_NESTING} parts hold inside of each other for one value."
            )


def _levels(schemas: dict[int, _Schema], root: int) -> Iterator[Pair]:
    """What one value costs at each level below the root, until there is nothing more to check."""
    order = _ordered(schemas)
    _refuse_long(schemas, order)
    below: dict[int, Pair] = {}
    for level in range(MAX_DEPTH + 1):
        most = {key: _most(*pair) for key, pair in below.items()}
        here: dict[int, Pair] = {}
        for key in order:
            here[key] = _pair(schemas[key], level, here, most)
        if here.get(root, _NOTHING) == _NOTHING:
            return
        if here == below:
            yield from itertools.repeat(here[root], MAX_DEPTH + 1 - level)
            return
        yield here[root]
        order = [key for key in order if here[key] != _NOTHING]
        below = {key: here[key] for key in order}


def _pair(schema: _Schema, level: int, here: dict[int, Pair], below: dict[int, _Cost]) -> Pair:
    """The costs so many levels below a value: where that is an object, and where it is a list."""
    objects, lists = (schema.own, schema.own) if level == 0 else _inside(schema, level, below)
    for times, key in schema.in_place:
        if key in here:
            objects = _with(objects, here[key][0], times)
            lists = _with(lists, here[key][1], times)
    in_objects, in_lists = schema.unevaluated
    return _marked(objects) if in_objects else objects, _marked(lists) if in_lists else lists


def _inside(schema: _Schema, level: int, below: dict[int, _Cost]) -> Pair:
    """What a subschema costs a level down, by what it applies to members, and to items."""
    pair = [_Cost(schema.names, schema.names, schema.marks) if level == 1 else _NO_COST, _NO_COST]
    most = [_NO_COST, _NO_COST]
    for keyword, key in schema.applied:
        child = below.get(key)
        if child is None or (keyword == "propertyNames" and level > 1):
            continue
        kind = _LISTS if keyword in _ITEMS else _OBJECTS
        if keyword in _ONE_OF:
            most[kind] = _most(most[kind], child)
        else:
            pair[kind] = _with(pair[kind], child, _EACH[keyword])
    objects, lists = (_with(*each, _ALONE) for each in zip(pair, most, strict=True))
    return objects, lists


def _most(one: _Cost, other: _Cost) -> _Cost:
    """The larger of each; nothing is left of marks, which are of one value alone."""
    return _Cost(max(one.checked, other.checked), max(one.told, other.told), 0)


def _with(cost: _Cost, part: _Cost, times: tuple[int, int, int]) -> _Cost:
    again, tells, marks = times
    return _Cost(
        min(cost.checked + part.checked, _CAP),
        min(cost.told + again * part.checked + tells * part.told, _CAP),
        min(cost.marked + marks * part.checked + part.marked, _CAP),
    )


def _marked(cost: _Cost) -> _Cost:
    """With what it takes to learn what the other keywords did not evaluate."""
    return _Cost(cost.checked + cost.marked, cost.told + cost.marked, cost.marked)

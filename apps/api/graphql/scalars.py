"""The scalars that GraphQL does not have itself."""

from typing import TYPE_CHECKING, Any, NewType, TypeAlias

import strawberry
from graphql import (
    BooleanValueNode,
    FloatValueNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    VariableNode,
)
from strawberry.types.scalar import ScalarDefinition

from apps.engine import values
from apps.engine.errors import LimitError, MalformedError
from apps.engine.values import MAX_DEPTH, Tree

if TYPE_CHECKING:
    Json: TypeAlias = Tree
    Long: TypeAlias = int
    Time: TypeAlias = str
else:
    Json = NewType("Json", object)
    Long = NewType("Long", int)
    Time = NewType("Time", str)


def _same(value: Any) -> Any:
    return value


def read_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Tree:
    """A document that stands in the query's own text, digits kept.

    Raises :class:`MalformedError` for what is no JSON, and as :func:`values.check` does.
    """
    tree = _read(node, variables or {}, 1)
    values.check(tree)
    return tree


def _read(node: ValueNode, variables: dict[str, Any], depth: int) -> Tree:
    if depth > MAX_DEPTH + 1:
        raise LimitError(f"Nesting is deeper than {MAX_DEPTH} levels.")
    if isinstance(node, ListValueNode):
        return [_read(each, variables, depth + 1) for each in node.values]
    if isinstance(node, ObjectValueNode):
        names = [each.name.value for each in node.fields]
        if len(set(names)) < len(names):
            raise MalformedError("A member stands twice in an object.")
        return {each.name.value: _read(each.value, variables, depth + 1) for each in node.fields}
    if isinstance(node, VariableNode):
        return variables.get(node.name.value)
    return _read_scalar(node)


def _read_scalar(node: ValueNode) -> Tree:
    if isinstance(node, (IntValueNode, FloatValueNode)):
        return values.number(node.value)
    if isinstance(node, (StringValueNode, BooleanValueNode)):
        return node.value
    if isinstance(node, NullValueNode):
        return None
    raise MalformedError("This is not JSON: a text stands in quotation marks.")


def _read_long(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedError("A Long is a whole number.")
    if not -(2**63) <= value < 2**63:
        raise MalformedError("A Long has at most 64 bits.")
    return value


def _read_time(value: Any) -> str:
    if not isinstance(value, str):
        raise MalformedError("A time is a text such as 2026-11-24T09:30:00Z.")
    return value


SCALARS: dict[object, ScalarDefinition] = {
    Json: strawberry.scalar(
        name="JSON",
        description="A JSON value; numbers keep the digits that were sent.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=_same,
        parse_value=_same,
        parse_literal=read_literal,
    ),
    Long: strawberry.scalar(
        name="Long",
        description="A whole number of 64 bits.",
        serialize=_same,
        parse_value=_read_long,
    ),
    Time: strawberry.scalar(
        name="Time",
        description="A time as RFC 3339 writes it; in answers in UTC, with six decimals.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=_same,
        parse_value=_read_time,
    ),
}

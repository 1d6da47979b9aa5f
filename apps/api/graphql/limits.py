"""What a query may cost, judged before anything is resolved.

The model: every field counts one for each object that it may be asked of. A connection asks its
fields of as many objects as its page has (``first``, ``last``, else the page size of the settings),
another list of objects of ten. Fields that read a document, or that need statements of their own,
count a hundred. Fragments count wherever they are spread; introspection has the limits of
graphql-core's rule.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    Node,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
    Visitor,
    get_named_type,
    visit,
)
from graphql.type import is_list_type, is_non_null_type
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import validate_document
from strawberry.schema.schema_converter import GraphQLCoreConverter

from apps.engine import values
from apps.engine.errors import DomainError, LimitError, MalformedError, Problem

MAX_TOKENS: Final = 2_000
MAX_DEPTH: Final = 15
MAX_ALIASES: Final = 50
MAX_COST: Final = 20_000
LIST_SIZE: Final = 10
PAGE_ARGUMENTS = ("first", "last")


class Limits(SchemaExtension):
    """Refuses what is too large, first by its form alone, then by what the schema says of it."""

    def on_operation(self) -> Iterator[None]:
        """Bounds the parser."""
        self.execution_context.parse_options["max_tokens"] = MAX_TOKENS
        yield

    def on_validate(self) -> Iterator[None]:
        """In place of strawberry's validation, whose rules take long for hostile queries."""
        context = self.execution_context
        assert context.graphql_document is not None  # noqa: S101 - it was parsed
        try:
            context.pre_execution_errors = self._validate(context.graphql_document)
        except DomainError as error:
            context.pre_execution_errors = [GraphQLError(error.detail, original_error=error)]
        yield

    def _validate(self, document: DocumentNode) -> list[GraphQLError]:
        context = self.execution_context
        schema = context.schema._schema  # noqa: SLF001 - strawberry's only way to it
        check_form(document)
        errors = validate_document(schema, document, context.validation_rules)
        if not errors:
            operation = _operation(document, context._provided_operation_name)  # noqa: SLF001 - not a guess
            _check_way(operation, subscribes=context.context.subscribes)
            check_cost(schema, document, operation, context.variables or {})
        return errors


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    found = [
        each
        for each in document.definitions
        if isinstance(each, OperationDefinitionNode)
        and (name is None or (each.name is not None and each.name.value == name))
    ]
    if len(found) != 1:
        raise MalformedError("Name the operation that is to be done: 'operationName'.", code="way")
    return found[0]


def _check_way(operation: OperationDefinitionNode, *, subscribes: bool) -> None:
    is_subscription = operation.operation is OperationType.SUBSCRIPTION
    if is_subscription and not subscribes:
        raise MalformedError("Subscriptions go over the WebSocket /ws/graphql.", code="way")
    if subscribes and not is_subscription:
        raise MalformedError("The WebSocket is for subscriptions: POST it to /graphql.", code="way")


def check_form(document: DocumentNode) -> None:
    """Raise :class:`LimitError` for what is too deep or has too many aliases, and
    :class:`MalformedError` for text that no database shall see.
    """
    visit(document, _Texts())
    fragments = _fragments(document)
    form = _Form(fragments)
    for each in document.definitions:
        if isinstance(each, OperationDefinitionNode):
            form.measure(each.selection_set)


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {
        each.name.value: each
        for each in document.definitions
        if isinstance(each, FragmentDefinitionNode)
    }


class _Texts(Visitor):
    def enter_string_value(self, node: StringValueNode, *_args: Any) -> None:
        values.check(node.value)


@dataclass(frozen=True, slots=True)
class _Shape:
    depth: int
    aliases: int


@dataclass(slots=True)
class _Form:
    """Depth and aliases with fragments laid out; a fragment is measured once, a circle is cut."""

    fragments: Mapping[str, FragmentDefinitionNode]
    known: dict[str, _Shape] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)

    def measure(self, selections: SelectionSetNode) -> None:
        shape = self._of(selections, 1)
        if shape.depth > MAX_DEPTH:
            raise _limit("depth", f"A query is at most {MAX_DEPTH} fields deep.", selections)
        if shape.aliases > MAX_ALIASES:
            raise _limit("aliases", f"A query has at most {MAX_ALIASES} aliases.", selections)

    def _of(self, selections: SelectionSetNode, level: int) -> _Shape:
        if level > MAX_TOKENS:
            return _Shape(0, 0)
        depth = aliases = 0
        for each in selections.selections:
            found = self._one(each, level)
            depth = max(depth, found.depth)
            aliases += found.aliases
        return _Shape(depth, aliases)

    def _one(self, node: Node, level: int) -> _Shape:
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(node.name.value, level)
        if isinstance(node, InlineFragmentNode):
            return self._of(node.selection_set, level + 1)
        if not isinstance(node, FieldNode):
            return _Shape(0, 0)
        own = 1 if node.alias is not None else 0
        if node.selection_set is None:
            return _Shape(1, own)
        if node.name.value.startswith("__"):  # introspection has a rule of its own
            return _Shape(1, own + self._of(node.selection_set, level + 1).aliases)
        inner = self._of(node.selection_set, level + 1)
        return _Shape(inner.depth + 1, inner.aliases + own)

    def _fragment(self, name: str, level: int) -> _Shape:
        if name in self.known:
            return self.known[name]
        found = self.fragments.get(name)
        if found is None or name in self.open:
            return _Shape(0, 0)
        self.open.add(name)
        shape = self._of(found.selection_set, level + 1)
        self.open.discard(name)
        self.known[name] = shape
        return shape


def check_cost(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> None:
    """Raise :class:`LimitError` for a valid query that costs more than the limit."""
    root = schema.get_root_type(operation.operation)
    costs = _Costs(schema, _fragments(document), variables)
    total = costs.of(operation.selection_set, root)
    if total > MAX_COST:
        message = (
            f"The query costs {total}, at most {MAX_COST} is allowed: ask for smaller pages"
            " ('first'), or for less at once."
        )
        raise _limit("cost", message, operation)


@dataclass(slots=True)
class _Costs:
    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]
    known: dict[str, int] = field(default_factory=dict)

    def of(self, selections: SelectionSetNode, kind: GraphQLNamedType | None) -> int:
        return sum(self._one(each, kind) for each in selections.selections)

    def _one(self, node: Node, kind: GraphQLNamedType | None) -> int:
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(node.name.value)
        if isinstance(node, InlineFragmentNode):
            named = node.type_condition.name.value if node.type_condition else None
            return self.of(node.selection_set, self.schema.get_type(named) if named else kind)
        assert isinstance(node, FieldNode)  # noqa: S101 - there is no fourth kind of selection
        found = None
        if isinstance(kind, (GraphQLObjectType, GraphQLInterfaceType)):
            found = self.schema.get_field(kind, node.name.value)
        if found is None or node.name.value.startswith("__"):
            return 1
        own = _own_cost(found, node)
        if node.selection_set is None:
            return own
        inner = self.of(node.selection_set, get_named_type(found.type))
        return own + inner * self._count(node, found)

    def _fragment(self, name: str) -> int:
        if name not in self.known:
            found = self.fragments[name]
            kind = self.schema.get_type(found.type_condition.name.value)
            self.known[name] = self.of(found.selection_set, kind)
        return self.known[name]

    def _count(self, node: FieldNode, found: GraphQLField) -> int:
        """How many objects the fields below are asked of."""
        if "first" in found.args:
            return self._page_size(node)
        plain = found.type.of_type if is_non_null_type(found.type) else found.type
        is_list = is_list_type(plain) and node.name.value != "edges"
        return LIST_SIZE if is_list else 1

    def _page_size(self, node: FieldNode) -> int:
        for argument in node.arguments or ():
            if argument.name.value not in PAGE_ARGUMENTS:
                continue
            given: Any = None
            if isinstance(argument.value, IntValueNode):
                given = int(argument.value.value)
            elif isinstance(argument.value, VariableNode):
                given = self.variables.get(argument.value.name.value, settings.MAX_PAGE_SIZE)
            if isinstance(given, int):
                return max(1, min(given, settings.MAX_PAGE_SIZE))
        return int(settings.PAGE_SIZE)


def _own_cost(found: GraphQLField, node: FieldNode) -> int:
    definition = found.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    metadata: Mapping[str, Any] = getattr(definition, "metadata", None) or {}
    named = {each.name.value for each in node.arguments or ()}
    costs: list[int] = [
        cost for name, cost in metadata.get("cost_with", {}).items() if name in named
    ]
    return max([int(metadata.get("cost", 1)), *costs])


def _limit(code: str, message: str, node: Node) -> LimitError:
    line = node.loc.start_token.line if node.loc else None
    column = node.loc.start_token.column if node.loc else None
    return LimitError(message, [Problem("", code, message, line, column)])

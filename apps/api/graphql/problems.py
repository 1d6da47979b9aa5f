"""Errors as GraphQL tells of them: the members of REST's problem in ``extensions``."""

from collections.abc import Iterator, Sequence
from typing import Any

from graphql import FieldNode, GraphQLError, GraphQLSyntaxError
from strawberry.extensions import SchemaExtension
from strawberry.types import StreamExecutionResult

from apps.api.errors import tell
from apps.engine.errors import DomainError, LimitError, MalformedError, Problem

PARSER_LIMITS = {"Document contains more than": "tokens", "Document is nested too deeply": "depth"}


class InvalidQueryError(MalformedError):
    """The query does not fit the schema."""

    code = "invalid_query"
    title = "The query is not valid"


def present(error: GraphQLError) -> GraphQLError:
    """The same error with the problem that REST would answer as its ``extensions``."""
    cause = _cause(error)
    told = tell(cause)
    members = {name: value for name, value in told.members.items() if name != "detail"}
    return GraphQLError(
        str(told.members["detail"]),
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        original_error=cause,
        extensions=members,
    )


def _cause(error: GraphQLError) -> Exception:
    """What was raised; an error of the query itself as one of ours, with its place."""
    found: Exception | None = error
    while isinstance(found, GraphQLError):
        if found.original_error is None or found.original_error is found:
            break
        found = found.original_error
    if isinstance(found, RecursionError):
        return LimitError("The query is nested too deeply.", [_at(error, "depth")])
    if found is not None and not isinstance(found, GraphQLError):
        return found
    for start, code in PARSER_LIMITS.items():
        if error.message.startswith(f"Syntax Error: {start}"):
            return LimitError(error.message.removeprefix("Syntax Error: "), [_at(error, code)])
    if isinstance(error, GraphQLSyntaxError):
        return MalformedError(error.message, [_at(error, "syntax")])
    return InvalidQueryError(error.message, [_at(error, "query")])


def _at(error: GraphQLError, code: str) -> Problem:
    place = error.locations[0] if error.locations else None
    line, column = (place.line, place.column) if place else (None, None)
    return Problem("", code, error.message, line, column)


def refusals_of(errors: Sequence[GraphQLError]) -> list[tuple[str, DomainError]]:
    """The refusals among errors that were told of, by the fields that lead to them."""
    found = []
    for error in errors:
        if isinstance(error.original_error, DomainError):
            names = [str(step) for step in error.path or () if isinstance(step, str)]
            for node in error.nodes or ():
                if isinstance(node, FieldNode):  # aliases are the caller's own
                    names[-1:] = [node.name.value]
            found.append((".".join(names), error.original_error))
    return found


class Problems(SchemaExtension):
    """Presents every error of every answer, also of those that a subscription sends."""

    def __init__(self) -> None:
        self.streams = False

    def on_operation(self) -> Iterator[None]:
        """The errors of a query or mutation."""
        yield
        if not self.streams:
            self._present(self.execution_context.result)

    def on_stream_result(self, result: StreamExecutionResult) -> Iterator[None]:
        """The errors of one message."""
        self.streams = True
        self._present(result)
        yield

    @staticmethod
    def _present(result: Any) -> None:
        errors = getattr(result, "errors", None)
        if errors:
            result.errors = [present(each) for each in errors]

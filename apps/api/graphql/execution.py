"""Doing what a request of GraphQL asks, over the schema.

The schema and its libraries take a third of a server's start: this module is loaded at the first
request or socket of GraphQL.
"""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError
from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.types import ExecutionResult

from apps.api.base import refuse_unknown, typed
from apps.api.graphql.context import Context
from apps.api.graphql.problems import InvalidQueryError, present
from apps.api.graphql.schema import schema
from apps.engine.errors import MalformedError
from apps.engine.values import Tree

MEMBERS = ("query", "variables", "operationName", "extensions")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks: the query's text, which of its operations, and the variables."""

    query: str
    variables: dict[str, Tree]
    operation: str | None

    @classmethod
    def of(cls, body: Tree) -> "Asked":
        """Read a body. Raises :class:`MalformedError`; a list of requests is refused."""
        if isinstance(body, list):
            raise MalformedError("Send one request at a time: batches are not taken.", code="batch")
        if not isinstance(body, dict):
            raise MalformedError("The body is a JSON object with 'query'.")
        refuse_unknown(body, MEMBERS)
        query = typed(body, "query", str, "")
        if not query.strip():
            raise MalformedError('Send a query: {"query":"{ services { … } }"}.')
        typed(body, "extensions", dict)
        variables = typed(body, "variables", dict, {})
        return cls(query, variables, typed(body, "operationName", str))

    def arguments(self, context: Context) -> dict[str, Any]:
        """What the schema is given."""
        return {
            "query": self.query,
            "variable_values": self.variables,
            "context_value": context,
            "operation_name": self.operation,
        }


def run(context: Context, asked: Asked) -> ExecutionResult:
    """What a request gives. Mutations are done one after the other, each an act of its own."""
    try:
        return schema.execute_sync(**asked.arguments(context))
    except CannotGetOperationTypeError as error:
        return _no_operation(error)


async def stream(context: Context, asked: Asked) -> AsyncGenerator[ExecutionResult, None]:
    """What a subscription gives, until it ends or is refused."""
    try:
        found: Any = await schema.stream(**asked.arguments(context))
    except CannotGetOperationTypeError as error:
        yield _no_operation(error)
        return
    async with contextlib.aclosing(found) as results:
        async for each in results:
            yield each


def _no_operation(error: CannotGetOperationTypeError) -> ExecutionResult:
    cause = InvalidQueryError(error.as_http_error_reason())
    told = present(GraphQLError(cause.detail, original_error=cause))
    return ExecutionResult(data=None, errors=[told])

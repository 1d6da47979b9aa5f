"""``/graphql``: queries and mutations by POST, the console by GET."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import get_script_prefix
from graphql import GraphQLError
from rest_framework.exceptions import MethodNotAllowed
from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.types import ExecutionResult

from apps.access.middleware import Refused
from apps.api.authentication import BrowserAuthentication
from apps.api.base import ApiView, answer_json, read_json, refuse_unknown, typed
from apps.api.documentation import CONSOLE, GRAPHQL, documented
from apps.api.errors import wants_html
from apps.api.graphql.context import Context
from apps.api.graphql.problems import InvalidQueryError, present, refusals_of
from apps.api.graphql.schema import schema
from apps.engine.errors import MalformedError, UnauthenticatedError
from apps.engine.values import Tree

MEMBERS = ("query", "variables", "operationName", "extensions")
RESPONSE = "application/graphql-response+json"


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


class GraphQLView(ApiView):
    """The one address of GraphQL."""

    @documented("The GraphQL console, a page for people who are logged in", CONSOLE)
    def get(self, request: Any) -> HttpResponse:
        """GraphiQL, for a browser with a session. Queries go by POST."""
        if not wants_html(request):
            raise MethodNotAllowed("GET")
        if not isinstance(request.successful_authenticator, BrowserAuthentication):
            raise UnauthenticatedError("The console is for people: log in.")
        context = {"socket": f"{get_script_prefix()}ws/graphql"}
        answer = render(request._request, "api/console.html", context)  # noqa: SLF001 - Django's own
        answer["Cache-Control"] = "no-store"
        return answer

    @documented("Query or change anything as one graph (GraphQL)", GRAPHQL)
    def post(self, request: Any) -> HttpResponse:
        """``{"query","variables","operationName"}``; 200 with ``data`` and ``errors``."""
        context = Context(self.actor, request.headers.get("Idempotency-Key"))
        result = run(context, Asked.of(read_json(request)))
        refused = [*context.refused, *refusals_of(result.errors or ())]
        request._request.refusals = [  # noqa: SLF001 - the boundary of the process records them
            Refused(error, field, writes=context.writes) for field, error in refused
        ]
        return answer_result(result, wants_response=RESPONSE in request.headers.get("Accept", ""))


def run(context: Context, asked: Asked) -> ExecutionResult:
    """What a request gives. Mutations are done one after the other, each an act of its own."""
    try:
        return schema.execute_sync(
            asked.query,
            variable_values=asked.variables,
            context_value=context,
            operation_name=asked.operation,
        )
    except CannotGetOperationTypeError as error:
        return _no_operation(error)


async def stream(context: Context, asked: Asked) -> AsyncGenerator[ExecutionResult, None]:
    """What a subscription gives, until it ends or is refused."""
    try:
        found: Any = await schema.stream(
            asked.query,
            variable_values=asked.variables,
            context_value=context,
            operation_name=asked.operation,
        )
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


def answer_result(result: ExecutionResult, *, wants_response: bool) -> HttpResponse:
    """The answer: 200, or for who takes GraphQL's own media type 400 where nothing was resolved."""
    body: dict[str, Tree] = {"data": result.data}
    if result.errors:
        body = {"errors": [each.formatted for each in result.errors], **body}
    refused = result.data is None and wants_response
    answer = answer_json(body, 400 if refused else 200, {"Cache-Control": "no-store"})
    if wants_response:
        answer["Content-Type"] = f"{RESPONSE}; charset=utf-8"
    return answer

"""``/graphql``: queries and mutations by POST, the console by GET."""

from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import get_script_prefix
from rest_framework.exceptions import MethodNotAllowed

from apps.access.middleware import Refused
from apps.api.authentication import BrowserAuthentication
from apps.api.base import ApiView, answer_json, read_json
from apps.api.documentation import CONSOLE, GRAPHQL, documented
from apps.api.errors import wants_html
from apps.engine.errors import UnauthenticatedError
from apps.engine.values import Tree

if TYPE_CHECKING:
    from strawberry.types import ExecutionResult

RESPONSE = "application/graphql-response+json"


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
        from apps.api.graphql.context import Context  # loaded with the first request: see execution
        from apps.api.graphql.execution import Asked, run
        from apps.api.graphql.problems import refusals_of

        context = Context(self.actor, request.headers.get("Idempotency-Key"))
        result = run(context, Asked.of(read_json(request)))
        refused = [*context.refused, *refusals_of(result.errors or ())]
        request._request.refusals = [  # noqa: SLF001 - the boundary of the process records them
            Refused(error, field, writes=context.writes) for field, error in refused
        ]
        return answer_result(result, wants_response=RESPONSE in request.headers.get("Accept", ""))


def answer_result(result: "ExecutionResult", *, wants_response: bool) -> HttpResponse:
    """The answer: 200, or for who takes GraphQL's own media type 400 where nothing was resolved."""
    body: dict[str, Tree] = {"data": result.data}
    if result.errors:
        body = {"errors": [each.formatted for each in result.errors], **body}
    refused = result.data is None and wants_response
    answer = answer_json(body, 400 if refused else 200, {"Cache-Control": "no-store"})
    if wants_response:
        answer["Content-Type"] = f"{RESPONSE}; charset=utf-8"
    return answer

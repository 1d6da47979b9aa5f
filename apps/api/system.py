"""Health, stream tickets, the address of streams, and what is at no address at all."""

from typing import Any

from django.db import connection
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.utils import extend_schema

from apps.access.holds import are_held
from apps.api.base import ApiView, answer_json
from apps.api.documentation import METRICS, OPEN, STREAM, TOKEN, documented
from apps.audit.checkpoints import public_keys
from apps.audit.selectors import head
from apps.core import clock
from apps.delivery.metrics import expose_all
from apps.delivery.requests import Asked, admit_stream, read_cursor
from apps.delivery.services import create_ticket
from apps.engine.errors import MalformedError, NotFoundError, UnavailableError
from apps.vault.selectors import is_sealed


class HealthView(ApiView):
    """Whether the process answers."""

    authentication_classes = ()
    permission_classes = ()

    @documented("Whether the process answers", OPEN)
    def get(self, _request: Any) -> HttpResponse:
        """Always 200."""
        return answer_json({"status": "ok"})


class ReadyView(ApiView):
    """Whether the server can do its work."""

    authentication_classes = ()
    permission_classes = ()

    @documented("Whether the server can do its work", OPEN)
    def get(self, _request: Any) -> HttpResponse:
        """200 with the revision, 503 without the database."""
        try:
            position = head()
        except Exception as error:  # whatever the driver raises, the answer is the same
            raise UnavailableError("The database is away.") from error
        data: dict[str, Any] = {
            "status": "ok",
            "epoch": position.epoch,
            "revision": position.revision,
            "database": connection.vendor,
            "sealed": is_sealed(),
            "held": are_held(),
        }
        return answer_json(data)


class KeysView(ApiView):
    """The public keys of the installation's signatures."""

    authentication_classes = ()
    permission_classes = ()

    @documented("The public keys that answers and checkpoints are signed by", OPEN)
    def get(self, _request: Any) -> HttpResponse:
        """A JSON Web Key Set (RFC 7517), the current key first."""
        return answer_json(public_keys(), 200, {"Cache-Control": "max-age=3600"})


class MetricsView(ApiView):
    """What the process that answers tells operators of itself."""

    @documented("The metrics of one process, for Prometheus", METRICS)
    def get(self, request: Any) -> HttpResponse:
        """The text format 0.0.4, or OpenMetrics."""
        found = expose_all(
            actor=self.actor,
            authorization=request.headers.get("Authorization", ""),
            accept=request.headers.get("Accept", ""),
        )
        answer = HttpResponse(found.body, content_type=found.content_type)
        answer["Cache-Control"] = "no-store"
        return answer


class TicketsView(ApiView):
    """One-time tickets for streams that cannot send a header."""

    @documented("Make a stream ticket: 30 s, one use", TOKEN)
    def post(self, _request: Any) -> HttpResponse:
        """``{ticket, expires_at}``."""
        raw, expires_at = create_ticket(actor=self.actor)
        data = {"ticket": raw, "expires_at": clock.rfc3339(expires_at)}
        return answer_json(data, 201, {"Cache-Control": "no-store"})


class StreamView(ApiView):
    """Streams are served before Django; what comes here is refused, and this says why."""

    @documented("Watch changes as server-sent events", STREAM)
    def get(self, request: Any) -> HttpResponse:
        """Raise what keeps this request from being a stream."""
        asked = Asked.of({**request.META, **_scope(request)})
        read_cursor(asked.headers.get("last-event-id") or asked.one("after"))
        admit_stream(self.actor, asked)
        raise MalformedError("This server was started without its streams: use configsvc.asgi.")


def _scope(request: Any) -> dict[str, Any]:
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    query = request.META.get("QUERY_STRING", "").encode()
    return {"method": "GET", "path": request.path_info, "headers": headers, "query_string": query}


@extend_schema(exclude=True)
class NothingView(ApiView):
    """Every address that is none."""

    def _refuse(self, _request: Any, **_kwargs: str) -> HttpResponse:
        raise NotFoundError("There is nothing at this address.")

    get = post = put = patch = delete = _refuse


nothing = csrf_exempt(NothingView.as_view())

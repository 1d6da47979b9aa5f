"""The addresses of OFREP as views: every answer, and every refusal."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.urls import URLPattern, get_script_prefix, path
from rest_framework.exceptions import UnsupportedMediaType

from apps.access.policy import Place
from apps.api.base import ApiView, content_type, read_body
from apps.api.documentation import OFREP_BULK, OFREP_EVENTS, OFREP_SINGLE, documented
from apps.api.ofrep import answers
from apps.api.ofrep.answers import Answer
from apps.api.ofrep.tickets import make_ticket, read_ticket
from apps.configs.selectors.configurations import resolve_environment, resolve_place
from apps.core import clock
from apps.core.actor import Actor
from apps.delivery.reads import note_read
from apps.engine.errors import DomainError, MalformedError, Problem
from apps.rollouts.flags import ServiceFlags, find_flags, list_readable
from apps.rollouts.services import note_instance

VARY = "Authorization, Cookie, Origin"


def find_place(actor: Actor, service: str | None, environment: str | None) -> Place:
    """Where flags are asked for: the named service, or the one that the actor may read there.

    Raises :class:`MalformedError` naming the prefix when there are none or several.
    """
    if service is None:
        found = resolve_environment(actor=actor, environment=environment)
        readable = list_readable(actor=actor, place=Place(environment=found))
        if len(readable) != 1:
            message = (
                "Name the service in the address, /services/NAME/ofrep/v1: you may read "
                f"{len(readable) or 'none'} here."
            )
            error = MalformedError(message, [Problem("", "service", message)])
            error.error_code = "GENERAL"  # type: ignore[attr-defined] # read by error_members
            raise error
        service = readable[0].slug
        environment = found.slug
    return resolve_place(actor=actor, service=service, environment=environment, verb="read")


class _OfrepView(ApiView):
    """What both ways of evaluating share."""

    def handle_exception(self, exc: Exception) -> Any:
        """A problem that says what OFREP's clients read too."""
        answer: Any = super().handle_exception(exc)
        error = exc if isinstance(exc, DomainError) else None
        members = json.loads(answer.content)
        extra = (
            answers.error_members(error, self.kwargs.get("key"))
            if error
            else {"errorCode": "GENERAL", "errorDetails": members["detail"]}
        )
        answer.content = json.dumps({**members, **extra}).encode()
        return answer

    def evaluate(
        self, service: str | None, say: Callable[[ServiceFlags | None, Any, Place], Answer]
    ) -> HttpResponse:
        """Read the request, and answer by ``say`` about flags, context and place."""
        kind = content_type(self.request)
        if kind != "application/json":
            raise UnsupportedMediaType(kind)
        context = answers.read_context(read_body(self.request), clock.now())
        place = find_place(self.actor, service, self.request.GET.get("environment"))
        flags = find_flags(actor=self.actor, place=place)
        if flags is not None:
            note_read(
                actor=self.actor, place=place, version=flags.version, keys=list(flags.sections)
            )
            if (name := self.request.headers.get("X-Config-Instance")) is not None:
                note_instance(actor=self.actor, place=place, name=name, version=flags.version)
        return _sent(say(flags, context, place), self.request.headers.get("If-None-Match", ""))


class FlagView(_OfrepView):
    """One flag."""

    def _one(self, key: str, service: str | None) -> HttpResponse:
        return self.evaluate(
            service, lambda flags, context, _at: answers.single(flags, key, context)
        )


class FlagOfServiceView(FlagView):
    """One flag of a named service."""

    @documented("Evaluate one flag of a service (OFREP)", OFREP_SINGLE)
    def post(self, _request: Any, key: str, service: str) -> HttpResponse:
        """The value that the context's unit gets, and why."""
        return self._one(key, service)


class FlagOfCallerView(FlagView):
    """One flag of the service that the caller may read."""

    @documented("Evaluate one flag of the one service that you may read (OFREP)", OFREP_SINGLE)
    def post(self, _request: Any, key: str) -> HttpResponse:
        """The value that the context's unit gets, and why."""
        return self._one(key, None)


class FlagsView(_OfrepView):
    """All flags."""

    def _all(self, service: str | None) -> HttpResponse:
        request: Any = self.request

        def say(flags: ServiceFlags | None, context: Any, place: Place) -> Answer:
            origin = f"{request.scheme}://{request.get_host()}{get_script_prefix()}"
            url = event_address(self.actor, place, origin, context.now)
            return answers.bulk(flags, context, [url])

        return self.evaluate(service, say)


class FlagsOfServiceView(FlagsView):
    """All flags of a named service."""

    @documented("Evaluate all flags of a service (OFREP)", OFREP_BULK)
    def post(self, _request: Any, service: str) -> HttpResponse:
        """Every flag's value for the context's unit; 304 when nothing has changed."""
        return self._all(service)


class FlagsOfCallerView(FlagsView):
    """All flags of the service that the caller may read."""

    @documented("Evaluate all flags of the one service that you may read (OFREP)", OFREP_BULK)
    def post(self, _request: Any) -> HttpResponse:
        """Every flag's value for the context's unit; 304 when nothing has changed."""
        return self._all(None)


def event_address(actor: Actor, place: Place, origin: str, now: datetime) -> str:
    """The address of the event stream, with a ticket for it; ``origin`` ends with a slash."""
    return f"{origin}ofrep/v1/events?ticket={make_ticket(actor=actor, place=place, now=now)}"


def _sent(answer: Answer, known: str) -> HttpResponse:
    sent = (
        HttpResponse(status=304)
        if answer.is_known(known)
        else HttpResponse(answer.body, status=answer.status, content_type=answers.MEDIA_TYPE)
    )
    for name, value in headers_of(answer).items():
        sent[name] = value
    return sent


def headers_of(answer: Answer) -> dict[str, str]:
    """The headers of an answer, beside its type."""
    headers = {"Cache-Control": "private, no-cache", "Vary": VARY}
    return {**headers, "ETag": answer.etag} if answer.etag else headers


class EventsView(_OfrepView):
    """Event streams are served before Django; what comes here is refused, and this says why."""

    authentication_classes = ()
    permission_classes = ()

    @documented("Hear of flags that changed (OFREP)", OFREP_EVENTS)
    def get(self, request: Any) -> HttpResponse:
        """Raise what keeps this request from being a stream."""
        ticket = read_ticket(
            request.GET.get("ticket", ""), now=clock.now(), address=request.META.get("REMOTE_ADDR")
        )
        find_place(ticket.actor, ticket.service, ticket.environment)
        raise MalformedError("This server was started without its streams: use configsvc.asgi.")


OF_SERVICE = "services/<str:service>/"
urlpatterns: list[URLPattern] = [
    path("ofrep/v1/evaluate/flags", FlagsOfCallerView.as_view()),
    path("ofrep/v1/evaluate/flags/<path:key>", FlagOfCallerView.as_view()),
    path(f"{OF_SERVICE}ofrep/v1/evaluate/flags", FlagsOfServiceView.as_view()),
    path(f"{OF_SERVICE}ofrep/v1/evaluate/flags/<path:key>", FlagOfServiceView.as_view()),
    path("ofrep/v1/events", EventsView.as_view()),
]

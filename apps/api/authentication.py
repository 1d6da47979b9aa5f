"""Who calls: a bearer token, or a browser's session with CSRF."""

from dataclasses import replace
from typing import Any

from django.http import HttpResponse
from rest_framework.authentication import BaseAuthentication, CSRFCheck, SessionAuthentication
from rest_framework.permissions import BasePermission

from apps.access import holds
from apps.access.selectors import actor_of_user, authenticate_token, stand_in
from apps.access.services import note_use
from apps.core import clock
from apps.core.actor import Actor
from apps.delivery.keeping import asked_ahead_for
from apps.engine.errors import ForbiddenError, UnauthenticatedError


class BearerAuthentication(BaseAuthentication):
    """``Authorization: Bearer csk_…`` for services and automation."""

    def authenticate(self, request: Any) -> tuple[Actor, Actor] | None:
        """The service account behind the token; ``None`` without the header. For who is asked ahead the
        process itself says whose token it is.
        """
        token_id = asked_ahead_for(request.META.get("asgi.scope"))
        if token_id is not None:
            actor = stand_in(token_id, now=clock.now())
            return actor, actor
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        scheme, _space, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise UnauthenticatedError("Send 'Authorization: Bearer csk_…'.")
        actor = authenticate_token(token.strip(), now=clock.now(), address=_address(request))
        note_use(actor)
        return actor, actor

    def authenticate_header(self, _request: Any) -> str:
        """What a 401 asks for."""
        return "Bearer"


class BrowserAuthentication(SessionAuthentication):
    """The session cookie; writes need the CSRF token."""

    def authenticate(self, request: Any) -> tuple[Any, Actor] | None:
        """The person who is logged in, or ``None``."""
        found = super().authenticate(request)
        if found is None:
            return None
        holds.require_free(request.session)
        actor = actor_of_user(found[0], address=_address(request))
        return found[0], replace(actor, session=request.session.session_key)

    def enforce_csrf(self, request: Any) -> None:
        """Django's check on Django's request: DRF's own would parse the body first."""
        check = CSRFCheck(lambda _request: HttpResponse())
        check.process_request(request._request)  # noqa: SLF001 - DRF offers no other way
        reason = check.process_view(request._request, None, (), {})  # type: ignore[arg-type] # noqa: SLF001
        if reason:
            raise ForbiddenError(f"The CSRF token is missing or wrong: {reason}", code="csrf")


class HasActor(BasePermission):
    """Everything but a few open addresses needs somebody to be logged in."""

    def has_permission(self, request: Any, _view: Any) -> bool:
        """Raise :class:`UnauthenticatedError` without credentials."""
        if not isinstance(request.auth, Actor):
            raise UnauthenticatedError("Send 'Authorization: Bearer csk_…', or log in.")
        return True


def _address(request: Any) -> str | None:
    address: str | None = request.META.get("REMOTE_ADDR")
    return address

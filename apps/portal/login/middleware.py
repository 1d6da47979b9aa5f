"""Sessions that are over end; a missing second factor comes first; too many attempts wait."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from apps.access import holds, sessions
from apps.core import clock
from apps.engine.errors import (
    DomainError,
    SecondFactorRequiredError,
    TooManyAttemptsError,
    UnauthenticatedError,
    UnavailableError,
)
from apps.portal.login.requests import OWN
from apps.portal.shared import actor_of

PORTAL = "/admin/"
OPEN = ("/admin/login/", "/admin/logout/", "/admin/jsi18n/")


class LoginMiddleware:
    """What holds for every request with a session cookie."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """End a session that is over before anybody looks at it."""
        if request.session.session_key and request.user.is_authenticated:
            now = clock.now()
            if sessions.is_over(request.session, now=now):
                logout(request)
            else:
                sessions.touch(request.session, now=now)
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, _view: Any, _args: Any, _kwargs: Any
    ) -> HttpResponse | None:
        """Lead to the enrolment whom the settings ask for a second factor, and to the page that
        confirms rights while they are held; nothing else opens.
        """
        path = request.path_info
        if not path.startswith(PORTAL) or path.startswith(OPEN):
            return None
        if holds.waits(request.session) and path != reverse("admin:confirm-rights"):
            return HttpResponseRedirect(reverse("admin:confirm-rights"))
        try:
            actor_of(request)
        except SecondFactorRequiredError:
            return HttpResponseRedirect(reverse("mfa_activate_totp"))
        except UnauthenticatedError:
            return None
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """A refusal of the log-in's pages is a page; too many attempts say how long (RFC 6585, 4)."""
        if not isinstance(error, DomainError):
            return None
        waits = isinstance(error, TooManyAttemptsError)
        if not waits and not request.path_info.startswith(OWN):
            return None
        answer = render(request, "login/refused.html", {"title": error.title, "error": error})
        answer.status_code = 429 if waits else 503 if isinstance(error, UnavailableError) else 400
        if waits:
            answer["Retry-After"] = str(error.extra["retry_after"])
        answer["Cache-Control"] = "no-store"
        return answer

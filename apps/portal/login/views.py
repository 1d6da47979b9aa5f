"""allauth's views as the portal serves them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account import views as account
from allauth.mfa.webauthn import views as keys
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from apps.access import factors, logins
from apps.access.selectors import is_privileged, person
from apps.core.models import User
from apps.core.transactions import writing
from apps.portal.login.requests import address_of

View = Callable[..., HttpResponse]


def audited(view: View) -> View:
    """A page that changes one's factors: what changed is written in the same transaction."""

    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user = request.user
        if request.method != "POST" or not isinstance(user, User):
            return view(request, *args, **kwargs)
        with writing():
            User.objects.select_for_update().get(pk=user.pk)
            before = factors.list_factors(user)
            answer = view(request, *args, **kwargs)
            if logins.record_factors(user=user, address=address_of(request), before=before):
                if factors.missing(user, lambda: is_privileged(person(user))):
                    transaction.set_rollback(True)
                    return _kept(request)
                update_session_auth_hash(request, user)
        return answer

    return guarded


class _Key:
    """A page about one key: the portal's frame takes ``object`` for a row of the admin."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The key under a name of its own."""
        context: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc] # a mix-in
        context["key"] = context.pop("object")
        return context


class RemoveKey(_Key, keys.RemoveWebAuthnView):  # type: ignore[misc] # allauth is untyped
    """Removing a security key."""


class RenameKey(_Key, keys.EditWebAuthnView):  # type: ignore[misc] # as above
    """Renaming one."""


def _kept(request: HttpRequest) -> HttpResponse:
    messages.error(request, "The last second factor stays: one is asked of you here.")
    return HttpResponseRedirect(reverse("mfa_index"))


@sensitive_post_parameters("password")
def login(request: HttpRequest, _extra: Any = None) -> HttpResponse:
    """The log-in, at the admin's own address."""
    answer: HttpResponse = account.login(request)
    return answer


def logout(request: HttpRequest, _extra: Any = None) -> HttpResponse:
    """The log-out: a GET asks first."""
    answer: HttpResponse = account.logout(request)
    return answer


def change_password(request: HttpRequest, _extra: Any = None) -> HttpResponse:
    """One's own password; who logs in elsewhere has none here."""
    if isinstance(request.user, User) and not request.user.has_usable_password():
        return HttpResponseRedirect(reverse("mfa_index"))
    answer: HttpResponse = account.password_change(request)
    return answer

"""What django-allauth asks of this installation."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.internal.flows.login import get_authentication_records
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from apps.access import attempts, factors, holds, logins, sessions
from apps.access.people import set_password
from apps.access.selectors import is_privileged, person
from apps.core import clock
from apps.core.models import User
from apps.core.transactions import writing
from apps.portal.login.requests import DEVICE_COOKIE, address_of, device_of

UNSAID = ("account/messages/logged_in.txt", "account/messages/logged_out.txt")


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc] # allauth is untyped
    """Log-in by user name and password: counted, audited, and never a registration."""

    def is_open_for_signup(self, _request: HttpRequest) -> bool:
        """Nobody registers himself."""
        return False

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """The person with this password, or ``None``: unknown, wrong and deactivated look alike.

        Raises :class:`TooManyAttemptsError`.
        """
        username, address = str(credentials.get("username", "")), address_of(request)
        attempt = attempts.begin_login(
            account=username, address=address, device=device_of(request), now=clock.now()
        )
        user = authenticate(request, username=username, password=credentials.get("password"))
        AuthenticationBackend.unstash_authenticated_user()  # a deactivated one stays outside
        if not isinstance(user, User) or hasattr(user, "service_account"):
            logins.record_failure(username=username, address=address, step="password")
            return None
        attempts.succeed(attempt)
        return user

    def login(self, request: HttpRequest, user: User) -> None:
        """Open the session; when the ledger cannot say so, it does not open.

        Raises :class:`HeldError` for those who have to wait after a restore.
        """
        records = get_authentication_records(request, user)
        methods = [each.get("type") or each["method"] for each in records]
        holds.refuse_login(user)
        with writing():
            super().login(request, user)
            holds.begin_session(request.session)
            request.session.set_expiry(settings.SESSION_COOKIE_AGE)
            sessions.begin(request.session, now=clock.now())
            logins.record_login(user=user, address=address_of(request), methods=methods)

    def post_login(self, request: HttpRequest, user: User, **facts: Any) -> HttpResponse:
        """Go on to where the person wanted to go, and know this browser again."""
        answer: HttpResponse = super().post_login(request, user, **facts)
        answer.set_cookie(
            DEVICE_COOKIE,
            attempts.new_device(user.username),
            max_age=attempts.DEVICE_LIVES,
            path=reverse("admin:login"),
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
        return answer

    def logout(self, request: HttpRequest) -> None:
        """Close the session."""
        user = request.user
        super().logout(request)
        if isinstance(user, User) and user.is_active:
            logins.record_logout(user=user, address=address_of(request))

    def set_password(self, user: User, password: str) -> None:
        """The person's own new password, through the service that validates and audits it."""
        actor = person(user, address=address_of(context.request))
        set_password(actor=actor, user=user, password=password)

    def get_logout_redirect_url(self, _request: HttpRequest) -> str:
        """Back to the log-in."""
        return reverse("admin:login")

    def get_password_change_redirect_url(self, _request: HttpRequest) -> str:
        """Back to the page about oneself."""
        return reverse("mfa_index")

    def respond_user_inactive(self, request: HttpRequest, _user: User) -> HttpResponse:
        """A deactivated login: the same page, nothing opened."""
        messages.error(request, "This login cannot be used.")
        return HttpResponseRedirect(reverse("admin:login"))

    def add_message(
        self, request: HttpRequest, level: int, template: Any = None, *rest: Any, **facts: Any
    ) -> None:
        """Say what is news; that one is in is seen."""
        if template not in UNSAID:
            super().add_message(request, level, template, *rest, **facts)

    def send_notification_mail(self, *_args: Any, **_facts: Any) -> None:
        """There is no mail; the ledger has it."""


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc] # allauth is untyped
    """Factors are sealed at rest, and the last one stays where it is asked for."""

    def encrypt(self, text: str) -> str:
        """Sealed, for the database."""
        return factors.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """What was sealed. Raises :class:`IntegrityError`."""
        return factors.unseal(encrypted_text)

    def _get_user_identifier(self, user: User) -> str:
        return user.username

    def _get_site_name(self) -> str:
        return "configsvc"

    def can_delete_authenticator(self, authenticator: Any) -> bool:
        """Whether another factor is left, or none is asked for."""
        user: User = authenticator.user
        kept = factors.list_factors(user)
        kept.pop(authenticator.pk, None)
        others = [kind for kind in kept.values() if kind != "recovery_codes"]
        return bool(others) or not factors.must_have(user, lambda: is_privileged(person(user)))

"""allauth's forms with our names, our limits and our seal."""

from typing import Any

from allauth.account import forms as account
from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as base
from allauth.mfa.totp import forms as totp
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY, generate_totp_secret
from django import forms
from django.core.exceptions import ValidationError

from apps.access import attempts, factors, logins
from apps.access.attempts import Attempt
from apps.core import clock
from apps.core.models import User
from apps.engine.errors import IntegrityError
from apps.portal.login.requests import address_of

LONGEST_PASSWORD = 1_000


class LoginForm(account.LoginForm):  # type: ignore[misc] # allauth is untyped
    """User name and password, under the names that the admin's own form has."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].max_length = LONGEST_PASSWORD
        self.fields["login"].widget.attrs |= {"autofocus": True, "autocapitalize": "none"}

    def add_prefix(self, field_name: str) -> str:
        """``username`` in the page, for password managers and scripts."""
        return str(super().add_prefix("username" if field_name == "login" else field_name))


class ChangePasswordForm(account.ChangePasswordForm):  # type: ignore[misc] # allauth is untyped
    """One's own new password: the present one is asked for, and counted as a log-in is."""

    def clean_oldpassword(self) -> str:
        """The present password. Raises :class:`TooManyAttemptsError`."""
        attempt = attempts.begin_factor(user_id=self.user.pk, now=clock.now())
        try:
            given: str = super().clean_oldpassword()
        except ValidationError:
            _record_failure(self.user, "present password")
            raise
        attempts.succeed(attempt)
        return given


class _CountedCode:
    """A code, counted, and good once on any node."""

    user: User

    def clean_code(self) -> str:
        """The code. Raises :class:`TooManyAttemptsError`."""
        now = clock.now()
        attempt: Attempt = attempts.begin_factor(user_id=self.user.pk, now=now)
        try:
            code = str(super().clean_code())  # type: ignore[misc] # the form beside it has it
            if not attempts.use_once(user_id=self.user.pk, code=code, now=now):
                raise get_adapter().validation_error("incorrect_code")
        except (ValidationError, ValueError):
            _record_failure(self.user, "second factor")
            raise
        attempts.succeed(attempt)
        return code


class CodeForm(_CountedCode, base.AuthenticateForm):  # type: ignore[misc] # allauth is untyped
    """The second step of the log-in."""


class CodeAgainForm(_CountedCode, base.ReauthenticateForm):  # type: ignore[misc] # as above
    """The code once more, before something that matters."""


class ActivateTotpForm(_CountedCode, totp.ActivateTOTPForm):  # type: ignore[misc] # as above
    """Enrolling an authenticator; its secret waits sealed in the session, which is a row too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.user = kwargs.pop("user")
        forms.Form.__init__(self, *args, **kwargs)
        self.secret = self._waiting_secret() if self.is_bound else self._new_secret()

    def _waiting_secret(self) -> str:
        try:
            return factors.unseal(context.request.session.get(SECRET_SESSION_KEY, ""))
        except IntegrityError:
            return self._new_secret()

    @staticmethod
    def _new_secret() -> str:
        secret: str = generate_totp_secret()
        context.request.session[SECRET_SESSION_KEY] = factors.seal(secret)
        return secret


def _record_failure(user: User, step: str) -> None:
    logins.record_failure(username=user.username, address=address_of(context.request), step=step)

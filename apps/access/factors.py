"""Second factors: who has one, who must, and their secrets sealed at rest."""

import base64
import secrets
from collections.abc import Callable

from allauth.mfa.models import Authenticator
from django.conf import settings

from apps.core.models import User
from apps.engine import sealing
from apps.engine.errors import IntegrityError

PURPOSE = "second factors"
_CONTEXT = sealing.context_of(what="second factor")


def has_factor(user: User) -> bool:
    """Whether the person has a second factor; recovery codes alone are none."""
    kinds = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]
    return bool(Authenticator.objects.filter(user_id=user.pk, type__in=kinds).exists())


def list_factored() -> set[int]:
    """The people who have one, by their keys."""
    rows = Authenticator.objects.exclude(type=Authenticator.Type.RECOVERY_CODES)
    return set(rows.values_list("user_id", flat=True))


def must_have(user: User, is_privileged: Callable[[], bool]) -> bool:
    """Whether the settings ask this person for a second factor here.

    Who has no password here logs in at the OpenID Connect provider, which answers for its own.
    """
    rule = settings.REQUIRE_MFA
    if rule == "off" or not user.has_usable_password():
        return False
    return rule == "all" or is_privileged()


def missing(user: User, is_privileged: Callable[[], bool]) -> bool:
    """Whether a second factor is asked for and not there."""
    return must_have(user, is_privileged) and not has_factor(user)


def list_factors(user: User) -> dict[int, str]:
    """The kind of each of the person's factors, recovery codes too, by the row's key."""
    return dict(Authenticator.objects.filter(user_id=user.pk).values_list("pk", "type"))


def seal(text: str) -> str:
    """``text`` sealed by the current signing key, for the columns of factors and for sessions."""
    sealed = sealing.seal(
        text.encode(),
        key=sealing.derive_key(settings.SECRET_KEY, PURPOSE),
        nonce=secrets.token_bytes(sealing.NONCE_BYTES),
        context=_CONTEXT,
    )
    return base64.b64encode(sealed).decode()


def unseal(sealed: str) -> str:
    """The text, by the current signing key or an earlier one. Raises :class:`IntegrityError`."""
    try:
        raw = base64.b64decode(sealed, validate=True)
    except ValueError:
        raise IntegrityError("A sealed second factor is damaged: it does not open.") from None
    for text in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        try:
            key = sealing.derive_key(text, PURPOSE)
            return sealing.unseal(raw, key=key, context=_CONTEXT).decode()
        except IntegrityError:
            continue
    raise IntegrityError("A second factor was sealed with a signing key that is not here.")

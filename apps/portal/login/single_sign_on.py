"""Log-in at an OpenID Connect provider: the authorization code flow with PKCE and a nonce.

Authlib keeps to OpenID Connect Core 1.0, RFC 6749 and RFC 7636. allauth's own provider is not
used: it checks neither nonce nor signature of an ID token that came from the token endpoint.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

import requests
from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.django_client import OAuth
from django.conf import settings
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from joserfc.errors import JoseError

from apps.access import logins
from apps.access.identities import Identity, set_mapped_groups, sign_on
from apps.core.actor import Actor, system
from apps.engine.errors import DomainError
from apps.portal.login.requests import address_of

logger = logging.getLogger(__name__)

TIMEOUT = 4  # seconds for each of the provider's answers
LEEWAY = 60  # seconds that clocks may differ
NEXT = "single_sign_on_next"
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
Page = Callable[[HttpRequest], HttpResponse]


class ProviderError(Exception):
    """The provider's answer is not what the standard says."""


FAULTS = (
    ProviderError,
    AuthlibBaseError,
    JoseError,
    requests.RequestException,
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def safe(view: Page) -> Page:
    """Whatever the provider does wrong is a page; the log has the reason, and nobody is in."""

    @require_GET
    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not _settings()["issuer"]:
            raise Http404
        try:
            return view(request)
        except DomainError as error:
            return _refused(request, error.detail)
        except IntegrityError:
            return _refused(request, "Somebody was faster. Try again.")
        except FAULTS as error:
            logger.warning("Single sign-on failed: %s", type(error).__name__, exc_info=error)
            return _refused(request, "The provider did not answer as it should. Try again.")

    return guarded


@safe
def begin(request: HttpRequest) -> HttpResponse:
    """Send the browser to the provider."""
    answer: HttpResponse = _client().authorize_redirect(request, _callback_address(request))
    request.session[NEXT] = request.GET.get("next", "")
    return answer


@safe
def callback(request: HttpRequest) -> HttpResponse:
    """The browser comes back with a code: redeem it, check the ID token, log in."""
    client = _client()
    claims = _claims(request, client)
    known, subject = _settings(), claims["sub"]
    if not isinstance(subject, str) or not subject:
        raise ProviderError("The subject is no text.")
    actor = system("single-sign-on")
    user = sign_on(
        actor=actor,
        identity=Identity(
            known["issuer"],
            subject,
            _text(claims, known["username_claim"]),
            _text(claims, "email"),
            _text(claims, "name"),
        ),
    )
    _map_groups(actor, user, claims)
    wanted = request.session.pop(NEXT, "")
    record_authentication(request, user, "single-sign-on")
    target = wanted if wanted and get_adapter().is_safe_url(wanted) else None
    answer: HttpResponse = perform_login(request, Login(user=user, redirect_url=target))
    return answer


def _settings() -> dict[str, Any]:
    return dict(settings.SINGLE_SIGN_ON)


def _client() -> Any:
    known = _settings()
    secret = known["client_secret"]
    oauth = OAuth()
    oauth.register(
        name="provider",
        client_id=known["client_id"],
        client_secret=secret or None,
        server_metadata_url=f"{known['issuer']}/.well-known/openid-configuration",
        client_kwargs={
            "scope": known["scope"],
            "code_challenge_method": "S256",
            "default_timeout": TIMEOUT,
            **({} if secret else {"token_endpoint_auth_method": "none"}),
        },
    )
    client = oauth.provider
    metadata = client.load_server_metadata()
    if str(metadata["issuer"]).rstrip("/") != known["issuer"]:
        raise ProviderError("The provider's metadata names another issuer.")
    offered = metadata.get("id_token_signing_alg_values_supported", ["RS256"])
    metadata["id_token_signing_alg_values_supported"] = sorted(ALGORITHMS & set(offered))
    return client


def _claims(request: HttpRequest, client: Any) -> dict[str, Any]:
    """What the ID token says, checked; with the user info where groups are not in the token."""
    known = _settings()
    issuer = client.server_metadata["issuer"]
    token = client.authorize_access_token(
        request,
        leeway=LEEWAY,
        claims_options={
            "iss": {"essential": True, "values": [issuer]},
            "aud": {"essential": True, "value": known["client_id"]},
        },
    )
    claims = dict(token.get("userinfo") or {})
    audience = claims.get("aud")
    if known["client_id"] not in (audience if isinstance(audience, list) else [audience]):
        raise ProviderError("There is no ID token for this client.")
    needs_more = known["groups"] and known["groups_claim"] not in claims
    if needs_more and client.server_metadata.get("userinfo_endpoint"):
        more = dict(client.userinfo(token=token))
        if more.get("sub") != claims["sub"]:  # OpenID Connect Core 1.0, section 5.3.2
            raise ProviderError("The user info is about somebody else.")
        claims = {**more, **claims}
    return claims


def _map_groups(actor: Actor, user: Any, claims: dict[str, Any]) -> None:
    known = _settings()
    mapping, held = known["groups"], claims.get(known["groups_claim"]) or []
    theirs = {held} if isinstance(held, str) else {each for each in held if isinstance(each, str)}
    wanted = {ours for name, ours in mapping.items() if name in theirs}
    set_mapped_groups(actor=actor, user=user, wanted=wanted, mapped=set(mapping.values()))


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _callback_address(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("single_sign_on_callback"))


def _refused(request: HttpRequest, detail: str) -> HttpResponse:
    logins.record_failure(username="", address=address_of(request), step="single-sign-on")
    error = DomainError(detail)
    context = {"title": "Single sign-on did not succeed", "error": error}
    return render(request, "login/refused.html", context, status=400)


STEPS = {"begin": begin, "callback": callback}

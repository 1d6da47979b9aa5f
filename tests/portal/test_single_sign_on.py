"""OpenID Connect against a small provider that keeps to Core 1.0, and to its faults."""

import base64
import contextlib
import hashlib
import json
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from tests.receivers import Handler, listening

pytestmark = pytest.mark.django_db

CLIENT, SECRET = "configsvc-client", "a-client-secret"
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}, private=True)
OTHER = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}, private=True)
UNKNOWN = RSAKey.generate_key(2048, {"kid": "two", "use": "sig"}, private=True)


class Provider:
    """The provider's state. ``fault`` makes its next answers wrong."""

    def __init__(self):
        self.fault, self.address, self.asked = "", "", {}
        self.claims = {"sub": "u-1", "preferred_username": "grace", "groups": ["sre", "all"]}
        self.info = None

    def metadata(self):
        issuer = "https://elsewhere.example" if self.fault == "metadata" else self.address
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "jwks_uri": f"{self.address}/jwks",
            "userinfo_endpoint": f"{self.address}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }

    def id_token(self):
        now = int(time.time())
        claims = {
            "iss": self.address,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 60,
            "nonce": self.asked["nonce"],
            **self.claims,
        }
        claims |= {
            "nonce": {"nonce": "another"},
            "audience": {"aud": "another-client"},
            "audiences": {"aud": ["another-client", CLIENT], "azp": "another-client"},
            "azp": {"aud": "another-client", "azp": CLIENT},
            "expired": {"exp": now - 600, "iat": now - 700},
            "issuer": {"iss": "https://elsewhere.example"},
            "subject": {"sub": ["u-1"]},
            "times": {"exp": "soon"},
        }.get(self.fault, {})
        if self.fault == "no nonce":
            del claims["nonce"]
        if self.fault == "unsigned":
            parts = [json.dumps(each).encode() for each in ({"alg": "none"}, claims)]
            return ".".join(base64.urlsafe_b64encode(p).decode().rstrip("=") for p in parts) + "."
        if self.fault == "confused":  # RS256's public key as an HMAC secret
            key = OctKey.import_key(KEY.as_pem(private=False), {"kid": "one"})
            return jwt.encode({"alg": "HS256", "kid": "one"}, claims, key, ["HS256"])
        key = {"signature": OTHER, "unknown key": UNKNOWN}.get(self.fault, KEY)
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)

    def token(self, form, authorization):
        verifier = form.get("code_verifier", [""])[0].encode()
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).decode().rstrip("=")
        expected = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        good = digest == self.asked["code_challenge"] and form["code"] == ["good"]
        if not good or authorization != f"Basic {expected}":
            return 400, {"error": "invalid_grant"}
        if self.fault == "no id token":
            return 200, {"access_token": "at", "token_type": "Bearer"}
        return 200, {"access_token": "at", "token_type": "Bearer", "id_token": self.id_token()}

    def answer(self, method, path, form, authorization):
        if self.fault in ("broken", path):
            return 500, {"error": "server_error"}
        if self.fault == f"garbage {path}":
            return 200, b"<html>"
        if self.fault == f"list {path}":
            return 200, []
        return {
            "/.well-known/openid-configuration": lambda: (200, self.metadata()),
            "/jwks": lambda: (200, {"keys": [KEY.as_dict(private=False)]}),
            "/token": lambda: self.token(form, authorization),
            "/userinfo": lambda: (200, self.info),
        }[path]()


@pytest.fixture
def provider(settings):
    state = Provider()

    class Asked(Handler):
        def asked(self):
            form = parse_qs(self.body().decode())
            self.answer(
                *state.answer(self.command, self.path, form, self.headers.get("authorization"))
            )

    with contextlib.ExitStack() as running:
        port = running.enter_context(listening(Asked))
        state.address, state.close = f"http://127.0.0.1:{port}", running.close
        settings.SINGLE_SIGN_ON = {
            "issuer": state.address,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "title": "Example",
            "scope": "openid profile email",
            "username_claim": "preferred_username",
            "groups_claim": "groups",
            "groups": {"sre": "operators", "audit": "auditors"},
        }
        yield state


def come_back(client, provider, code="good", **changed):
    """Press the button, log in at the provider, come back with its code."""
    sent = client.get("/accounts/sso/", {"next": "/admin/registry/service/"})
    assert sent.status_code == 302, sent.content.decode()
    query = parse_qs(urlsplit(sent["Location"]).query)
    provider.asked = {name: found[0] for name, found in query.items()}
    given = {"code": code, "state": provider.asked["state"], **changed}
    return client.get("/accounts/sso/callback/", given)


def is_in(client):
    return client.get("/admin/").status_code == 200


def test_sign_on__first_time__makes_the_person_maps_groups_and_is_audited(provider):
    from apps.audit.models import AuditEvent
    from apps.core.models import User

    client = Client()
    button = client.get("/admin/login/").content.decode()

    answer = come_back(client, provider)

    assert "Log in with Example" in button
    assert (answer.status_code, answer["Location"]) == (302, "/admin/registry/service/")
    assert provider.asked["code_challenge_method"] == "S256"
    assert is_in(client)
    grace = User.objects.get(username="grace")
    assert not grace.has_usable_password()
    assert [group.name for group in grace.groups.all()] == ["operators"]
    events = [(each.actor, each.action) for each in AuditEvent.objects.order_by("number")]
    assert events == [
        ("system:single-sign-on", "user.created"),
        ("system:single-sign-on", "group.created"),
        ("system:single-sign-on", "user.groups"),
        ("user:grace", "login"),
    ]


def test_sign_on__again_with_other_groups__follows_those_that_are_mapped(provider, system):
    from apps.access.people import create_group, set_groups
    from apps.core.models import User

    come_back(Client(), provider)
    grace = User.objects.get(username="grace")
    own = create_group(actor=system, name="own")
    set_groups(actor=system, user=grace, groups=[*grace.groups.all(), own])
    provider.claims |= {"groups": ["audit"], "preferred_username": "renamed"}

    come_back(Client(), provider)

    assert sorted(group.name for group in grace.groups.all()) == ["auditors", "own"]
    del provider.claims["groups"]
    provider.info = {"sub": "u-1", "groups": ["sre"]}
    assert come_back(Client(), provider).status_code == 302
    assert sorted(group.name for group in grace.groups.all()) == ["operators", "own"]
    provider.info = {"sub": "u-2", "groups": ["audit"]}
    assert come_back(Client(), provider).status_code == 400
    assert User.objects.filter(service_account__isnull=True).count() == 1


FAULTS = [
    "nonce",
    "no nonce",
    "audience",
    "audiences",
    "azp",
    "expired",
    "issuer",
    "subject",
    "times",
    "unsigned",
    "confused",
    "signature",
    "unknown key",
    "no id token",
    "/jwks",
    "/token",
    "garbage /jwks",
    "garbage /token",
    "list /jwks",
    "list /token",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_sign_on__fault_of_the_provider__is_a_page_and_nobody_is_in(provider, fault):
    from apps.core.models import User

    client = Client(raise_request_exception=False)
    provider.fault = fault

    answer = come_back(client, provider)

    assert answer.status_code == 400
    assert "Single sign-on did not succeed" in answer.content.decode()
    assert not is_in(client)
    assert not User.objects.exists()
    provider.fault = ""
    assert come_back(client, provider).status_code == 302


@pytest.mark.parametrize(
    "fault",
    [
        "broken",
        "metadata",
        "garbage /.well-known/openid-configuration",
        "list /.well-known/openid-configuration",
        "down",
    ],
)
def test_sign_on__provider_away__is_a_page_at_once(provider, fault):
    client = Client(raise_request_exception=False)
    provider.fault = fault
    if fault == "down":
        provider.close()

    answer = client.get("/accounts/sso/")

    assert answer.status_code == 400
    assert "did not answer as it should" in answer.content.decode()


@pytest.mark.parametrize(
    "changed",
    [
        {"code": "bad"},
        {"state": "another"},
        {"state": ""},
        {"error": "access_denied", "error_description": "<script>alert(1)</script>"},
    ],
)
def test_callback__odd__is_a_page_and_nobody_is_in(provider, changed):
    client = Client(raise_request_exception=False)

    answer = come_back(client, provider, **changed)

    assert answer.status_code == 400
    assert "<script>alert" not in answer.content.decode()
    assert not is_in(client)


def test_callback__a_second_time__is_refused(provider):
    client = Client()
    come_back(client, provider)
    client.post("/admin/logout/")

    again = client.get(
        "/accounts/sso/callback/", {"code": "good", "state": provider.asked["state"]}
    )

    assert again.status_code == 400


def test_callback__in_another_browser__is_refused(provider):
    come_back(Client(), provider, state="kept")

    stolen = Client().get(
        "/accounts/sso/callback/", {"code": "good", "state": provider.asked["state"]}
    )

    assert stolen.status_code == 400


def test_sign_on__name_of_a_person_who_is_here__takes_nobody_over_until_linked(
    provider, system, settings
):
    from django.core.management import call_command

    from apps.access.people import create_person

    grace = create_person(actor=system, username="Grace", password="seven green apples 4")
    client = Client()

    refused = come_back(client, provider)

    assert refused.status_code == 400
    assert "not linked" in refused.content.decode()
    assert not is_in(client)
    call_command("link_identity", "Grace", "u-1")
    assert come_back(client, provider).status_code == 302
    assert int(client.session["_auth_user_id"]) == grace.pk


@pytest.mark.parametrize("name", ["", "two words", "a/b", "\x00", "service-account:app", 7])
def test_sign_on__name_that_cannot_be_one_here__is_a_page(provider, name):
    provider.claims["preferred_username"] = name

    assert come_back(Client(), provider).status_code == 400


def test_sign_on__deactivated__is_refused(provider, system):
    from apps.access.people import update_person
    from apps.core.models import User

    come_back(Client(), provider)
    grace = User.objects.get(username="grace")
    update_person(actor=system, user=grace, is_active=False, is_superuser=False)
    client = Client()

    assert come_back(client, provider).status_code == 400
    assert not is_in(client)


def test_sign_on__target_of_another_host__is_not_followed(provider):
    client = Client()
    sent = client.get("/accounts/sso/", {"next": "https://evil.example/"})
    provider.asked = {k: v[0] for k, v in parse_qs(urlsplit(sent["Location"]).query).items()}

    answer = client.get(
        "/accounts/sso/callback/", {"code": "good", "state": provider.asked["state"]}
    )

    assert answer["Location"] == "/admin/"


def test_sign_on__not_configured__is_nowhere(db):
    assert Client().get("/accounts/sso/").status_code == 404
    assert "sso" not in Client().get("/admin/login/").content.decode()

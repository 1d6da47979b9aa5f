"""Keys kept by a Transit engine: a small server that keeps to its documented HTTP API, with faults.

The documentation: "Transit secrets engine (API)" of HashiCorp Vault, encrypt, decrypt, read key and
rotate, with ``associated_data``. It is not Vault itself.
"""

import base64
import json
import secrets
import time

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core.management import call_command

from apps.engine.errors import IntegrityError, SealedError
from tests.receivers import Handler, listening

TOKEN = "hvs.test-token"
CONTEXT = b"the context"
FAULTS = {
    "garbage": (200, b"<html>"),
    "empty": (200, {}),
    "broken": (500, {"errors": ["internal error"]}),
    "standby": (503, {"errors": ["Vault is sealed"]}),
}


class Transit:
    """The engine's state. ``fault`` makes the next answers wrong."""

    def __init__(self):
        self.keys = [AESGCM(secrets.token_bytes(32))]
        self.fault, self.least = "", 1

    def encrypt(self, body):
        nonce = secrets.token_bytes(12)
        extra = base64.b64decode(body.get("associated_data", ""))
        plain = base64.b64decode(body["plaintext"])
        sealed = nonce + self.keys[-1].encrypt(nonce, plain, extra)
        return {"ciphertext": f"vault:v{len(self.keys)}:{base64.b64encode(sealed).decode()}"}

    def decrypt(self, body):
        _vault, version, text = body["ciphertext"].split(":")
        number = int(version[1:])
        if number < self.least:
            raise ValueError("ciphertext or signature version is disallowed by policy (too old)")
        sealed = base64.b64decode(text)
        extra = base64.b64decode(body.get("associated_data", ""))
        plain = self.keys[number - 1].decrypt(sealed[:12], sealed[12:], extra)
        return {"plaintext": base64.b64encode(plain).decode()}


@pytest.fixture
def transit():
    state = Transit()

    class Asked(Handler):
        def asked(self):
            if state.fault == "slow":
                time.sleep(8)
            if state.fault in FAULTS:
                return self.answer(*FAULTS[state.fault])
            if self.headers.get("X-Vault-Token") != TOKEN:
                return self.answer(403, {"errors": ["permission denied"]})
            parts = self.path.strip("/").split("/")
            if parts[:2] != ["v1", "transit"] or parts[3:4] != ["configsvc"]:
                return self.answer(404, {"errors": []})
            try:
                if parts[2] == "keys" and self.command == "GET":
                    versions = {
                        "latest_version": len(state.keys),
                        "min_decryption_version": state.least,
                    }
                    return self.answer(200, {"data": versions})
                return self.answer(200, {"data": getattr(state, parts[2])(json.loads(self.body()))})
            except (InvalidTag, ValueError) as error:
                return self.answer(400, {"errors": [str(error) or "message authentication failed"]})

    with listening(Asked) as port:
        state.url = f"http://127.0.0.1:{port}"
        yield state


def provider(transit, token=TOKEN):
    from apps.vault.transit import TransitKeys

    return TransitKeys(transit.url, token, "configsvc", "transit")


def test_transit__wrap_and_unwrap__across_a_rotation(transit):
    keys = provider(transit)
    data_key = secrets.token_bytes(32)

    first, wrapped = keys.wrap(data_key, CONTEXT)
    transit.keys.append(AESGCM(secrets.token_bytes(32)))
    second, again = keys.wrap(data_key, CONTEXT)

    assert (first, second) == ("transit:configsvc:v1", "transit:configsvc:v2")
    assert keys.current() == second
    assert keys.holds(first)
    assert keys.unwrap(first, wrapped, CONTEXT) == keys.unwrap(second, again, CONTEXT) == data_key
    transit.least = 2
    assert not keys.holds(first)
    assert not keys.holds("0123456789abcdef")


def test_transit__key_that_became_too_old__seals_and_is_no_damage(transit):
    from apps.engine.errors import SealedError

    keys = provider(transit)
    key_id, wrapped = keys.wrap(secrets.token_bytes(32), CONTEXT)
    transit.keys.append(AESGCM(secrets.token_bytes(32)))
    transit.least = 2

    with pytest.raises(SealedError):
        keys.unwrap(key_id, wrapped, CONTEXT)


def test_transit__another_context_or_altered_bytes__do_not_open(transit):
    keys = provider(transit)
    key_id, wrapped = keys.wrap(secrets.token_bytes(32), CONTEXT)

    for wrong, context in (
        (wrapped, b"another"),
        (wrapped[:-4] + b"AAA=", CONTEXT),
        (b"\xff\xfe", CONTEXT),
        (b"vault:v1:AAAA", CONTEXT),
    ):
        with pytest.raises(IntegrityError):
            keys.unwrap(key_id, wrong, context)
    with pytest.raises(SealedError):
        keys.unwrap("0123456789abcdef", wrapped, CONTEXT)


@pytest.mark.parametrize("fault", [*FAULTS, "slow"])
def test_transit__that_fails__seals(transit, fault):
    keys = provider(transit)
    key_id, wrapped = keys.wrap(secrets.token_bytes(32), CONTEXT)
    transit.fault = fault

    for act in (
        keys.current,
        lambda: keys.wrap(b"k" * 32, CONTEXT),
        lambda: keys.unwrap(key_id, wrapped, CONTEXT),
    )[: 1 if fault == "slow" else 3]:
        with pytest.raises(SealedError) as caught:
            act()
        assert TOKEN not in str(caught.value)


def test_transit__with_a_wrong_token_or_nobody_there__seals(transit):
    from apps.vault.transit import TransitKeys

    with pytest.raises(SealedError):
        provider(transit, "hvs.wrong").current()
    with pytest.raises(SealedError):
        TransitKeys("http://127.0.0.1:1", TOKEN, "configsvc", "transit").current()


@pytest.mark.django_db
def test_secrets__with_transit__work_and_are_wrapped_again(transit, shop, operator, settings):
    from apps.vault.models import WrappedKey

    settings.KEY_PROVIDER = {
        **settings.KEY_PROVIDER,
        "transit_url": transit.url,
        "transit_token": TOKEN,
    }
    body = {"service": "shop", "environment": "production", "name": "db", "value": "hello"}
    assert operator.post("/secrets", body).status_code == 201
    transit.keys.append(AESGCM(secrets.token_bytes(32)))

    call_command("rotate_keys")

    assert [each.key_id for each in WrappedKey.objects.all()] == ["transit:configsvc:v2"]
    url = "/secrets/shop/db/reveal?environment=production"
    assert operator.post(url, {}).json()["value"] == "hello"
    transit.fault = "standby"
    assert operator.post(url, {}).json()["code"] == "sealed"
    assert operator.get("/readyz").json()["sealed"] is True
    transit.fault = ""
    assert operator.post(url, {}).json()["value"] == "hello"

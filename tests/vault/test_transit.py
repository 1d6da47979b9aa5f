"""Keys kept by a Transit engine: wrapping, rotation there, and what it answers when it fails."""

import secrets

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core.management import call_command

from apps.engine.errors import IntegrityError, SealedError
from tests.vault.transit_server import FAULTS, TOKEN

CONTEXT = b"the context"


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


@pytest.mark.parametrize("version", ["2", "3", "01", "XX", "", "1:v1"])
def test_transit__under_the_name_of_another_version__does_not_open(transit, version):
    keys = provider(transit)
    _key_id, wrapped = keys.wrap(secrets.token_bytes(32), CONTEXT)
    transit.keys.append(AESGCM(secrets.token_bytes(32)))

    with pytest.raises(IntegrityError):
        keys.unwrap(f"transit:configsvc:v{version}", wrapped, CONTEXT)
    with pytest.raises(IntegrityError):  # its prefix renamed too
        renamed = wrapped.replace(b":v1:", b":v2:")
        keys.unwrap("transit:configsvc:v2", renamed, CONTEXT)


@pytest.mark.parametrize("version", ["XX", "", "-1", "0", "1.0", "\u0661"])
def test_transit__key_id_of_no_version__is_not_held(transit, version):
    assert not provider(transit).holds(f"transit:configsvc:v{version}")


@pytest.mark.django_db
@pytest.mark.parametrize("fault", FAULTS)
def test_secrets__with_transit_that_fails__are_sealed_and_nothing_is_an_error_of_ours(
    in_transit, shop, operator, fault
):
    transit = in_transit
    body = {"service": "shop", "environment": "production", "name": "db", "value": "hello"}
    assert operator.post("/secrets", body).status_code == 201
    transit.fault = fault

    revealed = operator.post("/secrets/shop/db/reveal?environment=production", {})
    written = operator.post("/secrets", {**body, "name": "other"})

    for answer in (revealed, written):
        assert (answer.status_code, answer.json()["code"]) == (503, "sealed")
    assert operator.get("/readyz").json()["sealed"] is True
    transit.fault = ""
    names = operator.get("/secrets?service=shop&environment=production").json()["results"]
    assert [each["name"] for each in names] == ["db"]


@pytest.mark.parametrize("fault", [*FAULTS, "slow"])
def test_transit__that_fails__seals(transit, fault):
    keys = provider(transit)
    key_id, wrapped = keys.wrap(secrets.token_bytes(32), CONTEXT)
    transit.fault = fault

    for act in (
        keys.current,
        lambda: keys.holds(key_id),
        lambda: keys.wrap(b"k" * 32, CONTEXT),
        lambda: keys.unwrap(key_id, wrapped, CONTEXT),
    )[: 1 if fault == "slow" else 4]:
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
def test_secrets__with_transit__work_and_are_wrapped_again(in_transit, shop, operator):
    from apps.vault.models import WrappedKey

    transit = in_transit
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

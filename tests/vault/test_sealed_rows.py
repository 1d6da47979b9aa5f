"""Rows of sealed values that were altered, moved, swapped or replayed: none of them opens."""

import copy
import random
import uuid

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core.management import CommandError, call_command

from apps.engine.errors import IntegrityError

pytestmark = pytest.mark.django_db

ROWS = 20_000  # in the long form


TRANSIT_ROWS = 2_000  # each asks the key service


@pytest.fixture
def versions(shop, system):
    return make_versions(shop, system)


@pytest.fixture
def transit_versions(in_transit, shop, system):
    """The same, wrapped by two versions of a Transit engine's key."""
    return make_versions(shop, system, lambda: in_transit.keys.append(AESGCM(random.randbytes(32))))


def make_versions(shop, system, between=lambda: None):
    """Four secrets with three versions each, as rows in memory with their wrapped keys."""
    from apps.access.policy import Place
    from apps.registry.selectors import get_environment
    from apps.vault import services
    from apps.vault.models import SecretVersion

    for environment in ("staging", "production"):
        for slug in ("one", "two"):
            place = Place(shop, get_environment(environment))
            secret = services.create_secret(actor=system, place=place, slug=slug, value="same text")
            for _ in range(2):
                services.write_secret(actor=system, secret=secret, value="same text")
        between()
    return list(SecretVersion.objects.select_related("secret", "wrapped"))


def copied(version):
    """A copy that may be altered; twenty thousand deep ones take their time."""
    row = copy.copy(version)
    row._state = copy.copy(version._state)
    row._state.fields_cache = {}
    row.secret, row.wrapped = copy.copy(version.secret), copy.copy(version.wrapped)
    return row


def flipped(data, rng):
    altered = bytearray(data)
    altered[rng.randrange(len(altered))] ^= rng.randrange(1, 256)
    return bytes(altered)


def alter_sealed(version, _other, rng):
    version.sealed = flipped(version.sealed, rng)


def cut_sealed(version, _other, rng):
    version.sealed = bytes(version.sealed)[: rng.randrange(len(version.sealed))]


def alter_wrapped(version, _other, rng):
    version.wrapped.wrapped = flipped(version.wrapped.wrapped, rng)


def cut_wrapped(version, _other, rng):
    version.wrapped.wrapped = bytes(version.wrapped.wrapped)[: rng.randrange(60)]


def swap_sealed(version, other, _rng):
    version.sealed = other.sealed


def swap_wrapped(version, other, _rng):
    version.wrapped.wrapped, version.wrapped.key_id = other.wrapped.wrapped, other.wrapped.key_id


def swap_both(version, other, _rng):
    """The whole value of another version, secret or environment in this one's place."""
    version.sealed, version.wrapped = other.sealed, other.wrapped


def rename_key(version, _other, rng):
    version.wrapped.key_id = f"{rng.getrandbits(64):016x}"


def transit_key_beside(version):
    """The other one of the two key ids that wrapped these rows."""
    first, second = "transit:configsvc:v1", "transit:configsvc:v2"
    return second if version.wrapped.key_id == first else first


def name_the_key_beside(version, _other, _rng):
    version.wrapped.key_id = transit_key_beside(version)


def rename_transit_key(version, _other, rng):
    version.wrapped.key_id = f"transit:configsvc:v{rng.choice([0, 3, 'X', '', '01', '1 '])}"


def name_the_key_beside_within(version, _other, _rng):
    """The id and the ciphertext's own prefix agree, and are those of another key."""
    beside = transit_key_beside(version)
    text = bytes(version.wrapped.wrapped).split(b":", 2)[2]
    prefix = f"vault:{beside.rpartition(':')[2]}:".encode()
    version.wrapped.wrapped, version.wrapped.key_id = prefix + text, beside


def move_service(version, _other, rng):
    version.secret.service_id += rng.randrange(1, 1_000)


def move_environment(version, _other, rng):
    version.secret.environment_id += rng.randrange(1, 1_000)


def move_to_another_secret(version, _other, _rng):
    version.secret.pk = uuid.uuid4()


def renumbered(version, _other, _rng):
    version.pk = uuid.uuid4()


ALTERATIONS = [
    alter_sealed,
    cut_sealed,
    alter_wrapped,
    cut_wrapped,
    swap_sealed,
    swap_wrapped,
    swap_both,
    rename_key,
    move_service,
    move_environment,
    move_to_another_secret,
    renumbered,
]


TRANSIT_ALTERATIONS = [
    *ALTERATIONS,
    name_the_key_beside,
    name_the_key_beside_within,
    rename_transit_key,
]


def test_sealed_rows__altered_in_any_way__do_not_open(versions):
    rows = ROWS if pytest.long_form else ROWS // 5

    check_that_none_opens(versions, ALTERATIONS, rows)


def test_sealed_rows__of_transit_keys_altered_in_any_way__do_not_open(transit_versions):
    rows = TRANSIT_ROWS if pytest.long_form else TRANSIT_ROWS // 5

    check_that_none_opens(transit_versions, TRANSIT_ALTERATIONS, rows)


def check_that_none_opens(versions, alterations, rows):
    from apps.vault.versions import _open

    rng = random.Random(7)
    opened = []
    for _ in range(rows):
        version, other = rng.sample(versions, 2)
        alter = rng.choice(alterations)
        row = copied(version)
        alter(row, copied(other), rng)
        try:
            _open(row, row.wrapped)
            opened.append(alter.__name__)
        except IntegrityError:
            pass

    assert opened == []
    assert [_open(each, each.wrapped) for each in versions] == ["same text"] * len(versions)


def test_damaged_row__is_audited_and_leaves_the_others_readable(versions, operator):
    from django.db import connection

    from apps.core import appendonly
    from apps.vault.models import SecretVersion

    damaged = next(each for each in versions if each.number == 3 and each.secret.slug == "one")
    appendonly.drop_triggers(connection, SecretVersion._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE vault_secretversion SET sealed = %s WHERE id = %s",
            [
                bytes(damaged.sealed)[:-1] + b"x",
                damaged.pk.hex if connection.vendor == "sqlite" else damaged.pk,
            ],
        )
    appendonly.create_triggers(connection, SecretVersion._meta.db_table)
    here = f"environment={damaged.secret.environment.slug}"

    refused = operator.post(f"/secrets/shop/one/reveal?{here}", {})
    other = operator.post(f"/secrets/shop/two/reveal?{here}", {})

    assert (refused.status_code, refused.json()["code"]) == (500, "integrity")
    assert other.json()["value"] == "same text"
    events = operator.get("/audit?action=secret.integrity").json()["results"]
    assert [each["target"] for each in events] == [f"secret:{damaged.secret}"]


def test_altered_key_id__is_damage_and_audited_whatever_else_is_here(versions, operator):
    from apps.vault.models import WrappedKey

    altered = next(each for each in versions if each.number == 3 and each.secret.slug == "one")
    WrappedKey.objects.filter(pk=altered.pk).update(key_id="0123456789abcdef")
    here = f"environment={altered.secret.environment.slug}"

    refused = operator.post(f"/secrets/shop/one/reveal?{here}", {})
    other = operator.post(f"/secrets/shop/two/reveal?{here}", {})
    with pytest.raises(CommandError, match="1 secret version"):
        call_command("rotate_keys")

    assert (refused.status_code, refused.json()["code"]) == (500, "integrity")
    assert other.json()["value"] == "same text"
    events = operator.get("/audit?action=secret.integrity").json()["results"]
    assert [each["target"] for each in events] == [f"secret:{altered.secret}"] * 2


def test_altered_key_ids_alone__do_not_seal_the_server(versions, operator):
    from apps.vault.models import WrappedKey

    WrappedKey.objects.update(key_id="0123456789abcdef")
    body = {"service": "shop", "environment": "production", "name": "new", "value": "hello"}

    assert operator.get("/readyz").json()["sealed"] is False
    assert operator.post("/secrets", body).status_code == 201


def test_key_that_is_merely_not_here__seals_and_is_no_damage(
    versions, operator, settings, tmp_path
):
    settings.KEY_PROVIDER = {**settings.KEY_PROVIDER, "file": str(tmp_path / "none")}

    refused = operator.post("/secrets/shop/one/reveal?environment=production", {})

    assert (refused.status_code, refused.json()["code"]) == (503, "sealed")
    assert operator.get("/audit?action=secret.integrity").json()["results"] == []


def test_known_keys__of_what_was_wrapped_before_they_were_remembered__are_found(versions):
    from importlib import import_module

    from django.apps import apps
    from django.db import connection

    from apps.core import appendonly
    from apps.vault.models import KnownKey

    before = set(KnownKey.objects.values_list("key_id", flat=True))
    appendonly.drop_triggers(connection, KnownKey._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM vault_knownkey")
    appendonly.create_triggers(connection, KnownKey._meta.db_table)

    import_module("apps.vault.migrations.0004_known_keys_of_rows").remember(apps, None)

    assert set(KnownKey.objects.values_list("key_id", flat=True)) == before != set()


def test_sealed_rows__of_one_value__are_all_different(versions):
    assert len({bytes(each.sealed) for each in versions}) == len(versions)
    assert len({bytes(each.wrapped.wrapped) for each in versions}) == len(versions)

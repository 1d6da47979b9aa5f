"""Wrapping all keys again: while work goes on, killed and started again, the old key then gone."""

import contextlib
import os

import pytest
from django.core.management import CommandError, call_command

from apps.engine.errors import GoneError, SealedError

SECRETS = 45 if pytest.long_form else 15


@pytest.fixture
def key_file(settings, tmp_path):
    path = tmp_path / "encryption.key"
    path.write_text("The-First-Key-Text-" + "asdfghjk1234" * 3 + "\n")
    path.chmod(0o600)
    settings.KEY_PROVIDER = {**settings.KEY_PROVIDER, "keys": (), "file": str(path)}
    return path


@pytest.fixture
def secrets(shop, system, key_file):
    from apps.access.policy import Place
    from apps.registry.selectors import get_environment
    from apps.vault import services

    place = Place(shop, get_environment("production"))
    return [
        services.create_secret(actor=system, place=place, slug=f"s{n}", value=f"value {n}")
        for n in range(SECRETS)
    ]


def values_of(system, secrets):
    from apps.vault.services import reveal

    return [reveal(actor=system, secret=each)[1] for each in secrets]


def key_ids():
    from apps.vault.models import WrappedKey

    return set(WrappedKey.objects.values_list("key_id", flat=True))


def wrapped_by_key():
    from apps.vault.models import WrappedKey

    found = {}
    for row in WrappedKey.objects.all():
        found.setdefault(row.key_id, []).append(row.pk)
    return found


@pytest.mark.django_db
def test_rotate_keys__new_key_and_forget__leaves_one_key_that_opens_all(secrets, system, key_file):
    if os.geteuid() == 0:  # the command is root's, the server is not
        os.chown(key_file, 65534, 65534)
    before, old, owner = key_file.read_text(), key_ids(), key_file.stat().st_uid

    call_command("rotate_keys", "--new-key", "--forget-unused", "--batch", "7")

    after = key_file.read_text()
    assert len(after.splitlines()) == 1
    assert after != before
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert key_file.stat().st_uid == owner
    assert len(key_ids()) == 1
    assert not key_ids() & old
    assert values_of(system, secrets) == [f"value {n}" for n in range(SECRETS)]


@pytest.mark.django_db
@pytest.mark.parametrize("stop_at", range(0, SECRETS + 1, 5))
def test_rotate_keys__killed_at_any_row__is_readable_and_goes_on(
    secrets, system, key_file, monkeypatch, stop_at
):
    from apps.vault import providers

    call_command("rotate_keys", "--new-key", "--batch", "1000")  # so that two keys are there
    call_command("rotate_keys", "--forget-unused")
    wrap, done = providers.LocalKeys.wrap, []

    def dying(self, data_key, context):
        if len(done) == stop_at:
            raise KeyboardInterrupt
        done.append(1)
        return wrap(self, data_key, context)

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(providers.LocalKeys, "wrap", dying)
        call_command("rotate_keys", "--new-key", "--batch", "4")

    assert values_of(system, secrets) == [f"value {n}" for n in range(SECRETS)]
    call_command("rotate_keys", "--forget-unused")
    assert len(key_ids()) == 1
    assert len(key_file.read_text().splitlines()) == 1
    assert values_of(system, secrets) == [f"value {n}" for n in range(SECRETS)]


@pytest.mark.django_db
def test_rotate_keys__damaged_keys_among_them__are_named_and_the_others_done(
    secrets, system, key_file, operator
):
    from apps.vault.models import WrappedKey

    for row in WrappedKey.objects.order_by("pk")[:2]:
        row.wrapped = bytes(row.wrapped)[:-1] + bytes([row.wrapped[-1] ^ 1])
        row.save(update_fields=["wrapped"])

    with pytest.raises(CommandError, match="2 secret version"):
        call_command("rotate_keys", "--new-key", "--batch", "1")

    assert sorted(map(len, wrapped_by_key().values())) == [2, SECRETS - 2]
    named = operator.get("/audit?action=secret.integrity").json()["results"]
    assert len({each["target"] for each in named}) == 2


@pytest.mark.django_db
def test_rotate_keys__without_the_old_key__says_so_and_loses_nothing(secrets, system, key_file):
    old = key_file.read_text()
    key_file.write_text("Some-Other-Key-Text-" + "yxcvbnm0987" * 3 + "\n")

    with pytest.raises(CommandError):
        call_command("rotate_keys")
    with pytest.raises(SealedError):
        values_of(system, secrets)

    key_file.write_text(old)
    assert values_of(system, secrets) == [f"value {n}" for n in range(SECRETS)]


@pytest.mark.django_db
def test_rotate_keys__with_keys_from_the_environment__makes_none(secrets, settings):
    settings.KEY_PROVIDER = {
        **settings.KEY_PROVIDER,
        "wraps": "environment",
        "keys": ("x" * 50,),
    }

    with pytest.raises(CommandError, match="not in a file"):
        call_command("rotate_keys", "--new-key")


@pytest.mark.django_db
def test_rotate_keys__another_key_made_meanwhile__ends_with_the_newest(
    secrets, system, key_file, monkeypatch
):
    from apps.vault import providers, rewrapping

    wrap, done = providers.LocalKeys.wrap, []

    def wrapping(self, data_key, context):
        done.append(1)
        assert len(done) < 10 * SECRETS, "It wraps for ever."
        if len(done) == 6:
            rewrapping.make_key(actor=system)
        return wrap(self, data_key, context)

    rewrapping.make_key(actor=system)
    monkeypatch.setattr(providers.LocalKeys, "wrap", wrapping)
    (newest,) = [list(rewrapping.rewrap_all(actor=system, batch=4))[-1]]

    assert newest[1] == 0
    assert key_ids() == {providers.key_provider().current()}
    assert len(key_file.read_text().splitlines()) == 3
    assert values_of(system, secrets) == [f"value {n}" for n in range(SECRETS)]


@pytest.mark.django_db
@pytest.mark.parametrize("options", [("--forget-unused",), ()])
def test_secret_write__keys_changed_after_its_own_was_wrapped__is_wrapped_by_the_new_one(
    secrets, system, key_file, monkeypatch, options
):
    from apps.vault import providers, services

    wrap, rotated = providers.LocalKeys.wrap, []

    def wrapping(self, data_key, context):
        found = wrap(self, data_key, context)
        if not rotated:
            rotated.append(1)
            call_command("rotate_keys", "--new-key", *options)
        return found

    monkeypatch.setattr(providers.LocalKeys, "wrap", wrapping)
    services.write_secret(actor=system, secret=secrets[0], value="next")

    assert key_ids() == {providers.key_provider().current()}
    call_command("rotate_keys", "--forget-unused")
    assert values_of(system, secrets)[:2] == ["next", "value 1"]


@pytest.mark.django_db
def test_rotate_keys__another_one_ends_and_forgets_meanwhile__loses_nothing(
    secrets, system, key_file, monkeypatch
):
    from apps.vault import providers

    wrap, rotated = providers.LocalKeys.wrap, []

    def wrapping(self, data_key, context):
        found = wrap(self, data_key, context)
        if not rotated:
            rotated.append(1)
            call_command("rotate_keys", "--new-key", "--forget-unused")
        return found

    call_command("rotate_keys", "--new-key", "--batch", "1")
    monkeypatch.setattr(providers.LocalKeys, "wrap", wrapping)
    call_command("rotate_keys", "--new-key")

    assert key_ids() == {providers.key_provider().current()}
    assert values_of(system, secrets) == [f"value {n}" for n in range(SECRETS)]


@pytest.mark.django_db
def test_read__of_a_row_wrapped_again_since__is_right(secrets, system, key_file):
    from apps.vault.versions import find_stage, open_version

    before = find_stage(secrets[0], "current")
    call_command("rotate_keys", "--new-key", "--forget-unused")

    assert open_version(system, before) == "value 0"


@pytest.mark.django_db
def test_read__of_a_row_destroyed_since_with_its_key__says_so(secrets, system, key_file):
    from apps.vault.models import WrappedKey
    from apps.vault.versions import find_stage, open_version

    before = find_stage(secrets[0], "current")
    WrappedKey.objects.filter(pk=before.pk).delete()
    call_command("rotate_keys", "--new-key", "--forget-unused")

    with pytest.raises(GoneError):
        open_version(system, before)


@pytest.mark.django_db
def test_key_file__that_may_not_be_read__seals_and_is_no_error_of_ours(
    secrets, operator, key_file, monkeypatch
):
    from pathlib import Path

    stat = Path.stat

    def refusing(path, **options):
        if path == key_file:
            raise PermissionError(13, "Permission denied")
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refusing)

    assert operator.get("/readyz").json()["sealed"] is True
    refused = operator.post("/secrets/shop/s0/reveal?environment=production", {})
    assert (refused.status_code, refused.json()["code"]) == (503, "sealed")


@pytest.mark.django_db
def test_rotate_keys__key_file_lost__makes_a_new_one(settings, tmp_path):
    settings.KEY_PROVIDER = {**settings.KEY_PROVIDER, "file": str(tmp_path / "lost.key")}

    call_command("rotate_keys", "--new-key")

    assert len((tmp_path / "lost.key").read_text().splitlines()) == 1

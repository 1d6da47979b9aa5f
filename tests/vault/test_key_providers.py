"""Changing where the key-encryption key is kept: both places open, the new one wraps."""

import contextlib
import itertools
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from configsvc.checks import check_key_provider
from configsvc.env import Env, UnsafeSettingError
from tests.serving import TOP, installation
from tests.vault import transit_server
from tests.vault.test_key_rotation import key_ids, values_of

NAMES = ("transit", "environment", "file")
SECRETS = 6
KEY_TEXT = "The-First-Key-Text-" + "asdfghjk1234" * 3
OTHER_TEXT = "Some-Other-Key-Text-" + "yxcvbnm0987" * 3
HERE = "environment=production"


@pytest.fixture
def set_up(settings, transit, tmp_path):
    """Sets up the named providers, as a start with such variables does; the first one wraps."""
    file = tmp_path / "encryption.key"
    file.write_text(KEY_TEXT + "\n")

    def start(*names):
        settings.KEY_PROVIDER = {
            **settings.KEY_PROVIDER,
            "wraps": names[0],
            "transit_url": transit.url if "transit" in names else "",
            "transit_token": transit_server.TOKEN,
            "keys": (OTHER_TEXT,) if "environment" in names else (),
            "file": str(file if "file" in names else tmp_path / "none"),
        }

    return start


@pytest.mark.django_db
@pytest.mark.each_database
@pytest.mark.parametrize("stop_at", [0, 3])
@pytest.mark.parametrize("change", list(itertools.permutations(NAMES, 2)), ids="-".join)
def test_rotate_keys__to_another_provider_killed_and_started_again__leaves_none_under_the_old_one(
    set_up, make_secret, system, monkeypatch, change, stop_at
):
    from apps.vault import providers

    old, new = change
    set_up(old)
    secrets = [make_secret(f"s{n}", f"value {n}") for n in range(SECRETS)]
    before = key_ids()

    set_up(new, old)
    wrap, done = providers.SeveralKeys.wrap, []

    def dying(self, data_key, context):
        if len(done) == stop_at:
            raise KeyboardInterrupt
        done.append(1)
        return wrap(self, data_key, context)

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(providers.SeveralKeys, "wrap", dying)
        call_command("rotate_keys", "--batch", "1")
    assert before < key_ids() if stop_at else before == key_ids()
    secrets.append(make_secret("more", f"value {SECRETS}"))
    wanted = [f"value {n}" for n in range(SECRETS + 1)]
    assert values_of(system, secrets) == wanted
    set_up(old, new)
    assert values_of(system, secrets) == wanted
    set_up(new, old)
    call_command("rotate_keys", "--forget-unused")

    set_up(new)
    assert not before & key_ids()
    assert len(key_ids()) == 1
    assert values_of(system, secrets) == wanted


@pytest.mark.django_db
def test_forget_unused__of_a_file_that_does_not_wrap_any_more__removes_it(
    set_up, settings, make_secret, value_of, operator
):
    from pathlib import Path

    set_up("file")
    secret = make_secret("pin", "hello")
    set_up("transit", "file")
    file = Path(settings.KEY_PROVIDER["file"])

    call_command("rotate_keys", "--forget-unused")

    assert not file.exists()
    assert value_of(secret) == "hello"
    assert len(operator.get("/audit?action=key.removed").json()["results"]) == 1


@pytest.mark.django_db
def test_rotate_keys__while_the_old_provider_is_down__stops_and_takes_no_key_for_lost(
    set_up, make_secret, transit, operator
):
    set_up("transit")
    make_secret("old")
    set_up("file", "transit")
    make_secret("new")
    before, transit.fault = key_ids(), "standby"

    with pytest.raises(CommandError) as stopped:
        call_command("rotate_keys")

    assert "not here" not in str(stopped.value)
    assert key_ids() == before
    assert operator.get("/audit?action=key.rotated").json()["results"] == []


@pytest.mark.django_db
def test_ready__while_the_old_provider_is_down_and_the_new_one_opens_some__is_not_sealed(
    set_up, make_secret, operator, transit
):
    set_up("transit")
    make_secret("old")
    set_up("file", "transit")
    make_secret("new")
    transit.fault = "standby"

    assert operator.get("/readyz").json()["sealed"] is False
    reveal = "/secrets/shop/{}/reveal?" + HERE
    assert operator.post(reveal.format("new"), {}).json()["value"] == "first value"
    assert operator.post(reveal.format("old"), {}).json()["code"] == "sealed"


@pytest.mark.parametrize(
    ("given", "wraps"),
    [
        ({}, "file"),
        ({"encryption_key": (KEY_TEXT,)}, "environment"),
        ({"encryption_key": (KEY_TEXT,), "transit_url": "http://x"}, "transit"),
        ({"encryption_key": (KEY_TEXT,), "key_provider": "file"}, "file"),
    ],
)
def test_key_provider__named_or_the_first_that_is_set_up__wraps(given, wraps):
    assert check_key_provider(Env(**given)) == wraps


@pytest.mark.parametrize("name", ["transit", "environment", "vault"])
def test_key_provider__that_is_not_set_up__stops_the_start(name):
    with pytest.raises(UnsafeSettingError, match="CONFIGSVC_KEY_PROVIDER"):
        check_key_provider(Env(key_provider=name))


@pytest.mark.servers(database=pytest.long_form)
def test_server__from_its_file_to_transit_and_back__reads_at_every_moment(transit):
    with installation() as made:
        server = made.start()
        with server.client(made.raw) as client:
            assert client.post("/services", json={"slug": "shop"}).status_code == 201
            for number in range(SECRETS):
                write(client, number)
        made.environment |= {
            "CONFIGSVC_TRANSIT_URL": transit.url,
            "CONFIGSVC_TRANSIT_TOKEN": transit_server.TOKEN,
        }
        check_after_restart(made)
        rotate_and_kill(made, transit)
        check_after_restart(made)
        made.manage("rotate_keys", "--forget-unused")
        assert not (made.folder / "keys" / "encryption.key").exists()
        check_after_restart(made)

        made.environment["CONFIGSVC_KEY_PROVIDER"] = "file"
        made.manage("rotate_keys", "--new-key")
        check_after_restart(made)
        made.manage("rotate_keys")
        for name in ("CONFIGSVC_TRANSIT_URL", "CONFIGSVC_TRANSIT_TOKEN", "CONFIGSVC_KEY_PROVIDER"):
            del made.environment[name]
        transit.fault = "broken"
        check_after_restart(made)


def write(client, number):
    body = {"service": "shop", "environment": "production", "name": f"s{number}"}
    assert client.post("/secrets", json={**body, "value": f"value {number}"}).status_code == 201


def check_after_restart(made):
    """Stop the server, start another one, and read all values there."""
    made.stop()
    with made.start().client(made.raw) as client:
        assert client.get("/readyz").json()["sealed"] is False
        for number in range(SECRETS):
            answer = client.post(f"/secrets/shop/s{number}/reveal?{HERE}", json={})
            assert answer.json()["value"] == f"value {number}", answer.text
        last = client.post(f"/secrets/shop/s0/versions?{HERE}", json={"value": "value 0"})
        assert last.status_code == 201


def rotate_and_kill(made, transit):
    """Begin to wrap all keys again; the process is killed while it waits for the fourth."""
    asked, killed = [], []

    def meanwhile(what):
        asked.append(what)
        if asked.count("encrypt") == 4 and not killed:
            killed.append(1)
            process.kill()

    transit.meanwhile = meanwhile
    process = subprocess.Popen(
        [sys.executable, "manage.py", "rotate_keys", "--batch", "1"],
        cwd=TOP,
        env=made.environment,
        stdout=subprocess.DEVNULL,
    )
    assert process.wait(120) == -9
    transit.meanwhile = lambda _asked: None

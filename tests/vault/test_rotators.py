"""The rotators: what their values look like, and that others can use them."""

import base64
import hashlib
import hmac
import ipaddress
import json
import random
import string

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.models import AuditEvent
from apps.engine import passwords
from apps.engine.errors import InvalidError
from apps.vault import services
from apps.vault.connections import ConnectionData, save_connection
from apps.vault.rotators import ROTATORS
from apps.vault.rotators.base import RotatorError, Task, read_options
from tests.receivers import make_certificate
from tests.vault.webhook_receiver import receiving


def create(name, current="old", **options):
    rotator = ROTATORS[name]
    chosen = read_options(rotator.options, options)
    rotator.check(chosen, None)
    return rotator.create(Task(key="k", secret="s", options=chosen, current=current))


@given(
    length=st.integers(8, 200),
    classes=st.sets(st.sampled_from(sorted(passwords.CLASSES)), min_size=1),
    excluded=st.text(string.printable, max_size=40),
    seed=st.integers(0, 2**32),
)
def test_password__any_shape__has_each_class_and_nothing_else(length, classes, excluded, seed):
    classes = sorted(classes)
    try:
        parts = passwords.alphabets(classes, excluded)
    except InvalidError:
        return
    made = passwords.password(
        length=length, classes=classes, excluded=excluded, below=random.Random(seed).randrange
    )

    assert len(made) == length
    assert not set(made) & set(excluded)
    assert set(made) <= set("".join(parts))
    assert all(set(part) & set(made) for part in parts)


def test_password__many__use_every_character_at_every_place():
    made = [create("password", length=8, classes=["digits"]) for _ in range(1_000)]

    assert len(set(made)) > 990
    assert all({text[place] for text in made} == set(string.digits) for place in range(8))


def test_password__member_of_an_object__leaves_the_others():
    made = create("password", {"user": "app", "password": "old"}, member="password")

    assert made["user"] == "app"
    assert made["password"] != "old"


@pytest.mark.parametrize(("current", "member"), [({"user": "app"}, ""), ("old", "password")])
def test_password__member_that_does_not_suit_the_value__fails_and_loses_nothing(current, member):
    with pytest.raises(RotatorError, match="member"):
        create("password", current, member=member)


@pytest.mark.parametrize(
    ("encoding", "read"),
    [
        ("base64", base64.b64decode),
        ("base64url", lambda text: base64.urlsafe_b64decode(text + "==")),
        ("hex", bytes.fromhex),
    ],
)
def test_key__each_encoding__holds_the_bytes(encoding, read):
    one, other = (read(create("key", bytes=48, encoding=encoding)) for _ in range(2))

    assert len(one) == len(other) == 48
    assert one != other


@pytest.mark.parametrize(("name", "options"), [("rsa", {"bits": 2048}), ("ed25519", {})])
def test_key_pair__in_pem__is_a_pair_that_others_read(name, options):
    made = create(name, **options)
    key = serialization.load_pem_private_key(made["private_key"].encode(), None)
    public = serialization.load_pem_public_key(made["public_key"].encode())

    assert key.public_key() == public
    assert name == "ed25519" or key.key_size == 2048


KEY = b"a key of the receiver"


@pytest.fixture
def hook(tmp_path, settings, make_secret, system):
    """A receiver, and the connection ``hook`` to it."""
    settings.PRIVATE_TARGETS = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1")]
    certificate, authorities = make_certificate(tmp_path, "127.0.0.1")
    with receiving(certificate) as receiver:
        credential = make_secret(slug="hook-key", value="whsec_" + base64.b64encode(KEY).decode())
        data = ConnectionData(
            slug="hook",
            kind="webhook",
            address=f"https://127.0.0.1:{receiver.port}/rotate?a=1",
            authorities=authorities,
            credential=credential,
        )
        receiver.connection, receiver.data = save_connection(actor=system, data=data), data
        yield receiver


HOOK = {"rotator": "webhook", "connection": "hook", "keep_hours": 1}


def verified(headers, body):
    """Whether a receiver that follows the specification takes the call."""
    known = {name.lower(): value for name, value in headers.items()}
    signed = b".".join((known["webhook-id"].encode(), known["webhook-timestamp"].encode(), body))
    wanted = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    return known["webhook-signature"] == f"v1,{wanted}"


@pytest.mark.django_db
def test_webhook__value_of_ours__is_set_tested_finished_and_retired(
    hook, make_secret, rotate, value_of
):
    secret = make_secret(rotation=HOOK)
    run = rotate(secret)

    assert run.state == "done", run.error
    assert hook.steps == ["set", "test", "finish", "retire"]
    assert all(verified(*call) for call in hook.calls)
    sent = [json.loads(body) for _headers, body in hook.calls]
    assert sent[0] == {
        "step": "set",
        "rotation": run.pk.hex,
        "secret": "shop@production/pin",
        "value": value_of(secret),
    }
    assert sent[3]["value"] == "first value"


@pytest.mark.django_db
def test_webhook__value_before_destroyed_by_hand__is_said_to_be_ending(
    hook, make_secret, rotate, system
):
    secret = make_secret(rotation={**HOOK, "keep_hours": 24})
    rotate(secret)

    services.destroy_version(actor=system, version=secret.versions.get(number=1))

    event = AuditEvent.objects.order_by("number").last()
    assert (event.action, event.actor) == ("secret.ending", system.name)
    assert (event.target, event.data) == ("secret:shop@production/pin", '{"version":1}')


@pytest.mark.django_db
def test_webhook__makes_the_value__it_is_what_becomes_current(hook, make_secret, rotate, value_of):
    secret = make_secret(rotation={**HOOK, "create": "webhook"})
    hook.answers["create"] = (200, json.dumps({"value": {"token": "made there"}}))
    rotate(secret)

    assert hook.steps[:2] == ["create", "set"]
    assert value_of(secret) == {"token": "made there"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ("create", (200, "canary-9f not json", "did not answer")),
        ("create", (200, '{"value": 5}', "did not answer")),
        ("create", (200, '"' + "x" * 300_000 + '"', "too long")),
        ("set", (500, "canary-9f", 'answered "set" with 500')),
        ("set", (307, "https://169.254.169.254/", 'answered "set" with 307')),
        ("test", (422, "canary-9f", 'answered "test" with 422')),
        ("finish", (503, "canary-9f", 'answered "finish" with 503')),
    ],
)
def test_webhook__bad_answer__fails_and_shows_nothing_of_it(
    hook, make_secret, rotate, value_of, step, answer
):
    status, body, said = answer
    secret = make_secret(rotation={**HOOK, "create": "webhook"})
    hook.answers["create"] = (200, '{"value": "made there"}')
    hook.answers[step] = (status, body)
    run = rotate(secret)

    assert run.state == "failed"
    assert said in run.error
    assert "canary" not in run.error
    assert value_of(secret) == "first value"


@pytest.mark.django_db
def test_webhook__repeated_step__has_the_same_id(hook, make_secret, rotate):
    secret = make_secret(rotation=HOOK)
    hook.answers["test"] = (500, "")
    rotate(secret)

    ids = {
        headers["webhook-id"] for headers, body in hook.calls if json.loads(body)["step"] == "test"
    }
    assert len(ids) == 1
    assert hook.steps.count("test") == 8


@pytest.mark.django_db
@pytest.mark.parametrize("change", ["usual authorities", "other name"])
def test_webhook__certificate_that_is_not_its_own__is_not_spoken_to(
    hook, make_secret, rotate, system, change
):
    from dataclasses import replace

    address = f"https://localhost:{hook.port}/"
    data = (
        replace(hook.data, authorities="")
        if change == "usual authorities"
        else replace(hook.data, address=address)
    )
    save_connection(actor=system, data=data, connection=hook.connection)
    run = rotate(make_secret(rotation=HOOK))

    assert run.state == "failed"
    assert hook.calls == []

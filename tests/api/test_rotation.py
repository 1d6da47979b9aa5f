"""Rotation over REST: set, shown, changed, started; what consumers hear, and what they do not."""

import json

import pytest

from apps.audit.models import AuditEvent
from apps.core import runner

pytestmark = pytest.mark.django_db

HERE = "environment=production"
ONE = f"/secrets/shop/db?{HERE}"
ROTATE = f"/secrets/shop/db/rotate?{HERE}"
CANARY = "canary-b52-Zq"


@pytest.fixture
def operator(make_api):
    """Of a test alone: some of them need a real transaction."""
    return make_api("administrator")


@pytest.fixture
def secret(shop, operator):
    body = {
        "service": "shop",
        "environment": "production",
        "name": "db",
        "value": CANARY,
        "rotation": {"rotator": "password", "every_days": 30, "length": 40},
    }
    made = operator.post("/secrets", body)
    assert made.status_code == 201, made.content
    return made.json()


def patch(api, rotation):
    return api("PATCH", ONE, {"rotation": rotation})


def test_rotation__set_with_the_secret__is_shown_with_its_defaults(secret, operator):
    shown = operator.get(ONE).json()

    assert shown["rotation"] == secret["rotation"]
    assert shown["rotation"] == {
        "rotator": "password",
        "every_days": 30,
        "keep_hours": 24,
        "length": 40,
        "classes": ["lower", "upper", "digits"],
        "exclude": "",
        "member": "",
    }
    assert shown["rotation_status"]["state"] == "idle"
    assert shown["rotation_status"]["next_at"] is not None


def test_rotate__now__gives_a_new_value_and_keeps_the_one_before(secret, operator):
    answer = operator.post(ROTATE, {})
    runner.run_due()

    assert answer.status_code == 202
    assert answer.json()["rotation_status"]["state"] == "running"
    assert operator.get(answer.headers["Location"]).json()["rotation_status"]["state"] == "done"
    value = operator.post(f"/secrets/shop/db/reveal?{HERE}", {}).json()
    assert value["version"] == 2
    assert len(value["value"]) == 40
    assert value["value"].isalnum()
    before = operator.post(f"/secrets/shop/db/reveal?{HERE}", {"version": 1}).json()
    assert before["value"] == CANARY
    assert operator.get(ONE).json()["rotation_status"]["previous_until"] is not None


def test_rotate__twice_with_one_idempotency_key__is_one_rotation(secret, operator):
    first = operator.post(ROTATE, {}, Idempotency_Key="k")
    second = operator.post(ROTATE, {}, Idempotency_Key="k")

    assert (first.status_code, second.status_code) == (202, 202)
    assert second.headers["Idempotent-Replay"] == "true"
    assert operator.post(ROTATE, {}).status_code == 409


def test_rotate__without_a_rotation__is_422(secret, operator):
    assert patch(operator, None).json()["rotation"] is None
    assert operator.post(ROTATE, {}).json()["errors"][0]["code"] == "no_rotation"


def test_patch__what_get_gave__changes_nothing(secret, operator):
    shown = operator.get(ONE).json()["rotation"]

    assert patch(operator, shown).json()["rotation"] == shown


@pytest.mark.parametrize(
    ("rotation", "pointer"),
    [
        ({}, "/rotation/rotator"),
        ({"rotator": "unknown"}, "/rotation/rotator"),
        ({"rotator": ["password"]}, "/rotation/rotator"),
        ({"rotator": "password", "length": 7}, "/rotation/length"),
        ({"rotator": "password", "length": True}, "/rotation/length"),
        ({"rotator": "password", "length": 10**30}, "/rotation/length"),
        ({"rotator": "password", "length": 12.5}, "/rotation/length"),
        ({"rotator": "password", "classes": []}, "/rotation/classes"),
        ({"rotator": "password", "classes": [["digits"]]}, "/rotation/classes"),
        ({"rotator": "password", "classes": ["digits"], "exclude": "0123456789"}, "/exclude"),
        ({"rotator": "password", "every_days": 0}, "/rotation/every_days"),
        ({"rotator": "password", "every_days": "7"}, "/rotation/every_days"),
        ({"rotator": "password", "every_days": 1, "keep_hours": 24}, "/rotation/keep_hours"),
        ({"rotator": "password", "colour": "red"}, "/rotation/colour"),
        ({"rotator": "password", "connection": "x"}, "/rotation/connection"),
        ({"rotator": "key", "bytes": 8}, "/rotation/bytes"),
        ({"rotator": "key", "encoding": {"a": 1}}, "/rotation/encoding"),
        ({"rotator": "rsa", "bits": 1024}, "/rotation/bits"),
        ({"rotator": "rsa", "bits": True}, "/rotation/bits"),
        ({"rotator": "postgres"}, "/rotation/roles"),
        ({"rotator": "postgres", "roles": ["a", "b"]}, "/rotation/connection"),
        ({"rotator": "postgres", "roles": ["a", 1], "connection": "x"}, "/rotation/roles"),
        ({"rotator": "webhook", "connection": "https://example.com"}, "/rotation/connection"),
    ],
)
def test_rotation__wrong__is_422_and_says_where(secret, operator, rotation, pointer):
    answer = patch(operator, rotation)

    assert answer.status_code == 422, answer.content
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("rotation", ["password", 1, []])
def test_rotation__no_object__is_400(secret, operator, rotation):
    assert patch(operator, rotation).status_code == 400


def test_rotation__those_who_may_not_write_it__see_when_and_not_how(secret, make_api):
    viewer = make_api("viewer", "shop")
    shown = viewer.get(ONE).json()

    assert shown["rotation"] == {"rotator": "password", "every_days": 30, "keep_hours": 24}
    assert patch(viewer, None).status_code == 403
    assert viewer.post(ROTATE, {}).status_code == 403
    assert make_api("viewer", "shop", "staging").post(ROTATE, {}).status_code == 404


def heard(epoch="e"):
    """What the feed hands on of the whole ledger, as watchers get it."""
    from asgiref.sync import async_to_sync

    from apps.audit.selectors import head
    from apps.delivery.acts import read_page

    acts, _until = async_to_sync(read_page)(epoch, 0, head().revision, 10_000)
    return [[notice.message for notice in act.notices] for act in acts if act.notices]


@pytest.mark.parametrize("how", ["rotate", "write"])
@pytest.mark.django_db(transaction=True)
def test_new_value__configurations_that_name_it__hear_of_it_in_one_act(secret, operator, how):
    names = {"db": {"$secret": "db"}, "url": "pg://u:${secret:db}@h", "n": 1}
    for environment, config in (("production", names), ("staging", {"n": 1})):
        body = {"environment": environment, "config": config}
        assert operator.post("/config/shop", body).status_code == 201
    before = len(heard())
    tags = [operator.get(f"/config/shop?{HERE}&reveal=true").headers["ETag"]]
    plain = operator.get(f"/config/shop?{HERE}").headers["ETag"]
    if how == "rotate":
        operator.post(ROTATE, {})
        runner.run_due()
    else:
        operator.post(f"/secrets/shop/db/versions?{HERE}", {"value": "another"})

    (act,) = heard()[before:]
    live = operator.get(f"/config/shop?{HERE}")
    tags.append(operator.get(f"/config/shop?{HERE}&reveal=true").headers["ETag"])
    (message,) = act
    assert message["cause"] == "secret"
    assert (message["service"], message["environment"]) == ("shop", "production")
    assert (message["version"], message["checksum"]) == (1, live.json()["checksum"])
    assert message["keys"] == ["db", "url"]
    assert tags[0] != tags[1]
    assert live.headers["ETag"] == plain
    value = operator.post(f"/secrets/shop/db/reveal?{HERE}", {}).json()["value"]
    assert value not in json.dumps(heard())


@pytest.mark.django_db(transaction=True)
def test_new_secret__that_takes_a_parents_place__is_heard_where_it_is_used(secret, operator):
    operator("PATCH", "/environments/staging", {"parent": "production"})
    for environment in ("staging", "production"):
        body = {"environment": environment, "config": {"db": {"$secret": "db"}}}
        assert operator.post("/config/shop", body).status_code == 201
    before = len(heard())

    own = {"service": "shop", "environment": "staging", "name": "db", "value": "its own"}
    assert operator.post("/secrets", own).status_code == 201

    (act,) = heard()[before:]
    assert [(each["environment"], each["cause"], each["keys"]) for each in act] == [
        ("staging", "secret", ["db"])
    ]


def test_new_value__of_a_parent_environment__is_heard_where_it_is_used(secret, operator, make_api):
    operator("PATCH", "/environments/staging", {"parent": "production"})
    body = {"environment": "staging", "config": {"db": {"$secret": "db"}}}
    assert operator.post("/config/shop", body).status_code == 201
    operator.post(ROTATE, {})
    runner.run_due()

    told = AuditEvent.objects.filter(action="configuration.secret")
    assert [each.target for each in told] == ["configuration:shop@staging"]


def test_rotation__canary__is_in_no_row_but_sealed(secret, operator):
    from django.apps import apps

    operator.post(ROTATE, {})
    runner.run_due()
    value = operator.post(f"/secrets/shop/db/reveal?{HERE}", {}).json()["value"]

    for model in apps.get_models():
        for row in model._default_manager.all().values():
            text = " ".join(str(each) for each in row.values())
            assert value not in text, model
            assert CANARY not in text, model


@pytest.mark.django_db(transaction=True)
def test_long_poll__new_value__is_news_also_when_the_version_is_the_same(secret, operator):
    body = {"environment": "production", "config": {"db": {"$secret": "db"}}}
    assert operator.post("/config/shop", body).status_code == 201
    first = operator.get(f"/config/shop?{HERE}&reveal=true")
    after = first.headers["X-Config-Revision"]
    tag = first.headers["ETag"]
    revealed = f"/config/shop?{HERE}&reveal=true&after={after}"
    before = operator.get(revealed)
    operator.post(ROTATE, {})
    runner.run_due()

    told = operator.get(revealed)
    reached = told.headers["X-Config-Revision"]
    assert before.status_code == 204
    assert told.status_code == 200
    assert len(told.json()["config"]["db"]) == 40
    assert operator.get(revealed, If_None_Match=tag).status_code == 200
    assert operator.get(revealed, If_None_Match=told.headers["ETag"]).status_code == 304
    assert operator.get(f"/config/shop?{HERE}&reveal=true&after={reached}").status_code == 204


def test_version__of_a_secret__is_the_current_one_while_another_is_made(secret, operator, system):
    from django.db import transaction

    from apps.vault.models import Secret
    from apps.vault.versions import add_version, check_value, lock, point
    from apps.vault.wrapping import key_for_next, with_keys_ahead

    def add():
        prepared = key_for_next(Secret.objects.get())
        with transaction.atomic():
            row = lock(Secret.objects.get())
            made = add_version(
                secret=row,
                plain=check_value("pending"),
                prepared=prepared,
                events=[],
                actor=system,
            )
            point(row, "pending", made)

    with_keys_ahead(add)

    assert operator.get(ONE).json()["version"] == 1

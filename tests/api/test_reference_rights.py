"""What references must not tell: two worlds that differ in a hidden key alone answer alike."""

import json

import pytest

from tests.api.test_references import HERE, config, errors, publish
from tests.flows.test_propagation import service

pytestmark = pytest.mark.django_db

SCHEMA = {"type": ["integer", "string", "object"], "maximum": 5, "pattern": "^[A-G]"}
WORLDS = [1, 7, "Abc", "xyz", {"pin": 1}, [1, 2], {"$secret": "pin"}, None]


def ask(api, value, name="shop"):
    """Every way of trying a document out, and publishing it."""
    document = {"b": 1, "s": value}
    body = {"service": name, "environment": "production", "config": document}
    yield api.post("/validate", body)
    yield publish(api, name, document, dry_run=True)
    yield publish(api, name, document)
    yield publish(api, name, document, dependents="leave")
    yield api("PATCH", f"/config/{name}?{HERE}", {"s": value}, "application/merge-patch+json")


@pytest.fixture
def world(operator, make_api):
    """``shop`` with a section on ``s``, ``cart`` with a key ``k``, and who may see neither."""
    service(operator, "shop", "cart")
    body = {"environment": "production", "service": "cart", "name": "pin", "value": "s3cret-v"}
    assert operator.post("/secrets", body).status_code == 201
    operator.post("/services/shop/sections", {"key": "s", "schema": SCHEMA})
    assert publish(operator, "shop", {"b": 1}).status_code == 201
    operator.robot = make_api("operator", "shop")
    return operator


@pytest.mark.parametrize(
    "reference",
    ["${cart:k}", "${cart:k:-3}", "t-${cart:k}", "${cart:k.pin}", "${cart@production:k.pin.x:-3}"],
)
def test_target_without_the_right__whatever_it_is__is_answered_alike(world, reference):
    told = []
    for value in WORLDS:
        document = {"x": 1} if value is None else {"x": 1, "k": value}
        assert publish(world, "cart", document).status_code == 201
        told.append([(each.status_code, each.content) for each in ask(world.robot, reference)])

    assert all(each == told[0] for each in told)
    assert [status for status, _content in told[0]] == [200, 422, 422, 422, 422]
    assert b"that you may read" in told[0][0][1]


@pytest.mark.parametrize("reference", ["${self:x}", "pre-${shop:x}", "${self:x:-3}"])
def test_own_key_that_one_may_not_see__is_not_to_be_copied(world, reference):
    world.post("/services/shop/sections", {"key": "x", "schema": {}})
    told = []
    for value in ("TOPSECRET", 3, "Abc"):
        assert publish(world, "shop", {"b": 1, "x": value}).status_code == 201
        if not told:
            rule = {"pattern": "x", "service": "shop"}
            made = world.post("/key-rules", rule).json()
            account = f"service-account:{world.account.slug}"
            for verb in ("read", "publish"):
                on = {"to": account, "verb": verb, "on": {"key_rule": made["id"]}}
                world.post("/grants", on)
        told.append([(each.status_code, each.content) for each in ask(world.robot, reference)])

    assert all(each == told[0] for each in told)
    assert {status for status, _content in told[0]} == {200, 422}
    assert b"TOPSECRET" not in b"".join(content for _status, content in told[0])


def test_heir__whose_key_is_hidden_there__is_not_told_of(world):
    world("PATCH", "/environments/staging", {"parent": "production"})
    publish(world, "shop", {"x": "HEIRSECRET"}, environment="staging")
    world.post("/key-rules", {"pattern": "x", "service": "shop", "environment": "staging"})

    for value in ("${self:x:-no}", "${shop:x:-no}"):
        for answer in ask(world.robot, value):
            assert b"HEIRSECRET" not in answer.content


def test_secret__named_beside_a_reference__needs_its_own_right(world):
    for text in (
        "${secret:cart/pin}",
        "${self:k}${secret:cart/pin}",
        "${self:z:-}${secret:cart/pin}",
    ):
        refused = publish(world.robot, "shop", {"k": "", "u": text})
        assert errors(refused)[0][1] == "secret", text


def test_whole_document_by_a_reference__is_refused_and_rights_go_on(world):
    publish(world, "cart", {"db": {"port": 1}})

    refused = publish(world, "shop", {"$replace": "${cart:db}"})

    assert refused.status_code == 422
    assert world.post("/key-rules", {"pattern": "db.port", "service": "cart"}).status_code == 201
    assert world.robot.get(f"/config/shop?{HERE}").status_code == 200


def test_rollback_of_keys__in_a_loop_of_documents__comes_to_rest(operator):
    service(operator, "a", "b")
    publish(operator, "a", {"x": 1})
    publish(operator, "b", {"y": "${a:x}"})
    publish(operator, "a", {"x": 1, "z": "${b:y}"})
    publish(operator, "a", {"x": 2, "z": "${b:y}"})

    body = {"environment": "production", "to_version": 1, "keys": ["x"]}
    assert operator.post("/config/a/rollback", body).status_code == 201

    assert config(operator, "a") == {"x": 1, "z": 1}
    assert config(operator, "b") == {"y": 1}


def test_whole_rollback__is_pinned_by_what_the_act_leaves(operator):
    service(operator, "a", "b")
    publish(operator, "a", {"x": 1})
    publish(operator, "b", {"y": "${a:x}"})
    publish(operator, "a", {"x": 1, "z": "${b:y}"})
    publish(operator, "a", {"x": 2, "z": "${b:y}"})

    operator.post("/config/a/rollback", {"environment": "production", "to_version": 2})

    live = operator.get(f"/config/a?{HERE}").json()
    assert live["config"] == {"x": 1, "z": 1}
    assert "pinned" not in live


def test_outdated__is_over_when_what_moved_is_back(operator):
    service(operator, "a", "b")
    publish(operator, "a", {"x": 1})
    operator.post("/services/b/sections", {"key": "y", "schema": {"maximum": 1}})
    publish(operator, "b", {"y": "${a:x}"})
    publish(operator, "a", {"x": 2}, dependents="leave")
    assert operator.get(f"/config/b?{HERE}").json()["outdated"] is True

    publish(operator, "a", {"x": 1})

    assert "outdated" not in operator.get(f"/config/b?{HERE}").json()


def test_validate__in_a_loop__is_an_answer_for_readers_too(operator, make_api):
    service(operator, "a", "b")
    publish(operator, "a", {"x": 1})
    publish(operator, "b", {"y": "${a:x}"})
    operator.post("/services/a/sections", {"key": "z", "schema": {"maximum": 1}})
    publish(operator, "a", {"x": 1, "z": "${b:y}"})

    for api in (operator, make_api("viewer")):
        body = {"service": "a", "environment": "production", "config": {"x": 2, "z": "${b:y}"}}
        answer = api.post("/validate", body)
        assert answer.status_code == 200
        assert json.loads(answer.content)["valid"] is False

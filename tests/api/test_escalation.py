"""Ways around a right that somebody once found: each stays closed."""

import json

import pytest

from apps.access import key_rules, people, services
from apps.access.policy import EVERYWHERE, Place
from apps.registry.selectors import get_environment, get_service

pytestmark = pytest.mark.django_db


@pytest.fixture
def environments(system, operator):
    """``kid`` inherits from ``base``; ``sand`` stands alone."""
    for slug, parent in (("base", None), ("kid", "base"), ("sand", None)):
        body = {"slug": slug, "parent": parent}
        assert operator.post("/environments", body).status_code == 201
    return {slug: get_environment(slug) for slug in ("base", "kid", "sand")}


def give(system, api, what, **on):
    place = Place(
        get_service(on["service"]) if "service" in on else None,
        get_environment(on["environment"]) if "environment" in on else None,
    )
    target = on.get("rule", place)
    holder = f"service-account:{api.account.slug}"
    kind = "role" if what in ("operator", "viewer", "administrator") else "verb"
    services.grant(actor=system, to=holder, on=target, **{kind: what})


def publish(api, environment, config, **members):
    body = {"environment": environment, "config": config, "on_stale": "overwrite"} | members
    return api.post("/config/shop", body)


def codes(answer):
    return [each["code"] for each in json.loads(answer.content)["errors"]]


@pytest.mark.parametrize("parent", ["production", "nowhere"])
def test_environment__parent_that_is_not_ones_own__looks_like_a_missing_one(
    make_api, environments, parent
):
    manager = make_api("administrator", environment="sand", own="sand")

    answer = manager("PATCH", "/environments/sand", {"parent": parent})

    assert answer.status_code == 422
    assert codes(answer) == ["parent"]


def test_environment__parent_that_one_may_only_read__is_403(make_api, environments, system):
    manager = make_api("administrator", environment="sand", own="sand")
    give(system, manager, "viewer", environment="base")

    assert manager("PATCH", "/environments/sand", {"parent": "base"}).status_code == 403


def test_environment__default__needs_manage_everywhere(make_api, environments):
    manager = make_api("administrator", environment="sand", own="sand")

    assert manager("PATCH", "/environments/sand", {"default": True}).status_code == 403
    assert manager("PATCH", "/environments/sand", {"name": "Sandbox"}).status_code == 200


def test_rollback__to_a_name_that_means_another_secret_now__is_refused(
    make_api, operator, shop, environments, system
):
    """The own secret of before is gone, and one of the parent environment answers to its name."""
    author = make_api("administrator", environment="kid", own="kid")
    own = {"service": "shop", "environment": "kid", "name": "pw", "value": "mine"}
    assert author.post("/secrets", own).status_code == 201
    assert publish(author, "kid", {"a": {"$secret": "pw"}}).status_code == 201
    assert publish(author, "kid", {"a": 1}).status_code == 201
    assert author("DELETE", "/secrets/shop/pw?environment=kid").status_code == 204
    theirs = {"service": "shop", "environment": "base", "name": "pw", "value": "theirs"}
    assert operator.post("/secrets", theirs).status_code == 201

    refused = author.post("/config/shop/rollback", {"environment": "kid", "to_version": 1})
    by_keys = author.post(
        "/config/shop/rollback", {"environment": "kid", "to_version": 1, "keys": ["a"]}
    )

    assert (refused.status_code, by_keys.status_code) == (422, 422), by_keys.content
    assert codes(refused) == codes(by_keys) == ["secret"]
    assert (
        operator.post("/config/shop/rollback", {"environment": "kid", "to_version": 1}).status_code
        == 201
    )


def test_rollback__secret_gone_in_a_key_that_is_hidden__is_not_named(
    make_api, operator, shop, system
):
    secret = {"service": "shop", "environment": "production", "name": "hidden-db", "value": "x"}
    assert operator.post("/secrets", secret).status_code == 201
    config = {"security": {"dbkey": {"$secret": "hidden-db"}}, "a": 1}
    assert publish(operator, "production", config).status_code == 201
    assert publish(operator, "production", {"a": 2}).status_code == 201
    assert operator("DELETE", "/secrets/shop/hidden-db?environment=production").status_code == 204
    rule = key_rules.create_key_rule(actor=system, pattern="security.**", place=EVERYWHERE)
    restricted = make_api("operator")
    give(system, restricted, "rollback", rule=rule)

    refused = restricted.post(
        "/config/shop/rollback", {"environment": "production", "to_version": 1}
    )

    assert refused.status_code == 422
    assert b"hidden-db" not in refused.content
    assert b"dbkey" not in refused.content


def test_key_rule__of_a_parent_environment__needs_the_right_in_its_children(
    make_api, shop, environments, system
):
    parent = make_api("administrator", environment="base", own="base")
    give(system, parent, "list", environment="kid")

    body = {"pattern": "settings.**", "service": "shop", "environment": "base"}
    assert parent.post("/key-rules", body).status_code == 403

    rule = key_rules.create_key_rule(
        actor=system, pattern="settings.**", place=Place(environment=environments["base"])
    )
    holder = f"service-account:{parent.account.slug}"
    body = {"to": holder, "verb": "read", "on": {"key_rule": rule.pk}}
    assert parent.post("/grants", body).status_code == 403
    give(system, parent, "administrator", environment="kid")
    assert parent.post("/grants", body).status_code == 201


def test_key_rule__loosened_by_an_officer__is_403(make_api, shop, operator, system):
    assert publish(operator, "production", {"ops": {"key": 1}, "plain": 2}).status_code == 201
    rule = key_rules.create_key_rule(actor=system, pattern="ops.**", place=EVERYWHERE)
    officer = make_api("security-officer")

    for method, body in (("PATCH", {"pattern": "nothing.here"}), ("PATCH", {"pattern": "**"})):
        assert officer(method, f"/key-rules/{rule.pk}", body).status_code == 403
    assert officer("DELETE", f"/key-rules/{rule.pk}").status_code == 403
    assert officer("PATCH", f"/key-rules/{rule.pk}", {"description": "d"}).status_code == 200
    assert officer("PATCH", f"/key-rules/{rule.pk}", {"pattern": "ops.**"}).status_code == 200

    for verb in ("read", "edit", "publish", "rollback", "reveal"):
        give(system, officer, verb, rule=rule)
    assert officer("PATCH", f"/key-rules/{rule.pk}", {"pattern": "**"}).status_code == 403
    assert officer("DELETE", f"/key-rules/{rule.pk}").status_code == 403
    assert operator("PATCH", f"/key-rules/{rule.pk}", {"pattern": "ops.*"}).status_code == 200
    assert operator("DELETE", f"/key-rules/{rule.pk}").status_code == 204


def test_groups__that_hold_more_than_their_giver__are_refused(db, system):
    from apps.core.actor import Actor
    from apps.core.models import User
    from apps.engine.errors import ForbiddenError

    mallory = User.objects.create_user("mallory")
    for verb in ("manage", "list"):
        services.grant(actor=system, to="user:mallory", verb=verb)
    strong = people.create_group(actor=system, name="admins")
    services.grant(actor=system, to="group:admins", role="administrator")
    weak = people.create_group(actor=system, name="weak")
    services.grant(actor=system, to="group:weak", verb="list")
    actor = Actor(name="user:mallory", user_id=mallory.pk)

    with pytest.raises(ForbiddenError):
        people.set_groups(actor=actor, user=mallory, groups=[strong])
    people.set_groups(actor=actor, user=mallory, groups=[weak])
    people.set_groups(actor=system, user=mallory, groups=[weak, strong])
    people.set_groups(actor=actor, user=mallory, groups=[weak, strong])

    assert {group.name for group in mallory.groups.all()} == {"weak", "admins"}


def test_redact__by_an_officer_of_one_environment__is_403_and_says_nothing_of_others(
    make_api, operator, shop, environments, system
):
    officer = make_api("security-officer", environment="kid", own="kid")
    give(system, officer, "operator", environment="kid")
    assert publish(operator, "production", {"a": 54321}).status_code == 201
    assert publish(officer, "kid", {"a": 54321}).status_code == 201
    assert publish(officer, "kid", {"a": 1}).status_code == 201

    refused = officer.post("/config/shop/redact", {"environment": "kid", "version": 1, "key": "a"})

    assert refused.status_code == 403
    assert b"production" not in refused.content
    back = operator.post("/config/shop/rollback", {"environment": "production", "to_version": 1})
    assert back.status_code in (200, 201)


def test_redact__value_too_short_to_look_for__leaves_no_remembered_answer(make_api, operator, shop):
    first = publish(operator, "production", {"a": "hunt3r7"})
    assert first.status_code == 201
    body = {"environment": "production", "config": {"a": 1}, "base_version": 1}
    second = operator.post("/config/shop", body, idempotency_key="once")
    assert b"hunt3r7" in second.content

    done = make_api("security-officer").post(
        "/config/shop/redact", {"environment": "production", "version": 1, "key": "a"}
    )
    again = operator.post("/config/shop", body, idempotency_key="once")

    assert done.status_code == 200, done.content
    assert b"hunt3r7" not in again.content


def test_idempotent_replay__after_a_key_was_taken_away__does_not_show_it(operator, shop, system):
    body = {"environment": "production", "config": {"sec": {"k": "v4lue"}}}
    assert operator.post("/config/shop", body, idempotency_key="once").status_code == 201
    assert b"v4lue" in operator.post("/config/shop", body, idempotency_key="once").content

    key_rules.create_key_rule(actor=system, pattern="sec.**", place=EVERYWHERE)
    again = operator.post("/config/shop", body, idempotency_key="once")

    assert again.status_code == 409
    assert json.loads(again.content)["code"] == "already_done"
    assert b"v4lue" not in again.content


def test_validate__warning_at_a_hidden_key__is_not_shown(make_api, operator, shop, system):
    key = "AKIA" + "IOSFODNN7EXAMPLE"
    assert publish(operator, "production", {"ops": {"key": key}, "a": 1}).status_code == 201
    key_rules.create_key_rule(actor=system, pattern="ops.**", place=EVERYWHERE)
    body = {"service": "shop", "environment": "production", "config": {"a": 2}}

    told = make_api("viewer").post("/validate", body)

    assert told.status_code == 200
    assert json.loads(told.content)["warnings"] == []


def test_history__of_a_list_that_was_hidden__does_not_name_it(make_api, operator, shop, system):
    hosts = [{"name": "a", "password": "x"}]
    assert publish(operator, "production", {"hosts": hosts, "a": 1}).status_code == 201
    assert publish(operator, "production", {"a": 1}).status_code == 201
    assert publish(operator, "production", {"hosts": [{"name": "b"}], "a": 1}).status_code == 201
    key_rules.create_key_rule(actor=system, pattern="hosts[*].password", place=EVERYWHERE)
    viewer = make_api("viewer")
    where = "environment=production"

    history = json.loads(viewer.get(f"/config/shop/history?{where}").content)["results"]
    touched = json.loads(viewer.get(f"/config/shop/history?{where}&key=hosts").content)["results"]
    second = json.loads(viewer.get(f"/config/shop/versions/2?{where}").content)

    assert [each["keys"] for each in history] == [["hosts"], [], ["a"]]
    assert [each["version"] for each in touched] == [3]
    assert second["keys"] == []


def test_writer__with_a_plain_key_that_begins_with_a_dollar__is_not_locked_out(
    make_api, operator, shop, system
):
    key_rules.create_key_rule(actor=system, pattern="ops.**", place=EVERYWHERE)
    assert publish(operator, "production", {"$schema": "s", "a": 1}).status_code == 201

    assert publish(make_api("operator"), "production", {"$schema": "t", "a": 2}).status_code == 201


def test_mfa__privileged__counts_grants_on_key_rules(db, system):
    from apps.access.selectors import is_privileged
    from apps.core.actor import Actor
    from apps.core.models import User

    ada = User.objects.create_user("ada")
    actor = Actor(name="user:ada", user_id=ada.pk)
    assert not is_privileged(actor)

    rule = key_rules.create_key_rule(actor=system, pattern="ops.**", place=EVERYWHERE)
    services.grant(actor=system, to="user:ada", verb="reveal", on=rule)

    assert is_privileged(actor)


@pytest.mark.parametrize("kind", [[], {}, 1, None])
def test_section__type_that_is_no_text__is_422(operator, shop, kind):
    answer = operator.post("/services/shop/sections", {"key": "settings", "type": kind})

    assert answer.status_code == 422


def test_cursor__with_an_empty_epoch__is_refused(operator, shop):
    assert publish(operator, "production", {"a": 1}).status_code == 201

    answer = operator.get("/config/shop?environment=production&after=-1")

    assert answer.status_code in (400, 422)

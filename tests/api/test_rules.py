"""Rules over REST: what they refuse, whom they tell, and what is live when they change."""

import json

import pytest

from apps.configs.models import Rule
from apps.core import clock
from apps.registry.selectors import get_service
from tests.api.test_references import HERE, config, errors, publish
from tests.flows.test_propagation import service

pytestmark = pytest.mark.django_db

POOL = {
    "name": "pool-in-production",
    "environment": "production",
    "expression": "config.database.pool >= 10",
    "message": "Production needs at least ten connections.",
}


@pytest.fixture(scope="module")
def shop(operator):
    service(operator, "shop")
    return operator


def make(api, **members):
    return api.post("/rules", {**POOL, **members})


def pool(api, size, **more):
    return publish(api, "shop", {"database": {"pool": size}}, **more)


def test_rule__broken_by_a_publish__refuses_it_with_key_and_name_and_line(shop):
    assert make(shop).status_code == 201

    refused = shop.post(
        "/config/shop",
        {"environment": "production", "content": "a: 1\ndatabase:\n  pool: 5\n", "format": "yaml"},
    )

    assert refused.status_code == 422
    [problem] = refused.json()["errors"]
    assert (problem["pointer"], problem["code"], problem["line"]) == ("/database/pool", "rule", 3)
    assert problem["message"] == (
        "Rule 'pool-in-production': Production needs at least ten connections."
    )
    assert pool(shop, 10).status_code == 201
    assert pool(shop, 5, environment="staging").status_code == 201
    assert publish(shop, "shop", {"other": 1}).status_code == 201


def test_rule__that_warns__tells_and_lets_through(shop):
    make(shop, severity="warning")

    answer = pool(shop, 5)

    assert answer.status_code == 201
    assert [each["code"] for each in answer.json()["warnings"]] == ["rule"]


def test_rule__about_what_was_live__is_judged_from_the_second_version_on(shop):
    make(shop, name="halve", environment=None, expression="config.t * 2 >= previous.t")

    assert publish(shop, "shop", {"t": 10}).status_code == 201
    assert errors(publish(shop, "shop", {"t": 4}))[0][:2] == ("/t", "rule")
    assert publish(shop, "shop", {"t": 5}).status_code == 201
    patch = shop("PATCH", f"/config/shop?{HERE}", {"t": 1}, "application/merge-patch+json")
    assert patch.status_code == 422


def test_configuration_test__kept_with_a_service__runs_at_publish_and_validate(shop):
    body = {"service": "shop", "key": "settings.timeout", "equals": 2500}
    made = shop.post("/rules", {"name": "timeout", "environment": "production", **body})
    assert made.status_code == 201
    assert made.json() | {"key": "settings.timeout", "equals": 2500} == made.json()

    for document, code in (({"settings": {"timeout": 2500}}, 201), ({"settings": {}}, 422)):
        assert publish(shop, "shop", document).status_code == code
    report = shop.post(
        "/validate",
        {"service": "shop", "environment": "production", "config": {"settings": {"timeout": 1}}},
    ).json()

    assert report["valid"] is False
    assert report["errors"][0]["pointer"] == "/settings/timeout"


def test_rule__of_another_service_or_environment__says_nothing(shop):
    service(shop, "cart")
    make(shop, service="cart", environment=None)

    assert pool(shop, 1).status_code == 201
    assert publish(shop, "cart", {"database": {"pool": 1}}).status_code == 422


def test_rule__that_live_configurations_break__is_refused_until_acknowledged(shop):
    pool(shop, 5)
    pool(shop, 5, environment="staging")

    refused = make(shop, environment=None)
    known = make(shop, environment=None, acknowledge=True)

    assert refused.status_code == 422
    assert refused.json()["code"] == "live_failures"
    assert [(e["service"], e["environment"], e["pointer"]) for e in refused.json()["errors"]] == [
        ("shop", "staging", "/database/pool"),
        ("shop", "production", "/database/pool"),
    ]
    assert known.status_code == 201
    event = shop.get("/audit?action=rule.created").json()["results"][0]
    assert event["data"]["failing"] == 2
    assert publish(shop, "shop", {"database": {"pool": 5}, "x": 1}).status_code == 422


def test_schema__that_live_configurations_break__is_refused_until_acknowledged(shop):
    pool(shop, 5)
    body = {"key": "database", "schema": {"properties": {"pool": {"minimum": 10}}}}

    refused = shop.post("/services/shop/sections", body)
    made = shop.post("/services/shop/sections", {**body, "schema": {}})
    changed = shop("PATCH", "/services/shop/sections/database", {"schema": body["schema"]})
    known = {"schema": body["schema"], "acknowledge": True}

    assert refused.json()["code"] == "live_failures"
    assert made.status_code == 201
    assert changed.status_code == 422
    assert [each["pointer"] for each in changed.json()["errors"]] == ["/database/pool"]
    assert shop("PATCH", "/services/shop/sections/database", known).status_code == 200
    text = {"description": "What the database gets"}
    assert shop("PATCH", "/services/shop/sections/database", text).status_code == 200


def test_merge_key__changed_under_live_lists__is_judged_and_outdates_what_would_differ(shop):
    schema = {"properties": {"list": {"x-merge-key": "name"}}}
    plain = {"properties": {"list": {}}}
    at = "/services/shop/sections/s"
    section = {"key": "s", "schema": schema}
    assert shop.post("/services/shop/sections", section).status_code == 201
    shop("PATCH", "/environments/staging", {"parent": "production"})
    publish(shop, "shop", {"s": {"list": [{"name": "a", "n": 1}, {"name": "b", "n": 2}]}})
    own = {"s": {"list": [{"name": "a", "n": 3}]}, "first": "${self:s.list[1].n}"}
    assert publish(shop, "shop", own, environment="staging").status_code == 201

    refused = shop("PATCH", at, {"schema": plain})

    assert (refused.status_code, refused.json()["code"]) == (422, "live_failures")
    told = [(each["environment"], each["pointer"]) for each in refused.json()["errors"]]
    assert told == [("staging", "/first")]
    assert shop("DELETE", at).json()["code"] == "live_failures"
    assert shop.get(at).json()["schema"] == schema
    assert shop("PATCH", at, {"schema": plain, "acknowledge": True}).status_code == 200
    outdated = [
        shop.get(f"/config/shop?environment={each}").json().get("outdated", False)
        for each in ("production", "staging")
    ]
    assert outdated == [False, True]
    event = shop.get("/audit?action=section.updated").json()["results"][0]
    assert event["data"]["outdated"] == 1
    publish(shop, "shop", {"s": {"list": [{"name": "a", "n": 3}]}}, environment="staging")
    other = shop("PATCH", at, {"schema": schema})  # composes, and otherwise
    assert other.status_code == 200
    assert shop.get("/config/shop?environment=staging").json()["outdated"] is True
    shop.post("/config/shop/refresh", {"environment": "staging"})
    assert len(config(shop, "shop", "staging")["s"]["list"]) == 2
    assert shop("DELETE", at).status_code == 204
    assert shop.get("/config/shop?environment=staging").json()["outdated"] is True


def test_rule__with_tests__is_saved_when_all_agree(shop):
    tests = [{"config": {"database": {"pool": 9}}, "holds": False}]

    assert errors(make(shop, tests=[{"config": {"database": {"pool": 9}}}])) == [
        ("/tests/0", "rule_test", "The rule does not hold, and the test says it holds.")
    ]
    assert make(shop, tests=tests).status_code == 201
    less = {"expression": "config.database.pool >= 8"}
    assert errors(shop("PATCH", "/rules/pool-in-production", less))[0][1] == "rule_test"


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"expression": "config.a >"}, "/expression"),
        ({"expression": ""}, "/expression"),
        ({"key": "a", "equals": 1}, "/key"),
        ({"expression": "", "key": "a"}, "/equals"),
        ({"expression": "", "key": "a..b", "equals": 1}, "/key"),
        ({"severity": "fatal"}, "/severity"),
        ({"name": "../x"}, "/name"),
        ({"severity": []}, "/severity"),
        ({"expression": "", "key": 0, "equals": 1}, "/key"),
        ({"equals": 1}, "/equals"),
        ({"tests": [{"cfg": {}}]}, "/tests/0"),
        ({"service": "nowhere"}, "/service"),
        ({"expression": "x" * 2_000}, "/expression"),
    ],
)
def test_rule__that_is_none__is_refused_with_its_member(shop, members, pointer):
    answer = make(shop, **members)

    assert answer.status_code == 422, answer.content
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert shop.get("/rules").json()["results"] == []


def test_rule__changed_and_ended__holds_no_more(shop):
    make(shop)
    assert shop.post("/rules", {**POOL, "name": "POOL-in-production"}).status_code == 422
    assert shop("PATCH", "/rules/pool-in-production", {"environment": None}).status_code == 422
    assert shop("PATCH", "/rules/pool-in-production", {"key": "a", "equals": 2}).status_code == 200
    assert "expression" not in shop.get("/rules/POOL-IN-PRODUCTION").json()
    assert shop("DELETE", "/rules/pool-in-production").status_code == 204
    assert shop.get("/rules/pool-in-production").status_code == 404
    assert pool(shop, 1).status_code == 201


def test_template__whose_users_would_break_a_rule__is_refused_whole(shop):
    shop.post("/templates", {"slug": "db", "content": {"database": {"pool": 20}}})
    publish(shop, "shop", {"a": 1}, extends=[{"template": "db"}])
    make(shop)

    refused = shop.post("/templates/db/versions", {"content": {"database": {"pool": 2}}})
    left = {"content": {"database": {"pool": 2}}, "dependents": "leave"}

    assert errors(refused)[0][:2] == ("/database/pool", "rule")
    assert shop.post("/templates/db/versions", left).status_code == 201
    assert config(shop, "shop")["database"] == {"pool": 20}


def test_rollback__to_what_a_rule_refuses_now__warns(shop):
    pool(shop, 5)
    pool(shop, 20)
    make(shop)

    answer = shop.post("/config/shop/rollback", {"environment": "production", "to_version": 1})

    assert answer.status_code == 201
    assert [each["code"] for each in answer.json()["warnings"]] == ["rule"]


def hidden(system, name, expression, **members):
    """A rule on keys that no role may read, made by somebody who may."""
    from apps.access.policy import EVERYWHERE
    from apps.configs.services.rules import create_rule

    where = {"place": EVERYWHERE, "name": name, "expression": expression}
    create_rule(actor=system, **where | members)


@pytest.mark.parametrize(
    "expression",
    ["config.size <= config.security.most", "config.security.most >= config.size"],
)
def test_rules__in_two_worlds_that_differ_in_a_hidden_key__say_the_same(
    shop, make_api, system, expression
):
    """Whoever may not read what a rule looks at learns nothing of it, and cannot get round it."""
    from apps.access.policy import Place
    from apps.configs import sources
    from apps.configs.services import publishing
    from apps.configs.services.bases import Options
    from apps.registry.selectors import get_environment, get_service

    shop.post("/key-rules", {"pattern": "security.**", "service": "shop"})
    hidden(system, "pin", expression)
    hidden(system, "warns", "config.security.most > 50", severity="warning")
    told = []
    for most in (10, 100):
        source = sources.from_tree({"size": 1, "free": 1, "security": {"most": most}})
        place = Place(get_service("shop"), get_environment("production"))
        options = Options(on_stale="overwrite")
        publishing.publish(actor=system, place=place, source=source, options=options)
        clerk = make_api("operator", service="shop")
        answers = []
        for written in ({"size": 1, "free": 2}, {"size": 50, "free": 1}, {"size": 2, "free": 1}):
            body = {"environment": "production", "config": written, "on_stale": "overwrite"}
            answer = clerk.post("/config/shop", {**body, "dry_run": True})
            told_of = json.loads(answer.content)
            answers.append((answer.status_code, told_of.get("errors"), told_of.get("warnings")))
        told.append(answers)

    assert told[0] == told[1]
    assert [status for status, _errors, _warnings in told[0]] == [200, 422, 422]
    assert told[0][1][1][0]["code"] == "rule_hidden"


def test_rules__that_look_at_hidden_keys__are_not_shown(shop, make_api):
    shop.post("/key-rules", {"pattern": "security.**", "service": "shop"})
    make(shop, name="pin", expression="config.security.pin == '1234'")
    make(shop, name="whole", expression="size(config) > 0")
    make(shop, name="free")
    service(shop, "cart")
    make(shop, name="of-cart", service="cart")
    make(shop, name="inside", expression="config.users.all(u, u.token != 'abc')")
    make(shop, name="beside", expression="config.users.size() < 100")
    shop.post("/key-rules", {"pattern": "**.token", "service": "shop"})
    reader, stranger = make_api("viewer", service="shop"), make_api()

    shown = [each["name"] for each in reader.get("/rules").json()["results"]]
    assert shown == ["beside", "free", "whole"]
    assert reader.get("/rules/pin").status_code == 404
    assert stranger.get("/rules").status_code == 403
    assert reader("PATCH", "/rules/free", {"message": "x"}).status_code == 403
    assert reader("DELETE", "/rules/free").status_code == 403
    assert reader("DELETE", "/rules/of-cart").status_code == 404


def test_rule__on_a_visible_value__is_judged_beside_hidden_keys_of_any_depth(shop, make_api):
    shop.post("/key-rules", {"pattern": "**.password"})
    make(shop, environment=None)
    make(shop, name="whole", environment=None, expression="size(config.database) < 9")
    clerk = make_api("operator", service="shop")

    told = errors(pool(clerk, 5))

    assert sorted(code for _pointer, code, _message in told) == ["rule", "rule_hidden"]
    shop("DELETE", "/rules/whole")
    assert pool(clerk, 20).status_code == 201
    refused = make(make_api("administrator"), name="more", expression="config.database.pool > 30")
    assert refused.json()["code"] == "live_failures"


def test_live_failures__at_keys_that_the_manager_may_not_read__are_a_number(shop, make_api):
    """A rule is no way to ask what stands in a hidden key."""
    assert publish(shop, "shop", {"security": {"pin": "1234"}, "free": 1}).status_code == 201
    shop.post("/key-rules", {"pattern": "security.**", "service": "shop"})
    manager = make_api("administrator", service="shop")

    def ask(value):
        return manager.post(
            "/rules",
            {
                "name": f"guess-{value}",
                "service": "shop",
                "expression": f"config.security.pin == '{value}'",
            },
        ).status_code

    assert ask("0000") == ask("1234") == 403


def test_rule__that_a_key_must_be_there__binds_who_may_not_read_others(shop, make_api):
    shop.post("/key-rules", {"pattern": "**.password"})
    make(shop, name="owned", environment=None, expression="has(config.owner)")
    shop.post("/rules", {"name": "region", "service": "shop", "key": "region", "equals": "eu"})
    clerk = make_api("operator", service="shop")

    refused = publish(clerk, "shop", {"x": 1})
    taken = publish(clerk, "shop", {"owner": "web", "region": "eu"})

    assert [code for _pointer, code, _message in errors(refused)] == ["rule", "rule"]
    assert taken.status_code == 201
    assert publish(clerk, "shop", {"owner": "web"}).status_code == 422


def test_rule__of_what_follows__tells_nothing_of_hidden_keys(shop, make_api, system):
    """A parent's publish, whose heir has what its author may not read."""
    from apps.access.policy import Place
    from apps.configs import sources
    from apps.configs.services import publishing
    from apps.configs.services.bases import Options
    from apps.registry.selectors import get_environment, get_service

    shop("PATCH", "/environments/production", {"parent": "staging"})
    shop.post("/key-rules", {"pattern": "security.**", "service": "shop"})
    publish(shop, "shop", {"size": 1}, environment="staging")
    production = Place(environment=get_environment("production"))
    hidden(system, "pin", "config.size <= config.security.most", place=production)
    told = []
    for most in (10, 100):
        publishing.publish(
            actor=system,
            place=Place(get_service("shop"), get_environment("production")),
            source=sources.from_tree({"security": {"most": most}}),
            options=Options(on_stale="overwrite"),
        )
        body = {"config": {"size": 50}, "on_stale": "overwrite", "dry_run": True}
        clerk = make_api("operator", service="shop")
        ways = [{}, {"dependents": "leave"}]
        answers = [
            clerk.post("/config/shop", {"environment": "staging", **body, **each}) for each in ways
        ]
        told.append([(each.status_code, each.content) for each in answers])

    assert told[0] == told[1]
    assert json.loads(told[0][0][1])["affected"][0]["outdated"] == "restricted"


def test_rule__on_a_key_that_one_may_only_write__is_judged_where_he_writes_it(
    shop, make_api, system
):
    from apps.access import services as access

    made = shop.post("/key-rules", {"pattern": "security.**", "service": "shop"}).json()
    hidden(system, "pin", "config.size <= config.security.most")
    writer = make_api("operator", service="shop")
    access.grant(
        actor=system,
        to="service-account:robot-1",
        verb="publish",
        on=access_rule(made["id"]),
    )

    assert publish(writer, "shop", {"size": 5, "security": {"most": 10}}).status_code == 201
    assert errors(publish(writer, "shop", {"size": 50}))[0][1] == "rule_hidden"
    higher = {"size": 50, "security": {"most": 60}}
    assert publish(writer, "shop", higher).status_code == 201
    lower = {"size": 50, "security": {"most": 40}}
    assert errors(publish(writer, "shop", lower))[0][1] == "rule"


def access_rule(number):
    from apps.access.selectors import get_key_rule

    return get_key_rule(number)


def test_live_failures__of_configurations_that_one_may_not_list__are_not_told(
    shop, make_api, system
):
    from apps.access import services as access
    from apps.access.policy import Place
    from apps.registry.selectors import get_environment

    pool(shop, 1)
    manager = make_api()
    here = Place(environment=get_environment("production"))
    access.grant(actor=system, to="service-account:robot-1", verb="manage", on=here)
    service(shop, "other")
    access.grant(actor=system, to="service-account:robot-1", role="viewer", on=Place(get("other")))

    assert make(manager).status_code == 201


def get(slug):
    from apps.registry.selectors import get_service

    return get_service(slug)


def test_rules__as_many_as_one_service_may_have__leave_room_for_another(shop):
    shop.post("/services", {"slug": "cart"})
    same = {"service": get_service("shop"), "expression": "true", "created_at": clock.now()}
    Rule.objects.bulk_create(Rule(name=f"r{at}", **same) for at in range(1_000))

    full = make(shop, name="more", service="shop")
    others = [make(shop, name="cart", service="cart"), make(shop, name="free")]

    assert errors(full) == [("/name", "limit", "There are at most 1000 rules of one service.")]
    assert [each.status_code for each in others] == [201, 201]

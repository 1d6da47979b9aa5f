"""Promoting between environments: what is brought, what stays, what clashes, who may."""

import json

import pytest

from tests.api.test_references import HERE, config, errors, publish
from tests.flows.test_propagation import service

pytestmark = pytest.mark.django_db

SCHEMA = {
    "properties": {
        "url": {"x-environment-specific": True},
        "pool": {"type": "object", "additionalProperties": {"x-environment-specific": True}},
    }
}


@pytest.fixture(scope="module")
def shop(operator):
    service(operator, "shop", "cart")
    operator.post("/services/shop/sections", {"key": "db", "schema": SCHEMA})
    for environment, port in (("staging", 1), ("production", 2)):
        assert publish(operator, "cart", {"port": port}, environment=environment).status_code == 201
    return operator


def promote(api, origin="staging", environment="production", **more):
    return api.post("/config/shop/promote", {"environment": environment, "from": origin, **more})


def staging(api, tree, **more):
    assert publish(api, "shop", tree, environment="staging", **more).status_code == 201


def test_promote__whole__brings_text_and_references_and_leaves_what_is_specific(shop):
    text = "# why\ndb:\n  url: pg://stag  # here\n  timeout: ${cart:port}\nnew: [1]\n"
    body = {"environment": "staging", "content": text, "format": "yaml", "base_version": 0}
    assert shop.post("/config/shop", body).status_code == 201
    publish(shop, "shop", {"db": {"url": "pg://live", "timeout": 9}, "old": 1})

    answer = promote(shop)

    assert answer.status_code == 201, answer.content
    assert config(shop, "shop") == {"db": {"url": "pg://live", "timeout": 2}, "new": [1]}
    source = shop.get(f"/config/shop?{HERE}&view=source").json()
    assert source["content"] == text.replace("pg://stag", "pg://live")
    version = shop.get(f"/config/shop/versions/2?{HERE}").json()
    assert version["promotes"] == {"environment": "staging", "version": 1}
    assert (version["cause"], version["message"]) == ("publish", "Promote staging@1")
    event = shop.get("/audit?action=configuration.publish").json()["results"][0]
    assert event["data"]["promotes"] == {"environment": "staging", "version": 1}
    again = promote(shop)
    assert (again.status_code, again.json()["unchanged"]) == (200, True)


def test_promote__where_nothing_is_yet__leaves_out_what_is_specific(shop):
    staging(shop, {"db": {"url": "pg://staging", "timeout": 3, "pool": {"a": 1}}})

    assert promote(shop).status_code == 201

    assert config(shop, "shop") == {"db": {"timeout": 3, "pool": {}}}


def test_promote__chosen_keys_and_an_earlier_version__are_the_smallest_override(shop):
    shop.post("/templates", {"slug": "base", "content": {"t": {"n": 1, "m": 1}}})
    staging(shop, {"t": {"n": 5}, "x": 1, "y": 1}, extends=[{"template": "base"}])
    staging(shop, {"t": {"n": 6}, "x": 2, "y": 2}, extends=[{"template": "base"}])
    publish(shop, "shop", {"own": 1}, extends=[{"template": "base"}])

    assert promote(shop, "staging@1", keys=["t.n", "y"]).status_code == 201
    assert config(shop, "shop") == {"own": 1, "t": {"n": 5, "m": 1}, "y": 1}
    source = shop.get(f"/config/shop?{HERE}&view=source").json()
    assert json.loads(source["content"]) == {"own": 1, "t": {"n": 5}, "y": 1}
    assert promote(shop, keys=["t.n"], dry_run=True).json()["changes"] == [
        {"key": "t.n", "pointer": "/t/n", "kind": "changed", "old": 5, "new": 6}
    ]


def test_promote__literals_escapes_and_secrets__arrive_as_they_are_written(shop):
    for environment in ("staging", "production"):
        secret = {
            "service": "shop",
            "environment": environment,
            "name": "pin",
            "value": environment,
        }
        assert shop.post("/secrets", secret).status_code == 201
    document = {
        "literal": {"$literal": {"$remove": True}},
        "escape": "$${x}",
        "secret": {"$secret": "pin"},
        "text": "a${secret:pin}b",
    }
    staging(shop, document)
    publish(shop, "shop", {"literal": 1, "escape": "${cart:port}"})

    assert promote(shop, keys=["**"]).status_code == 201

    assert config(shop, "shop") == config(shop, "shop", "staging")
    assert promote(shop).json()["unchanged"] is True


def test_promote__merging__keeps_what_changed_here_since(shop):
    staging(shop, {"a": 1, "b": 1, "c": 1})
    assert promote(shop).status_code == 201
    publish(shop, "shop", {"a": 1, "b": 7, "c": 1})
    staging(shop, {"a": 2, "b": 1, "c": 1})

    assert promote(shop, on_stale="merge").status_code == 201
    assert config(shop, "shop") == {"a": 2, "b": 7, "c": 1}


def test_promote__merging_what_both_changed__is_a_conflict_until_it_is_chosen(shop):
    staging(shop, {"a": 1, "b": 1})
    assert promote(shop).status_code == 201
    publish(shop, "shop", {"a": 5, "b": 1})
    staging(shop, {"a": 2, "b": 3})

    clash = promote(shop, on_stale="merge")
    chosen = promote(shop, on_stale="merge", choices={"/a": "theirs"})

    assert clash.status_code == 409
    assert clash.json()["conflicts"] == [{"pointer": "/a", "base": 1, "ours": 2, "theirs": 5}]
    assert chosen.status_code == 201
    assert config(shop, "shop") == {"a": 5, "b": 3}


@pytest.mark.parametrize(
    ("members", "status", "code"),
    [
        ({"origin": "nowhere"}, 404, "not_found"),
        ({"origin": "staging@9"}, 404, "not_found"),
        ({"origin": "staging@x"}, 422, "invalid"),
        ({"origin": "development"}, 404, "not_found"),
        ({"origin": "production"}, 422, "invalid"),
        ({"keys": [1]}, 400, "malformed"),
        ({"keys": ["a..b"]}, 400, "malformed"),
        ({"choices": {"/a": "mine"}}, 422, "invalid"),
        ({"choices": []}, 400, "malformed"),
        ({"base_version": 7}, 409, "conflict"),
        ({"propose": True}, 422, "invalid"),
        ({"unknown": 1}, 400, "unknown_member"),
    ],
)
def test_promote__that_cannot_be__is_refused_and_nothing_is_stored(shop, members, status, code):
    staging(shop, {"a": 1})
    publish(shop, "shop", {"a": 2})
    members = dict(members)

    answer = promote(shop, members.pop("origin", "staging"), **members)

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert config(shop, "shop") == {"a": 2}


def test_promote__what_would_be_invalid_here__is_refused(shop):
    staging(shop, {"db": {"timeout": 5}})
    rule = {"name": "slow", "environment": "production", "expression": "config.db.timeout > 9"}
    assert shop.post("/rules", rule).status_code == 201

    assert errors(promote(shop))[0][:2] == ("/db/timeout", "rule")


def test_promote__by_rights__needs_read_there_and_publish_here(shop, make_api):
    staging(shop, {"a": 1})
    kinds = {
        404: make_api("operator", service="shop", environment="production"),
        403: make_api("viewer", service="shop"),
        201: make_api("operator", service="shop"),
    }

    for status, api in kinds.items():
        assert promote(api).status_code == status


def test_promote__in_two_worlds_that_differ_in_hidden_keys__answers_alike(
    shop, make_api, system, settings
):
    """Hidden keys of either side stay as they are, and say nothing."""
    from apps.access.policy import Place
    from apps.configs import sources
    from apps.configs.services import publishing
    from apps.configs.services.bases import Options
    from apps.registry.selectors import get_environment, get_service

    shop.post("/key-rules", {"pattern": "**.pin", "service": "shop"})
    told = []
    for pin in ("one", "another"):
        for environment, tree in (
            ("staging", {"a": 1, "s": {"pin": pin, "n": 1}, "only": {"pin": 3}}),
            ("production", {"a": 2, "s": {"pin": f"live-{pin}"}, "t": {"pin": 7}}),
        ):
            place = Place(get_service("shop"), get_environment(environment))
            options = Options(on_stale="overwrite")
            source = sources.from_tree(tree)
            publishing.publish(actor=system, place=place, source=source, options=options)
        clerk = make_api("operator", service="shop")
        ways = ({}, {"keys": ["s"]}, {"keys": ["**.pin"]}, {"on_stale": "merge"})
        answers = [promote(clerk, dry_run=True, **each) for each in ways]
        members = [json.loads(each.content) | {"current_version": 0} for each in answers]
        told.append(list(zip([each.status_code for each in answers], members, strict=True)))
    assert told[0] == told[1]
    assert [status for status, _content in told[0]] == [200, 200, 200, 409]

    assert promote(clerk).status_code == 201

    root = make_api("administrator")
    from apps.configs.models import Live

    live = Live.objects.get(
        configuration__environment__slug="production", configuration__service__slug="shop"
    )
    assert json.loads(live.version.effective.content) == {
        "a": 1,
        "s": {"n": 1, "pin": "live-another"},
        "t": {"pin": 7},
    }
    assert root.get(f"/config/shop?{HERE}").json()["config"] == {"a": 1, "s": {"n": 1}}


def restricted(shop, make_api, pattern, environment):
    """Somebody who may not read what a key rule covers in one environment."""
    rule = {"pattern": pattern, "service": "shop", "environment": environment}
    assert shop.post("/key-rules", rule).status_code == 201
    return make_api("operator", service="shop")


def test_promote__of_what_is_hidden_there_alone__leaves_it_here(shop, make_api):
    staging(shop, {"security": {"pin": "theirs"}, "a": 1})
    publish(shop, "shop", {"security": {"pin": "mine"}, "q": 1})
    clerk = restricted(shop, make_api, "security.**", "staging")

    assert promote(clerk, keys=["security"], dry_run=True).json()["changes"] == []
    assert promote(clerk).status_code == 201
    assert config(shop, "shop") == {"security": {"pin": "mine"}, "a": 1}


def test_promote__where_parameters_are_hidden_here__leaves_what_is_extended(shop, make_api):
    content = {"p": "${param:p}"}
    parameters = {"properties": {"p": {"type": "string", "default": "x"}}}
    shop.post("/templates", {"slug": "base", "content": content, "parameters": parameters})
    for environment in ("staging", "production"):
        extends = [{"template": "base", "with": {"p": environment}}]
        made = publish(shop, "shop", {"a": environment}, environment=environment, extends=extends)
        assert made.status_code == 201, made.content
    clerk = restricted(shop, make_api, "locked", "production")

    assert promote(clerk, keys=["a"]).status_code == 201
    assert promote(clerk, keys=["p"]).status_code == 201

    source = shop.get(f"/config/shop/versions/2?{HERE}").json()["source"]
    from apps.configs.models import Live

    live = Live.objects.get(
        configuration__environment__slug="production", configuration__service__slug="shop"
    )
    assert json.loads(live.version.extends)[0]["with"] == {"p": "production"}
    assert json.loads(source["content"]) == {"a": "staging"}


def test_promote__of_chosen_keys_where_nothing_is__brings_those_alone(shop):
    shop.post("/templates", {"slug": "base", "content": {"t": 1}})
    staging(shop, {"x": 1, "y": 2}, extends=[{"template": "base"}])

    assert promote(shop, keys=["x"]).status_code == 201

    source = shop.get(f"/config/shop?{HERE}&view=source").json()
    assert (json.loads(source["content"]), source["extends"]) == ({"x": 1}, [])


def test_promote__merging__goes_from_what_was_brought_as_a_whole(shop):
    staging(shop, {"a": 1, "b": 1, "c": 1})
    publish(shop, "shop", {"b": 9})
    assert promote(shop, keys=["a"]).status_code == 201

    clash = promote(shop, on_stale="merge")

    assert [each["pointer"] for each in clash.json()["conflicts"]] == ["/b"]
    chosen = promote(shop, on_stale="merge", choices={"/b": "theirs"})
    assert chosen.status_code == 201
    assert config(shop, "shop") == {"a": 1, "b": 9, "c": 1}
    promotes = shop.get(f"/config/shop/versions/2?{HERE}").json()["promotes"]
    assert promotes == {"environment": "staging", "version": 1, "keys": ["a"]}


def test_promote__without_an_environment__says_what_is_missing(shop):
    staging(shop, {"a": 1})

    answer = shop.post("/config/shop/promote", {"environment": "production"})

    assert errors(answer)[0][:2] == ("/from", "required")

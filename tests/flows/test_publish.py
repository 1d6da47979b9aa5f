"""Publishing, patching, rolling back and retiring over REST: the contract's answers."""

import json

import pytest

from apps.configs import sources

pytestmark = pytest.mark.django_db


def publish(api, document, **members):
    body = {"environment": "production", "config": document, **members}
    return api.post("/config/shop", body)


def test_publish__first_then_second__count_versions_and_serve_the_last(shop, operator):
    first = publish(operator, {"a": 1})
    second = publish(operator, {"a": 2}, base_version=1, message="because")

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json()["version"] == 2
    assert second.json()["revision"] > first.json()["revision"]
    assert second.json()["changes"] == [
        {"key": "a", "pointer": "/a", "kind": "changed", "old": 1, "new": 2}
    ]
    fetched = operator.get("/config/shop")
    assert fetched.json()["config"] == {"a": 2}
    assert fetched["X-Config-Version"] == "2"
    assert int(fetched["X-Config-Revision"]) >= second.json()["revision"]
    assert operator.get(second["Location"]).json()["message"] == "because"


def test_publish__digits__come_back_as_sent(shop, operator):
    body = '{"environment":"production","config":{"a":0.10,"b":9007199254740993,"c":1E+3,"d":-0}}'
    assert operator.post("/config/shop", body).status_code == 201

    text = operator.get("/config/shop").content.decode()

    assert '"config":{"a":0.10,"b":9007199254740993,"c":1E+3,"d":-0}' in text
    assert operator.get("/config/shop/value?key=a").content == b"0.10"


def test_publish__without_base__is_428_and_says_what_to_send(shop, operator):
    publish(operator, {"a": 1})

    refused = publish(operator, {"a": 2})

    assert refused.status_code == 428
    assert '"base_version":1' in refused.json()["detail"]


def test_publish__stale_base__is_409_with_the_clashes(shop, operator):
    publish(operator, {"a": 1, "b": 1})
    publish(operator, {"a": 2, "b": 1}, base_version=1)

    clash = publish(operator, {"a": 3, "b": 1}, base_version=1)
    apart = publish(operator, {"a": 1, "b": 5}, base_version=1)

    assert clash.status_code == 409
    assert clash.json()["code"] == "conflict"
    assert clash.json()["current_version"] == 2
    assert clash.json()["mergeable"] is False
    assert clash.json()["conflicts"] == [{"pointer": "/a", "base": 1, "ours": 3, "theirs": 2}]
    assert apart.json()["mergeable"] is True
    assert operator.get("/config/shop").json()["version"] == 2


def test_publish__if_match__takes_any_view_and_refuses_a_stale_one(shop, operator):
    publish(operator, {"a": 1})
    old = operator.get("/config/shop.yaml")["ETag"]

    fresh = operator.post(
        "/config/shop", {"environment": "production", "config": {"a": 2}}, if_match=old
    )
    stale = operator.post(
        "/config/shop", {"environment": "production", "config": {"a": 3}}, if_match=old
    )

    assert (fresh.status_code, stale.status_code) == (201, 412)
    now = operator.get("/config/shop")["ETag"]
    listed = operator.post(
        "/config/shop", {"environment": "production", "config": {"a": 4}}, if_match=f"{old}, {now}"
    )
    assert listed.status_code == 201


def test_publish__overwrite__needs_no_base(shop, operator):
    publish(operator, {"a": 1})

    assert publish(operator, {"a": 9}, on_stale="overwrite").status_code == 201


@pytest.mark.parametrize(
    "members", [{"on_stale": "blend"}, {"propose": True}, {"extends": [{"template": "nope"}]}]
)
def test_publish__what_is_not_there_yet__is_422(shop, operator, members):
    assert publish(operator, {"a": 1}, **members).status_code == 422


def test_publish__same_again__is_200_unchanged(shop, operator):
    publish(operator, {"a": 1, "b": 2})

    again = publish(operator, {"b": 2, "a": 1}, base_version=1)

    assert again.status_code == 200
    assert again.json()["unchanged"] is True
    assert again.json()["version"] == 1


def test_publish__dry_run__stores_nothing(shop, operator):
    from apps.registry.models import Configuration

    dry = publish(operator, {"a": 1}, dry_run=True)

    assert dry.status_code == 200
    assert dry.json()["dry_run"] is True
    assert "version" not in dry.json()
    assert not Configuration.objects.exists()
    assert operator.get("/config/shop").status_code == 404


def test_publish__yaml_body__keeps_the_text_for_editors(shop, operator):
    text = "# why\na: 012   # twelve\nb: no\n"

    made = operator(
        "POST", "/config/shop?environment=production&message=yaml", text, "application/yaml"
    )

    assert made.status_code == 201
    source = operator.get("/config/shop?view=source").json()
    assert source["content"] == text
    assert source["config"] == {"a": 12, "b": "no"}
    assert operator.get("/config/shop").json()["config"] == {"a": 12, "b": "no"}


def test_patch__of_a_yaml_source__keeps_comments_and_order(shop, operator):
    text = "# why\nb: 1   # one\na:\n  - x   # first\n"
    operator("POST", "/config/shop?environment=production", text, "application/yaml")

    patched = operator(
        "PATCH", "/config/shop?environment=production", '{"b":2}', "application/merge-patch+json"
    )

    assert patched.status_code == 201, patched.content
    source = operator.get("/config/shop?view=source").json()["content"]
    assert source == text.replace("b: 1", "b: 2")


@pytest.mark.parametrize("comment", ["<!-- why -->", ""])
def test_patch__of_a_text_that_is_written_anew__warns_when_comments_go(shop, operator, comment):
    text = f"<configuration>{comment}<a>x</a></configuration>"
    operator("POST", "/config/shop?environment=production", text, "application/xml")

    patched = operator(
        "PATCH", "/config/shop?environment=production", '{"b":"y"}', "application/merge-patch+json"
    )

    assert patched.status_code == 201, patched.content
    assert [each["code"] for each in patched.json()["warnings"]] == ["comments"] * bool(comment)


def test_patch__of_xml_that_was_kept_with_another_declaration__goes_on(shop, operator, monkeypatch):
    text = "<?xml version='1.0' encoding='utf-16'?><configuration><a>x</a></configuration>"
    with monkeypatch.context() as before:
        before.setattr("apps.engine.formats.xml.check_declaration", lambda _text: None)
        operator("POST", "/config/shop?environment=production", text, "application/xml")

    source = operator.get("/config/shop?view=source")
    patched = operator(
        "PATCH", "/config/shop?environment=production", '{"b":"y"}', "application/merge-patch+json"
    )
    again = operator("POST", "/config/shop?environment=production", text, "application/xml")

    assert sources.kept(text, "xml").tree == {
        "configuration": {"a": "x"}
    }  # so is it when it follows others
    assert (source.status_code, source.json()["content"]) == (200, text)
    assert patched.status_code == 201, patched.content
    assert again.status_code == 400


def test_patch__json_patch__applies_all_or_nothing(shop, operator):
    publish(operator, {"a": [1, 2], "b": 1})
    operations = [{"op": "remove", "path": "/a/0"}, {"op": "test", "path": "/b", "value": 1}]

    good = operator("PATCH", "/config/shop", json.dumps(operations), "application/json-patch+json")
    bad = operator(
        "PATCH",
        "/config/shop",
        '[{"op":"remove","path":"/b"},{"op":"remove","path":"/nope"}]',
        "application/json-patch+json",
    )

    assert good.status_code == 201
    assert bad.status_code == 422
    assert bad.json()["errors"][0]["pointer"] == "/1/path"
    assert operator.get("/config/shop").json()["config"] == {"a": [2], "b": 1}


def test_delete__retires__and_rollback_brings_it_back(shop, operator):
    publish(operator, {"a": 1})

    assert operator("DELETE", "/config/shop?environment=production").status_code == 201
    gone = operator.get("/config/shop")
    back = operator.post("/config/shop/rollback", {"environment": "production"})

    assert (gone.status_code, gone.json()["code"]) == (410, "retired")
    assert back.status_code == 201
    assert operator.get("/config/shop").json()["config"] == {"a": 1}
    assert operator.get("/config/shop").json()["version"] == 3


def test_rollback__to_a_version__is_new_and_byte_identical(shop, operator):
    bodies = []
    for number in range(3):
        publish(operator, {"n": number, "x": 1.50}, on_stale="overwrite")
        bodies.append(operator.get("/config/shop.json").content)

    back = operator.post("/config/shop/rollback", {"environment": "production", "to_version": 1})

    assert back.json()["version"] == 4
    assert operator.get("/config/shop.json").content == bodies[0]
    first = operator.get("/config/shop/versions/1").json()
    assert back.json()["checksum"] == first["checksum"]
    assert operator.get("/config/shop").json()["checksum"] == first["checksum"]
    history = operator.get("/config/shop/history").json()["results"]
    assert [each["version"] for each in history] == [4, 3, 2, 1]
    assert history[0]["cause"] == "rollback"


def test_rollback__of_chosen_keys__brings_back_those_alone(shop, operator):
    publish(operator, {"a": {"x": 1, "y": 1}, "b": 1})
    publish(operator, {"a": {"x": 2, "y": 2}, "b": 2}, base_version=1)

    back = operator.post(
        "/config/shop/rollback", {"environment": "production", "to_version": 1, "keys": ["a.x"]}
    )

    assert back.status_code == 201
    assert operator.get("/config/shop").json()["config"] == {"a": {"x": 1, "y": 2}, "b": 2}
    assert "pinned" not in back.json()


def test_rollback__where_composing_would_differ__is_pinned_until_refresh(shop, operator):
    operator.post("/templates", {"slug": "base", "content": {"pool": 5}})
    publish(operator, {"a": 1}, extends=[{"template": "base"}])
    operator.post("/templates/base/versions", {"content": {"pool": 9}})
    assert operator.get("/config/shop").json()["config"] == {"a": 1, "pool": 9}
    publish(operator, {"a": 2}, base_version=2)
    assert operator.get("/config/shop").json()["config"] == {"a": 2, "pool": 9}

    operator.post("/config/shop/rollback", {"environment": "production", "to_version": 1})
    pinned = operator.get("/config/shop").json()
    operator.post("/config/shop/refresh", {"environment": "production"})
    fresh = operator.get("/config/shop").json()

    assert (pinned["config"], pinned["pinned"]) == ({"a": 1, "pool": 5}, True)
    assert fresh["config"] == {"a": 1, "pool": 9}
    assert "pinned" not in fresh


def test_inheritance__child_environment__follows_its_parents_publish(shop, operator):
    assert operator("PATCH", "/environments/staging", {"parent": "production"}).status_code == 200
    publish(operator, {"db": {"host": "a", "pool": 1}, "list": [1]})
    operator.post(
        "/config/shop",
        {"environment": "staging", "config": {"db": {"pool": 2}, "list": {"$append": [2]}}},
    )
    url = "/config/shop?environment=staging"
    assert operator.get(url).json()["config"] == {"db": {"host": "a", "pool": 2}, "list": [1, 2]}

    published = publish(operator, {"db": {"host": "b", "pool": 1}, "list": [0]}, base_version=1)

    (affected,) = published.json()["affected"]
    assert (affected["service"], affected["environment"]) == ("shop", "staging")
    assert {change["key"] for change in affected["changes"]} >= {"db.host"}
    assert operator.get(url).json()["config"] == {"db": {"host": "b", "pool": 2}, "list": [0, 2]}


def test_publish__against_a_schema__names_key_line_and_column(shop, operator):
    schema = {"type": "object", "properties": {"port": {"type": "integer"}}}
    operator.post("/services/shop/sections", {"key": "settings", "schema": schema})

    refused = operator(
        "POST", "/config/shop?environment=production", "settings:\n  port: x\n", "application/yaml"
    )

    assert refused.status_code == 422
    error = refused.json()["errors"][0]
    assert (error["pointer"], error["code"]) == ("/settings/port", "type")
    assert (error["line"], error["column"]) == (2, 3)
    assert (error["service"], error["environment"]) == ("shop", "production")


def test_history__filters__narrow_by_key_and_page(shop, operator):
    for number in range(5):
        publish(operator, {"a": number, "b": number // 2}, on_stale="overwrite")

    by_key = operator.get("/config/shop/history?key=b").json()["results"]
    page = operator.get("/config/shop/history?page_size=2").json()
    following = operator.get(page["next"]).json()

    assert [each["version"] for each in by_key] == [5, 3, 1]
    assert [each["version"] for each in page["results"]] == [5, 4]
    assert [each["version"] for each in following["results"]] == [3, 2]


def test_diff__formats__agree(shop, operator):
    publish(operator, {"a": 1})
    publish(operator, {"a": 2, "b": True}, base_version=1)

    patch = operator.get("/config/shop/diff?from=1&to=2&format=patch").json()
    unified = operator.get("/config/shop/diff?from=1&to=live&format=unified").content.decode()

    assert patch == [
        {"op": "replace", "path": "/a", "value": 2},
        {"op": "add", "path": "/b", "value": True},
    ]
    assert '-  "a": 1' in unified
    assert '+  "b": true' in unified


def test_at__a_time_between_two_acts__is_the_state_then(shop, operator):
    publish(operator, {"a": 1})
    moment = operator.get("/config/shop/versions/1").json()["published_at"]
    publish(operator, {"a": 2}, base_version=1)

    assert operator.get(f"/config/shop?at={moment}").json()["config"] == {"a": 1}


def test_ledger__after_all_kinds_of_acts__has_no_broken_link(shop, operator):
    from apps.audit.exporting import chained_fields
    from apps.audit.models import AuditEvent
    from apps.engine.chain import Link, find_break

    publish(operator, {"a": 1})
    operator("PATCH", "/config/shop", '{"b":1}', "application/merge-patch+json")
    operator("DELETE", "/config/shop")
    operator.post("/config/shop/rollback", {})

    links = [
        Link(chained_fields(event), event.previous, event.hash)
        for event in AuditEvent.objects.order_by("number")
    ]

    assert len(links) >= 8
    assert find_break(links) is None

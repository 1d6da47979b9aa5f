"""Differences over REST: items of lists by their names, in the view of who asks."""

import json

import pytest

from apps.engine import patching
from tests.api.test_references import HERE, publish

pytestmark = pytest.mark.django_db

WEB, API = ({"name": name, "port": 1, "tls": True, "host": name[0]} for name in ("web", "api"))
BEFORE = {"hosts": {"all": [WEB, API]}}
AFTER = {"hosts": {"all": [API, {**WEB, "name": "www"}]}}
SCHEMA = {"properties": {"all": {"type": "array", "x-merge-key": "name"}}}


@pytest.fixture
def hosts(operator, shop):
    """Two versions of a list by names."""
    section = {"key": "hosts", "type": "application_settings", "schema": SCHEMA}
    assert operator.post("/services/shop/sections", section).status_code == 201
    assert publish(operator, "shop", BEFORE).status_code == 201
    return operator


def told(changes):
    return [(each["key"], each["kind"], each.get("item")) for each in changes]


FOUND = [
    ("hosts.all[0]", "moved", {"name": "api"}),
    ("hosts.all[1].name", "renamed", {"name": "www"}),
]


def test_publish_validate_and_diff__tell_items_by_name(hosts):
    body = {"environment": "production", "config": AFTER, "base_version": 1}

    dry = hosts.post("/config/shop", {**body, "dry_run": True}).json()
    valid = hosts.post(
        "/validate", {"service": "shop", "environment": "production", "config": AFTER}
    )
    done = hosts.post("/config/shop", body).json()
    compared = hosts.get(f"/config/shop/diff?{HERE}&from=1&to=live").json()
    back = hosts.post("/config/shop/rollback", {"environment": "production"}).json()

    found = [dry, valid.json(), done, compared]
    assert [told(each["changes"]) for each in found] == [FOUND] * 4
    assert compared["changes"][0]["from"] == 1
    assert compared["changes"][0]["to"] == 0
    assert {each["kind"] for each in back["changes"]} == {"moved", "renamed"}
    assert hosts.get(f"/config/shop/history?{HERE}").json()["results"][1]["keys"] == ["hosts.all"]


def test_diff__as_patch__moves_and_gives_the_other_side(hosts):
    publish(hosts, "shop", AFTER)

    patch = hosts.get(f"/config/shop/diff?{HERE}&from=1&to=2&format=patch").json()

    assert {each["op"] for each in patch} == {"move", "replace"}
    assert patching.json_patch(BEFORE, patch) == AFTER


def test_diff__of_who_may_not_see_an_item__has_nothing_of_the_list(hosts, make_api):
    publish(hosts, "shop", AFTER | {"free": 1})
    hosts.post("/key-rules", {"pattern": "hosts.all[1].host"})
    viewer = make_api("viewer")

    answers = [
        viewer.get(f"/config/shop/diff?{HERE}&from=1&to=2&format={form}").json()
        for form in ("changes", "patch")
    ]

    assert told(answers[0]["changes"]) == [("free", "added", None)]
    assert "hosts" not in json.dumps(answers)


BEHIND = {
    "$ref": "#/$defs/pool",
    "$defs": {
        "named": {"type": "array", "x-merge-key": "name"},
        "pool": {"allOf": [{"properties": {"all": {"$ref": "#/$defs/hosts"}}}]},
        "hosts": {
            "$ref": "#/$defs/named",
            "items": {"properties": {"ports": {"$ref": "#/$defs/named"}}},
        },
    },
}


def test_merge_key__behind_references_and_in_items__holds_for_merging_and_telling(operator, shop):
    section = {"key": "hosts", "type": "application_settings", "schema": BEHIND}
    assert operator.post("/services/shop/sections", section).status_code == 201
    ports = [{"name": "http", "at": 80}, {"name": "tls", "at": 443}]
    content = {"hosts": {"all": [{"name": "web", "ports": ports}]}}
    operator.post("/templates", {"slug": "net", "content": content})
    own = {"hosts": {"all": [{"name": "web", "ports": [{"name": "tls", "at": 8443}]}]}}
    publish(operator, "shop", own, extends=[{"template": "net"}])
    moved = {"hosts": {"all": [{"name": "web", "ports": [ports[1], ports[0]]}]}}
    publish(operator, "shop", moved, extends=[])

    first = operator.get(f"/config/shop/versions/1?{HERE}").json()["config"]
    compared = operator.get(f"/config/shop/diff?{HERE}&from=1&to=2").json()

    merged = [ports[0], {"name": "tls", "at": 8443}]
    assert first == {"hosts": {"all": [{"name": "web", "ports": merged}]}}
    assert told(compared["changes"]) == [
        ("hosts.all[0].ports[0]", "moved", {"name": "tls"}),
        ("hosts.all[0].ports[0].at", "changed", {"name": "tls"}),
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            ("yaml", "a: null\nb: 1\n"),
            ("toml", "b = 2\n"),
            ("yaml", ["-a: null", "-b: 1", "+b: 2"]),
        ),
        (("toml", "b = 1\n"), ("yaml", "a: null\nb: 1\n"), ("", ["+a: null"])),
        (
            ("json", '{"a": {"x y": null}}'),
            ("toml", "b = 1\n"),
            ("json", ['-  "a": {', '-    "x y": null', "-  }", '+  "b": 1']),
        ),
    ],
)
def test_diff__of_a_side_that_the_other_format_cannot_hold__says_in_which_it_is(
    operator, shop, before, after, said
):
    for form, content in (before, after):
        body = {"environment": "production", "format": form, "content": content}
        assert operator.post("/config/shop", {**body, "on_stale": "overwrite"}).status_code == 201

    answer = operator.get(f"/config/shop/diff?{HERE}&from=1&to=2&format=unified")

    assert answer.status_code == 200
    old, new, _hunk, *lines = answer.content.decode().splitlines()
    told = f" as {said[0]}" if said[0] else ""
    assert (old, new) == (f"--- shop@production v1{told}", f"+++ shop@production v2{told}")
    assert [line for line in lines if line[0] in "+-"] == said[1]

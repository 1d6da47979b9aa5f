"""Publishing on a stale base, merged in three ways."""

import pytest

pytestmark = pytest.mark.django_db

HERE = "environment=production"


def publish(api, config, **members):
    return api.post("/config/shop", {"environment": "production", "config": config, **members})


def source(api):
    return api.get(f"/config/shop?view=source&{HERE}").json()


@pytest.fixture
def moved(operator, shop):
    """Version 1, and version 2 that changed ``b`` and added ``c``."""
    assert publish(operator, {"a": 1, "b": 1, "l": [1, 2]}).status_code == 201
    assert (
        publish(operator, {"a": 1, "b": 2, "l": [1, 2], "c": 1}, base_version=1).status_code == 201
    )
    return operator


def test_merge__other_keys__publishes_both_changes(moved):
    done = publish(moved, {"a": 9, "b": 1, "l": [1, 3]}, base_version=1, on_stale="merge")

    assert done.status_code == 201, done.content
    assert source(moved)["config"] == {"a": 9, "b": 2, "l": [1, 3], "c": 1}
    assert {change["key"] for change in done.json()["changes"]} == {"a", "l[1]"}


def test_merge__same_keys__is_409_with_all_three_values(moved):
    refused = publish(moved, {"a": 9, "b": 7, "l": [1, 2]}, base_version=1, on_stale="merge")

    assert refused.status_code == 409
    assert refused.json()["mergeable"] is False
    assert refused.json()["conflicts"] == [{"pointer": "/b", "base": 1, "ours": 7, "theirs": 2}]
    assert source(moved)["config"]["a"] == 1


def test_merge__same_keys_with_a_choice__publishes_what_was_chosen(moved):
    config = {"a": 9, "b": 7, "l": [1, 2], "c": 5}
    stale = {"base_version": 1, "on_stale": "merge"}

    some = publish(moved, config, **stale, choices={"/b": "theirs"})
    wrong = publish(moved, config, **stale, choices={"/b": "mine"})
    bad = publish(moved, config, **stale, choices={"/b": 1})
    done = publish(moved, config, **stale, choices={"/b": "theirs", "/c": "ours"})

    assert [each["pointer"] for each in some.json()["conflicts"]] == ["/c"]
    assert "choices" in some.json()["detail"]
    assert (wrong.status_code, bad.status_code) == (422, 400)
    assert done.status_code == 201, done.content
    assert source(moved)["config"] == {"a": 9, "b": 2, "l": [1, 2], "c": 5}


PATCH = "/config/shop?environment=production"


def patch(api, body, query="", **headers):
    return api("PATCH", PATCH + query, body, "application/merge-patch+json", **headers)


def test_patch__of_another_key_on_a_stale_base__may_be_merged_and_then_is(moved):
    refused = patch(moved, '{"a":9}', "&base_version=1")
    done = patch(moved, '{"a":9}', "&base_version=1&on_stale=merge")

    told = refused.json()
    assert (refused.status_code, told["mergeable"], told["conflicts"]) == (409, True, [])
    assert '"on_stale":"merge"' in told["detail"]
    assert done.status_code == 201, done.content
    assert source(moved)["config"] == {"a": 9, "b": 2, "l": [1, 2], "c": 1}


@pytest.mark.parametrize("query", ["", "&on_stale=merge"])
def test_patch__of_what_changed_since_its_base__is_409_with_all_three_values(moved, query):
    refused = patch(moved, '{"b":7,"a":9}', f"&base_version=1{query}")

    told = refused.json()
    assert (refused.status_code, told["mergeable"]) == (409, False)
    assert told["conflicts"] == [{"pointer": "/b", "base": 1, "ours": 7, "theirs": 2}]
    assert source(moved)["config"]["b"] == 2


def test_patch__with_the_etag_of_an_earlier_version__is_412_or_merged(moved):
    tag = moved.get(f"{PATCH}&version=1")["ETag"]

    refused = patch(moved, '{"a":9}', if_match=tag)
    done = patch(moved, '{"a":9}', "&on_stale=merge", if_match=tag)

    assert refused.status_code == 412
    assert done.status_code == 201, done.content
    assert source(moved)["config"] == {"a": 9, "b": 2, "l": [1, 2], "c": 1}


def test_patch__on_a_base_that_never_was__is_409_and_says_so(moved):
    refused = patch(moved, '{"a":9}', "&base_version=99&on_stale=merge")

    assert (refused.status_code, refused.json()["mergeable"]) == (409, False)
    assert "There is no version 99 yet: the live one is 2." in refused.json()["detail"]


def test_patch__on_a_stale_base_with_keys_that_one_may_not_see__leaves_them_alone(moved, make_api):
    robot = make_api("operator", "shop")
    assert moved.post("/key-rules", {"pattern": "b", "service": "shop"}).status_code == 201

    done = patch(robot, '{"a":9}', "&base_version=1&on_stale=merge")
    told = patch(robot, '{"b":7}', "&base_version=1")

    assert done.status_code == 201, done.content
    assert robot.get(PATCH).json()["config"] == {"a": 9, "l": [1, 2], "c": 1}
    assert told.json().get("conflicts") == []


@pytest.mark.parametrize("act", ["refresh", "rollback", "promote"])
def test_stale__of_an_act_without_a_document__advises_what_the_act_takes(moved, act):
    publish(moved, {"a": 1}, environment="staging")
    body = {"environment": "production", "base_version": 1}
    body |= {"from": "staging"} if act == "promote" else {}

    refused = moved.post(f"/config/shop/{act}", body)

    told = refused.json()
    assert (refused.status_code, told["mergeable"], told["conflicts"]) == (409, False, [])
    assert "on_stale" not in told["detail"]
    assert '"base_version":2, or without a base' in told["detail"]
    assert moved.post(f"/config/shop/{act}", {**body, "base_version": 2}).status_code in (200, 201)


def test_stale__that_could_be_merged__says_how(moved):
    refused = publish(moved, {"a": 9, "b": 1, "l": [1, 2]}, base_version=1)

    assert refused.json()["mergeable"] is True
    assert '"on_stale":"merge"' in refused.json()["detail"]


def test_merge__text__keeps_the_authors_comments_and_takes_the_values(moved):
    text = "# mine\na: 9  # nine\nb: 1\nl: [1, 2]\n"
    body = {"environment": "production", "content": text, "format": "yaml"}

    done = moved.post("/config/shop", body | {"base_version": 1, "on_stale": "merge"})

    assert done.status_code == 201, done.content
    assert source(moved)["content"] == "# mine\na: 9  # nine\nb: 2\nl: [1, 2]\nc: 1\n"


def test_merge__by_etag__finds_its_base(moved):
    tag = moved.get(f"/config/shop?{HERE}&version=1").headers["ETag"]
    body = {"environment": "production", "config": {"a": 9, "b": 1, "l": [1, 2]}}
    clash = {**body, "config": {"a": 9, "b": 5, "l": [1, 2]}, "on_stale": "merge"}

    assert moved.post("/config/shop", body, if_match=tag).status_code == 412
    assert moved.post("/config/shop", clash, if_match=tag).status_code == 412
    done = moved.post("/config/shop", {**body, "on_stale": "merge"}, if_match=tag)

    assert done.status_code == 201
    assert source(moved)["config"] == {"a": 9, "b": 2, "l": [1, 2], "c": 1}


def test_merge__lists_of_named_items__take_both_sides_items(operator, shop):
    item = {"type": "object", "properties": {"name": {"type": "string"}}}
    schema = {"type": "array", "x-merge-key": "name", "items": item}
    operator.post("/services/shop/sections", {"key": "hosts", "schema": schema})
    publish(operator, {"hosts": [{"name": "a"}, {"name": "b"}]})
    publish(operator, {"hosts": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}, base_version=1)

    hosts = [{"name": "x"}, {"name": "a", "port": 1}, {"name": "b"}]
    done = publish(operator, {"hosts": hosts}, base_version=1, on_stale="merge")

    assert done.status_code == 201, done.content
    assert source(operator)["config"]["hosts"] == [*hosts, {"name": "c"}]


def test_merge__templates__are_merged_too(moved):
    for name in ("t", "u"):
        moved.post("/templates", {"slug": name, "content": {name: 1}})
    extended = {"a": 1, "b": 2, "l": [1, 2], "c": 1}
    publish(moved, extended, base_version=2, extends=[{"template": "t"}])

    same = {"a": 5, "b": 1, "l": [1, 2]}
    both = publish(moved, same, base_version=1, on_stale="merge", extends=[{"template": "u"}])
    mine = publish(moved, same, base_version=1, on_stale="merge", extends=[])

    assert (both.status_code, both.json()["mergeable"]) == (409, False)
    assert mine.status_code == 201
    assert source(moved)["extends"] == [{"template": "t"}]


def test_merge__on_a_base_that_never_was__is_409(moved):
    answer = publish(moved, {"a": 9}, base_version=7, on_stale="merge")

    assert (answer.status_code, answer.json()["mergeable"]) == (409, False)


def test_merge__keys_that_one_may_not_see__stay_and_are_no_conflict(moved, make_api):
    robot = make_api("operator", "shop")
    assert moved.post("/key-rules", {"pattern": "b", "service": "shop"}).status_code == 201

    done = publish(robot, {"a": 9, "l": [1, 2]}, base_version=1, on_stale="merge")

    assert done.status_code == 201, done.content
    assert robot.get(f"/config/shop?{HERE}").json()["config"] == {"a": 9, "l": [1, 2], "c": 1}
    plain = moved.get(f"/config/shop/versions/3?{HERE}").json()
    assert "b" not in plain["config"]  # nor may its maker, without a grant on the rule

"""References between configurations, over REST: values, rights, what follows a change."""

import json

import pytest

pytestmark = pytest.mark.django_db

HERE = "environment=production"


def publish(api, service, config, environment="production", **more):
    body = {"environment": environment, "config": config, "on_stale": "overwrite", **more}
    return api.post(f"/config/{service}", body)


def config(api, service, environment="production"):
    return json.loads(api.get(f"/config/{service}?environment={environment}").content)["config"]


def errors(answer):
    assert answer.status_code == 422, answer.content
    return [(each["pointer"], each["code"], each["message"]) for each in answer.json()["errors"]]


@pytest.fixture
def two(operator):
    """``shop``, and ``cart``, which shop's documents refer to."""
    for slug in ("shop", "cart"):
        assert operator.post("/services", {"slug": slug}).status_code == 201
    document = {
        "db": {"host": "db1", "port": 5432, "pool": {"size": 10}},
        "open": 1,
        "hosts": ["a"],
    }
    assert publish(operator, "cart", document).status_code == 201
    return operator


def test_reference__whole__keeps_its_type_and_in_text_becomes_text(two):
    document = {
        "port": "${cart:db.port}",
        "pool": "${cart@production:db.pool}",
        "url": "postgres://${cart:db.host}:${cart:db.port}/shop",
        "own": "${self:port}",
        "first": "${CART:hosts[0]}",
        "none": "${cart:missing:-7}",
        "text": "$${cart:db.port}",
    }

    assert publish(two, "shop", document).status_code == 201

    assert config(two, "shop") == {
        "port": 5432,
        "pool": {"size": 10},
        "url": "postgres://db1:5432/shop",
        "own": 5432,
        "first": "a",
        "none": 7,
        "text": "${cart:db.port}",
    }
    source = two.get(f"/config/shop?view=source&{HERE}").json()
    assert source["config"] == document


def test_reference__in_a_parents_document__binds_where_it_is_composed(two):
    assert two("PATCH", "/environments/staging", {"parent": "production"}).status_code == 200
    publish(two, "cart", {"db": {"port": 1}}, environment="staging")
    publish(two, "shop", {"port": "${cart:db.port}"})

    assert publish(two, "shop", {"a": 1}, environment="staging").status_code == 201

    assert config(two, "shop", "staging") == {"port": 1, "a": 1}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("${cart:nothing}", "reference"),
        ("${nobody:db}", "reference"),
        ("${cart@nowhere:db}", "reference"),
        ("${self:a}", "cycle"),
        ("${self:b}", "cycle"),
        ("${shop:a}", "cycle"),
        ("${cart:db.pool} of text", "reference"),
        ("${cart}", "reference"),
        ("${cart:db", "reference"),
    ],
)
def test_reference__that_leads_nowhere__is_422_at_its_place(two, value, code):
    answer = publish(two, "shop", {"a": value, "b": "${self:a}"})

    assert (errors(answer)[0][0], errors(answer)[0][1]) == ("/a", code)
    assert two.get(f"/config/shop?{HERE}").status_code == 404


def test_change__of_what_others_refer_to__is_theirs_in_the_same_act(two):
    publish(two, "shop", {"port": "${cart:db.port}"})
    document = {
        "db": {"host": "db1", "port": 6432, "pool": {"size": 10}},
        "open": 2,
        "hosts": ["a"],
    }

    unrelated = publish(two, "cart", {**document, "db": {**document["db"], "port": 5432}})
    related = publish(two, "cart", document)

    assert unrelated.json()["affected"] == []
    (affected,) = related.json()["affected"]
    assert (affected["service"], affected["environment"]) == ("shop", "production")
    assert [(each["key"], each["old"], each["new"]) for each in affected["changes"]] == [
        ("port", 5432, 6432)
    ]
    assert config(two, "shop") == {"port": 6432}
    last = two.get(f"/config/shop/history?{HERE}").json()["results"][0]
    assert (last["cause"], last["revision"]) == ("reference", related.json()["revision"])


def test_rollback__after_the_target_moved__is_the_old_document_and_pinned(two):
    publish(two, "shop", {"port": "${cart:db.port}"})
    first = two.get(f"/config/shop?{HERE}").json()["checksum"]
    publish(two, "cart", {"db": {"port": 1}})
    publish(two, "shop", {"port": "${cart:db.port}", "b": 1})

    back = two.post("/config/shop/rollback", {"environment": "production", "to_version": 1})

    assert back.json()["checksum"] == first
    assert two.get(f"/config/shop?{HERE}").json()["pinned"] is True


def test_reference__to_what_one_may_not_read__is_as_good_as_missing(two, make_api):
    robot = make_api("operator", "shop")
    for value in ("${cart:db.port}", "${cart:db.nothing}", "${cart:db.port:-7}", "${cart:x:-7}"):
        for act in ("/config/shop", "/validate"):
            body = {"environment": "production", "config": {"a": value}, "on_stale": "overwrite"}
            if act == "/validate":
                body = {"service": "shop", **body}
                del body["on_stale"]
            answer = robot.post(act, body).json()
            key = value[2:].partition(":-")[0].rstrip("}").replace("cart:", "cart@production:")
            assert [(e["pointer"], e["code"], e["message"]) for e in answer["errors"]] == [
                ("/a", "reference", f"There is no {key} that you may read.")
            ], (value, act)
    made = publish(two, "shop", {"a": "${cart:db.port}", "b": 1})
    assert made.status_code == 201
    kept = publish(robot, "shop", {"a": "${cart:db.port}", "b": 2})
    assert kept.status_code == 201
    moved = publish(robot, "shop", {"c": "${cart:db.port}", "b": 2})
    assert errors(moved)[0][0] == "/c"


def test_key_rule__on_the_target__hides_the_key_that_refers_to_it(two, make_api):
    publish(two, "shop", {"port": "${cart:db.port}", "all": "${cart:db}", "b": 1})
    publish(two, "shop", {"b": 1})
    publish(two, "shop", {"port": "${cart:db.port}", "all": "${cart:db}", "b": 2})
    rule = {"pattern": "db.port", "service": "cart", "environment": "production"}
    assert two.post("/key-rules", rule).status_code == 201
    viewer = make_api("viewer", "shop")

    assert config(viewer, "shop") == {"all": {"host": "db1", "pool": {"size": 10}}, "b": 2}
    old = viewer.get(f"/config/shop/versions/1?{HERE}").json()
    assert "port" not in old["config"]
    assert "port" not in old["config"]["all"]
    assert viewer.get(f"/config/shop/value?{HERE}&key=port").status_code == 404


def test_key_rule__inside_of_a_target__lets_nobody_take_the_whole(two, make_api):
    rule = {"pattern": "db.port", "service": "cart", "environment": "production"}
    assert two.post("/key-rules", rule).status_code == 201
    robot = make_api("operator")
    publish(two, "shop", {"b": 1})

    assert errors(publish(robot, "shop", {"a": "${cart:db}"}))[0][0] == "/a"
    assert errors(publish(robot, "shop", {"a": "${cart:db.port}"}))[0][0] == "/a"
    assert publish(robot, "shop", {"a": "${cart:db.host}"}).status_code == 201


def test_reference__that_lands_on_a_secret__stays_one_with_its_whole_name(two, make_api):
    secret = {"service": "cart", "environment": "production", "name": "pin", "value": "s3cret-v"}
    assert two.post("/secrets", secret).status_code == 201
    publish(two, "cart", {"pin": {"$secret": "pin"}, "url": "x:${secret:pin}@y"})

    made = publish(two, "shop", {"a": "${cart:pin}", "b": "${cart:url}"})

    assert made.status_code == 201, made.content
    assert config(two, "shop") == {"a": {"$secret": "cart/pin"}, "b": "x:${secret:cart/pin}@y"}
    revealed = two.get(f"/config/shop?{HERE}&reveal=true").json()["config"]
    assert revealed == {"a": "s3cret-v", "b": "x:s3cret-v@y"}
    consumer = make_api("consumer", "shop")
    assert consumer.get(f"/config/shop?{HERE}&reveal=true").status_code == 403
    other = publish(two, "shop", {"a": "${cart@production:pin}"}, environment="staging")
    assert errors(other)[0][1] == "secret"


def test_dependencies_and_dependents__name_the_keys_of_both_sides(two, make_api):
    publish(two, "shop", {"port": "${cart:db.port}", "url": "${self:port}", "b": 1})

    found = two.get(f"/config/shop/dependencies?{HERE}").json()["results"]
    assert [(each["key"], each["service"], each["target"]) for each in found] == [
        ("port", "cart", "db.port"),
        ("url", "shop", "port"),
    ]
    expected = {
        "service": "shop",
        "environment": "production",
        "inherits": False,
        "keys": [{"key": "port", "target": "db.port"}, {"key": "url", "target": "db.port"}],
    }
    found = two.get(f"/config/cart/dependents?{HERE}").json()["results"]
    assert found == [{**expected, "keys": expected["keys"][:1]}]
    stranger = make_api("viewer", "cart")
    assert stranger.get(f"/config/cart/dependents?{HERE}").json()["results"] == [{"hidden": 1}]


def test_retire__what_others_refer_to__is_422_and_names_them(two, make_api):
    publish(two, "shop", {"port": "${cart:db.port}"})
    stranger = make_api("operator", "cart")

    told = [errors(api("DELETE", f"/config/cart?{HERE}"))[0][2] for api in (two, stranger)]

    assert told == [
        "Live configurations refer to it: shop@production.",
        "Live configurations refer to it: 1 that you may not see.",
    ]
    publish(two, "shop", {"port": 1})
    assert two("DELETE", f"/config/cart?{HERE}").status_code == 201


def test_cycle__by_a_key_inside_of_what_another_refers_to__is_refused(two):
    publish(two, "shop", {"o": {"inner": 1}})
    publish(two, "cart", {"y": "${shop:o}"})

    closed = publish(two, "shop", {"o": {"inner": "${self:x}"}, "x": "${cart:y.inner}"})

    assert [each[:2] for each in errors(closed)] == [("/o/inner", "cycle")]


def test_cycle__closed_by_the_second_document__is_refused_and_the_graph_may_have_loops(two):
    publish(two, "shop", {"port": "${cart:db.port}", "name": "shop"})

    for value in ("${shop:port}", "${shop:port:-1}"):
        closed = publish(two, "cart", {"db": {"port": value}})
        assert errors(closed) == [
            (
                "/db/port",
                "cycle",
                "The key db.port comes from itself, by way of others: cart@production:db.port → "
                "shop@production:port → cart@production:db.port.",
            )
        ]
    loop = publish(two, "cart", {"db": {"port": 1}, "front": "${shop:name}"})
    assert loop.status_code == 201


def test_explain__names_the_layer_of_each_key_and_what_it_hides(two, make_api):
    assert two("PATCH", "/environments/staging", {"parent": "production"}).status_code == 200
    secret = {"service": "shop", "environment": "production", "name": "pin", "value": "s3cret-v"}
    two.post("/secrets", secret)
    two.post("/templates", {"slug": "base", "content": {"pool": 1, "t": {"x": 1, "y": 1}}})
    publish(two, "shop", {"pool": 2, "up": 1, "pin": {"$secret": "pin"}, "l": [1]})
    own = {"pool": 3, "t": {"y": 2}, "db": "${cart@production:db}", "l": {"$append": [2]}}
    publish(two, "shop", own, environment="staging", extends=[{"template": "base"}])

    rows = two.get("/config/shop/explain?environment=staging").json()["results"]

    parent, base = (
        {"kind": "environment", "name": "production"},
        {"kind": "template", "name": "base", "version": 1},
    )
    mine = {"kind": "own"}
    short = {row["key"]: (row["layers"], row["hides"]) for row in rows}
    assert short["pool"] == ([mine], [parent, base])
    assert short["up"] == ([parent], [])
    assert short["t.x"] == ([base], [])
    assert short["t.y"] == ([mine], [base])
    assert short["l"] == ([parent, mine], [])
    assert short["db.pool.size"] == ([mine], [])
    by_key = {row["key"]: row for row in rows}
    assert by_key["pin"]["secrets"] == ["pin"]
    assert by_key["db.host"]["references"] == [
        {"service": "cart", "environment": "production", "key": "db"}
    ]
    narrowed = two.get("/config/shop/explain?environment=staging&key=t.*").json()["results"]
    assert [row["key"] for row in narrowed] == ["t.x", "t.y"]
    two.post("/key-rules", {"pattern": "t.y", "service": "shop"})
    viewer = make_api("viewer", "shop")
    seen = viewer.get("/config/shop/explain?environment=staging&key=t.*").json()["results"]
    assert [row["key"] for row in seen] == ["t.x"]


def test_explain__object_over_a_scalar_or_a_literal__names_each_layer_that_is_hidden(two, make_api):
    assert two("PATCH", "/environments/staging", {"parent": "production"}).status_code == 200
    two.post("/templates", {"slug": "raw", "content": {"db": {"$literal": {"url": "${x"}}}})
    publish(two, "shop", {"db": "pg://", "cut": {"pin": 1}})
    own = {"db": {"url": "u"}, "cut": {"$replace": {"on": 1}}}
    publish(two, "shop", own, environment="staging", extends=[{"template": "raw"}])

    def hidden(api):
        rows = api.get("/config/shop/explain?environment=staging").json()["results"]
        return {row["key"]: [each["kind"] for each in row["hides"]] for row in rows}

    assert hidden(two) == {"db.url": ["environment", "template"], "cut.on": ["environment"]}
    two.post("/key-rules", {"pattern": "cut.pin", "service": "shop"})
    told = hidden(make_api("viewer", "shop"))
    assert told == {"db.url": ["environment", "template"], "cut.on": []}


def test_graph__over_steps__is_told_as_json_mermaid_and_dot(two, make_api):
    assert two.post("/services", {"slug": "till"}).status_code == 201
    two.post("/templates", {"slug": "base", "content": {"t": 1}})
    publish(two, "cart", {"k": 1}, extends=[{"template": "base"}])
    publish(two, "shop", {"a": "${cart:k}", "b": "${cart:t}"})
    publish(two, "till", {"c": "${shop:a}"})
    at = f"/config/cart/graph?{HERE}"

    near, far = two.get(at).json(), two.get(f"{at}&steps=2").json()

    names = ["template base v1", "cart@production", "shop@production", "till@production"]
    assert [each["name"] for each in near["nodes"]] == names[:3]
    assert [each["name"] for each in far["nodes"]] == names
    assert near["nodes"][0]["template"] == "base"
    assert far["nodes"][3] == {"name": names[3], "service": "till", "environment": "production"}
    keys = [{"key": "a", "target": "k"}, {"key": "b", "target": "t"}]
    edges = [
        {"from": names[0], "to": names[1], "how": "template", "keys": []},
        {"from": names[1], "to": names[2], "how": "reference", "keys": keys},
    ]
    assert near["edges"] == edges
    assert (near["hidden"], near["unopened"]) == (0, 0)
    flow, digraph = (two.get(f"{at}&format={each}") for each in ("mermaid", "dot"))
    assert flow["Content-Type"] == "text/plain; charset=utf-8"
    assert flow.content.startswith(b"flowchart LR")
    assert b'"cart@production" -> "shop@production" [label="2 keys"];' in digraph.content
    stranger = make_api("viewer", service="cart").get(at).json()
    assert ([each["name"] for each in stranger["nodes"]], stranger["hidden"]) == (names[:2], 1)
    for wrong in ("steps=4", "steps=0", "steps=x", "format=svg"):
        assert two.get(f"{at}&{wrong}").status_code == 400, wrong

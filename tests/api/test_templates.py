"""Templates with parameters over REST: what they give, what follows them, who sees what."""

import json

import pytest

from tests.api.test_references import HERE, config, errors, publish
from tests.flows.test_propagation import service

pytestmark = pytest.mark.django_db

SCHEMA = {
    "type": "object",
    "required": ["host"],
    "properties": {
        "host": {"type": "string", "examples": ["db.example.org"]},
        "pool": {"type": "integer", "minimum": 1, "default": 5},
        "replicas": {"type": "array", "items": {"type": "string"}, "default": []},
    },
}
CONTENT = {
    "db": {
        "url": "postgres://${param:host}/shop",
        "pool": "${param:pool}",
        "slow": {"$if": "params.pool < 3", "then": True},
        "replicas": {"$for": "r", "in": "params.replicas", "do": {"host": "${param:r}"}},
    }
}


def make(api, slug="postgres", **members):
    body = {"slug": slug, "parameters": SCHEMA, "content": CONTENT, **members}
    return api.post("/templates", body)


def use(api, given, own=None, **more):
    extends = [{"template": "postgres", "with": given}]
    return publish(api, "shop", own or {"own": 1}, extends=extends, **more)


@pytest.fixture
def shop(operator):
    service(operator, "shop")
    assert make(operator).status_code == 201
    return operator


def test_parameters__given__are_in_the_document_with_their_types(shop):
    answer = use(shop, {"host": "db1", "pool": 2, "replicas": ["r1", "r2"]})

    assert answer.status_code == 201, answer.content
    assert config(shop, "shop") == {
        "own": 1,
        "db": {
            "url": "postgres://db1/shop",
            "pool": 2,
            "slow": True,
            "replicas": [{"host": "r1"}, {"host": "r2"}],
        },
    }
    version = shop.get(f"/config/shop/versions/1?{HERE}").json()
    given = {"host": "db1", "pool": 2, "replicas": ["r1", "r2"]}
    assert version["source"]["extends"] == [{"template": "postgres", "with": given}]
    assert version["lock"] == [{"template": "postgres", "version": 1, "with": given}]
    assert use(shop, given).json()["unchanged"] is True
    assert use(shop, {**given, "pool": 3}).status_code == 201
    assert "slow" not in config(shop, "shop")["db"]


@pytest.mark.parametrize(
    ("given", "pointer", "code"),
    [
        ({}, "/extends/0/with/host", "required"),
        ({"host": 1}, "/extends/0/with/host", "type"),
        ({"host": "a", "pool": 0}, "/extends/0/with/pool", "minimum"),
        ({"host": "a", "pol": 1}, "/extends/0/with/pol", "parameter"),
        ("host", "/extends/0/with", "type"),
    ],
)
def test_parameters__that_the_template_does_not_take__are_refused_with_their_place(
    shop, given, pointer, code
):
    found = errors(use(shop, given))

    assert [(each[0], each[1]) for each in found] == [(pointer, code)]
    body = {"service": "shop", "environment": "production", "config": {}}
    body |= {"extends": [{"template": "postgres", "with": given}]}
    tried = shop.post("/validate", body).json()
    assert [(each["pointer"], each["code"]) for each in tried["errors"]] == [(pointer, code)]


def test_parameters__numbers__keep_their_digits_everywhere(shop):
    schema = {"properties": {"n": {}}, "required": ["n"]}
    assert make(shop, "exact", parameters=schema, content={"n": "${param:n}"}).status_code == 201
    number = "1.10000000000000000000000000001"
    body = (
        '{"environment":"production","config":{},"extends":[{"template":"exact","with":{"n":%s}}]}'
    )

    for attempt in ({"path": "/validate"}, {"path": "/config/shop"}):
        text = body % number
        if attempt["path"] == "/validate":
            text = text.replace("{", '{"service":"shop",', 1)
        answer = shop("POST", attempt["path"], text, "application/json")
        assert answer.status_code in (200, 201), answer.content

    for path in (f"/config/shop?{HERE}", f"/config/shop/versions/1?{HERE}"):
        assert number in shop.get(path).content.decode()
    again = publish(shop, "shop", {"own": 1})
    assert again.status_code == 201, again.content
    rolled = shop.post("/config/shop/rollback", {"environment": "production", "to_version": 1})
    assert rolled.status_code == 201
    assert number in shop.get(f"/config/shop/versions/3?{HERE}").content.decode()


@pytest.mark.parametrize(
    ("parameters", "given", "status"),
    [
        ({"properties": {"a": True}}, {"a": 1}, 200),
        ({"properties": {"a": False}}, {"a": 1}, 422),
        ({"allOf": [{"properties": {"a": {"type": "integer"}}}]}, {"a": 1}, 200),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"required": ["a"]}}}, {"a": 1}, 200),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"required": ["a"]}}}, {"b": 1}, 422),
        ({"properties": {"a": {}}}, {"a": 10**300}, 200),
        ({"properties": {"a": {}}}, {"a": "\u0000"}, 400),
        ({"properties": {"a": {}}}, {"a": "\ud800"}, 400),
        ({"properties": {"a": {}}}, {"a": [[[[[[1]]]]]]}, 200),
        ({"properties": {"a": {}}}, {"a": "x" * 40_000}, 422),
    ],
)
def test_render__of_schemas_and_values_that_are_odd__answers(shop, parameters, given, status):
    content = {"a": {"$if": "has(params.a)", "then": "${param:a:-}"}}
    assert make(shop, "odd", parameters=parameters, content=content).status_code == 201

    answer = shop.post("/templates/odd/render", {"with": given})

    assert answer.status_code == status, answer.content


def test_own_layer__over_a_template__wins_and_may_refer_to_what_it_gives(shop):
    answer = use(shop, {"host": "${self:name}"}, {"db": {"pool": 9}, "name": "db2"})

    assert answer.status_code == 201, answer.content
    found = config(shop, "shop")["db"]
    assert (found["url"], found["pool"]) == ("postgres://db2/shop", 9)
    (problem,) = errors(use(shop, {"host": "x"}, {"a": "${param:host}"}))
    assert problem[:2] == ("/a", "reference")


def test_template__published_anew__goes_through_its_users_or_is_refused(shop):
    assert use(shop, {"host": "db1"}).status_code == 201
    other = {"db": {"dsn": "pg://${param:host}:${param:port}"}}
    schema = {"properties": {"host": {"type": "string"}, "port": {"type": "integer"}}}

    schema["required"] = ["host"]
    needs_more = {"parameters": {**schema, "required": ["host", "port"]}, "content": other}
    refused = shop.post("/templates/postgres/versions", needs_more)
    assert refused.status_code == 422
    assert [each["pointer"] for each in refused.json()["errors"]] == ["/extends/0/with/port"]
    assert config(shop, "shop")["db"]["pool"] == 5

    schema["properties"]["port"]["default"] = 5432
    done = shop.post("/templates/postgres/versions", {"parameters": schema, "content": other})
    assert done.status_code == 201, done.content
    assert config(shop, "shop")["db"] == {"dsn": "pg://db1:5432"}

    shop.post(f"/config/shop/rollback?{HERE}", {"environment": "production", "to_version": 1})
    assert config(shop, "shop")["db"]["url"] == "postgres://db1/shop"


def test_template__on_templates__lies_over_them_and_hands_its_parameters_down(shop):
    schema = {"properties": {"name": {"type": "string"}}, "required": ["name"]}
    base = {"template": "postgres", "with": {"host": "${param:name}.db", "pool": 7}}
    body = {"parameters": schema, "content": {"db": {"pool": 8}, "app": "${param:name}"}}
    assert make(shop, "web", **body, extends=[base]).status_code == 201
    extends = [{"template": "web", "with": {"name": "shop"}}]

    assert publish(shop, "shop", {}, extends=extends).status_code == 201

    found = config(shop, "shop")
    assert found["app"] == "shop"
    assert (found["db"]["url"], found["db"]["pool"]) == ("postgres://shop.db/shop", 8)
    lock = shop.get(f"/config/shop/versions/1?{HERE}").json()["lock"]
    assert [each["template"] for each in lock] == ["postgres", "web"]
    assert lock[0]["with"] == {"host": "shop.db", "pool": 7}
    newer = {"parameters": SCHEMA, "content": {"db": {"new": "${param:host}"}}}
    assert shop.post("/templates/postgres/versions", newer).status_code == 201
    assert config(shop, "shop")["db"] == {"new": "shop.db", "pool": 8}
    refused = shop("DELETE", "/templates/postgres")
    assert "template web" in refused.json()["detail"]


def test_template__that_would_extend_itself__is_refused(shop):
    base = {"template": "postgres", "with": {"host": "h"}}
    assert make(shop, "a", parameters={}, content={}, extends=[base]).status_code == 201
    body = {"parameters": SCHEMA, "content": CONTENT, "extends": [{"template": "A"}]}

    (problem,) = errors(shop.post("/templates/postgres/versions", body))

    assert problem[:2] == ("/extends/0", "cycle")


def test_template__on_the_same_layer_twice__has_it_once_below(shop):
    base = {"template": "postgres", "with": {"host": "h"}}
    make(shop, "a", content={"db": {"pool": 1}}, parameters={}, extends=[base])
    make(shop, "b", content={"db": {"x": 1}}, parameters={}, extends=[base])

    publish(shop, "shop", {}, extends=[{"template": "a"}, {"template": "b"}])

    assert config(shop, "shop")["db"]["pool"] == 1
    lock = shop.get(f"/config/shop/versions/1?{HERE}").json()["lock"]
    assert [each["template"] for each in lock] == ["postgres", "a", "b"]


def test_templates__that_fork_at_each_step__are_laid_once_each(shop, monkeypatch):
    from apps.engine import templating

    for number in range(12):
        bases = [{"template": f"f{number - 1}"}, {"template": f"F{number - 1}"}] if number else []
        made = make(shop, f"f{number}", parameters={}, content={"a": number}, extends=bases)
        assert made.status_code == 201, made.content
    calls = []
    real = templating.filled
    monkeypatch.setattr(templating, "filled", lambda *given: calls.append(1) or real(*given))

    publish(shop, "shop", {}, extends=[{"template": "f11"}])

    assert config(shop, "shop") == {"a": 11}
    assert len(calls) < 30


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"content": {"a": {"$if": "params.x >", "then": 1}}}, "/content/a/$if"),
        ({"content": {"a": "${param:}"}}, "/content/a"),
        ({"content": {"a": "${param:no}"}, "parameters": {}}, "/content/a"),
        ({"content": {"a": {"$if": "1", "then": 2}}, "parameters": {}}, "/content/a/$if"),
        ({"parameters": {"type": "no"}}, "/parameters/type"),
        ({"parameters": [1]}, "/parameters"),
        ({"extends": [{"template": "none"}]}, "/extends/0/template"),
        (
            {"extends": [{"template": "postgres", "with": {"host": "${param:1}"}}]},
            "/extends/0/with/host",
        ),
    ],
)
def test_template__that_nothing_could_extend__is_refused_with_the_place(shop, members, pointer):
    found = errors(make(shop, "bad", **members))

    assert [each[0] for each in found] == [pointer]


def test_render__with_parameters__gives_the_tree_and_stores_nothing(shop, make_api):
    answer = shop.post("/templates/postgres/render", {"with": {"host": "db1"}})

    assert answer.status_code == 200
    assert answer.json() == {
        "slug": "postgres",
        "version": 1,
        "content": {"db": {"url": "postgres://db1/shop", "pool": 5, "replicas": []}},
    }
    assert errors(shop.post("/templates/postgres/render", {}))[0][:2] == ("/with/host", "required")
    assert shop.post("/templates/postgres/render", {"version": 7}).status_code == 404
    assert make_api().post("/templates/postgres/render", {}).status_code == 404
    assert (
        make_api("viewer", "shop")
        .post("/templates/postgres/render", {"with": {"host": "x"}})
        .status_code
        == 200
    )


def test_render__for_a_service__resolves_references_that_one_may_read(shop, make_api):
    shop.post("/services", {"slug": "cart"})
    publish(shop, "cart", {"port": 80, "pin": "PINSECRET"})
    publish(shop, "cart", {"port": 81}, environment="staging")
    content = {
        "port": "${cart:port}",
        "text": "$${x} ${self:port}",
        "key": {"$secret": "key"},
        "none": "${cart:gone:-7}",
    }
    make(shop, "refs", parameters={}, content=content)
    make(shop, "pin", parameters={}, content={"a": "${cart:pin}"})
    publish(shop, "shop", {"a": "${cart:pin}"})

    def render(api, slug="refs", **place):
        return api.post(f"/templates/{slug}/render", place)

    here = {"service": "shop", "environment": "production"}
    made = {"text": "${x} 80", "key": {"$secret": "key"}, "none": 7}
    assert render(shop).json()["content"] == content
    assert render(shop, **here).json()["content"] == {**made, "port": 80}
    there = render(shop, **{**here, "environment": "staging"}).json()["content"]
    assert there == {**made, "port": 81, "text": "${x} 81"}
    assert render(shop, environment="staging").status_code == 400
    assert render(make_api("viewer", "cart"), **here).status_code == 404
    refused = render(make_api("viewer", "shop"), "pin", **here)  # what is live is no reason
    assert [each[:2] for each in errors(refused)] == [("/a", "reference")]
    assert b"PINSECRET" not in refused.content


def test_template__fetched__says_its_parameters_and_bases(shop):
    found = shop.get("/templates/postgres").json()

    assert (found["parameters"], found["extends"], found["content"]) == (SCHEMA, [], CONTENT)
    same = shop.post("/templates/postgres/versions", {"parameters": SCHEMA, "content": CONTENT})
    assert same.json()["version"] == 1
    other = {"parameters": {**SCHEMA, "title": "x"}, "content": CONTENT}
    assert shop.post("/templates/postgres/versions", other).json()["version"] == 2


def test_parameters__where_a_key_is_hidden__are_not_shown_and_stay_as_they_were(shop, make_api):
    robot = make_api("operator", "shop")
    told = []
    for host in ("TOPSECRET", "Other"):
        assert use(shop, {"host": host}, {"own": 1}).status_code == 201
        if not told:
            rule = shop.post("/key-rules", {"pattern": "db.url", "service": "shop"}).json()
            for verb in ("read", "publish"):
                on = {"verb": verb, "on": {"key_rule": rule["id"]}}
                to = f"service-account:{shop.account.slug}"
                assert shop.post("/grants", {"to": to, **on}).status_code == 201
        number = robot.get(f"/config/shop?{HERE}").json()["version"]
        seen = [
            robot.get(f"/config/shop?{HERE}&view=source").json()["extends"],
            robot.get(f"/config/shop/versions/{number}?{HERE}").json()["lock"][0]["template"],
            "with" in robot.get(f"/config/shop/versions/{number}?{HERE}").json()["lock"][0],
            robot.get(f"/config/shop/dependencies?{HERE}").json()["results"],
        ]
        extends = [{"template": "postgres"}]
        changed = publish(robot, "shop", {"own": host == "Other"}, extends=extends)
        assert changed.status_code == 201, changed.content
        seen.append(config(robot, "shop")["db"])
        told.append(seen)
        assert config(shop, "shop")["db"]["url"] == f"postgres://{host}/shop"

    assert told[0] == told[1]
    assert told[0][:3] == [[{"template": "postgres"}], "postgres", False]
    refused = publish(
        robot, "shop", {"own": 3}, extends=[{"template": "postgres", "with": {"host": "x"}}]
    )
    assert refused.status_code == 403
    assert json.dumps(told).count("TOPSECRET") == 0


def test_parameters__guessed_where_they_are_hidden__are_refused_alike(shop, make_api):
    robot = make_api("operator", "shop")
    assert use(shop, {"host": "right"}).status_code == 201
    shop.post("/key-rules", {"pattern": "db.url", "service": "shop"})

    told = []
    for guess in ("right", "wrong"):
        extends = [{"template": "postgres", "with": {"host": guess}}]
        answer = publish(robot, "shop", {"own": 1}, extends=extends, dry_run=True)
        told.append((answer.status_code, answer.content))

    assert told[0] == told[1]
    assert told[0][0] == 403


def test_parameters__hidden_of_a_template_that_stands_twice__are_kept_in_their_order(
    shop, make_api, system
):
    from apps.configs.models import Live

    robot = make_api("operator", "shop")
    named = {
        "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
        "required": ["k", "v"],
    }
    content = {"${param:k}": "${param:v}"}
    assert make(shop, "kv", parameters=named, content=content).status_code == 201
    extends = [{"template": "kv", "with": {"k": k, "v": v}} for k, v in (("a", 1), ("b", 2))]
    assert publish(shop, "shop", {"own": 1}, extends=extends).status_code == 201
    shop.post("/key-rules", {"pattern": "hidden", "service": "shop"})

    shown = robot.get(f"/config/shop?{HERE}&view=source").json()["extends"]
    assert shown == [{"template": "kv"}, {"template": "kv"}]
    assert publish(robot, "shop", {"own": 2}, extends=shown).status_code == 201
    assert json.loads(Live.objects.get().version.extends) == extends
    assert publish(robot, "shop", {"own": 3}, extends=shown[:1]).status_code == 403


def test_template__whose_base_was_added_without_effect__goes_on_to_its_users(shop):
    for slug, content in (("low", {"x": 9}), ("top", {"x": 1})):
        assert make(shop, slug, parameters={}, content=content).status_code == 201
    publish(shop, "shop", {}, extends=[{"template": "top"}])
    added = {"content": {"x": 1}, "extends": [{"template": "low"}]}
    assert shop.post("/templates/top/versions", added).status_code == 201
    assert config(shop, "shop") == {"x": 1}

    assert shop.post("/templates/low/versions", {"content": {"x": 9, "y": 2}}).status_code == 201

    assert config(shop, "shop") == {"x": 1, "y": 2}


def test_templates__named_one_after_the_other__lie_in_that_order(shop):
    make(shop, "p", parameters={}, content={"x": "p"})
    make(shop, "q", parameters={}, content={"x": "q"}, extends=[{"template": "p"}])

    publish(shop, "shop", {}, extends=[{"template": "q"}, {"template": "p"}])
    assert config(shop, "shop") == {"x": "p"}
    publish(shop, "shop", {}, extends=[{"template": "p"}, {"template": "q"}], on_stale="overwrite")
    assert config(shop, "shop") == {"x": "q"}


def test_template__published_with_its_content_alone__keeps_parameters_and_bases(shop):
    make(shop, "low", parameters={}, content={})
    body = {"parameters": SCHEMA, "content": CONTENT, "extends": [{"template": "low"}]}
    assert shop.post("/templates/postgres/versions", body).status_code == 201

    made = shop.post("/templates/postgres/versions", {"content": {"a": "${param:host}"}}).json()

    assert (made["version"], made["parameters"]) == (3, SCHEMA)
    assert made["extends"] == [{"template": "low"}]


@pytest.mark.parametrize(
    "content",
    [
        {"$if": "params.n == 1", "then": {"a": 1}, "else": "text"},
        {"$for": "x", "in": "[1]", "do": {}},
        {"$literal": {"a": 1}},
        {"$remove": True},
    ],
)
def test_template__that_gives_no_object__is_refused(shop, content):
    schema = {"properties": {"n": {"default": 2}}}

    found = errors(make(shop, "bad", parameters=schema, content=content))

    assert found[0][:2] == ("/content", "type")


def test_templates__in_a_long_chain__are_refused_at_its_depth(shop):
    for number in range(20):
        bases = [{"template": f"c{number - 1}"}] if number else []
        answer = make(shop, f"c{number}", parameters={}, content={"a": number}, extends=bases)
        if answer.status_code != 201:
            break

    assert number == 17
    assert "16 deep" in answer.json()["detail"]
    assert len(answer.content) < 5_000


@pytest.mark.parametrize("members", [{"parameters": 0}, {"parameters": ""}, {"extends": {}}])
def test_template__with_members_of_another_type__is_refused(shop, members):
    assert make(shop, "bad", **members).status_code == 422
    assert use(shop, members.get("parameters", False)).status_code == 422


def test_redaction__of_a_value_that_is_a_parameter__says_where_it_stays(shop, system):
    from apps.access.policy import Place
    from apps.configs.services.redacting import redact
    from apps.registry.selectors import get_environment, get_service

    named = {"properties": {"pin": {"type": "string"}}}
    assert make(shop, "pin", parameters=named, content={"pin": "${param:pin:-}"}).status_code == 201
    for value in ("s3cret-pin", "other"):
        extends = [{"template": "pin", "with": {"pin": value}}]
        assert publish(shop, "shop", {}, extends=extends).status_code == 201

    place = Place(get_service("shop"), get_environment("production"))
    done = redact(actor=system, place=place, number=1, key="pin", message="leaked")

    assert done.templates == ("shop@production v1",)
    assert config(shop, "shop") == {"pin": "other"}


def test_template_dry_run__tells_what_would_follow_as_its_author_sees_it(shop, make_api):
    service(shop, "hidden", "ruled")
    for name in ("shop", "hidden", "ruled"):
        extends = [{"template": "postgres", "with": {"host": "h"}}]
        assert publish(shop, name, {"own": 1}, extends=extends).status_code == 201
    shop.post("/key-rules", {"pattern": "db.pool", "service": "ruled"})
    author = make_api("viewer", "shop")
    for on in ({"verb": "manage"}, {"role": "viewer", "on": {"service": "ruled"}}):
        to = f"service-account:{author.account.slug}"
        assert shop.post("/grants", {"to": to, **on}).status_code == 201
    body = {"content": {"db": {**CONTENT["db"], "pool": 9}}, "message": "More"}
    head = shop.get("/audit").json()["results"][0]["number"]

    tried = author.post("/templates/postgres/versions", {**body, "dry_run": True})
    kept = config(shop, "shop")["db"]["pool"]

    told = tried.json()
    assert (tried.status_code, told["dry_run"], kept) == (200, True, 5)
    assert not {"version", "revision", "published_at"} & told.keys()
    change = {"key": "db.pool", "pointer": "/db/pool", "kind": "changed", "old": 5, "new": 9}
    assert told["affected"] == [
        {"service": "ruled", "environment": "production", "changes": [], "outdated": "restricted"},
        {"service": "shop", "environment": "production", "changes": [change]},
        {"hidden": 1},
    ]
    assert shop.get("/audit").json()["results"][0]["number"] == head
    assert shop.get("/templates/postgres").json()["version"] == 1
    made = author.post("/templates/postgres/versions", body)
    assert (made.status_code, made.json()["affected"]) == (201, told["affected"])
    assert config(shop, "shop")["db"]["pool"] == 9
    assert make(shop, "new", dry_run=True).status_code == 400


def test_template__published_on_a_stale_base__is_a_conflict(shop):
    content = {"db": {**CONTENT["db"], "pool": 9}}
    assert (
        shop.post("/templates/postgres/versions", {"content": content, "base_version": 1})
    ).status_code == 201

    stale = {"content": {"db": {**CONTENT["db"], "pool": 7}}, "base_version": 1}
    answer = shop.post("/templates/postgres/versions", stale)

    told = answer.json()
    assert (answer.status_code, told["code"], told["current_version"]) == (409, "conflict", 2)
    assert [each["pointer"] for each in told["conflicts"]] == ["/db/pool"]
    assert shop.get("/templates/postgres").json()["version"] == 2
    assert (
        shop.post("/templates/postgres/versions", {**stale, "base_version": 9}).status_code == 409
    )
    assert (
        shop.post("/templates/postgres/versions", {**stale, "base_version": 2}).status_code == 201
    )


def test_users__of_a_template__are_listed_with_their_versions_and_counted_where_hidden(
    shop, make_api
):
    service(shop, "cart", "till")
    for name in ("shop", "cart", "till"):
        extends = [{"template": "postgres", "with": {"host": "h"}}]
        assert publish(shop, name, {"own": 1}, extends=extends).status_code == 201
    shop.post("/rules", {"name": "five", "service": "cart", "expression": "config.db.pool == 5"})
    content = {"db": {**CONTENT["db"], "pool": 9}}
    body = {"content": content, "dependents": "leave"}
    assert shop.post("/templates/postgres/versions", body).status_code == 201

    found = shop.get("/templates/postgres/users").json()

    here = {"environment": "production"}
    assert found["results"] == [
        {"service": "cart", **here, "version": 1, "outdated": True},
        {"service": "shop", **here, "version": 2},
        {"service": "till", **here, "version": 2},
    ]
    assert "hidden" not in found
    assert shop.get("/templates/postgres/users?page_size=1").json()["next"]
    seen = make_api("viewer", "shop").get("/templates/postgres/users").json()
    assert ([each["service"] for each in seen["results"]], seen["hidden"]) == (["shop"], 2)
    lister = make_api()
    grant = {"to": f"service-account:{lister.account.slug}", "verb": "list"}
    assert shop.post("/grants", grant).status_code == 201
    assert lister.get("/templates/postgres/users").status_code == 403
    assert make_api().get("/templates/postgres/users").status_code == 404

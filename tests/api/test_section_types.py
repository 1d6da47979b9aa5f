"""What section types find, over REST: errors that refuse, warnings that do not, and who is told."""

import pytest

pytestmark = pytest.mark.django_db

LIMITS = {"key": "limits", "type": "resource_limits"}


def body(config, **members):
    return {"environment": "production", "config": config, "on_stale": "overwrite", **members}


def told(problems):
    return [(each["pointer"], each["code"]) for each in problems]


@pytest.fixture
def limited(operator, shop):
    assert operator.post("/services/shop/sections", LIMITS).status_code == 201
    return operator


def test_publish__what_makes_no_sense__is_422_with_line_and_place_and_stores_nothing(limited):
    text = "limits:\n  cpu: {request: 3, limit: 2}\n"

    refused = limited.post(
        "/config/shop", {"environment": "production", "content": text, "format": "yaml"}
    )

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    (error,) = refused.json()["errors"]
    assert error == {
        "pointer": "/limits/cpu/request",
        "code": "order",
        "message": "'cpu.request' is more than 'cpu.limit'.",
        "line": 2,
        "column": error["column"],
        "service": "shop",
        "environment": "production",
    }
    assert limited.get("/config/shop?environment=production").status_code == 404


def test_publish__what_is_hardly_meant__is_published_with_a_warning(limited):
    done = limited.post("/config/shop", body({"limits": {"memory": {"limit": 512}}}))

    assert done.status_code == 201, done.content
    assert told(done.json()["warnings"]) == [("/limits/memory/limit", "small")]


def test_validate__both__are_told_apart_and_nothing_is_stored(limited):
    config = {"limits": {"memory": 512, "cpu": "2 cores"}}

    report = limited.post(
        "/validate", {"service": "shop", "environment": "production", "config": config}
    ).json()

    assert report["valid"] is False
    assert told(report["errors"]) == [("/limits/cpu", "quantity")]
    assert told(report["warnings"]) == [("/limits/memory", "small")]
    assert "2 cores" not in str(report["errors"])


def test_publish__a_parents_change__that_a_child_could_not_live_with__is_refused(limited):
    limited("PATCH", "/environments/staging", {"parent": "production"})
    child = {"environment": "staging", "config": {"limits": {"cpu": {"request": 2}}}}
    limited.post("/config/shop", body({"limits": {"cpu": {"limit": 4}}}))
    assert limited.post("/config/shop", child).status_code == 201

    refused = limited.post("/config/shop", body({"limits": {"cpu": {"limit": 1}}}))

    assert refused.status_code == 422
    assert [(each["environment"], each["code"]) for each in refused.json()["errors"]] == [
        ("staging", "order")
    ]


def test_publish__a_secret_where_something_is_checked__is_passed_over(operator, make_api, shop):
    officer = make_api("security-officer")
    operator.post("/services/shop/sections", {"key": "security", "type": "security_settings"})
    operator.post("/services/shop/sections", {"key": "where", "type": "service_discovery"})
    secret = {"service": "shop", "environment": "production", "name": "s", "value": "x"}
    assert officer.post("/secrets", secret).status_code == 201
    config = {
        "security": {"tls": {"certificate_file": "/run/tls.crt", "key": {"$secret": "s"}}},
        "where": {"a": {"endpoints": ["${secret:s}", {"host": {"$secret": "s"}, "port": 1}]}},
    }

    done = operator.post("/config/shop", body(config))

    assert done.status_code == 201, done.content
    assert done.json()["warnings"] == []


def test_rollback__to_what_makes_no_sense_today__warns(operator, shop):
    wrong = {"limits": {"cpu": {"request": 3, "limit": 2}, "memory": 5}}
    assert operator.post("/config/shop", body(wrong)).status_code == 201
    assert operator.post("/config/shop", body({})).status_code == 201
    assert operator.post("/services/shop/sections", LIMITS).status_code == 201

    done = operator.post("/config/shop/rollback", {"environment": "production", "to_version": 1})

    assert done.status_code == 201, done.content
    assert sorted(told(done.json()["warnings"])) == [
        ("/limits/cpu/request", "order"),
        ("/limits/memory", "small"),
    ]


WORLDS = [
    ("resource_limits", "part.cpu.limit", {"cpu": {"request": 2}}, {"cpu": {"limit": 9}}, False),
    ("resource_limits", "part.cpu.limit", {"cpu": {"request": 2}}, {"cpu": {"limit": 1}}, True),
    (
        "feature_flags",
        "part.b",
        {"a": {"enabled": True, "prerequisites": [{"flag": "b"}]}},
        {"b": True},
        False,
    ),
    (
        "feature_flags",
        "part.b",
        {"a": {"enabled": True, "prerequisites": [{"flag": "b"}]}},
        {"b": {"enabled": True, "prerequisites": [{"flag": "a"}]}},
        True,
    ),
    (
        "security_settings",
        "part.tls.key_file",
        {"tls": {"certificate_file": "/run/crt"}},
        {"tls": {"key_file": "/run/key"}},
        False,
    ),
    ("security_settings", "part.tls.key_file", {"tls": {"certificate_file": "/run/crt"}}, {}, True),
]


@pytest.mark.parametrize("world", WORLDS)
def test_validate__what_depends_on_a_hidden_key__is_not_told(operator, make_api, shop, world):
    kind, pattern, seen, hidden, breaks = world
    robot = make_api("operator", "shop")
    operator.post("/config/shop", body({"part": hidden}))
    section = {"key": "part", "type": kind, "acknowledge": True}
    assert operator.post("/services/shop/sections", section).status_code == 201
    question = {"service": "shop", "environment": "production"}
    whole = {"part": merge(seen, hidden)}
    known = operator.post("/validate", {**question, "config": whole}).json()
    operator.post("/key-rules", {"pattern": pattern, "service": "shop"})

    answer = robot.post("/validate", {**question, "config": {"part": seen}}).json()

    assert bool(known["errors"]) == breaks
    assert answer["errors"] == answer["warnings"] == []


def merge(left, right):
    if not (isinstance(left, dict) and isinstance(right, dict)):
        return right
    return {**left, **{key: merge(left.get(key, {}), value) for key, value in right.items()}}


def test_schema__secret_under_a_name_that_is_not_allowed__is_told_by_its_name(operator, shop):
    schema = {"properties": {"password": {"type": "string"}}, "additionalProperties": False}
    operator.post("/services/shop/sections", {"key": "db", "schema": schema})

    secrets = {"password": {"$secret": "pin"}, "odd": {"$secret": "pin"}}
    asked = {"service": "shop", "environment": "production", "config": {"db": secrets}}
    found = operator.post("/validate", asked).json()["errors"]

    told = [(each["pointer"], each["message"]) for each in found if each["code"] != "secret"]
    assert told == [("/db/odd", "The member 'odd' is not allowed here.")]

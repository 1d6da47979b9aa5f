"""Keys that need a right of their own: seen, written and told by the same rule everywhere."""

import json

import pytest

from apps.access import key_rules, services
from apps.access.policy import EVERYWHERE, Place
from apps.registry.selectors import get_environment, get_service

pytestmark = pytest.mark.django_db

WHERE = "environment=production"
TEXT = """\
# The shop
settings:
  timeout: 5          # milliseconds
  db:
    user: app
    # rotated by ops, was hunter2
    password: first
flags:
  banner: {enabled: true, note: spring}
hosts:
- {name: a, password: x}
"""


@pytest.fixture
def rule(system, shop, operator):
    body = {"environment": "production", "content": TEXT, "format": "yaml"}
    assert operator.post("/config/shop", body).status_code == 201
    return key_rules.create_key_rule(actor=system, pattern="**.password", place=EVERYWHERE)


def give(system, api, verb, on):
    services.grant(actor=system, to=f"service-account:{api.account.slug}", verb=verb, on=on)


def merge(api, patch):
    return api("PATCH", f"/config/shop?{WHERE}", patch, "application/merge-patch+json")


def config(api, query=""):
    answer = api.get(f"/config/shop?{WHERE}{query}")
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content)


def test_rule__ordinary_grants__do_not_open_its_keys_in_any_answer(rule, operator, system):
    seen = config(operator)["config"]
    answers = [
        operator.get(f"/config/shop{path}{'&' if '?' in path else '?'}{WHERE}")
        for path in (
            "",
            ".yaml",
            ".json",
            ".toml",
            ".xml",
            ".env",
            ".properties",
            "?view=source",
            "/value?key=settings",
            "/history",
            "/versions/1",
            "/diff?from=1&to=live",
            "/diff?from=1&to=live&format=unified",
            "?key=**.password",
        )
    ]

    assert seen == {
        "settings": {"timeout": 5, "db": {"user": "app"}},
        "flags": {"banner": {"enabled": True, "note": "spring"}},
    }
    for answer in answers:
        assert answer.status_code == 200, answer.content
        for leak in (b"first", b"hunter2", b"hosts"):
            assert leak not in answer.content, answer.content
    assert operator.get(f"/config/shop/value?{WHERE}&key=settings.db.password").status_code == 404


def test_rule__grant_on_it__opens_its_keys(rule, operator, system):
    give(system, operator, "read", rule)

    assert config(operator)["config"]["settings"]["db"] == {"user": "app", "password": "first"}
    assert "hunter2" in config(operator, "&view=source")["content"]


def test_rule__deleted__leaves_the_ordinary_grants(rule, operator, system):
    key_rules.delete_key_rule(actor=system, rule=rule)

    assert config(operator)["config"]["settings"]["db"]["password"] == "first"


def test_checksum_and_etag__of_a_view__are_of_what_is_seen(rule, operator, make_api, system):
    full = make_api("operator")
    give(system, full, "read", rule)
    parts = operator.get(f"/config/shop?{WHERE}"), full.get(f"/config/shop?{WHERE}")
    history = json.loads(operator.get(f"/config/shop/history?{WHERE}").content)["results"]

    checksums = [json.loads(each.content)["checksum"] for each in parts]
    assert checksums[0] != checksums[1]
    assert parts[0]["ETag"] != parts[1]["ETag"]
    assert history[0]["checksum"] == checksums[0]
    assert history[0]["keys"] == [
        "flags.banner.enabled",
        "flags.banner.note",
        "settings.db.user",
        "settings.timeout",
    ]


@pytest.mark.parametrize("kind", ["config", "content", "patch", "overwrite"])
def test_write__by_somebody_who_cannot_see_a_key__keeps_it(rule, operator, make_api, system, kind):
    full = make_api("operator")
    give(system, full, "read", rule)
    seen = config(operator)["config"]
    seen["settings"]["timeout"] = 9
    base = {"environment": "production", "base_version": 1}
    if kind == "patch":
        answer = merge(operator, {"settings": {"timeout": 9}})
    elif kind == "content":
        text = config(operator, "&view=source")["content"].replace("timeout: 5", "timeout: 9")
        answer = operator.post("/config/shop", base | {"content": text, "format": "yaml"})
    else:
        options = {"on_stale": "overwrite"} if kind == "overwrite" else {}
        answer = operator.post("/config/shop", base | {"config": seen} | options)

    assert answer.status_code == 201, answer.content
    told = json.loads(answer.content)
    assert [each["key"] for each in told["changes"]] == ["settings.timeout"]
    now = config(full)["config"]
    assert now["settings"] == {"timeout": 9, "db": {"user": "app", "password": "first"}}
    assert now["hosts"] == [{"name": "a", "password": "x"}]
    if kind == "content":
        assert "hunter2" in config(full, "&view=source")["content"]  # the comments stay


@pytest.mark.parametrize("written", [{}, {"settings": {}}, {"settings": {"db": {}}}])
def test_write__without_the_visible_object__keeps_its_hidden_children(
    rule, operator, make_api, system, written
):
    """One that is written empty around them is, to its author, not there either."""
    full = make_api("operator")
    give(system, full, "read", rule)

    body = {"environment": "production", "base_version": 1, "config": written}
    done = operator.post("/config/shop", body)
    assert done.status_code == 201
    assert "settings" in {each["key"] for each in done.json()["changes"]}
    assert config(full)["config"] == {
        "settings": {"db": {"password": "first"}},
        "hosts": [{"name": "a", "password": "x"}],
    }
    assert config(operator)["config"] == {}
    assert operator.post("/config/shop", {**body, "base_version": 2}).json()["unchanged"] is True


@pytest.mark.parametrize(
    "document",
    [
        {"settings": {"db": {"password": "first"}}},
        {"settings": {"db": {"password": "other"}}},
        {"other": {"password": "new"}},
        {"settings": {"db": "gone"}},
        {"settings": {"db": {"$remove": True}}},
        {"hosts": []},
        {"hosts": [{"name": "b", "password": "y"}]},
    ],
)
def test_write__of_a_hidden_key__is_refused_and_says_nothing_of_it(rule, operator, document):
    body = {"environment": "production", "base_version": 1, "config": document}
    answer = operator.post("/config/shop", body)

    assert answer.status_code == 403, answer.content
    assert b"hunter2" not in answer.content
    assert config(operator)["version"] == 1


def test_write__read_without_publish__may_change_all_but_that_key(rule, operator, system):
    give(system, operator, "list", rule)
    give(system, operator, "read", rule)
    document = config(operator)["config"]
    free = json.loads(json.dumps(document))
    free["settings"]["timeout"] = 6
    taken = json.loads(json.dumps(document))
    taken["settings"]["db"]["password"] = "second"
    options = {"environment": "production", "on_stale": "overwrite"}

    assert operator.post("/config/shop", options | {"config": free}).status_code == 201
    refused = operator.post("/config/shop", options | {"config": taken})
    assert refused.status_code == 403
    assert json.loads(refused.content)["keys"] == ["settings.db.password"]
    give(system, operator, "publish", rule)
    assert operator.post("/config/shop", options | {"config": taken}).status_code == 201


def test_rollback__without_read__works_with_the_right_on_the_rule(rule, operator, make_api, system):
    full = make_api("operator")
    for verb in ("list", "read", "publish"):
        give(system, full, verb, rule)
    patch = {"settings": {"db": {"password": "second"}}}
    assert merge(full, patch).status_code == 201
    body = {"environment": "production", "to_version": 1}

    refused = operator.post("/config/shop/rollback", body)
    assert refused.status_code == 403
    assert json.loads(refused.content)["keys"] == []
    give(system, operator, "rollback", rule)
    done = operator.post("/config/shop/rollback", body)
    assert done.status_code == 201
    assert json.loads(done.content)["changes"] == []
    assert config(full)["config"]["settings"]["db"]["password"] == "first"


@pytest.mark.parametrize(
    ("there", "nowhere"),
    [
        ("settings.db.pass*", "settings.db.pazz*"),
        ("settings.db.password", "settings.db.pazzword"),
        ("hosts", "hozts"),
    ],
)
def test_rollback__of_chosen_keys_that_are_hidden__is_as_of_keys_that_are_not_there(
    rule, operator, make_api, system, there, nowhere
):
    full = make_api("operator")
    for verb in ("list", "read", "publish"):
        give(system, full, verb, rule)
    patch = {"settings": {"db": {"password": "second"}}, "hosts": [{"name": "c", "password": "y"}]}
    assert merge(full, patch).status_code == 201
    body = {"environment": "production", "to_version": 1, "dry_run": True}

    hidden, absent = (
        operator.post("/config/shop/rollback", {**body, "keys": [key]}) for key in (there, nowhere)
    )
    kept = operator.post("/config/shop/rollback", {**body, "keys": [there], "dry_run": False})

    assert (hidden.status_code, hidden.content) == (200, absent.content)
    assert kept.status_code == 201
    assert config(full)["config"]["settings"]["db"]["password"] == "second"
    assert config(full)["config"]["hosts"] == patch["hosts"]


def test_retire__with_hidden_keys__is_refused(rule, operator):
    assert operator("DELETE", f"/config/shop?{WHERE}").status_code == 403


def test_rule__granted_alone__opens_its_keys_and_no_others(rule, make_api, system):
    shy = make_api()
    give(system, shy, "list", Place(get_service("shop")))
    assert shy.get(f"/config/shop?{WHERE}").status_code == 403
    give(system, shy, "read", rule)

    assert config(shy)["config"] == {"settings": {"db": {"password": "first"}}}


def test_rule__of_a_parent_environment__follows_its_keys(system, shop, make_api):
    from apps.configs.services.places import update_environment

    operator = make_api("operator")
    staging, production = get_environment("staging"), get_environment("production")
    update_environment(actor=system, environment=production, parent=staging)
    body = {"environment": "staging", "config": {"db": {"password": "p", "user": "u"}}}
    assert operator.post("/config/shop", body).status_code == 201
    body = {"environment": "production", "config": {"own": 1}}
    assert operator.post("/config/shop", body).status_code == 201

    key_rules.create_key_rule(actor=system, pattern="db.password", place=Place(environment=staging))

    assert config(operator)["config"] == {"db": {"user": "u"}, "own": 1}


def test_conflict__hidden_keys__are_no_part_of_it(rule, operator, make_api, system):
    full = make_api("operator")
    for verb in ("list", "read", "publish"):
        give(system, full, verb, rule)
    patch = {"settings": {"db": {"password": "second"}}}
    merge(full, patch)

    seen = config(operator)["config"] | {"mine": 1}
    answer = operator.post(
        "/config/shop", {"environment": "production", "base_version": 1, "config": seen}
    )

    assert answer.status_code == 409
    told = json.loads(answer.content)
    assert (told["mergeable"], told["conflicts"]) == (True, [])


def test_validate__hidden_problem__is_not_told(rule, operator, system):
    from apps.configs.services.sections import create_section

    schema = {"properties": {"db": {"properties": {"password": {"type": "integer"}}}}}
    create_section(
        actor=system,
        service=get_service("shop"),
        key="settings",
        type="application_settings",
        schema=schema,
        acknowledge=True,
    )
    seen = config(operator)["config"]
    body = {"service": "shop", "environment": "production", "config": seen}

    assert json.loads(operator.post("/validate", body).content)["valid"] is True


def test_grant__with_an_end__stops_at_that_time(rule, operator, system, monkeypatch):
    from datetime import timedelta

    from apps.core import clock

    now = clock.now()
    services.grant(
        actor=system,
        to=f"service-account:{operator.account.slug}",
        verb="read",
        on=rule,
        expires_at=now + timedelta(minutes=1),
    )
    assert "password" in config(operator)["config"]["settings"]["db"]

    monkeypatch.setattr(clock, "now", lambda: now + timedelta(minutes=2))
    assert "password" not in config(operator)["config"]["settings"]["db"]
    assert services.end_grants(actor=system) == 1
    assert services.end_grants(actor=system) == 0


def test_key_rules__over_rest__are_made_listed_changed_and_ended(shop, make_api):
    admin, viewer = make_api("administrator"), make_api("viewer")
    made = admin.post("/key-rules", {"pattern": "security.**", "service": "shop"})
    assert made.status_code == 201, made.content
    rule = json.loads(made.content)

    assert json.loads(admin.get("/key-rules").content)["results"] == [rule]
    assert viewer.get("/key-rules").status_code == 403
    assert viewer.get(f"/key-rules/{rule['id']}").status_code == 404
    changed = admin("PATCH", f"/key-rules/{rule['id']}", {"pattern": "security.*"})
    assert json.loads(changed.content)["pattern"] == "security.*"
    on = {"key_rule": rule["id"]}
    to = f"service-account:{viewer.account.slug}"
    given = admin.post("/grants", {"to": to, "verb": "read", "on": on})
    assert given.status_code == 201, given.content
    assert json.loads(given.content)["on"]["key_rule"] == rule["id"]
    both = admin.post("/grants", {"to": to, "verb": "read", "on": on | {"service": "shop"}})
    assert both.status_code == 422
    assert admin("DELETE", f"/key-rules/{rule['id']}").status_code == 204
    assert admin("DELETE", f"/key-rules/{rule['id']}").status_code == 404


@pytest.mark.parametrize("pattern", ["", "a..b", 5, None, "x" * 2_000, ".".join(["a"] * 40)])
def test_key_rules__bad_pattern__is_422(shop, make_api, pattern):
    answer = make_api("administrator").post("/key-rules", {"pattern": pattern})

    assert answer.status_code in (400, 422), answer.content


def test_secret__with_a_rule_of_its_name__needs_a_grant_on_it(system, shop, make_api):
    officer, other = make_api("administrator"), make_api("administrator")
    made = {"service": "shop", "environment": "production", "name": "db-main", "value": "s3cret"}
    assert officer.post("/secrets", made).status_code == 201
    body = {"environment": "production", "config": {"db": {"$secret": "db-main"}}}
    assert officer.post("/config/shop", body).status_code == 201
    rule = key_rules.create_key_rule(actor=system, pattern="$secret.db-*", place=EVERYWHERE)
    for verb in ("list", "reveal", "secure"):
        give(system, officer, verb, rule)

    def outcomes(api):
        address = f"/secrets/shop/db-main{{}}?{WHERE}"
        return [
            api.get(address.format("")).status_code,
            api.post(address.format("/reveal"), {}).status_code,
            api.post(address.format("/versions"), {"value": "next"}).status_code,
            api.get(f"/config/shop?{WHERE}&reveal=true").status_code,
            len(json.loads(api.get("/secrets").content)["results"]),
        ]

    assert outcomes(officer) == [200, 200, 201, 200, 1]
    assert outcomes(other) == [404, 404, 404, 403, 0]


def test_secret__in_a_ruled_key__is_revealed_with_the_right_on_that_rule_only(
    system, shop, make_api
):
    admin = make_api("administrator")
    made = {"service": "shop", "environment": "production", "name": "pin", "value": "1234"}
    assert admin.post("/secrets", made).status_code == 201
    body = {"environment": "production", "config": {"security": {"pin": {"$secret": "pin"}}}}
    assert admin.post("/config/shop", body).status_code == 201
    rule = key_rules.create_key_rule(actor=system, pattern="security", place=EVERYWHERE)
    give(system, admin, "read", rule)

    assert admin.get(f"/config/shop?{WHERE}&reveal=true").status_code == 403
    give(system, admin, "reveal", rule)
    assert config(admin, "&reveal=true")["config"] == {"security": {"pin": "1234"}}


HIDING = {
    "required": ["user", "password"],
    "properties": {
        "user": {"type": "string"},
        "password": {"type": "string"},
        "mode": {},
        "pool": {"type": "integer"},
    },
    "additionalProperties": False,
    "minProperties": 2,
    "dependentRequired": {"password": ["mode"]},
    "if": {"required": ["password"]},
    "then": {"required": ["pool"]},
}


@pytest.mark.parametrize("hidden", [{}, {"password": "x"}, {"password": "x", "mode": 1}])
def test_schema__that_hidden_keys_break_or_mend__says_nothing_of_them(
    shop, operator, make_api, system, hidden
):
    live = {"environment": "production", "config": {"db": {**hidden, "user": "u"}}}
    assert operator.post("/config/shop", live).status_code == 201
    section = {"key": "db", "schema": HIDING, "acknowledge": True}
    assert make_api("administrator").post("/services/shop/sections", section).status_code == 201
    key_rules.create_key_rule(actor=system, pattern="db.password", place=EVERYWHERE)

    where = {"service": "shop", "environment": "production"}
    broken = operator.post("/validate", {**where, "config": {"db": {"pool": "?", "odd": 1}}})
    fine = operator.post("/validate", {**where, "config": {"db": {"user": "u"}}})

    assert sorted((each["pointer"], each["code"]) for each in broken.json()["errors"]) == [
        ("/db/odd", "additionalProperties"),
        ("/db/pool", "type"),
        ("/db/user", "required"),
    ]
    assert (fine.json()["errors"], fine.json()["valid"]) == ([], True)


def declare(api, key, **members):
    body = {"key": key, "acknowledge": True, **members}
    assert api.post("/services/shop/sections", body).status_code == 201


def told(answer):
    return [(each["pointer"], each["code"], each["message"]) for each in answer.json()["errors"]]


def test_schema_and_type__of_lists_with_a_rule_that_reaches_everywhere__hold_as_without_it(
    shop, operator, make_api
):
    administrator = make_api("administrator")
    schema = {"properties": {"ports": {"type": "array", "items": {"type": "integer"}}}}
    declare(administrator, "s", schema=schema)
    declare(administrator, "d", type="service_discovery")
    config = {"s": {"ports": ["x", {"y": 1}]}, "d": {"cart": {"endpoints": ["::bad::", 7]}}}
    body = {"environment": "production", "config": config}
    assert operator.post("/config/shop", {**body, "config": {"n": 1}}).status_code == 201
    body["on_stale"] = "overwrite"
    without = operator.post("/config/shop", body)
    rule = {"pattern": "**.password", "service": "shop"}
    assert administrator.post("/key-rules", rule).status_code == 201

    published = operator.post("/config/shop", body)
    patched = merge(operator, config)
    del body["on_stale"]
    validated = operator.post("/validate", {**body, "service": "shop"})

    assert (without.status_code, len(told(without))) == (422, 4)
    assert (published.status_code, patched.status_code) == (422, 422)
    assert sorted(told(published)) == sorted(told(patched)) == sorted(told(without))
    assert sorted(told(validated)) == sorted(told(without))


SHAPES = {
    "maxProperties": 2,
    "oneOf": [{"required": ["user"]}, {"required": ["token"]}, {"required": ["password"]}],
}


@pytest.mark.parametrize("hidden", [{}, {"password": "CANARY"}, {"password": "CANARY", "pin": 1}])
def test_schema__that_what_is_visible_breaks__refuses_whatever_is_hidden(
    shop, operator, make_api, system, hidden
):
    live = {"environment": "production", "config": {"db": {**hidden, "user": "u"}}}
    assert operator.post("/config/shop", live).status_code == 201
    declare(make_api("administrator"), "db", schema=SHAPES)
    for pattern in ("**.password", "**.pin"):
        key_rules.create_key_rule(actor=system, pattern=pattern, place=EVERYWHERE)

    many = merge(operator, {"db": {"one": 1, "two": 2}})
    both = merge(operator, {"db": {"token": "t"}})
    fine = merge(operator, {"db": {"user": "v"}})

    assert [(at, code) for at, code, _message in told(many)] == [("/db", "maxProperties")]
    assert [(at, code) for at, code, _message in told(both)] == [("/db", "oneOf")]
    assert (many.status_code, both.status_code, fine.status_code) == (422, 422, 201)
    for answer in (many, both, fine):
        assert b"CANARY" not in answer.content
        assert b'"pin"' not in answer.content


def test_schema__broken_in_view_since_what_mends_it_is_hidden__does_not_refuse(
    shop, operator, make_api, system
):
    live = {"environment": "production", "config": {"db": {"password": "CANARY", "size": 1}}}
    assert operator.post("/config/shop", live).status_code == 201
    declare(make_api("administrator"), "db", schema=SHAPES)
    key_rules.create_key_rule(actor=system, pattern="**.password", place=EVERYWHERE)

    assert merge(operator, {"db": {"size": 2}}).status_code == 201


def test_rule__on_a_key_inside_of_what_a_referred_key_refers_to__is_followed_too(
    operator, make_api, system
):
    for name in ("vault", "middle", "front"):
        assert operator.post("/services", {"slug": name}).status_code == 201
    documents = {
        "vault": {"db": {"pin": "PINSECRET", "port": 1}},
        "middle": {"all": "${vault:db}"},
        "front": {"port": "${middle:all.port}", "code": "${middle:all.pin}"},
    }
    for name, document in documents.items():
        body = {"environment": "production", "config": document}
        assert operator.post(f"/config/{name}", body).status_code == 201
    key_rules.create_key_rule(actor=system, pattern="db.pin", place=EVERYWHERE)

    seen = json.loads(make_api("viewer").get(f"/config/front?{WHERE}").content)

    assert seen["config"] == {"port": 1}

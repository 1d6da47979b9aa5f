"""Secrets: written once, named in documents, read with ``reveal`` only, damaged ones never."""

import json

import pytest

from apps.access.policy import Place

pytestmark = pytest.mark.django_db

CANARY = "canary-7f3e9b-Zq"
HERE = "environment=production"


@pytest.fixture
def secret(shop, operator):
    body = {"service": "shop", "environment": "production", "name": "db", "value": CANARY}
    made = operator.post("/secrets", body)
    assert made.status_code == 201, made.content
    return made.json()


@pytest.fixture
def using(secret, operator):
    config = {"db": {"password": {"$secret": "db"}, "url": "pg://u:${secret:db}@h/x"}, "n": 1}
    body = {"environment": "production", "config": config}
    made = operator.post("/config/shop", body)
    assert made.status_code == 201, made.content
    return made.json()


def publish(api, config, **more):
    return api.post(
        "/config/shop",
        {"environment": "production", "config": config, "on_stale": "overwrite", **more},
    )


def test_secret__made__is_in_no_answer_and_in_no_row(secret, operator):
    from django.apps import apps

    assert secret["version"] == 1
    assert CANARY not in json.dumps(secret)
    for path in (
        "/secrets",
        f"/secrets/shop/db?{HERE}",
        f"/secrets/shop/db/versions?{HERE}",
        "/audit",
    ):
        answer = operator.get(path)
        assert answer.status_code == 200
        assert CANARY not in answer.content.decode()
    for model in apps.get_models():
        for row in model._default_manager.values():
            shown = [
                bytes(value) if isinstance(value, memoryview) else value for value in row.values()
            ]
            assert CANARY not in repr(shown), model


def test_reveal__value__is_given_and_written_down_first(secret, operator):
    answer = operator.post(f"/secrets/shop/db/reveal?{HERE}", {})

    assert answer.json() == {"version": 1, "value": CANARY}
    assert answer["Cache-Control"] == "no-store"
    events = operator.get("/audit?action=secret.revealed").json()["results"]
    assert [(each["target"], each["data"]) for each in events] == [
        ("secret:shop@production/db", {"version": 1})
    ]


@pytest.mark.parametrize("value", ["x", {"user": "u", "n": 1.50}, "ünï\n-----BEGIN", "0" * 60_000])
def test_value__of_each_kind__comes_back_as_it_was(shop, operator, value):
    body = {"service": "shop", "environment": "production", "name": "v", "value": value}
    assert operator.post("/secrets", body).status_code == 201

    assert operator.post(f"/secrets/shop/v/reveal?{HERE}", {}).json()["value"] == value


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"value": ""}, 422),
        ({"value": {}}, 422),
        ({"value": 5}, 422),
        ({"value": None}, 422),
        ({"value": ["a"]}, 422),
        ({"value": "x" * 70_000}, 422),
        ({"value": "a\u0000b"}, 400),
        ({"name": "a b"}, 422),
        ({"name": ""}, 422),
        ({"name": 5}, 422),
        ({"name": "DB"}, 422),
        ({"service": "none"}, 404),
        ({"environment": "none"}, 404),
        ({"rotation": {"every_days": 1}}, 422),
        ({"colour": CANARY}, 400),
    ],
)
def test_bad_secret__is_refused_without_showing_the_value(secret, operator, members, status):
    body = {"service": "shop", "environment": "production", "name": "new", "value": CANARY}

    answer = operator.post("/secrets", {**body, **members})

    assert answer.status_code == status, answer.content
    assert CANARY not in answer.content.decode()


def test_broken_body__does_not_echo_what_is_in_it(secret, operator):
    for text in (f'{{"value": {CANARY}}}', f'{{"value": "{CANARY}', f'{{"value":"{CANARY}"}} x'):
        answer = operator("POST", "/secrets", text)
        assert answer.status_code == 400
        assert CANARY not in answer.content.decode()


def test_new_value__is_current_and_the_old_one_previous(secret, operator):
    made = operator.post(f"/secrets/shop/db/versions?{HERE}", {"value": "second"})

    assert (made.status_code, made.json()["stages"]) == (201, ["current"])
    versions = operator.get(f"/secrets/shop/db/versions?{HERE}").json()["results"]
    assert [(each["version"], each["stages"]) for each in versions] == [
        (2, ["current"]),
        (1, ["previous"]),
    ]
    assert operator.post(f"/secrets/shop/db/reveal?{HERE}", {}).json()["value"] == "second"
    first = operator.post(f"/secrets/shop/db/reveal?{HERE}", {"version": 1})
    assert first.json() == {"version": 1, "value": CANARY}
    assert operator.post(f"/secrets/shop/db/reveal?{HERE}", {"version": 9}).status_code == 404


def test_config__unrevealed__shows_names_in_every_format(using, operator):
    shown = {name: operator.get(f"/config/shop.{name}?{HERE}") for name in ("json", "yaml", "xml")}

    for answer in shown.values():
        assert answer.status_code == 200
        assert CANARY not in answer.content.decode()
        assert "${secret:db}" in answer.content.decode()
    whole = operator.get(f"/config/shop?{HERE}").json()["config"]
    assert whole["db"]["password"] == {"$secret": "db"}
    env = operator.get(f"/config/shop.env?{HERE}").content.decode()
    assert "# db__password= the secret 'db', not revealed\n" in env
    assert "# db__url= the secret 'db', not revealed\n" in env
    assert "\nn=1\n" in f"\n{env}"


def test_config__revealed__has_the_values_in_every_format(using, operator):
    plain = operator.get(f"/config/shop?{HERE}")

    answer = operator.get(f"/config/shop?{HERE}&reveal=true")

    assert answer.json()["config"]["db"] == {"password": CANARY, "url": f"pg://u:{CANARY}@h/x"}
    assert answer["Cache-Control"] == "no-store"
    assert answer["ETag"] != plain["ETag"]
    assert answer.json()["checksum"] == plain.json()["checksum"]
    for name in ("json", "yaml", "toml", "xml", "env", "properties"):
        text = operator.get(f"/config/shop.{name}?{HERE}&reveal=true").content.decode()
        assert text.count(CANARY) == 2, name
    value = operator.get(f"/config/shop/value?{HERE}&key=db.password&reveal=true")
    assert value.content == CANARY.encode()
    assert value["Cache-Control"] == "no-store"


def test_config__revealed_again__is_304_until_the_secret_has_a_new_value(using, operator):
    url = f"/config/shop?{HERE}&reveal=true"
    tag = operator.get(url)["ETag"]
    assert operator.get(url, if_none_match=tag).status_code == 304

    operator.post(f"/secrets/shop/db/versions?{HERE}", {"value": "second"})

    again = operator.get(url, if_none_match=tag)
    assert again.status_code == 200
    assert again.json()["config"]["db"]["password"] == "second"


def test_disclosure__first_is_an_event_and_later_ones_are_counted(using, operator, make_api):
    from apps.vault.models import Disclosure

    consumer = make_api("consumer")
    for _ in range(3):
        assert consumer.get(f"/config/shop?{HERE}&reveal=true").status_code == 200
    operator.get(f"/config/shop?{HERE}&reveal=true")

    events = operator.get("/audit?action=secret.disclosed").json()["results"]
    assert len(events) == 2
    rows = {row.account: row.count for row in Disclosure.objects.all()}
    assert rows[f"service-account:{consumer.account.slug}"] == 3


def test_reveal__without_the_right__is_403_naming_the_keys_and_gives_nothing(using, make_api):
    viewer = make_api("viewer")

    answer = viewer.get(f"/config/shop?{HERE}&reveal=true")

    assert answer.status_code == 403
    assert (answer.json()["right"], answer.json()["keys"]) == (
        "reveal",
        ["db.password", "db.url"],
    )
    assert viewer.get(f"/config/shop?{HERE}&reveal=true&key=n").json()["config"] == {"n": 1}
    assert viewer.post(f"/secrets/shop/db/reveal?{HERE}", {}).status_code == 403
    assert viewer.get(f"/config/shop/value?{HERE}&key=db&reveal=true").status_code == 403


@pytest.mark.parametrize(
    ("role", "lists", "writes", "reveals"),
    [
        ("consumer", 200, 403, 200),
        ("viewer", 200, 403, 403),
        ("operator", 200, 403, 403),
        ("auditor", 200, 403, 403),
        ("security-officer", 200, 201, 200),
        ("administrator", 200, 201, 200),
        (None, 404, 404, 404),
    ],
)
def test_roles__list_write_and_reveal__as_the_table_says(
    secret, make_api, role, lists, writes, reveals
):
    api = make_api(role)

    assert api.get(f"/secrets/shop/db?{HERE}").status_code == lists
    made = api.post(f"/secrets/shop/db/versions?{HERE}", {"value": "x"})
    assert made.status_code == writes
    assert api.post(f"/secrets/shop/db/reveal?{HERE}", {}).status_code == reveals
    names = [each["name"] for each in api.get("/secrets").json()["results"]]
    assert names == (["db"] if lists == 200 else [])


def test_publish__of_a_name_that_is_none__names_its_place(secret, operator):
    bad = publish(operator, {"a": {"$secret": "nope"}, "b": ["x ${secret:other/db}"]})

    assert bad.status_code == 422
    assert {(each["pointer"], each["code"]) for each in bad.json()["errors"]} == {
        ("/a", "secret"),
        ("/b/0", "secret"),
    }


def test_publish__of_another_services_secret__needs_edit_there(secret, operator, make_api, system):
    from apps.access import services
    from apps.configs.services.places import create_service
    from apps.registry.selectors import get_service

    create_service(actor=system, slug="bank")
    body = {"service": "bank", "environment": "production", "name": "pin", "value": CANARY}
    assert operator.post("/secrets", body).status_code == 201
    writer = make_api("operator", service="shop")
    name = f"service-account:{writer.account.slug}"

    hidden = publish(writer, {"a": {"$secret": "bank/pin"}})
    missing = publish(writer, {"a": {"$secret": "bank/pun"}})
    assert (hidden.status_code, missing.status_code) == (422, 422)
    assert hidden.content.replace(b"pin", b"pun") == missing.content
    services.grant(actor=system, to=name, role="developer", on=Place(get_service("bank")))
    assert publish(writer, {"a": {"$secret": "bank/pin"}}).status_code == 201
    refused = writer.get(f"/config/shop?{HERE}&reveal=true")
    assert (refused.status_code, refused.json()["keys"]) == (403, ["a"])


def test_publish__of_a_known_name__stays_possible_without_edit_there(
    secret, operator, make_api, system
):
    from apps.configs.services.places import create_service

    create_service(actor=system, slug="bank")
    body = {"service": "bank", "environment": "production", "name": "pin", "value": CANARY}
    operator.post("/secrets", body)
    assert publish(operator, {"a": {"$secret": "bank/pin"}}).status_code == 201

    writer = make_api("operator", service="shop")

    assert publish(writer, {"a": {"$secret": "bank/pin"}, "b": 1}).status_code == 201


def test_publish__of_a_name_that_a_hidden_key_holds__tells_nothing_of_it(
    secret, operator, make_api, system
):
    from apps.configs.services.places import create_service

    create_service(actor=system, slug="bank")
    for name in ("pin", "pun"):
        body = {"service": "bank", "environment": "production", "name": name, "value": CANARY}
        operator.post("/secrets", body)
    config = {"a": {"$secret": "db"}, "hidden": {"b": {"$secret": "bank/pin"}}}
    assert publish(operator, config).status_code == 201
    operator.post("/key-rules", {"pattern": "hidden.**", "service": "shop"})
    writer = make_api("operator", service="shop")

    held, other = (
        publish(writer, {"a": {"$secret": "db"}, "c": written}, dry_run=True)
        for written in ("${secret:bank/pin}", "${secret:bank/pun}")
    )

    assert held.status_code == 422
    assert held.content.replace(b"pin", b"pun") == other.content
    assert publish(writer, {"a": {"$secret": "db"}, "n": 2}).status_code == 201


def test_name__in_a_child_environment__is_the_nearest_parents_secret(secret, operator):
    operator.post("/environments", {"slug": "canary", "parent": "production"})
    config = {"p": {"$secret": "db"}}
    made = operator.post("/config/shop", {"environment": "canary", "config": config})
    assert made.status_code == 201, made.content
    url = "/config/shop?environment=canary&reveal=true"
    assert operator.get(url).json()["config"] == {"p": CANARY}

    body = {"service": "shop", "environment": "canary", "name": "DB", "value": "nearer"}
    assert operator.post("/secrets", body).status_code == 201

    assert operator.get(url).json()["config"] == {"p": "nearer"}


def test_delete__in_use__is_refused_naming_the_users(using, operator):
    refused = operator("DELETE", f"/secrets/shop/db?{HERE}")

    assert refused.status_code == 422
    assert "shop@production" in refused.json()["detail"]
    users = operator.get(f"/secrets/shop/db?{HERE}").json()["users"]
    assert users == [{"service": "shop", "environment": "production"}]


def test_delete__unused__destroys_the_keys_and_frees_the_name(using, operator):
    from apps.vault.models import WrappedKey

    assert publish(operator, {"n": 2}).status_code == 201
    assert operator("DELETE", f"/secrets/shop/db?{HERE}").status_code == 204

    assert not WrappedKey.objects.exists()
    assert operator.get(f"/secrets/shop/db?{HERE}").status_code == 404
    back = operator.post("/config/shop/rollback", {"environment": "production", "to_version": 1})
    assert back.status_code == 422
    assert "'db'" in back.json()["detail"]
    body = {"service": "shop", "environment": "production", "name": "db", "value": "again"}
    assert operator.post("/secrets", body).status_code == 201


def test_rollback__to_a_version_with_secrets__reveals_todays_value(using, operator):
    publish(operator, {"n": 2})
    operator.post(f"/secrets/shop/db/versions?{HERE}", {"value": "today"})

    back = operator.post("/config/shop/rollback", {"environment": "production", "to_version": 1})

    assert back.status_code == 201
    config = operator.get(f"/config/shop?{HERE}&reveal=true").json()["config"]
    assert config["db"]["password"] == "today"
    assert operator("DELETE", f"/secrets/shop/db?{HERE}").status_code == 422


def test_patch__beside_and_onto_secrets__keeps_and_makes_them(using, operator):
    patch = json.dumps({"n": 2, "other": {"$secret": "db"}})
    done = operator("PATCH", f"/config/shop?{HERE}", patch, "application/merge-patch+json")

    assert done.status_code == 201, done.content
    source = operator.get(f"/config/shop?{HERE}&view=source").json()["config"]
    assert source["db"]["password"] == source["other"] == {"$secret": "db"}
    config = operator.get(f"/config/shop?{HERE}&reveal=true").json()["config"]
    assert (config["other"], config["n"]) == (CANARY, 2)


def test_schema__at_a_secret__says_nothing_of_its_type(secret, operator):
    schema = {
        "properties": {"password": {"type": "string", "minLength": 4}, "n": {"type": "integer"}}
    }
    section = {"key": "db", "type": "application_settings", "schema": schema}
    assert operator.post("/services/shop/sections", section).status_code == 201

    assert publish(operator, {"db": {"password": {"$secret": "db"}}}).status_code == 201
    assert publish(operator, {"db": {"password": {"$secret": "db"}, "n": "x"}}).status_code == 422


def test_literal_that_looks_like_a_secret__is_not_revealed(secret, operator):
    publish(operator, {"a": {"$literal": {"$secret": "db"}}, "b": "$${secret:db}"})

    config = operator.get(f"/config/shop?{HERE}&reveal=true").json()["config"]

    assert config == {"a": {"$secret": "db"}, "b": "${secret:db}"}
    assert operator("DELETE", f"/secrets/shop/db?{HERE}").status_code == 204


def test_without_the_key__everything_but_secrets_works(using, operator, settings, tmp_path):
    settings.KEY_PROVIDER = {**settings.KEY_PROVIDER, "keys": (), "file": str(tmp_path / "none")}

    sealed = operator.post(f"/secrets/shop/db/reveal?{HERE}", {})
    body = {"service": "shop", "environment": "production", "name": "new", "value": "x"}

    assert (sealed.status_code, sealed.json()["code"]) == (503, "sealed")
    assert operator.get(f"/config/shop?{HERE}&reveal=true").status_code == 503
    assert operator.post("/secrets", body).json()["code"] == "sealed"
    assert operator.get(f"/config/shop?{HERE}").status_code == 200
    assert publish(operator, {"p": {"$secret": "db"}}).status_code == 201
    ready = operator.get("/readyz")
    assert (ready.status_code, ready.json()["sealed"]) == (200, True)


def test_another_key__is_sealed_too_and_takes_no_new_secrets(using, operator, settings, tmp_path):
    settings.KEY_PROVIDER = {
        **settings.KEY_PROVIDER,
        "wraps": "environment",
        "keys": ("Another-Key-Text-" + "qwertzui" * 5,),
        "file": str(tmp_path / "none"),
    }

    body = {"service": "shop", "environment": "production", "name": "new", "value": "x"}

    assert operator.post("/secrets", body).json()["code"] == "sealed"
    assert operator.post(f"/secrets/shop/db/reveal?{HERE}", {}).json()["code"] == "sealed"
    assert operator.get("/readyz").json()["sealed"] is True


def test_publish__credential_in_plain_text__is_a_warning_and_in_security_an_error(
    system, shop, make_api
):
    from apps.configs.services.sections import create_section

    api = make_api("operator")
    create_section(
        actor=system,
        service=shop,
        key="security",
        type="security_settings",
        schema={},
    )
    address = "postgres://app:" + "hunter22" + "@db.example/shop"
    text = f"settings:\n  url: {address}\n"
    body = {"environment": "production", "content": text, "format": "yaml"}

    warned = api.post("/config/shop", body)
    assert warned.status_code == 201
    problem = json.loads(warned.content)["warnings"][0]
    assert (problem["pointer"], problem["code"], problem["line"]) == (
        "/settings/url",
        "credential",
        2,
    )
    bad = body | {"content": text + f"security:\n  upstream: {address}\n", "base_version": 1}
    refused = api.post("/config/shop", bad)
    assert refused.status_code == 422
    assert json.loads(refused.content)["errors"][0]["pointer"] == "/security/upstream"
    assert b"hunter22" not in refused.content


def test_rule_on_a_secret__name_typed_in_another_case__is_as_hidden(operator, make_api, shop):
    made = {"service": "shop", "environment": "production", "name": "DbPassword", "value": CANARY}
    assert operator.post("/secrets", made).status_code == 201
    rule = {"pattern": "$secret.DbPassword", "service": "shop"}
    assert operator.post("/key-rules", rule).status_code == 201
    viewer = make_api("viewer", "shop")

    statuses = {
        viewer.get(f"/secrets/shop/{name}{rest}?{HERE}").status_code
        for name in ("DbPassword", "dbpassword", "DBPASSWORD", "nothing")
        for rest in ("", "/versions")
    }

    assert statuses == {404}


def test_secret__of_the_longest_names__is_made_and_in_the_ledger(operator):
    service, environment, name = ("s" * 128, "e" * 128, "n" * 128)
    assert operator.post("/services", {"slug": service}).status_code == 201
    assert operator.post("/environments", {"slug": environment}).status_code == 201
    body = {"service": service, "environment": environment, "name": name, "value": "v4lue"}

    assert operator.post("/secrets", body).status_code == 201

    events = operator.get("/audit?action=secret.created").json()["results"]
    assert events[0]["target"] == f"secret:{service}@{environment}/{name}"


def test_rule_on_a_secret__made_in_another_case__needs_the_right_on_the_rule(
    operator, make_api, shop
):
    rule = {"pattern": "$secret.Db*", "service": "shop", "environment": "production"}
    assert operator.post("/key-rules", rule).status_code == 201
    robot = make_api("security-officer", "shop", "production")
    body = {"service": "shop", "environment": "production", "value": CANARY}

    statuses = [
        robot.post("/secrets", body | {"name": name}).status_code
        for name in ("DbPassword", "dbPassword", "DBPASSWORD", "other")
    ]

    assert statuses == [403, 403, 403, 201]

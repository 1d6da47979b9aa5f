"""A plaintext secret that was published by mistake is taken out of all that is kept."""

import json

import pytest
from django.db import DatabaseError, connection, transaction

pytestmark = pytest.mark.django_db

LEAK = "hunter2-hunter2"
WHERE = "environment=production"
FIRST = f"""\
# the password is {LEAK}
db:
  url: postgres://app:{LEAK}@db/shop
  password: {LEAK}
timeout: 5
"""


@pytest.fixture
def officer(make_api):
    return make_api("security-officer")


@pytest.fixture
def published(operator, shop):
    for text in (FIRST, FIRST.replace("timeout: 5", "timeout: 6"), "timeout: 7\n"):
        body = {"environment": "production", "content": text, "format": "yaml"}
        answer = operator.post(
            "/config/shop", body | {"on_stale": "overwrite"}, idempotency_key=f"k{text[-2]}"
        )
        assert answer.status_code == 201, answer.content
    return operator


def redact(api, **members):
    body = {"environment": "production", "version": 1, "key": "db.password"} | members
    return api.post("/config/shop/redact", body)


def everything():
    """All text of the database, table by table."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - its own tables
            for row in cursor.fetchall():
                yield table, " ".join(map(str, row))


def places_of(text):
    return sorted({table for table, row in everything() if text in row})


def test_redact__value_of_old_versions__is_nowhere_and_the_ledger_holds(published, officer):
    assert "configs_text" in places_of(LEAK)
    before = json.loads(published.get(f"/config/shop/history?{WHERE}").content)["results"]

    done = redact(officer)

    assert done.status_code == 200, done.content
    assert json.loads(done.content)["texts"] == 4
    assert places_of(LEAK) == []
    old = json.loads(published.get(f"/config/shop/versions/1?{WHERE}").content)
    assert old["config"] == {
        "db": {"password": {"$redacted": True}, "url": {"$redacted": True}},
        "timeout": 5,
    }
    assert "timeout: 5" in old["source"]["content"]
    after = json.loads(published.get(f"/config/shop/history?{WHERE}").content)["results"]
    assert after == before
    event = json.loads(officer.get("/audit").content)["results"][0]
    assert event["action"] == "configuration_text.redacted"


def make_template(api, *contents):
    """The template ``base`` with a version for each content."""
    first, *later = contents
    assert api.post("/templates", {"slug": "base", "content": first}).status_code == 201
    for content in later:
        assert api.post("/templates/base/versions", {"content": content}).status_code == 201


def test_redact__template_with_the_value__loses_it_in_its_earlier_versions(
    published, officer, operator
):
    make_template(operator, {"db": {"password": LEAK}, "keep": 1}, {"keep": 2})

    done = redact(officer)

    assert (done.status_code, json.loads(done.content)["templates"]) == (200, [])
    assert places_of(LEAK) == []


def test_redact__newest_version_of_a_template_with_the_value__is_refused(
    published, officer, operator
):
    make_template(operator, {"keep": 1}, {"db": {"password": LEAK}})

    refused = redact(officer)

    assert refused.status_code == 422
    assert "Template base" in refused.content.decode()
    assert "configs_text" in places_of(LEAK)


def test_redact__template_by_who_has_the_service_alone__is_named(published, make_api, operator):
    make_template(operator, {"db": {"password": LEAK}}, {})
    own = make_api("security-officer", "shop")

    done = redact(own)

    assert (done.status_code, json.loads(done.content)["templates"]) == (200, ["base"])
    assert places_of(LEAK) == ["configs_text"]


@pytest.mark.parametrize("text", [f"db: {{x: '{LEAK}'}}\n", f"db: {{x: '{LEAK}'\n"])
def test_redact__draft_of_the_value__loses_it(published, officer, text):
    """The second text does not parse."""
    save_as("ada", text)

    assert json.loads(redact(officer).content)["drafts"] == 1
    assert places_of(LEAK) == []


def save_as(username, text):
    """Save a draft."""
    from apps.access.policy import Place
    from apps.configs.services.drafts import Draft, save_draft
    from apps.core.actor import Actor
    from apps.core.models import User
    from apps.registry.selectors import get_environment, get_service

    person = User.objects.create_user(username, is_superuser=True)
    place = Place(get_service("shop"), get_environment("production"))
    actor = Actor(name=f"user:{username}", user_id=person.pk, is_superuser=True)
    save_draft(actor=actor, place=place, draft=Draft(text, "yaml"))


def test_redact__while_it_is_live__is_refused_and_changes_nothing(published, officer):
    body = {"environment": "production", "to_version": 2}
    assert published.post("/config/shop/rollback", body).status_code == 201
    before = places_of(LEAK)

    refused = redact(officer)

    assert refused.status_code == 422
    assert json.loads(refused.content)["errors"][0]["code"] == "live"
    assert LEAK.encode() not in refused.content
    assert places_of(LEAK) == before


def test_rollback__to_a_redacted_version__is_422(published, officer):
    redact(officer)

    refused = published.post(
        "/config/shop/rollback", {"environment": "production", "to_version": 2}
    )

    assert refused.status_code == 422
    assert json.loads(refused.content)["errors"][0]["code"] == "redacted"


def test_redact__without_the_right__is_403(published, make_api):
    assert redact(make_api("operator")).status_code == 403
    assert redact(make_api("viewer")).status_code == 403
    assert "configs_text" in places_of(LEAK)


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"version": 99}, 404),
        ({"key": "db.nothing"}, 404),
        ({"key": "db["}, 400),
        ({"version": None}, 400),
        ({"other": 1}, 400),
    ],
)
def test_redact__bad_request__is_refused(published, officer, members, status):
    assert redact(officer, **members).status_code == status


def test_redact__short_value__goes_from_its_key_alone(operator, officer, shop):
    for document in ({"pin": "12", "text": "12 monkeys"}, {"text": "12 monkeys"}):
        body = {"environment": "production", "config": document, "on_stale": "overwrite"}
        assert operator.post("/config/shop", body).status_code == 201

    assert redact(officer, key="pin").status_code == 200

    old = json.loads(operator.get(f"/config/shop/versions/1?{WHERE}").content)
    assert old["config"] == {"pin": {"$redacted": True}, "text": "12 monkeys"}


def test_redact__short_value_in_a_draft_that_does_not_parse__goes_as_a_word(
    operator, officer, shop
):
    from apps.configs.models import Change

    for document in ({"pin": "4711"}, {"pin": "other"}):
        body = {"environment": "production", "config": document, "on_stale": "overwrite"}
        assert operator.post("/config/shop", body).status_code == 201
    save_as("ada", "pin: '4711\nport: 47110\n")

    assert redact(officer, key="pin").json()["drafts"] == 1
    assert Change.objects.get().content == "pin: '[redacted]\nport: 47110\n"


def test_text__changed_without_a_redaction__is_refused_by_the_database(published, officer):
    redact(officer)

    for change in ("content = 'x'", "digest = 'x'"):
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"UPDATE configs_text SET {change}")  # noqa: S608 - as above


@pytest.mark.parametrize("form", ["env", "properties", "yaml", "json", "toml", "xml"])
@pytest.mark.parametrize("value", ["hunter2", LEAK])
def test_redact__each_format__loses_the_value_in_its_source(operator, officer, shop, form, value):
    from apps.engine import formats

    for document in ({"PASSWORD": value, "N": "1"}, {"N": "2"}):
        body = {"environment": "production", "format": form, "on_stale": "overwrite"}
        body["content"] = formats.render(document, form)
        assert operator.post("/config/shop", body).status_code == 201

    done = redact(officer, key="PASSWORD", message="published by mistake")

    assert done.status_code == 200, done.content
    assert places_of(value) == []


@pytest.mark.parametrize("message", ["hunter2 leaked", "it was hunter2."])
def test_redact__short_value_in_the_reason__is_refused(operator, officer, shop, message):
    for document in ({"p": "hunter2"}, {}):
        body = {"environment": "production", "config": document, "on_stale": "overwrite"}
        assert operator.post("/config/shop", body).status_code == 201

    refused = redact(officer, key="p", message=message)

    assert refused.status_code == 422
    assert redact(officer, key="p", message="unhunter2ed").status_code == 200


# Services that took the value by a reference, and rules that say it


def publish(api, service, config, environment="production"):
    body = {"environment": environment, "config": config, "on_stale": "overwrite"}
    answer = api.post(f"/config/{service}", body)
    assert answer.status_code == 201, answer.content


@pytest.fixture
def taken(published):
    """``cart`` has the value first, ``shop`` took it from there, and ``web`` from shop."""
    for slug in ("cart", "web", "other"):
        assert published.post("/services", {"slug": slug}).status_code == 201
    publish(published, "cart", {"db": {"password": LEAK}})
    publish(published, "shop", {"p": "${cart:db.password}"})
    publish(published, "web", {"url": "x://${shop:p}@db", "n": 1})
    publish(published, "other", {"port": "${shop:timeout:-1}"})
    publish(published, "cart", {"db": {"password": "${self:none:-1}"}})
    return published


def redact_at(api, service, **members):
    body = {"environment": "production", "version": 1, "key": "db.password"} | members
    return api.post(f"/config/{service}/redact", body)


@pytest.mark.parametrize(
    ("service", "members"),
    [("cart", {}), ("shop", {"version": 4, "key": "p"}), ("web", {"key": "url"})],
)
def test_redact__value_that_others_took_by_reference__goes_from_them_too(
    taken, officer, service, members
):
    """From whichever end: shop's version 4 holds it by a reference; web's holds it in a text."""
    done = redact_at(officer, service, **members)

    assert done.status_code == 200, done.content
    if service != "web":
        assert places_of(LEAK) == []
    old = taken.get(f"/config/web/versions/1?{WHERE}").json()
    assert old["config"] == {"n": 1, "url": {"$redacted": True}}
    event = officer.get("/audit?action=configuration_text.redacted").json()["results"][0]
    assert "other" not in event["data"]["services"]


def test_redact__value_that_is_live_where_it_was_taken__is_refused_naming_it(taken, officer):
    body = {"environment": "production", "to_version": 1}
    assert taken.post("/config/web/rollback", body).status_code == 201
    before = places_of(LEAK)

    refused = redact_at(officer, "cart")

    assert refused.status_code == 422
    [problem] = refused.json()["errors"]
    assert (problem["code"], "web@production" in problem["message"]) == ("live", True)
    assert places_of(LEAK) == before


def test_redact__without_the_right_where_it_was_taken__is_403_and_counts_what_one_may_not_see(
    taken, make_api, system
):
    from apps.access import services
    from apps.access.policy import Place
    from apps.registry.selectors import get_service

    own = make_api("security-officer", "cart")
    to = f"service-account:{own.account.slug}"
    services.grant(actor=system, to=to, role="viewer", on=Place(get_service("web")))

    refused = redact_at(own, "cart")

    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    detail = refused.json()["detail"]
    assert "web@production, 1 that you may not see" in detail
    assert "shop" not in detail
    assert "configs_text" in places_of(LEAK)


def test_redact__text_that_another_service_has_too__is_refused_while_it_is_live_there(
    operator, officer, shop
):
    assert operator.post("/services", {"slug": "twin"}).status_code == 201
    for service in ("shop", "twin"):
        publish(operator, service, {"db": {"password": LEAK}})
    publish(operator, "shop", {"a": 1})

    refused = redact_at(officer, "shop")

    assert refused.status_code == 422
    assert "twin@production" in refused.json()["errors"][0]["message"]
    assert operator.get(f"/config/twin?{WHERE}").json()["config"] == {"db": {"password": LEAK}}


def test_redact__rule_that_says_the_value__is_refused_and_its_history_loses_it(
    published, officer, operator
):
    rule = {"name": "asks", "service": "shop", "severity": "warning", "message": "as before"}
    rule |= {"key": "db.password", "equals": LEAK, "tests": []}
    assert operator.post("/rules", rule).status_code == 201

    refused = redact(officer)

    assert refused.status_code == 422
    assert "asks" in refused.json()["errors"][0]["message"]
    assert operator("PATCH", "/rules/asks", {"equals": "other"}).status_code == 200
    assert "configs_historicalrule" in places_of(LEAK)
    assert redact(officer).status_code == 200
    assert places_of(LEAK) == []


def test_redact__short_value__stays_in_rules_about_other_keys(operator, officer, shop):
    for document in ({"pin": 4711, "n": 1}, {"n": 1}):
        publish(operator, "shop", document)
    rule = {"name": "port", "service": "shop", "severity": "warning", "key": "port", "equals": 4711}
    assert operator.post("/rules", rule).status_code == 201

    assert redact(officer, key="pin").status_code == 200

    assert operator.get("/rules/port").json()["equals"] == 4711

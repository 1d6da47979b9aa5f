"""OFREP by its views: what is answered of flags, and every refusal in the protocol's form."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from apps.access.policy import Place
from apps.api.ofrep import answers
from apps.api.ofrep.tickets import STEP, make_ticket
from apps.core.actor import Actor
from apps.engine.flags.conditions import Context

pytestmark = pytest.mark.django_db

FLAGS = {
    "search": True,
    "gone": {"enabled": False, "variants": ["a", "b"], "default": "a", "off": "b"},
    "ratio": {
        "enabled": True,
        "type": "float",
        "variants": {"low": 1, "high": 2.5},
        "default": "low",
    },
    "limit": {"enabled": True, "variants": {"few": 3, "many": 9}, "default": "few"},
    "page": {
        "enabled": True,
        "variants": {"old": {"id": 1}, "new": {"id": 2}},
        "default": "old",
        "rules": [
            {"when": {"segment": "staff"}, "variant": "new"},
            {"when": {"country": "DE"}, "shares": {"old": 50, "new": 50}},
        ],
    },
    "team/banner": {"enabled": True, "variants": ["hello"]},
    "segments": {"staff": {"email": {"ends_with": "@shop.example"}}},
}


@pytest.fixture
def flagged(operator, shop):
    section = {"key": "flags", "type": "feature_flags"}
    assert operator.post("/services/shop/sections", section).status_code == 201
    publish(operator, FLAGS)
    return operator


def publish(api, flags, **more):
    body = {
        "environment": "production",
        "config": {"flags": flags, **more},
        "on_stale": "overwrite",
    }
    answer = api.post("/config/shop", body)
    assert answer.status_code == 201, answer.content


def ask(api, key="", context=None, prefix="/services/shop", **headers):
    address = f"{prefix}/ofrep/v1/evaluate/flags"
    return api.post(f"{address}/{key}" if key else address, {"context": context or {}}, **headers)


def test_single__each_type__has_all_members(flagged):
    found = {name: ask(flagged, name) for name in ("search", "ratio", "limit", "team/banner")}

    assert {name: answer.status_code for name, answer in found.items()} == dict.fromkeys(found, 200)
    assert found["search"].json() == {
        "key": "search",
        "reason": "STATIC",
        "variant": "on",
        "metadata": {"section": "flags"},
        "value": True,
    }
    assert b'"value":1.0}' in found["ratio"].content
    assert b'"value":3}' in found["limit"].content
    assert found["team/banner"].json()["value"] == "hello"


def test_single__rules__decide_by_the_context(flagged):
    staff = ask(flagged, "page", {"email": "a@shop.example"}).json()
    split = ask(flagged, "page", {"targetingKey": "u1", "country": "DE"}).json()
    other = ask(flagged, "page", {"country": "FR"}).json()

    assert (staff["variant"], staff["reason"], staff["metadata"]["rule"]) == (
        "new",
        "TARGETING_MATCH",
        0,
    )
    assert staff["value"] == {"id": 2}
    assert (split["reason"], split["metadata"]["rule"]) == ("SPLIT", 1)
    assert (other["variant"], other["reason"]) == ("old", "TARGETING_MATCH")


def test_single__disabled__has_no_value(flagged):
    answer = ask(flagged, "gone")

    assert answer.status_code == 200
    assert answer.json() == {
        "key": "gone",
        "reason": "DISABLED",
        "variant": "b",
        "metadata": {"section": "flags"},
    }


REFUSED = {
    "no such flag": ("nothing", {}, 404, "FLAG_NOT_FOUND"),
    "no unit": ("page", {"country": "DE"}, 400, "TARGETING_KEY_MISSING"),
    "a unit that is no text": ("search", {"targetingKey": 7}, 400, "INVALID_CONTEXT"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_single__what_cannot_be_answered__has_code_and_details(flagged, case):
    key, context, status, code = REFUSED[case]

    answer = ask(flagged, key, context)

    assert answer.status_code == status
    assert (answer.json()["key"], answer.json()["errorCode"]) == (key, code)
    assert answer.json()["errorDetails"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("[]", 400, "INVALID_CONTEXT"),
        ('{"context":[]}', 400, "INVALID_CONTEXT"),
        ('{"context":{"a":1,"a":2}}', 400, "PARSE_ERROR"),
        ("{", 400, "PARSE_ERROR"),
        ("[" * 100_000, 400, "PARSE_ERROR"),
    ],
)
@pytest.mark.parametrize("key", ["", "/search"])
def test_evaluate__bad_body__is_a_problem_in_both_forms(flagged, body, status, code, key):
    answer = flagged("POST", f"/services/shop/ofrep/v1/evaluate/flags{key}", body)

    assert answer.status_code == status
    assert answer.json()["errorCode"] == code
    assert answer.json()["errorDetails"] == answer.json()["detail"]


def test_evaluate__without_body_or_context__is_the_empty_context(flagged):
    for body in ("", "{}", '{"context":null}'):
        answer = flagged("POST", "/services/shop/ofrep/v1/evaluate/flags/search", body)
        assert answer.json()["value"] is True


def test_bulk__all_flags__with_errors_metadata_and_a_stream(flagged):
    answer = ask(flagged)

    found = {each["key"]: each for each in answer.json()["flags"]}
    assert found.keys() == FLAGS.keys() - {"segments"}
    assert found["page"]["value"] == {"id": 1}
    assert answer.json()["metadata"] == {
        "service": "shop",
        "environment": "production",
        "version": 1,
    }
    (stream,) = answer.json()["eventStreams"]
    assert stream["type"] == "sse"
    assert stream["url"].startswith("http://testserver/ofrep/v1/events?ticket=")
    assert "csk_" not in answer.content.decode()


def test_bulk__etag__follows_flags_and_context_and_no_other_key(flagged):
    first = ask(flagged, context={"country": "FR"})
    again = ask(flagged, context={"country": "FR"}, if_none_match=first["ETag"])
    elsewhere = ask(flagged, context={"country": "CH"}, if_none_match=first["ETag"])
    publish(flagged, FLAGS, other=1)
    same = ask(flagged, context={"country": "FR"}, if_none_match=first["ETag"])
    publish(flagged, {**FLAGS, "search": False})
    moved = ask(flagged, context={"country": "FR"}, if_none_match=first["ETag"])

    assert [each.status_code for each in (again, elsewhere, same, moved)] == [304, 200, 304, 200]
    assert again["ETag"] == first["ETag"]
    assert again.content == b""


def test_bulk__etag__lasts_as_long_as_the_ticket_is_not_renewed(flagged):
    begun = datetime(2026, 11, 24, 12, tzinfo=UTC)
    actor, place = Actor("service-account:shop", token_id="7"), Place(None, None)

    def bulk(after):
        now = begun + after
        ticket = make_ticket(actor=actor, place=place, now=now)
        return answers.bulk(None, Context({}, now), [ticket])

    first, same, renewed = map(bulk, (timedelta(0), STEP - timedelta(seconds=1), STEP))

    assert same == first
    assert renewed.body != first.body
    assert not renewed.is_known(first.etag)


def test_evaluate__nothing_published_or_retired__has_no_flags(operator, shop):
    before = ask(operator), ask(operator, "search")
    publish(operator, {"a": True})
    operator("DELETE", "/config/shop?environment=production")
    after = ask(operator), ask(operator, "a")

    for bulk, single in (before, after):
        assert bulk.status_code == 200
        assert bulk.json()["flags"] == []
        assert (single.status_code, single.json()["errorCode"]) == (404, "FLAG_NOT_FOUND")


def test_evaluate__without_prefix__takes_the_one_service_that_may_be_read(
    flagged, make_api, system, shop
):
    from apps.configs.services.places import create_service

    create_service(actor=system, slug="cart")
    one, all_, none = make_api("consumer", service="shop"), make_api("consumer"), make_api()

    assert ask(one, "search", prefix="").json()["value"] is True
    for api, count in ((all_, "2"), (none, "none")):
        answer = ask(api, "search", prefix="")
        assert (answer.status_code, answer.json()["errorCode"]) == (400, "GENERAL")
        assert "/services/NAME/ofrep/v1" in answer.json()["errorDetails"]
        assert count in answer.json()["errorDetails"]


def test_evaluate__without_right__is_as_for_a_missing_service(flagged, make_api, anonymous):
    stranger = make_api("consumer", service="shop", environment="staging")

    hidden, missing = ask(stranger, "search"), ask(stranger, "search", prefix="/services/none")
    unknown = ask(anonymous, "search")

    assert (hidden.status_code, hidden.content) == (404, missing.content)
    assert hidden.json()["errorCode"] == "GENERAL"
    assert (unknown.status_code, unknown["WWW-Authenticate"]) == (401, "Bearer")
    assert unknown.json()["errorDetails"]


def test_evaluate__keys_that_are_hidden__are_no_flags(flagged, make_api):
    rule = {"pattern": "flags.page", "service": "shop"}
    assert flagged.post("/key-rules", rule).status_code == 201
    partial = {"pattern": "flags.limit.enabled", "service": "shop"}
    assert flagged.post("/key-rules", partial).status_code == 201
    reader = make_api("consumer", service="shop")

    found = {each["key"] for each in ask(reader).json()["flags"]}
    single, missing = ask(reader, "page"), ask(reader, "none")

    assert found == {"search", "gone", "ratio", "team/banner"}
    assert single.content == missing.content.replace(b"none", b"page")
    assert ask(reader, "limit").status_code == 404


@pytest.mark.parametrize("key", ["search/", "/", "a//", "ключ/日本/"])
def test_evaluate__key_that_ends_with_a_slash__is_that_flag_and_no_other(flagged, key):
    publish(flagged, {**FLAGS, key: {"enabled": True, "variants": ["mine"]}})

    assert ask(flagged, key).json()["value"] == "mine"
    assert flagged.post("/services/shop/ofrep/v1/evaluate/flags/", {}).status_code == 308


@pytest.mark.parametrize(
    ("pattern", "key", "code"),
    [
        ("flags.page.rules", "page", "FLAG_NOT_FOUND"),
        ("flags.share.share", "share", "FLAG_NOT_FOUND"),
        ("flags.seeded.seed", "seeded", "FLAG_NOT_FOUND"),
        ("flags.page.variants.new.id", "page", "FLAG_NOT_FOUND"),
        ("flags.needs.prerequisites", "needs", "FLAG_NOT_FOUND"),
        ("flags.share.share", "needs", "PARSE_ERROR"),
        ("flags.segments.staff.country", "page", "PARSE_ERROR"),
    ],
)
def test_evaluate__of_what_a_part_is_hidden__gives_no_other_value(
    flagged, make_api, pattern, key, code
):
    staff = {"email": {"ends_with": "@shop.example"}, "country": "DE"}
    more = {
        "share": {"enabled": True, "share": 1, "description": "for few"},
        "seeded": {"enabled": True, "share": 50, "seed": "another"},
        "needs": {"enabled": True, "prerequisites": [{"flag": "share"}]},
        "segments": {"staff": staff},
    }
    publish(flagged, {**FLAGS, **more})
    reader = make_api("consumer", service="shop")
    context = {"targetingKey": "u1", "country": "FR", "email": "a@shop.example"}
    assert ask(reader, key, context).status_code == 200

    for hidden in (pattern, "flags.*.description"):
        rule = {"pattern": hidden, "service": "shop"}
        assert flagged.post("/key-rules", rule).status_code == 201

    assert ask(reader, key, context).json()["errorCode"] == code
    shown = {each["key"] for each in ask(reader, context=context).json()["flags"]}
    assert (key in shown) is (code == "PARSE_ERROR")
    assert ("share" in shown) is (pattern != "flags.share.share")  # its description decides nothing


def test_evaluate__two_sections__share_no_name(flagged):
    flagged.post("/services/shop/sections", {"key": "trials", "type": "feature_flags"})
    publish(flagged, FLAGS, trials={"search": False, "more": True})

    found = {each["key"]: each["metadata"]["section"] for each in ask(flagged).json()["flags"]}

    assert found["search"] == "flags"
    assert found["trials/search"] == "trials"
    assert found["more"] == "trials"
    assert ask(flagged, "trials/search").json()["reason"] == "DISABLED"


def test_evaluate__flag_that_is_called_as_a_shared_name_would_be__keeps_its_key(flagged):
    flagged.post("/services/shop/sections", {"key": "zflags", "type": "feature_flags"})
    publish(flagged, {"x": True, "zflags/x": True}, zflags={"x": False})

    found = {each["key"]: each["metadata"]["section"] for each in ask(flagged).json()["flags"]}

    assert found == {"x": "flags", "zflags/x": "flags"}
    assert ask(flagged, "zflags/x").json()["reason"] == "STATIC"


def test_evaluate__is_a_read__counted_and_no_refused_write(flagged, make_api):
    from apps.audit import refusals
    from apps.audit.models import AuditEvent

    make_api()
    ask(flagged, "search")
    stranger = make_api()
    ask(stranger, "search")
    refusals.flush()

    readers = flagged.get("/config/shop/readers?environment=production&key=flags.search").json()
    assert readers["results"]
    assert not AuditEvent.objects.filter(action="refused.write").exists()


def test_tickets__altered_or_foreign__open_nothing(flagged, anonymous):
    url = json.loads(ask(flagged).content)["eventStreams"][0]["url"]
    ticket = url.partition("ticket=")[2]

    for bad in ("", "x", ticket[:-2] + "xx", ticket.swapcase(), f"a{ticket}"):
        answer = anonymous.get(f"/ofrep/v1/events?ticket={bad}")
        assert answer.status_code == 401, bad
    for address in ("/config/shop?environment=production", "/stream?service=shop"):
        answer = anonymous.get(f"{address}&ticket={ticket}")
        assert answer.status_code == 401


def test_tickets__of_a_person_whose_password_changed__open_nothing(
    flagged, client, system, django_user_model
):
    from apps.access import people, services

    ada = people.create_person(actor=system, username="ada", password="a long phrase that holds")
    services.grant(actor=system, to="user:ada", role="viewer")
    client.force_login(ada)
    answer = client.post(
        "/services/shop/ofrep/v1/evaluate/flags?environment=production", "{}", "application/json"
    )
    url = answer.json()["eventStreams"][0]["url"].partition("testserver")[2]
    assert client.get(url).json()["code"] == "malformed"  # it is good; here are no streams

    people.set_password(actor=system, user=ada, password="another phrase that holds")

    assert client.get(url).status_code == 401

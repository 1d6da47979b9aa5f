"""Flags as flags on the configuration page: read from the text, changed in it, and tried."""

import json

import pytest

from apps.core.models import User
from tests.api.test_flag_list import FLAGS as LISTED
from tests.api.test_references import publish
from tests.flows.test_propagation import service

pytestmark = pytest.mark.django_db

URL = "/admin/config/shop/production/flags/"
TEXT = """\
# what is being tried
flags:
  search: true  # for everyone
  page:
    enabled: true
    variants: {old: 1.10, new: 2}
    default: old
  segments: {staff: {email: {ends_with: "@shop.example"}}}
"""


@pytest.fixture
def flagged(operator, shop):
    section = {"key": "flags", "type": "feature_flags"}
    assert operator.post("/services/shop/sections", section).status_code == 201
    return operator


@pytest.fixture
def ada(flagged, log_in):
    return log_in("ada", ("administrator", None, None))


def ask(client, content=TEXT, status=200, **members):
    answer = client.post(URL, {"content": content, "format": "yaml", **members})
    assert answer.status_code == status, answer.content
    return answer.json()


def change(client, flag, operations, content=TEXT, status=200, **members):
    patch = json.dumps(operations)
    return ask(client, content, status, section="flags", flag=flag, patch=patch, **members)


def flags_of(answer):
    (section,) = answer["sections"]
    return {each["name"]: each for each in section["flags"]}


def test_page__of_a_text__shows_its_flags(ada):
    answer = ask(ada)

    assert answer["sections"][0]["segments"] == ["staff"]
    found = flags_of(answer)
    assert found.keys() == {"page", "search"}
    assert (found["search"]["enabled"], found["search"]["pair"]) == (True, True)
    assert found["page"]["variants"] == [
        {"name": "old", "text": "1.10"},
        {"name": "new", "text": "2"},
    ]


def test_page__flags_that_could_go__are_said_with_the_reason(ada):
    text = (
        "flags:\n  old: {enabled: true, share: 5, expires: 2020-01-01}\n  all: true\n"
        "  off: false\n  soon: {enabled: true, expires: 2999-01-01}\n  half: {enabled: true, share: 50}\n"
    )

    found = flags_of(ask(ada, text))

    assert {name: flag["stale"] for name, flag in found.items()} == {
        "old": "expired",
        "all": "everyone",
        "off": "",
        "soon": "",
        "half": "",
    }


def test_change__of_a_switch__keeps_comments_and_digits(ada):
    answer = change(ada, "page", [{"op": "add", "path": "/enabled", "value": False}])

    assert answer["content"] == TEXT.replace("enabled: true", "enabled: false")
    assert flags_of(answer)["page"]["enabled"] is False
    again = change(ada, "search", [{"op": "add", "path": "/share", "value": 25}])
    assert "# what is being tried" in again["content"]
    assert (flags_of(again)["search"]["share"], flags_of(again)["page"]["own"]) == (25, True)


def test_change__a_new_flag_and_one_taken_out(ada):
    made = change(ada, "new one", [{"op": "add", "path": "/enabled", "value": False}])
    gone = ask(ada, made["content"], section="flags", flag="page", patch="null")

    assert flags_of(made).keys() == {"page", "search", "new one"}
    assert flags_of(gone).keys() == {"search", "new one"}
    assert "page" not in gone["content"]


def test_change__of_an_inherited_flag__writes_what_differs(flagged, ada):
    flagged.post("/templates", {"slug": "base", "content": {"flags": {"beta": {"enabled": False}}}})
    extends = {"extends": "base"}

    before = ask(ada, "a: 1\n", **extends)
    after = change(
        ada, "beta", [{"op": "add", "path": "/enabled", "value": True}], "a: 1\n", **extends
    )

    assert (flags_of(before)["beta"]["own"], flags_of(before)["beta"]["enabled"]) == (False, False)
    assert flags_of(after)["beta"]["enabled"] is True
    assert after["content"] == "a: 1\nflags:\n  beta:\n    enabled: true\n"


def test_try__a_context__says_who_gets_what(ada):
    text = TEXT.replace("search: true", "search: {enabled: true, share: 30}")

    tried = ask(ada, text, context='{"targetingKey": "u1"}')["tried"]
    without = ask(ada, text, context="{}")["tried"]

    assert tried["page"]["value"] == "1.10"
    assert tried["search"]["reason"] == "SPLIT"
    assert sum(tried["search"]["counts"].values()) == tried["search"]["units"]
    assert 200 < tried["search"]["counts"]["on"] < 400
    assert "targetingKey" in without["search"]["error"]


def test_try__of_many_flags__asks_fewer_units_of_each_and_of_those_that_are_shown(ada):
    split = "{enabled: true, share: 50}"
    text = "flags:\n" + "".join(f"  f{number}: {split}\n" for number in range(510))

    answer = ask(ada, text, context='{"targetingKey": "u1"}')

    assert len(answer["tried"]) == len(answer["sections"][0]["flags"]) == 500
    each = answer["tried"]["f0"]
    assert sum(each["counts"].values()) == each["units"] == 200


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"content": "a: ["}, "malformed"),
        ({"context": "{"}, "context"),
        ({"context": "[]"}, "context"),
        ({"section": "other", "flag": "x", "patch": "[]"}, "flag"),
        ({"section": "flags", "flag": "segments", "patch": "[]"}, "flag"),
        (
            {"section": "flags", "flag": "page", "patch": '[{"op":"remove","path":"/none"}]'},
            "path",
        ),
        ({"section": "flags", "flag": "page", "patch": "{"}, "malformed"),
    ],
)
def test_page__bad_input__is_refused_with_its_place(ada, members, code):
    answer = ask(ada, status=422, **{"content": TEXT, **members})

    assert code in {answer["code"], *(each["code"] for each in answer["errors"])}


def test_page__hidden_keys__are_no_flags_and_stay(flagged, ada, log_in):
    publish(flagged, "shop", {"flags": {"open": True, "closed": {"enabled": True}}})
    rule = {"pattern": "flags.closed", "service": "shop"}
    assert flagged.post("/key-rules", rule).status_code == 201
    dev = log_in("mei", ("developer", "shop", "production"))

    answer = change(
        dev, "open", [{"op": "add", "path": "/enabled", "value": False}], "flags: {open: true}\n"
    )

    assert flags_of(answer).keys() == {"open"}
    assert "closed" not in json.dumps(answer)


def test_page__flag_of_which_a_part_is_hidden__is_tried_by_no_half_of_it(flagged, client, log_in):
    part = {"enabled": True, "expires": "2020-01-01"}
    needs = {"enabled": True, "prerequisites": [{"flag": "rollout"}]}
    document = {"flags": {"rollout": {**part, "share": 12.5}, "needs": needs}}
    assert publish(flagged, "shop", document).status_code == 201
    rule = {"pattern": "flags.rollout.share", "service": "shop"}
    assert flagged.post("/key-rules", rule).status_code == 201
    dev = log_in("mei", ("developer", "shop", "production"))
    seen = json.dumps({"flags": {"rollout": part, "needs": needs}})

    tried = ask(dev, content=seen, format="json", context="{}")["tried"]
    client.force_login(User.objects.create_superuser("zoe"))
    whole = ask(client, content=json.dumps(document), format="json", context="{}")["tried"]

    assert "hidden from you" in tried["rollout"]["error"]
    assert (tried["rollout"]["value"], tried["rollout"]["counts"]) == ("", {})
    assert tried["needs"]["error"]
    assert "hidden" not in json.dumps(whole)
    assert flags_of(ask(dev, content=seen, format="json"))["rollout"]["stale"] == ""


def test_list__of_flags__shows_those_that_could_go_and_all(client, operator):
    service(operator, "shop")
    operator.post("/services/shop/sections", {"key": "flags", "type": "feature_flags"})
    publish(operator, "shop", {"flags": LISTED})
    client.force_login(User.objects.create_superuser("zoe"))

    stale = client.get("/admin/flags/").content.decode()
    every = client.get("/admin/flags/?view=all").content.decode()
    none = client.get("/admin/flags/?q=nothing").content.decode()

    assert [name for name in LISTED if f"<b>{name}</b>" in stale] == ["over", "everyone"]
    assert all(f"<b>{name}</b>" in every for name in LISTED)
    assert "its time is over" in stale
    assert "No flag matches" in none

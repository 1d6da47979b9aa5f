"""Flags in the graph: the same values, for the same reasons, as over OFREP."""

import json

import pytest

from tests.api.graphql_client import ask, data, problem
from tests.api.test_ofrep import FLAGS, publish
from tests.api.test_ofrep import ask as evaluate

pytestmark = pytest.mark.django_db


@pytest.fixture
def flagged(operator, shop):
    section = {"key": "flags", "type": "feature_flags"}
    assert operator.post("/services/shop/sections", section).status_code == 201
    publish(operator, FLAGS)
    return operator


HERE = 'configuration(service: "shop", environment: "production")'
QUERY = f"""query($c: JSON, $k: [String!]) {{ {HERE} {{ flags(keys: $k) {{ key name section enabled stale
  evaluation(context: $c) {{ reason variant value rule errorCode errorDetails }} }} }} }}"""


def flags_of(api, query=QUERY, **variables):
    found = data(api, query, **variables)["configuration"]["flags"]
    return {each["key"]: each for each in found}


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"targetingKey": "u1"},
        {"targetingKey": "u2", "country": "DE"},
        {"country": "DE"},
        {"email": "a@shop.example"},
    ],
)
def test_evaluation__of_a_context__is_what_ofrep_says(flagged, context):
    rest = {each["key"]: each for each in evaluate(flagged, context=context).json()["flags"]}

    found = flags_of(flagged, c=context)

    assert found.keys() == rest.keys() == FLAGS.keys() - {"segments"}
    for key, there in rest.items():
        here = found[key]["evaluation"]
        assert here["value"] == there.get("value")
        assert (here["errorCode"], here["errorDetails"]) == (
            there.get("errorCode"),
            there.get("errorDetails"),
        )
        if "errorCode" not in there:
            assert (here["reason"], here["variant"]) == (there["reason"], there["variant"])
            assert here["rule"] == there["metadata"].get("rule")


def test_flags__of_which_too_much_is_asked__are_refused_before_it_is_found(flagged):
    publish(flagged, {f"f{number}": True for number in range(400)})
    many = " ".join(f"e{n}: evaluation {{ reason value }}" for n in range(45))
    inside = f"fragment all on Flag {{ {many} }}"
    query = f"{{ {HERE} {{ flags {{ key ...all }} }} }} {inside}"

    told = problem(flagged, query)

    assert (told["code"], told["errors"][0]["code"]) == ("limit", "cost")
    few = query.replace("flags {", 'flags(keys: ["f1"]) {')
    assert len(data(flagged, few)["configuration"]["flags"]) == 1


def test_numbers__of_a_float_flag__keep_their_type(flagged):
    answer = flagged.post("/graphql", {"query": QUERY, "variables": {"k": ["ratio"]}})

    assert b'"value":1.0,' in answer.content


def test_flags__named__are_those_alone(flagged):
    found = flags_of(flagged, k=["search", "none", "team/banner"])

    assert list(found) == ["search", "team/banner"]


def test_flags__that_could_go__are_told_with_the_reason(flagged):
    flags = {
        "expired": {"enabled": True, "variants": ["a", "b"], "expires": "2020-01-01T00:00:00Z"},
        "done": True,
        "off": {"enabled": False, "variants": ["a", "b"]},
    }
    publish(flagged, flags)

    query = f"{{ {HERE} {{ flags(stale: true) {{ key stale }} }} }}"

    found = {key: each["stale"] for key, each in flags_of(flagged, query).items()}
    assert found == {"expired": "expired", "done": "everyone"}


@pytest.mark.parametrize("context", ['"text"', "[]", "{targetingKey: 5}"])
def test_evaluation__of_what_is_no_context__is_the_problem_of_ofrep(flagged, context):
    query = f'{{ {HERE} {{ flags(keys: ["search"]) {{ evaluation(context: {context}) {{ value }} }} }} }}'

    told = problem(flagged, query)

    assert (told["status"], told["code"]) == (400, "malformed")


def test_flags__where_nothing_is_live_or_all_is_hidden__are_none(flagged, make_api):
    elsewhere = data(flagged, QUERY.replace("production", "staging"))
    lister = make_api("viewer", "shop", "staging")
    flagged("DELETE", "/config/shop?environment=production")
    retired = data(flagged, QUERY)

    assert elsewhere["configuration"]["flags"] is None
    assert retired["configuration"]["flags"] is None
    assert ask(lister, QUERY)["data"]["configuration"] is None


def test_flags__of_hidden_keys__are_not_there(flagged, make_api):
    flags = {"open": True, "hidden": {"enabled": True, "variants": ["kanarienvogel", "b"]}}
    publish(flagged, flags)
    viewer = make_api("viewer", "shop", "production")
    rule = {"pattern": "flags.hidden", "service": "shop"}
    assert flagged.post("/key-rules", rule).status_code == 201

    found = ask(viewer, QUERY)

    assert "kanarienvogel" not in json.dumps(found)
    assert [each["key"] for each in found["data"]["configuration"]["flags"]] == ["open"]

"""Experiments over GraphQL: the same acts and answers as over REST."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.rollouts import assigning
from tests.api.graphql_client import ask, data, problem
from tests.api.test_experiments import METRICS, VARIANTS, make, running, units_of
from tests.api.test_references import HERE, publish
from tests.flows.test_propagation import service

pytestmark = pytest.mark.django_db

MEMBERS = """id service environment name description state audience holdout share exclusion alpha
  tunedFor winner createdAt startsAt endsAt startedAt stoppedAt metrics { name kind goal }
  variants { name weight patch }"""
INPUT = """input: {service: "shop", environment: "production", name: "short-checkout",
  variants: [{name: "classic"}, {name: "short", weight: 1, patch: {checkout: {steps: 1}}}],
  metrics: [{name: "paid"}, {name: "revenue", kind: VALUE}]}"""


@pytest.fixture
def shop(operator):
    assigning.forget_known()
    service(operator, "shop")
    live = {"checkout": {"steps": 3, "theme": "light"}, "limits": {"items": 50}}
    assert publish(operator, "shop", live).status_code == 201
    return operator


def snake(told):
    """Members by REST's names."""
    names = {name: "".join(f"_{c.lower()}" if c.isupper() else c for c in name) for name in told}
    return {names[name]: value for name, value in told.items()}


def test_experiment__through_its_life__is_as_rest_shows_it(shop):
    made = data(shop, f"mutation {{ createExperiment({INPUT}) {{ {MEMBERS} }} }}")
    told = made["createExperiment"]
    at = f'id: "{told["id"]}"'
    rest = f"/experiments/{told['id']}"

    assert snake(told) == shop.get(rest).json()
    changed = f'updateExperiment({at}, input: {{description: "why"}}) {{ description }}'
    assert data(shop, f"mutation {{ {changed} }}")["updateExperiment"] == {"description": "why"}
    dry = data(shop, f"mutation {{ startExperiment({at}, input: {{dryRun: true}}) {{ state }} }}")
    assert dry["startExperiment"] == {"state": "draft"}
    data(shop, f"mutation {{ startExperiment({at}) {{ state }} }}")
    [unit] = units_of(shop, "short", 1)
    happened = (
        f'{{unit: "{unit}", metric: "paid"}}, {{unit: "{unit}", metric: "revenue", value: 2}}'
    )
    recorded = f"recordOutcomes({at}, input: {{outcomes: [{happened}]}})"
    assert data(shop, f"mutation {{ {recorded} }}") == {"recordOutcomes": 2}
    results = data(
        shop,
        f"""{{ experiment({at}) {{ state results {{ mixed mismatch splitPValue
            units {{ variant count expected }} days {{ day units {{ variant count }} }}
            comparisons {{ metric variant controlMean variantMean absoluteLift relativeLift
              fixedHorizon {{ absolute relative pValue correctedPValue lacks }}
              alwaysValid {{ absolute pValue correctedPValue lacks }} }} }} }} }}""",
    )["experiment"]["results"]
    over_rest = shop.get(f"{rest}/results").json()
    assert {each["variant"]: each["count"] for each in results["units"]} == over_rest["units"]
    assert results["splitPValue"] == over_rest["sample_ratio"]["p_value"]
    [day], [known] = results["days"], over_rest["days"]
    assert day["day"] == known["day"]
    assert {each["variant"]: each["count"] for each in day["units"]} == known["units"]
    mine, theirs = results["comparisons"][0], over_rest["comparisons"][0]
    assert mine["variantMean"] == theirs["variant_mean"] > 0
    assert snake(mine["fixedHorizon"]) == theirs["fixed_horizon"]
    assert mine["alwaysValid"]["lacks"] == theirs["always_valid"]["lacks"] == "units"
    won = data(
        shop,
        f'mutation {{ publishVariant({at}, input: {{variant: "short", message: "won"}}) {{ version'
        " configuration { live { config } } } }",
    )["publishVariant"]
    assert won["configuration"]["live"]["config"]["checkout"]["steps"] == 1
    assert shop.get(rest).json()["state"] == "stopped"


def test_draft__deleted_or_a_running_one_stopped__answers_as_rest(shop):
    draft = make(shop, name="draft").json()["id"]
    address = running(shop)
    at = f'id: "{address.rpartition("/")[2]}"'

    assert data(shop, f'mutation {{ deleteExperiment(id: "{draft}") }}') == {
        "deleteExperiment": True
    }
    refused = problem(shop, f"mutation {{ deleteExperiment({at}) }}")
    assert (refused["code"], refused["status"]) == ("not_a_draft", 409)
    stopped = data(shop, f"mutation {{ stopExperiment({at}) {{ state }} }}")
    assert stopped == {"stopExperiment": {"state": "stopped"}}


def test_invalid_input__is_the_problem_of_rest(shop):
    told = problem(
        shop, f"mutation {{ createExperiment({INPUT.replace('short', 'classic')}) {{ id }} }}"
    )
    body = {"variants": [VARIANTS[0], {**VARIANTS[1], "name": "classic"}], "metrics": METRICS}
    rest = make(shop, **body).json()

    assert told["errors"] == rest["errors"]


def test_experiments__of_others__are_not_there(shop, make_api):
    address = running(shop)
    query = f'experiment(id: "{address.rpartition("/")[2]}") {{ name }}'
    listed = "experiments { edges { node { name variants { name patch } } } }"

    assert data(shop, f"{{ {listed} {query} }}")["experiment"] == {"name": "short-checkout"}
    stranger = make_api()
    assert data(stranger, f"{{ {query} }}") == {"experiment": None}
    assert data(stranger, f"{{ {listed} }}")["experiments"]["edges"] == []
    reader = make_api("viewer", service="shop")
    [edge] = data(reader, f"{{ {listed} }}")["experiments"]["edges"]
    assert [each["name"] for each in edge["node"]["variants"]] == ["classic", "short"]
    at = address.rpartition("/")[2]
    stop = f'mutation {{ stopExperiment(id: "{at}") {{ state }} }}'
    assert problem(reader, stop)["code"] == "forbidden"
    assert shop.get(address).json()["state"] == "running"


def test_statements__of_a_list__do_not_grow_with_it(shop, django_assert_max_num_queries):
    for number in range(6):
        assert make(shop, name=f"draft-{number}").status_code == 201
    query = f"{{ experiments {{ edges {{ node {{ {MEMBERS} }} }} }} }}"
    ask(shop, query)

    with django_assert_max_num_queries(9):
        found = data(shop, query)

    assert len(found["experiments"]["edges"]) == 6
    assert shop.get(f"/experiments?{HERE}").json()["results"][0]["name"] == "draft-5"


def test_results__of_a_list__are_found_in_as_many_statements_as_of_one(shop):
    for number in range(4):
        running(shop, name=f"short-{number}", share=20)
    units_of(shop, "short", 3)
    query = """{{ experiments(first: {}) {{ edges {{ node {{ id results {{
        mixed mismatch units {{ variant count }} }} }} }} }} }}"""
    ask(shop, query.format(4))

    counts = []
    for first in (1, 4):
        with CaptureQueriesContext(connection) as asked:
            found = data(shop, query.format(first))["experiments"]["edges"]
        counts.append(len(asked))

    assert counts[0] == counts[1]
    assert len(found) == 4
    for each in found:
        rest = shop.get(f"/experiments/{each['node']['id']}/results").json()
        told = {one["variant"]: one["count"] for one in each["node"]["results"]["units"]}
        assert told == rest["units"]
    assert sum(one["count"] for each in found for one in each["node"]["results"]["units"]) > 0


@pytest.mark.parametrize(
    ("act", "pointer"),
    [
        ("createExperiment({weighted}) {{ id }}", "/variants/1/weight"),
        ("createExperiment({held}) {{ id }}", "/holdout"),
        ('recordOutcomes(id: "{id}", input: {{outcomes: [{outcome}]}})', "/outcomes/0/value"),
    ],
)
def test_number__beyond_a_double__is_malformed_as_over_rest(shop, act, pointer):
    made = make(shop, name="another").json()["id"]
    asked = act.format(
        id=made,
        weighted=INPUT.replace("weight: 1", "weight: 1e999"),
        held=INPUT.replace("input: {", "input: {holdout: 1e999, "),
        outcome='{unit: "u", metric: "revenue", value: 1e999}',
    )

    told = problem(shop, f"mutation {{ {asked} }}")

    rest = shop(
        "POST", f"/experiments/{made}/outcomes", b'{"outcomes": 1e999}', "application/json"
    ).json()
    assert (told["code"], told["status"]) == (rest["code"], rest["status"]) == ("malformed", 400)
    assert [each["pointer"] for each in told["errors"]] == [pointer]

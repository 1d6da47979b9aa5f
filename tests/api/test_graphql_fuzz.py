"""Whatever is asked of the graph: no 5xx, and nothing of what REST hides."""

import json

import pytest
from django.db import transaction
from graphql import get_named_type, is_composite_type, is_required_argument, parse, validate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.graphql_fuzz import RIGHT, TEXTS, literal, operations, whole
from tests.api.test_references import publish

pytestmark = pytest.mark.django_db

CANARY = "kanarienvogel"
EXAMPLES = 3_000 if pytest.long_form else 60
HIDDEN_NAMES = [f"{CANARY}-{number}" for number in range(3)]


@pytest.fixture
def world(operator, make_api, system, monkeypatch):
    """One client for each kind of actor; what none of them may see holds the canary.

    ``shop`` in production is what some may see, but for the keys of key rules; its other
    environments and ``vault`` are hidden whole.
    """
    from apps.configs.services.places import create_service

    create_service(actor=system, slug="vault", description=CANARY, labels={"a": CANARY})
    create_service(actor=system, slug="shop")
    operator.post("/environments", {"slug": "eu"})
    operator.post("/services/shop/sections", {"key": "flags", "type": "feature_flags"})
    section = {"key": "k", "type": "application_settings", "description": CANARY}
    operator.post("/services/vault/sections", section)
    words = {"n": 1, "security": {"word": "whoever reads something reads templates"}}
    assert operator.post("/templates", {"slug": "base", "content": words}).status_code == 201
    for number in range(3):
        tree = {
            "n": number,
            "security": {"word": f"{CANARY}{number}"},
            "db": {"password": CANARY, "user": "u"},
            "hosts": [{"password": CANARY}, {"name": "b"}],
            "flags": {"beta": {"enabled": True, "variants": [CANARY, "b"]}, "open": True},
        }
        made = publish(operator, "shop", tree, extends=[{"template": "base"}])
        assert made.status_code == 201, made.content
        publish(operator, "vault", {"n": f"{CANARY}{number}"}, message=CANARY)
    publish(operator, "shop", {"n": CANARY}, environment="staging")
    secret = {"service": "shop", "environment": "production", "value": CANARY}
    for name in ("pin", HIDDEN_NAMES[0]):
        assert operator.post("/secrets", {**secret, "name": name}).status_code == 201
    operator.post("/secrets", {**secret, "service": "vault", "name": HIDDEN_NAMES[1]})
    rule = {"name": "r", "key": "security.word", "equals": CANARY, "severity": "warning"}
    assert operator.post("/rules", {**rule, "acknowledge": True}).status_code == 201
    ids = [experiment(operator, "shop"), experiment(operator, "vault")]
    monkeypatch.setitem(TEXTS, "id", [*ids, "1", "2"])
    hidden = ("security.**", "**.password", "hosts", "flags.beta", f"$secret.{CANARY}-*")
    for pattern in hidden:
        assert operator.post("/key-rules", {"pattern": pattern}).status_code == 201
    operator.post("/service-accounts", {"slug": "app", "description": CANARY})
    operator.post("/service-accounts/app/tokens", {"name": CANARY})
    return {
        "viewer": make_api("viewer", "shop", "production"),
        "operator": make_api("operator", "shop", "production"),
        "lister": make_api("viewer", "shop", "eu"),
        "nobody": make_api(),
        "all": operator,
        "experiment": ids[0],
    }


def experiment(api, service):
    """The id of one that runs, of which some may not see the second variant, or anything."""
    hidden = CANARY if service == "vault" else "seen"
    made = api.post(
        "/experiments",
        {
            "service": service,
            "environment": "production",
            "name": hidden,
            "description": hidden,
            "variants": [
                {"name": "a"},
                {"name": "b", "patch": {"n": 9, "security": {"word": CANARY}}},
            ],
            "metrics": [{"name": "paid"}, {"name": "spent", "kind": "value"}],
        },
    )
    assert made.status_code == 201, made.content
    assert api.post(f"/experiments/{made.json()['id']}/start", {}).status_code == 200
    return made.json()["id"]


def schema():
    from apps.api.graphql.schema import schema as made

    return made._schema


def forget():
    """What is remembered of rights is of acts that were rolled back."""
    from apps.access import selectors
    from apps.audit import refusals
    from apps.delivery import acts, reads
    from apps.rollouts import assigning

    assigning.forget_known()
    selectors.forget()
    reads._waiting.clear()
    refusals.forget()
    acts._places.clear()


def send(api, query):
    """The answer to one operation, all of whose acts are undone."""
    try:
        with transaction.atomic():
            answer = api.post("/graphql", {"query": query})
            transaction.set_rollback(True)
    finally:
        forget()
    return answer


def check(who, answer, query):
    assert answer.status_code < 500, query
    told = answer.json().get("errors", [])
    if answer.status_code == 200:
        statuses = {each["extensions"]["status"] for each in told}
        assert all(status < 500 for status in statuses), (query, told)
    if who != "all":
        assert CANARY not in answer.content.decode(), (who, query, answer.content)


FUZZ = settings(
    max_examples=EXAMPLES,
    derandomize=not pytest.long_form,
    database=None,
    suppress_health_check=list(HealthCheck),
)


WHO = {
    "query": ["viewer", "operator", "lister", "nobody", "all"],
    "mutation": ["all", "all", "operator", "operator", "viewer", "lister", "nobody"],
}


def fuzz(world, kind):
    @FUZZ
    @given(who=st.sampled_from(WHO[kind]), query=operations(schema(), kind))
    def run(who, query):
        check(who, send(world[who], query), query)

    run()


def test_queries__of_any_form__show_nothing_hidden_and_never_fail(world):
    fuzz(world, "query")


def test_mutations__of_any_form__show_nothing_hidden_and_never_fail(world):
    fuzz(world, "mutation")


def test_generator__without_flaws__draws_operations_that_are_valid(world):
    """Else the fuzz would try what is refused before anything is resolved."""
    valid = []

    @settings(FUZZ, max_examples=100)
    @given(
        query=st.sampled_from(["query", "mutation"]).flatmap(
            lambda kind: operations(schema(), kind, flaws=False)
        )
    )
    def run(query):
        valid.append(not validate(schema(), parse(query)))

    run()
    assert sum(valid) > 0.9 * len(valid)


@pytest.mark.parametrize("who", ["viewer", "operator", "lister", "nobody"])
def test_every_field__of_the_query_type__shows_nothing_hidden(world, who):
    """All that lies two types below each field of the root, which chance may not reach."""
    root = schema().query_type
    reached = set()
    for name, found in root.fields.items():
        kind = get_named_type(found.type)
        given = {each: RIGHT[each] for each, a in found.args.items() if is_required_argument(a)}
        if name == "experiment":
            given["id"] = world["experiment"]
        if "environment" in found.args:
            given["environment"] = "production"
        if "first" in found.args:
            given["first"] = 2
        listed = ", ".join(f"{each}: {literal(value)}" for each, value in given.items())
        head = f"{name}({listed})" if given else name
        for depth in (2, 1):
            below = whole(schema(), kind, depth) if is_composite_type(kind) else ""
            query = f"{{ {head} {{ {below} }} }}" if below else f"{{ {head} }}"
            answer = send(world[who], query)
            check(who, answer, query)
            codes = {each["extensions"]["code"] for each in answer.json().get("errors", ())}
            assert "invalid_query" not in codes, (query, answer.content)
            if "limit" not in codes:
                reached.add(name)
                break

    assert reached == set(root.fields)


def test_fuzz__of_who_sees_all__would_find_the_canary(world):
    """Else the searches above would find nothing whatever is shown."""
    answer = send(
        world["all"],
        """{ configuration(service: "shop", environment: "staging") { live { config } }
             service(slug: "vault") { description }
             experiments(service: "vault") { edges { node { name } } } }""",
    )

    assert json.dumps(answer.json()).count(CANARY) == 3

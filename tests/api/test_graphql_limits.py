"""What a query may cost; garbage; and how many statements a query takes."""

import json

import pytest

from tests.api.graphql_client import ask, data, problem
from tests.api.test_references import publish

pytestmark = pytest.mark.django_db


def nest(depth):
    return '{ environment(slug: "x") ' + "{ parent " * depth + "{ slug }" + " }" * depth + " }"


PAGES = "{ services(first: 200) { edges { node { configurations(first: %d) { edges { node { live { version } } } } } } } }"
LIMITS = [
    ("depth", nest(20)),
    (
        "depth",
        '{ ...a } fragment a on Query { environment(slug: "x") { ...b } } fragment b on Environment '
        + "{ parent " * 16
        + "{ slug }"
        + " }" * 16,
    ),
    (
        "aliases",
        "{ " + " ".join(f'a{n}: environment(slug: "x") {{ slug }}' for n in range(60)) + " }",
    ),
    (
        "aliases",
        "{ "
        + "...f " * 30
        + "} fragment f on Query { "
        + " ".join(f"a{n}: services {{ edges {{ cursor }} }}" for n in range(3))
        + " }",
    ),
    ("tokens", "{ " + "services { edges { cursor } } " * 400 + "}"),
    ("cost", PAGES % 200),
    (
        "cost",
        "{ services(first: 200) { edges { node { configurations { edges { node { live { config } } } } } } } }",
    ),
    ("cost", '{ configurations(first: 200) { edges { node { diff(from: "1") { patch } } } } }'),
    ("depth", "{ a" + "{ a" * 600 + "}" * 600 + "}"),
]


@pytest.mark.parametrize(
    ("code", "query"), LIMITS, ids=[f"{c} {n}" for n, (c, _q) in enumerate(LIMITS)]
)
def test_limits__exceeded__are_told_before_anything_is_asked(operator, code, query):
    told = problem(operator, query)

    assert (told["status"], told["code"]) == (400, "limit")
    assert told["errors"][0]["code"] == code


def test_limits__just_within__are_answered(operator):
    data(operator, nest(11))
    data(
        operator,
        "{ " + " ".join(f'a{n}: environment(slug: "x") {{ slug }}' for n in range(50)) + " }",
    )
    data(operator, PAGES % 19)


def test_cost__page_size_in_a_variable__counts_as_given(operator):
    query = "query($n: Int) { services(first: $n) { edges { node { configurations(first: 50) { edges { node { live { config } } } } } } } }"

    assert problem(operator, query, n=200)["errors"][0]["code"] == "cost"
    assert problem(operator, query)["errors"][0]["code"] == "cost"
    data(operator, query, n=3)


def test_fragments__in_a_circle__are_refused(operator):
    query = "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }"

    assert problem_codes(operator, query) == {"invalid_query"}


def problem_codes(api, query, **variables):
    return {each["extensions"]["code"] for each in ask(api, query, **variables)["errors"]}


def test_introspection__of_the_usual_tools__is_answered_and_bounded(operator):
    from graphql import get_introspection_query

    found = data(operator, get_introspection_query(input_value_deprecation=True))["__schema"]
    deep = "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }"

    assert {each["name"] for each in found["types"]} >= {"Configuration", "Secret", "JSON"}
    assert problem_codes(operator, deep) == {"invalid_query"}


def test_introspection__without_credentials__is_401(anonymous):
    answer = anonymous.post("/graphql", {"query": "{ __schema { queryType { name } } }"})

    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"


BODIES = [
    (400, "batch", '[{"query":"{ services { edges { cursor } } }"}]'),
    (400, "malformed", '"x"'),
    (400, "malformed", "{"),
    (400, "malformed", "{}"),
    (400, "malformed", '{"query":""}'),
    (400, "malformed", '{"query":5}'),
    (400, "malformed", '{"query":"{ services { edges { cursor } } }","variables":[]}'),
    (400, "malformed", '{"query":"{ a }","variables":{"a":"\\u0000"}}'),
    (400, "malformed", '{"query":"{ a }","query":"{ a }"}'),
    (400, "unknown_member", '{"query":"{ a }","id":"x"}'),
    (413, "too_large", '{"query":"' + " " * 1_048_576 + '"}'),
]


@pytest.mark.parametrize(("status", "code", "body"), BODIES, ids=range(len(BODIES)))
def test_bodies__that_are_no_request__are_problems_as_in_rest(operator, status, code, body):
    answer = operator("POST", "/graphql", body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/graphql"]
)
def test_bodies__of_other_types__are_415(operator, kind):
    answer = operator("POST", "/graphql", '{"query":"{ a }"}', kind)

    assert answer.status_code == 415


QUERIES = [
    ("malformed", "{"),
    ("malformed", "query"),
    ("malformed", "}"),
    ("malformed", "\x7f"),
    ("malformed", '{ service(slug: "\\uD800") { slug } }'),
    ("malformed", '{ service(slug: "a\\u0000b") { slug } }'),
    ("invalid_query", "{ nothing }"),
    ("invalid_query", "{ service }"),
    ("invalid_query", "{ service(slug: 5) { slug } }"),
    ("invalid_query", '{ service(slug: "a", other: 1) { slug } }'),
    ("invalid_query", "query($a: Nothing) { services { edges { cursor } } }"),
    (
        "way",
        "query a { services { edges { cursor } } } query b { services { edges { cursor } } }",
    ),
    ("invalid_query", "fragment a on Query { services { edges { cursor } } }"),
    ("invalid_query", "{ services(first: 99999999999) { edges { cursor } } }"),
    ("invalid_query", "query($n: Int!) { services(first: $n) { edges { cursor } } }"),
    ("invalid_query", "type A { b: C }"),
]


@pytest.mark.parametrize(("code", "query"), QUERIES)
def test_queries__that_are_none__are_told_with_their_place(operator, code, query):
    answer = operator.post("/graphql", {"query": query})

    assert answer.status_code == 200
    found = answer.json()
    assert found["data"] is None
    assert {each["extensions"]["code"] for each in found["errors"]} == {code}
    strict = operator.post("/graphql", {"query": query}, accept="application/graphql-response+json")
    assert strict.status_code == 400
    assert strict["Content-Type"].startswith("application/graphql-response+json")


def test_operation__by_name__is_the_one_that_is_done(operator):
    query = (
        "query a { services { edges { cursor } } } query b { environments { edges { cursor } } }"
    )

    answer = operator.post("/graphql", {"query": query, "operationName": "b"})
    none = operator.post("/graphql", {"query": query, "operationName": "c"})

    assert list(answer.json()["data"]) == ["environments"]
    assert none.json()["errors"][0]["extensions"]["code"] == "invalid_query"


def test_get__is_for_people_in_a_browser_alone(operator, anonymous, client, django_user_model):
    person = django_user_model.objects.create_user("ada", is_staff=True)
    client.force_login(person)

    page = client.get("/graphql", headers={"accept": "text/html"})
    asked = client.get("/graphql?query={services{edges{cursor}}}")
    by_token = operator.get("/graphql", accept="text/html")
    nobody = anonymous.get("/graphql", accept="text/html")

    assert (page.status_code, page["Cache-Control"]) == (200, "no-store")
    assert b'data-url="/graphql"' in page.content
    assert (asked.status_code, asked.json()["code"]) == (405, "method_not_allowed")
    for answer in (by_token, nobody):
        assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/graphql")
    assert anonymous.get("/graphql").status_code == 401


def test_answers__are_kept_nowhere(operator):
    assert (
        operator.post("/graphql", {"query": "{ services { edges { cursor } } }"})["Cache-Control"]
        == "no-store"
    )


@pytest.fixture
def many(operator):
    """Makes so many services, each live in two environments, and all that lists hold."""
    made = iter(range(1_000))

    def make(count):
        for _each in range(count):
            name = f"s{next(made)}"
            assert operator.post("/services", {"slug": name}).status_code == 201
            section = {"key": "k", "type": "application_settings"}
            operator.post(f"/services/{name}/sections", section)
            flags = {"key": "flags", "type": "feature_flags"}
            operator.post(f"/services/{name}/sections", flags)
            operator.post("/templates", {"slug": name, "content": {"pool": 5}})
            for environment in ("staging", "production"):
                publish(operator, name, {"n": 1, "name": name}, environment=environment)
                publish(
                    operator,
                    name,
                    {"n": 2, "flags": {"a": True}},
                    environment=environment,
                    extends=[{"template": name}],
                )
                secret = {"service": name, "environment": environment, "name": "pin", "value": "v"}
                assert operator.post("/secrets", secret).status_code == 201
            operator.post("/service-accounts", {"slug": name, "environment": "staging"})
            operator.post(f"/service-accounts/{name}/tokens", {})
            operator.post("/key-rules", {"pattern": f"never.{name}", "service": name})
            grant = {"to": f"service-account:{name}", "role": "viewer", "on": {"service": name}}
            operator.post("/grants", grant)

    return make


GRAPHS = {
    """{ services { edges { node { slug sections { edges { node { key } } } section(key: "k") { type }
       configurations { edges { node { service { slug owner } environment { slug parent { slug } }
       live { checksum config configuration { service { slug } } } } } } } } } }""": 8,
    """{ services { edges { node { configurations { edges { node {
       version(number: 1) { source { content } } secrets { edges { node { name rotation } } } } } } } } }
       roles { edges { node { name } } } }""": 7,
    """{ services { edges { node { configurations(first: 2) { edges { node {
       history(first: 1) { edges { node { keys checksum whole { config } } } } } } } } } } }""": 5,
    """{ environments { edges { node { slug configurations { edges { node { live { version } } } } } } }
       templates { edges { node { newest { content } versions { edges { node { version } } } } } } }""": 7,
    """{ secrets { edges { node { name configuration { live { version } } rotationStatus { state }
       users { hidden results { service { slug } } }
       versions { edges { node { stages destroyed } } } } } } }""": 12,
    """{ serviceAccounts { edges { node { slug environment { slug }
       tokens { edges { node { id } } } } } } grants { edges { node { to on { service keyRule } } } }
       keyRules { edges { node { pattern service } } } rules { edges { node { name } } }
       audit { edges { node { action } } } }""": 13,
    """{ matrix { edges { node { service { slug } cells { environment apart { keys }
       configuration { live { version } } } } } } }""": 7,
    """{ services { edges { node { configurations(first: 2) { edges { node {
       flags { key stale evaluation { value reason } } } } } } } } }""": 5,
}
"""Queries over lists in lists, and in how many statements each is answered."""


def test_queries__of_the_graph__are_as_many_for_few_as_for_many(many, operator, make_api, settings):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    settings.PAGE_SIZE = 10
    restricted = make_api("viewer")
    counts = {}
    for size, more in (("few", 1), ("many", 4)):
        many(more)
        for who, api in (("all", operator), ("some", restricted)):
            counts[size, who] = {}
            for query in GRAPHS:
                ask(api, query)
                with CaptureQueriesContext(connection) as captured:
                    found = ask(api, query)
                told = {each["extensions"]["code"] for each in found.get("errors", [])}
                assert told <= ({"forbidden"} if who == "some" else set()), found["errors"]
                counts[size, who][query] = len(captured)

    assert counts["few", "all"] == counts["many", "all"]
    assert counts["few", "some"] == counts["many", "some"]
    assert counts["many", "all"] == GRAPHS


COUNTS = {
    "{ services { edges { node { slug owner } } } }": 2,
    '{ configuration(service: "s0") { live { config } } }': 2,
    "{ configurations { edges { node { service { slug } environment { slug } live { config } } } } }": 5,
    "{ templates { edges { node { newest { content } } } } }": 3,
    "{ matrix { edges { node { service { slug } cells { version } } } } }": 6,
}


def test_queries__of_single_fields__are_as_checked_in(many, operator):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    many(3)
    found = {}
    for query in COUNTS:
        ask(operator, query)
        with CaptureQueriesContext(connection) as captured:
            data(operator, query)
        found[query] = len(captured)

    assert found == COUNTS


def test_number__written_in_the_query__keeps_its_digits(operator):
    from graphql import parse_value

    from apps.api.graphql.scalars import read_literal
    from apps.engine.values import compact

    text = '{a: 1.10, b: [1e2, -0, 9007199254740993], c: null, d: true, e: "x"}'

    assert compact(read_literal(parse_value(text))) == json.dumps(
        {"a": 0, "b": [], "c": None, "d": True, "e": "x"}, separators=(",", ":")
    ).replace('"a":0', '"a":1.10').replace("[]", "[1e2,-0,9007199254740993]")

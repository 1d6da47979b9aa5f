"""A restricted caller sees in the graph what REST shows him, and nothing else."""

import json

import pytest

from tests.api.graphql_client import ask, data, problem
from tests.api.test_references import publish
from tests.conftest import client_with

pytestmark = pytest.mark.django_db

CANARY = "kanarienvogel"
HERE = 'configuration(service: "shop", environment: "production")'


@pytest.fixture(scope="module")
def hidden(operator):
    """A viewer of ``shop`` in production from whom a rule hides keys; ``vault`` is hidden whole."""
    for slug in ("shop", "vault"):
        operator.post("/services", {"slug": slug})
    operator.post("/templates", {"slug": "base", "content": {"pool": 5}})
    for number in range(3):
        tree = {
            "n": number,
            "security": {"word": f"{CANARY}{number}"},
            "db": {"password": CANARY, "user": "u"},
            "hosts": [{"password": CANARY}, {"name": "b"}],
        }
        answer = publish(operator, "shop", tree, extends=[{"template": "base"}])
        assert answer.status_code == 201, answer.content
        publish(operator, "vault", {"n": f"{CANARY}{number}"})
    secret = {"environment": "production", "name": f"{CANARY}-pin", "value": CANARY}
    for service in ("shop", "vault"):
        assert operator.post("/secrets", {**secret, "service": service}).status_code == 201
    rule = {"name": "tells", "key": "security.word", "equals": CANARY, "severity": "warning"}
    assert operator.post("/rules", {**rule, "acknowledge": True}).status_code == 201
    for pattern in ("security.**", "**.password", "hosts", f"$secret.{CANARY}-*"):
        assert operator.post("/key-rules", {"pattern": pattern}).status_code == 201
    return client_with("viewer", "shop", "production")


EVERYTHING = f"""{{ {HERE} {{
  live {{ version checksum keys config source {{ content extends }} lock
    file(format: "yaml") word: value(key: "security.word") }}
  history {{ edges {{ node {{ version keys checksum whole {{ config keys }} }} }} }}
  diff(from: "1") {{ changes patch unified }}
  explain {{ key }} dependencies {{ layers references {{ key }} }} dependents {{ hidden }}
  secrets {{ edges {{ node {{ name }} }} }} }} }}"""


def test_hidden_keys__everywhere__are_left_out_as_in_rest(hidden):
    answer = hidden.post("/graphql", {"query": EVERYTHING})

    assert CANARY not in answer.content.decode()
    found = answer.json()["data"]["configuration"]
    here = "environment=production"
    live = hidden.get(f"/config/shop?{here}").json()
    assert (found["live"]["config"], found["live"]["checksum"]) == (
        live["config"],
        live["checksum"],
    )
    assert live["config"] == {"n": 2, "db": {"user": "u"}, "pool": 5}
    whole = hidden.get(f"/config/shop/versions/3?{here}").json()
    assert found["live"]["source"] == {n: whole["source"][n] for n in ("content", "extends")}
    assert (found["live"]["lock"], found["live"]["keys"]) == (whole["lock"], whole["keys"])
    assert found["live"]["word"] is None
    assert found["live"]["file"].encode() == hidden.get(f"/config/shop.yaml?{here}").content
    rows = [each["node"] for each in found["history"]["edges"]]
    shown = hidden.get(f"/config/shop/history?{here}").json()["results"]
    for row, there in zip(rows, shown, strict=True):
        assert [row[n] for n in ("version", "keys", "checksum")] == [
            there[n] for n in ("version", "keys", "checksum")
        ]
        assert row["whole"]["keys"] == row["keys"]
    diff = hidden.get(f"/config/shop/diff?{here}&from=1").json()
    assert found["diff"]["changes"] == diff["changes"]
    explained = hidden.get(f"/config/shop/explain?{here}").json()["results"]
    assert [each["key"] for each in found["explain"]] == [each["key"] for each in explained]
    assert found["secrets"]["edges"] == []


def test_history__first_page_and_by_cursor__hide_the_same(hidden):
    """The first page is found for many at once, the next for one: by different statements."""
    query = f"""query($a: String) {{ {HERE} {{ history(first: 2, after: $a) {{
               edges {{ cursor node {{ version keys checksum }} }} }} }} }}"""
    whole = data(hidden, query.replace("first: 2", "first: 200"))["configuration"]["history"][
        "edges"
    ]
    first = data(hidden, query)["configuration"]["history"]["edges"]
    second = data(hidden, query, a=first[-1]["cursor"])["configuration"]["history"]["edges"]

    assert first + second == whole
    assert [each["node"]["keys"] for each in whole] == [["n"], ["n"], ["db", "n", "pool"]] or whole


LOOKUPS = [
    'service(slug: "%s") { slug }',
    'configuration(service: "%s", environment: "production") { live { version } }',
    'configuration(service: "shop", environment: "%s") { live { version } }',
    'environment(slug: "%s") { slug }',
    'secret(service: "%s", name: "x", environment: "production") { name }',
    'secret(service: "shop", name: "%s", environment: "production") { name }',
    'rule(name: "%s") { name }',
    'serviceAccount(slug: "%s") { slug }',
    'snapshot(services: ["shop", "%s"]) { revision }',
    'across(service: "%s") { results { key } }',
    'configuration(service: "shop") { diff(from: "%s") { patch } }',
]
NAMES = ["vault", "development", "staging", f"{CANARY}-pin", "tells", "robot-0"]


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_lookups__of_what_is_hidden_and_what_is_missing__are_answered_alike(hidden, lookup):
    def told(name):
        query = f"{{ {lookup % name} }}"
        return hidden.post("/graphql", {"query": query}).content.decode().replace(name, "NAME")

    answers = {told(name) for name in [*NAMES, "no-such-thing"]}

    assert len({answer.partition('"locations"')[0] for answer in answers}) == 1, answers
    assert "internal" not in "".join(answers)


def test_lists__of_who_sees_little__hold_what_rest_lists(hidden):
    found = data(
        hidden,
        """{ services { edges { node { slug } } } environments { edges { node { slug } } }
             configurations { edges { node { service { slug } environment { slug } } } }
             secrets { edges { node { name } } } rules { edges { node { name } } }
             matrix { edges { node { service { slug } cells { environment } } } }
             templates { edges { node { slug } } } }""",
    )

    def names(name):
        return [next(iter(each["node"].values())) for each in found[name]["edges"]]

    for name in ("services", "environments", "secrets", "rules", "templates"):
        rows = hidden.get(f"/{name}").json()["results"]
        assert names(name) == [each.get("slug", each.get("name")) for each in rows], name
    (only,) = found["configurations"]["edges"]
    assert only["node"] == {"service": {"slug": "shop"}, "environment": {"slug": "production"}}
    assert found["matrix"]["edges"] == [
        {"node": {"service": {"slug": "shop"}, "cells": [{"environment": "production"}]}}
    ]


@pytest.mark.parametrize(
    ("query", "address"),
    [
        ("{ grants { edges { cursor } } }", "/grants"),
        ("{ keyRules { edges { cursor } } }", "/key-rules"),
        ("{ audit { edges { cursor } } }", "/audit"),
        ("{ checkpoints { edges { cursor } } }", "/audit/checkpoints"),
        ("{ roles { edges { cursor } } }", "/roles"),
        ("{ serviceAccounts { edges { cursor } } }", "/service-accounts"),
        (
            f"{{ {HERE} {{ readers {{ account }} }} }}",
            "/config/shop/readers?environment=production",
        ),
        (f"{{ {HERE} {{ unread }} }}", "/config/shop/unread?environment=production"),
        (f'{{ {HERE} {{ diff(from: "99") {{ patch }} }} }}', "/config/shop/diff?from=99"),
        (f'{{ {HERE} {{ diff(from: "a@b") {{ patch }} }} }}', "/config/shop/diff?from=a@b"),
        (f'{{ {HERE} {{ explain(keys: ["a["]) {{ key }} }} }}', "/config/shop/explain?key=a["),
        (f"{{ {HERE} {{ unread(days: 0) }} }}", "/config/shop/unread?days=0"),
        ('{ role(name: "viewer") { name } }', "/roles/viewer"),
        ('{ audit(since: "x") { edges { cursor } } }', "/audit?since=x"),
        (
            f'{{ {HERE} {{ history(since: "soon") {{ edges {{ cursor }} }} }} }}',
            "/config/shop/history?since=soon",
        ),
    ],
)
def test_refusals__each__are_the_problem_of_rest(hidden, query, address):
    shown = hidden.get(address).json()

    told = problem(hidden, query)

    assert told == shown


def test_refused_read__is_counted_and_refused_field__leaves_the_others(hidden):
    from apps.audit.models import RefusedRead
    from apps.audit.refusals import _write, forget  # noqa: F401 - what is counted is written later

    found = ask(
        hidden,
        '{ grants { edges { cursor } } service(slug: "vault") { slug } services { edges { node { slug } } } }',
    )

    assert found["data"]["services"]["edges"] == [{"node": {"slug": "shop"}}]
    assert [each["path"] for each in found["errors"]] == [["grants"]]
    from apps.audit import refusals

    targets = {target for _actor, target in refusals._reads}
    assert "installation" in targets
    assert any("service" in target for target in targets)
    assert RefusedRead.objects.count() >= 0


def test_person__by_session__sees_what_his_rights_say_and_needs_the_csrf_token(
    hidden, django_user_model, client, system
):
    from django.test import Client

    from apps.access import services
    from apps.access.policy import Place
    from apps.registry.selectors import get_environment, get_service

    ada = django_user_model.objects.create_user("ada", is_staff=True)
    place = Place(get_service("shop"), get_environment("production"))
    services.grant(actor=system, to="user:ada", role="viewer", on=place)
    client.force_login(ada)
    body = json.dumps({"query": EVERYTHING})

    answer = client.post("/graphql", body, "application/json")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    forged = strict.post("/graphql", body, "application/json")

    assert answer.status_code == 200
    assert CANARY not in answer.content.decode()
    assert answer.json()["data"]["configuration"]["live"]["config"]["n"] == 2
    assert (forged.status_code, forged.json()["code"]) == (403, "csrf")


def test_superuser__sees_what_rules_hide(hidden, client, django_user_model):
    root = django_user_model.objects.create_user("root", is_staff=True, is_superuser=True)
    client.force_login(root)

    answer = client.post("/graphql", json.dumps({"query": EVERYTHING}), "application/json")

    assert "errors" not in answer.json()
    assert answer.json()["data"]["configuration"]["live"]["word"] == f"{CANARY}2"

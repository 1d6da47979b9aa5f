"""Who may ask what of the graph: every kind of actor at every field that leads somewhere, against one table.

A new query, mutation or subscription, and a new field of a configuration, that has no row here
fails the test.
"""

from itertools import product

import pytest

from tests.contracts.actors import ACTORS, EVERYWHERE, expected, leaks
from tests.contracts.test_rights_matrix import trial

pytestmark = pytest.mark.django_db

# field of a configuration: (what is asked of it, verb, key); as the rows of REST.
CONFIGURATION = {
    "live": [
        ('live { version config source { content } lock keys file(format: "yaml") }', "read", None),
        ('live { value(key: "free") }', "read", "free"),
        ('live { value(key: "ruled.pin") }', "read", "ruled"),
    ],
    "version": [("version(number: 1) { config keys }", "read", None)],
    "atTime": [('atTime(at: "2100-01-01T00:00:00Z") { config }', "read", None)],
    "history": [("history { edges { node { keys whole { version } } } }", "read or audit", None)],
    "diff": [('diff(from: "1") { changes patch unified }', "read", None)],
    "explain": [("explain { key layers { name } }", "read", None)],
    "dependencies": [("dependencies { layers references { key } }", "read", None)],
    "dependents": [("dependents { hidden }", "read", None)],
    "readers": [("readers { account }", "audit", None)],
    "unread": [("unread", "audit", None)],
    "secrets": [("secrets { edges { node { name version } } }", "list", None)],
    "flags": [("flags { key evaluation { value } }", "read", None)],
    "service": [("service { slug }", "list", None)],
    "environment": [("environment { slug }", "list", None)],
}
HERE = 'configuration(service: "shop", environment: "production")'
SHOP = 'service: "shop", environment: "production"'
EDGES = "{ edges { cursor } }"
# query: what is asked, verb, key: of the configuration.
OF_SHOP = {
    "snapshot": ('(services: ["shop"], environment: "production") { results { config } }', "read"),
    "across": ('(service: "shop") { results { key values { value } } }', "read"),
    "secret": (
        f'({SHOP}, name: "pin") {{ versions {{ edges {{ node {{ version }} }} }} }}',
        "list",
    ),
    "pastSecret": (
        f'(at: "2100-01-01T00:00:00Z", {SHOP}, name: "pin") {{ version }}',
        "list",
    ),
    "service": ('(slug: "shop") { slug sections { edges { node { key } } } }', "list"),
}
# query: what is asked, and the verbs of which one is needed everywhere.
INSTALLATION = {
    "audit": (EDGES, {"audit"}),
    "checkpoints": (EDGES, {"audit"}),
    "verifications": (EDGES, {"audit"}),
    "grants": (EDGES, {"audit", "manage"}),
    "keyRules": (EDGES, {"audit", "secure"}),
    "serviceAccounts": (EDGES, {"manage", "audit"}),
    "roles": (EDGES, {"manage", "secure", "audit"}),
    "backups": (EDGES, {"manage", "audit"}),
    "backupRuns": (EDGES, {"manage", "audit"}),
    "role": ('(name: "viewer") { name }', {"manage", "secure", "audit"}),
    "serviceAccount": (
        '(slug: "robot-0") { slug tokens { edges { cursor } } }',
        {"manage", "audit"},
    ),
}
# Why the others need no row.
OTHERS = {
    "backup": "as the list (tests/api/test_backups)",
    "backupRun": "as the list (tests/api/test_backups)",
    "configuration": "above, field by field",
    "configurations": "filtered by sight (tests/api/test_graphql_rights)",
    "services": "filtered by sight (test_graphql_rights)",
    "environment": "as the list (test_graphql_rights)",
    "environments": "filtered by sight (test_graphql_rights)",
    "keyRule": "as the list (test_graphql_rights)",
    "experiment": "test_experiments below",
    "experiments": "test_experiments below",
    "matrix": "filtered by sight (test_graphql_rights)",
    "position": "the ledger's end: anybody who is logged in",
    "rule": "as the list (test_graphql_rights)",
    "rules": "filtered by sight (test_graphql_rights)",
    "secrets": "filtered by sight (test_graphql_rights)",
    "pastSecrets": "filtered by sight (tests/api/test_past_reads)",
    "template": "as the list (test_graphql_rights)",
    "templates": "filtered by sight (test_graphql_rights)",
    "validate": "as REST, which does it (test_graphql_mutations)",
    "render": "as REST, which does it (test_graphql_mutations)",
    "changes": "as the other streams (tests/flows/test_graphql_watch)",
}
STATUSES = {"not_found": 404, "forbidden": 403}


def ask(api, query):
    """The status that REST would answer with, and the body."""
    answer = api.post("/graphql", {"query": f"{{ {query} }}"})
    found = answer.json()
    if errors := found.get("errors"):
        return STATUSES[errors[0]["extensions"]["code"]], answer.content
    value = found["data"]
    while isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    return 404 if value is None else 200, answer.content


ANYWHERE = {"keyRules", "serviceAccounts", "roles", "role"}
"""What somebody who has the verb somewhere may ask for: it holds what is his."""


def of_installation(name, field, verbs):
    """The statuses of what is about the installation as a whole."""
    may = name in EVERYWHERE and ACTORS[name][1] & verbs
    return {200} if may or (name == "elsewhere" and field in ANYWHERE) else {403, 404}


def wrong_of(world, rows):
    """The rows of ``(name, query, statuses)`` that are answered otherwise, and what leaks."""
    wrong = []
    for name, query, statuses in rows:
        status, content = ask(world[name], query)
        if status not in statuses or leaks(name, content):
            wrong.append((name, query, status, statuses, leaks(name, content), content[:200]))
    return wrong


def test_configuration__each_actor_and_field__is_answered_as_the_table_says(world):
    asked = [row for rows in CONFIGURATION.values() for row in rows]
    rows = [
        (name, f"{HERE} {{ {query} }}", expected(name, verb, key))
        for name, (query, verb, key) in product(ACTORS, asked)
    ]

    wrong = wrong_of(world, rows)

    assert wrong == [], "\n".join(map(str, wrong))


def test_shop__each_actor_and_query__is_answered_as_the_table_says(world):
    rows = [
        (name, f"{field} {query}", expected(name, verb, None))
        for name, (field, (query, verb)) in product(ACTORS, OF_SHOP.items())
    ]

    wrong = wrong_of(world, rows)

    assert wrong == [], "\n".join(map(str, wrong))


EXPERIMENT = "{ name variants { patch } results { mixed units { count } } }"
THEN = "{ name variants { patch } }"


def test_experiments__each_actor_and_query__exist_for_who_may_read_their_configuration(world):
    pk = trial(world, "runs", started=True)
    rows = []
    for name in ACTORS:
        statuses = {200} if "read" in ACTORS[name][1] else {404}
        rows += [
            (name, f'experiment(id: "{pk}") {EXPERIMENT}', statuses),
            (name, f'experiment(id: "{pk}", at: "2100-01-01T00:00:00Z") {THEN}', statuses),
            (name, f"experiments {{ edges {{ node {EXPERIMENT} }} }}", {200}),
        ]

    wrong = wrong_of(world, rows)

    assert wrong == [], "\n".join(map(str, wrong))


def test_installation__each_actor_and_query__is_answered_as_the_table_says(world):
    rows = [
        (name, f"{field} {query}", of_installation(name, field, verbs))
        for name, (field, (query, verbs)) in product(ACTORS, INSTALLATION.items())
    ]

    wrong = wrong_of(world, rows)

    assert wrong == [], "\n".join(map(str, wrong))


def test_map__every_field_that_leads_somewhere__has_its_row():
    from apps.api.graphql.schema import schema

    graph = schema._schema
    roots = (graph.query_type, graph.mutation_type, graph.subscription_type)
    asked = [name for root in roots if root for name in root.fields]

    acts = set(graph.mutation_type.fields)  # as REST, which does them: test_graphql_mutations
    assert set(asked) - acts == {*OF_SHOP, *INSTALLATION, *OTHERS}
    assert set(graph.type_map["Configuration"].fields) == set(CONFIGURATION)

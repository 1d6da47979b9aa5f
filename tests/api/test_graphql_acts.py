"""What each kind of actor may do by a mutation: what REST does, or its very refusal."""

import pytest

from tests.api.graphql_client import ask
from tests.api.test_references import publish
from tests.conftest import client_with

pytestmark = pytest.mark.django_db

HERE = 'environment: "production"'
REFUSED = [
    ('publish(service: "none", input: {config: {}}) { version }', "POST /config/none", {"config": {}}),
    ('publish(service: "shop", input: {config: {a: 1}}) { version }', "POST /config/shop", {"config": {"a": 1}}),
    ('publish(service: "shop", input: {}) { version }', "POST /config/shop", {}),
    (
        'publish(service: "shop", input: {config: {a: 2}, baseVersion: 7}) { version }',
        "POST /config/shop",
        {"config": {"a": 2}, "base_version": 7},
    ),
    (
        'publish(service: "shop", input: {config: {a: "${secret:none}"}, onStale: OVERWRITE}) { version }',
        "POST /config/shop",
        {"config": {"a": "${secret:none}"}, "on_stale": "overwrite"},
    ),
    (
        'publish(service: "shop", input: {content: "a: [", format: "yaml", onStale: OVERWRITE}) { version }',
        "POST /config/shop",
        {"content": "a: [", "format": "yaml", "on_stale": "overwrite"},
    ),
    (
        'rollback(service: "shop", input: {toVersion: 9}) { version }',
        "POST /config/shop/rollback",
        {"to_version": 9},
    ),
    ('promote(service: "shop", input: {from: "mars"}) { version }', "POST /config/shop/promote", {"from": "mars"}),
    ('createService(input: {slug: "shop"}) { slug }', "POST /services", {"slug": "shop"}),
    ('createService(input: {slug: "a b"}) { slug }', "POST /services", {"slug": "a b"}),
    ('deleteService(slug: "shop")', "DELETE /services/shop", None),
    ('createEnvironment(input: {slug: "live"}) { slug }', "POST /environments", {"slug": "live"}),
    (
        'createGrant(input: {to: "user:none", role: "viewer"}) { id }',
        "POST /grants",
        {"to": "user:none", "role": "viewer"},
    ),
    ("withdrawGrant(id: 999999)", "DELETE /grants/999999", None),
    ("deleteKeyRule(id: -1)", "DELETE /key-rules/-1", None),
    ('deleteRole(name: "viewer")', "DELETE /roles/viewer", None),
    ('createRule(input: {name: "r", expression: "(("}) { name }', "POST /rules", {"name": "r", "expression": "(("}),
    (
        'revealSecret(service: "shop", name: "none") { value }',
        "POST /secrets/shop/none/reveal",
        {},
    ),
    (
        'withdrawToken(account: "robot-0", token: "x")',
        "DELETE /service-accounts/robot-0/tokens/x",
        None,
    ),
]  # fmt: skip


DRY = {"environment": "production", "dry_run": True}
LIKE_REST = [
    (
        f'publish(service: "shop", input: {{ {HERE}, config: {{a: 5}}, onStale: OVERWRITE, dryRun: true }}) {{ version }}',
        "POST /config/shop",
        {**DRY, "config": {"a": 5}, "on_stale": "overwrite"},
    ),
    (
        f'retire(service: "shop", input: {{ {HERE}, dryRun: true }}) {{ version }}',
        "DELETE /config/shop?environment=production&dry_run=true",
        None,
    ),
    (
        f'rollback(service: "shop", input: {{ {HERE}, toVersion: 1, dryRun: true }}) {{ version }}',
        "POST /config/shop/rollback",
        {**DRY, "to_version": 1},
    ),
    (
        f'refresh(service: "shop", input: {{ {HERE}, dryRun: true }}) {{ version }}',
        "POST /config/shop/refresh",
        DRY,
    ),
    (
        'promote(service: "shop", input: { environment: "staging", from: "production", dryRun: true }) { version }',
        "POST /config/shop/promote",
        {"environment": "staging", "from": "production", "dry_run": True},
    ),
    (
        f'redact(service: "shop", input: {{ {HERE}, version: 9, key: "a" }}) {{ texts }}',
        "POST /config/shop/redact",
        {"environment": "production", "version": 9, "key": "a"},
    ),
    (
        f'revealConfiguration(service: "shop", {HERE}) {{ version }}',
        "GET /config/shop?environment=production&reveal=true",
        None,
    ),
    (
        f'revealSecret(service: "shop", {HERE}, name: "pin") {{ value }}',
        "POST /secrets/shop/pin/reveal?environment=production",
        {},
    ),
    (
        f'writeSecret(service: "shop", {HERE}, name: "pin", value: "v") {{ version }}',
        "POST /secrets/shop/pin/versions?environment=production",
        {"value": "v"},
    ),
    (
        f'rotateSecret(service: "shop", {HERE}, name: "pin") {{ state }}',
        "POST /secrets/shop/pin/rotate?environment=production",
        {},
    ),
    (
        'updateService(slug: "shop", input: {name: "s"}) { slug }',
        "PATCH /services/shop",
        {"name": "s"},
    ),
    (
        'updateEnvironment(slug: "production", input: {name: "p"}) { dryRun }',
        "PATCH /environments/production",
        {"name": "p"},
    ),
    (
        'createKeyRule(input: {pattern: "["}) { id }',
        "POST /key-rules",
        {"pattern": "["},
    ),
    (
        'putRole(name: "own", input: {verbs: ["list"]}) { name }',
        "PUT /roles/own",
        {"verbs": ["list"]},
    ),
    ("verifyLedger", "POST /audit/verification", {}),
    ("createBackup { id }", "POST /backups", {}),
    ("drillBackup { id }", "POST /backups/drill", {}),
    ('verifyBackup(name: "x.configsvc") { id }', "POST /backups/x.configsvc/verify", {}),
    ("pruneBackups(dryRun: true) { keep }", "POST /backups/prune", {"dry_run": True}),
]
WHO = [
    None,
    "viewer",
    "consumer",
    "developer",
    "operator",
    "auditor",
    "security-officer",
    "administrator",
]


@pytest.fixture(scope="module")
def actors(operator):
    """Clients by their roles, and something for them to act on."""
    operator.post("/services", {"slug": "shop"})
    secret = {"service": "shop", "environment": "production", "name": "pin", "value": "v"}
    operator.post("/secrets", secret)
    publish(operator, "shop", {"a": 0, "ruled": 1, "db": {"$secret": "pin"}})
    operator.post("/key-rules", {"pattern": "ruled"})
    return {who: client_with(who) for who in WHO}


@pytest.mark.parametrize(
    ("mutation", "act", "body"),
    [*REFUSED, *LIKE_REST],
    ids=[each[0].partition("{")[0] for each in [*REFUSED, *LIKE_REST]],
)
def test_acts__of_each_kind_of_actor__are_refused_as_in_rest_or_done(actors, mutation, act, body):
    for who, api in actors.items():
        answer = api(*act.split(), body)
        told = ask(api, f"mutation {{ {mutation} }}")

        if answer.status_code < 300:
            assert "errors" not in told, (who, told)
        else:
            (error,) = told["errors"]
            problem = {"detail": error["message"], **error["extensions"]}
            assert problem == answer.json(), who

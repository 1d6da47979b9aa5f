"""Mutations: what REST does, done by the same views; each one act, one after the other."""

import ast
import json
from pathlib import Path

import pytest

from tests.api.graphql_client import ask, data, problem
from tests.api.test_references import publish

pytestmark = pytest.mark.django_db

HERE = 'environment: "production"'
IS_A_QUERY = {
    ("ValidateView", "post"): "validate",
    ("TemplateRenderView", "post"): "render",
    ("FlagOfServiceView", "post"): "flags",
    ("FlagOfCallerView", "post"): "flags",
    ("FlagsOfServiceView", "post"): "flags",
    ("FlagsOfCallerView", "post"): "flags",
}
WRITING = ("post", "put", "patch", "delete")


def acts_of_rest():
    from apps.api.urls import urlpatterns

    views = {each.callback.cls for each in urlpatterns if hasattr(each.callback, "cls")}
    return {(each.__name__, verb) for each in views for verb in WRITING if hasattr(each, verb)}


def acts_of_graphql():
    from apps.api.graphql import mutations

    found = set()
    for file in Path(mutations.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "perform":
                found.add((node.args[1].id, node.args[2].value))
    return found


def test_mutations__are_there_for_all_that_rest_writes():
    """An address of REST that writes needs a mutation, or is a query that has a reason to be POST."""
    missing = acts_of_rest() - acts_of_graphql() - set(IS_A_QUERY) - {("GraphQLView", "post")}

    assert not missing


def test_configuration__through_its_life__is_as_rest_shows_it(operator):
    data(
        operator,
        """mutation { createService(input: {slug: "shop", labels: {team: "a"}}) { slug labels }
           createTemplate(input: {slug: "base", content: {pool: 5}}) { newest { content } } }""",
    )
    outcome = "version revision unchanged dryRun changes { key kind old new } warnings { code } affected { hidden }"

    done = data(
        operator,
        f"""mutation($config: JSON) {{
          first: publish(service: "shop", input: {{ {HERE}, config: $config,
              extends: [{{template: "base"}}], message: "one" }}) {{ {outcome}
              configuration {{ live {{ version message config }} }} }}
          dry: patch(service: "shop", input: {{ {HERE}, merge: {{n: 2}}, dryRun: true }}) {{ {outcome} }}
          merged: patch(service: "shop", input: {{ {HERE}, merge: {{n: 2}} }}) {{ {outcome} }}
          patched: patch(service: "shop", input: {{ {HERE},
              operations: [{{op: "replace", path: "/n", value: 3}}] }}) {{ {outcome} }}
          same: publish(service: "shop", input: {{ {HERE}, baseVersion: 3, config: {{n: 3, price: 1.10}} }})
              {{ {outcome} }}
          back: rollback(service: "shop", input: {{ {HERE}, toVersion: 1 }}) {{ {outcome} }}
          fresh: refresh(service: "shop", input: {{ {HERE} }}) {{ {outcome} }}
          over: promote(service: "shop", input: {{ environment: "staging", from: "production" }}) {{ {outcome} }}
          gone: retire(service: "shop", input: {{ environment: "staging" }}) {{ {outcome} }} }}""",
        config={"n": 1, "price": 1},
    )

    versions = {name: each["version"] for name, each in done.items()}
    assert versions == {
        "first": 1,
        "dry": None,
        "merged": 2,
        "patched": 3,
        "same": 4,
        "back": 5,
        "fresh": 5,
        "over": 1,
        "gone": 2,
    }
    live = done["first"]["configuration"]["live"]
    assert live == {"version": 1, "message": "one", "config": {"n": 1, "price": 1, "pool": 5}}
    change = {"key": "n", "kind": "changed", "old": 1, "new": 2}
    assert change in done["merged"]["changes"]
    assert (done["dry"]["dryRun"], done["dry"]["changes"]) == (True, done["merged"]["changes"])
    assert done["fresh"]["unchanged"]
    history = operator.get("/config/shop/history?environment=production").json()["results"]
    made = [done[name]["revision"] for name in ("back", "same", "patched", "merged", "first")]
    assert [each["revision"] for each in history] == made
    assert operator.get("/config/shop?environment=staging").status_code == 410


def test_numbers__in_a_query_and_in_variables__keep_their_digits(operator):
    operator.post("/services", {"slug": "shop"})
    body = (
        '{"query":"mutation($c: JSON) { a: publish(service: \\"shop\\", input: {config: $c, '
        'environment: \\"production\\"}) { version } b: patch(service: \\"shop\\", input: {merge: '
        '{b: 1.10, c: 9007199254740993}, environment: \\"production\\"}) { version } }",'
        '"variables":{"c":{"a":2.50}}}'
    )

    assert "errors" not in operator("POST", "/graphql", body).json()

    served = operator.get("/config/shop?environment=production").content.decode()
    assert '"config":{"a":2.50,"b":1.10,"c":9007199254740993}' in served


def test_places_and_templates__written__are_as_rest_shows_them(operator):
    done = data(
        operator,
        """mutation { createEnvironment(input: {slug: "eu", parent: "production"}) { slug parent { slug } }
           createService(input: {slug: "shop", name: "Shop"}) { slug name }
           updateService(slug: "shop", input: {description: "d"}) { name description }
           createSection(service: "shop", input: {key: "s", type: APPLICATION_SETTINGS}) { key type }
           updateSection(service: "shop", key: "s", input: {schema: {type: "object"}}) { schema }
           publish(service: "shop", input: {environment: "production", config: {s: {a: 1}}}) { version }
           updateEnvironment(slug: "eu", input: {parent: null}) { environment { parent { slug } } dryRun
             affected { results { service } hidden } }
           createTemplate(input: {slug: "base", content: {n: 1}, message: "m"}) { slug newest { version } }
           publishTemplate(slug: "base", input: {content: {n: 2}, baseVersion: 1})
             { version { version content } unchanged }
           dry: publishTemplate(slug: "base", input: {content: {n: 3}, dryRun: true, baseVersion: 2})
             { version { version } dryRun }
           renameTemplate(slug: "base", name: "Base") { name }
           deleteTemplate(slug: "base") deleteSection(service: "shop", key: "s")
           deleteEnvironment(slug: "eu") }""",
    )

    assert done["createEnvironment"] == {"slug": "eu", "parent": {"slug": "production"}}
    assert done["updateService"] == {"name": "Shop", "description": "d"}
    assert done["createSection"] == {"key": "s", "type": "application_settings"}
    assert done["updateSection"] == {"schema": {"type": "object"}}
    assert done["updateEnvironment"]["environment"] == {"parent": None}
    assert done["publishTemplate"]["version"] == {"version": 2, "content": {"n": 2}}
    assert done["dry"] == {"version": None, "dryRun": True}
    assert done["renameTemplate"] == {"name": "Base"}
    assert operator.get("/environments/eu").status_code == 404
    assert operator.get("/templates/base").status_code == 404
    assert problem(operator, 'mutation { deleteService(slug: "shop") }')["status"] == 422


def test_secrets__written_and_revealed__show_values_to_reveal_alone(operator):
    operator.post("/services", {"slug": "shop"})
    value = "kanarienvogel"
    where = f'service: "shop", {HERE}, name: "pin"'

    done = ask(
        operator,
        f"""mutation($v: JSON!) {{
          createSecret(input: {{ {where}, value: $v }}) {{ name version }}
          writeSecret({where}, value: $v) {{ version stages }}
          updateSecret({where}, input: {{description: "d", rotation: {{rotator: "password"}}}})
            {{ description rotation }}
          rotateSecret({where}) {{ state }} }}""",
        v=value,
    )
    shown = data(operator, f"mutation {{ revealSecret({where}) {{ version value }} }}")
    old = data(operator, f"mutation {{ revealSecret({where}, version: 1) {{ version value }} }}")

    assert value not in json.dumps(done)
    assert "errors" not in done, done
    assert done["data"]["writeSecret"] == {"version": 2, "stages": ["current"]}
    assert shown["revealSecret"] == {"version": 2, "value": value}
    assert old["revealSecret"] == {"version": 1, "value": value}
    events = operator.get("/audit?action=secret.revealed").json()["results"]
    assert [each["data"]["version"] for each in events] == [1, 2]
    assert data(operator, f"mutation {{ deleteSecret({where}) }}") == {"deleteSecret": True}


def test_reveal_configuration__with_the_right__has_the_values_and_is_audited(operator, make_api):
    operator.post("/services", {"slug": "shop"})
    operator.post(
        "/secrets", {"service": "shop", "environment": "production", "name": "pin", "value": "v4"}
    )
    publish(operator, "shop", {"db": {"$secret": "pin"}, "n": 1})
    query = f'mutation {{ x: revealConfiguration(service: "shop", {HERE}) {{ version config }} }}'
    viewer = make_api("viewer")

    shown = data(make_api("consumer"), query)
    refused = problem(viewer, query)

    assert shown["x"] == {"version": 1, "config": {"db": "v4", "n": 1}}
    assert (refused["status"], refused["code"]) == (403, "forbidden")
    rest = viewer.get("/config/shop?environment=production&reveal=true").json()
    assert {**refused, "errors": rest["errors"]} == {**rest}
    told = operator.get("/audit?action=refused.reveal").json()["results"]
    assert {each["data"]["address"] for each in told} >= {"/graphql#revealConfiguration"}
    assert operator.get("/audit?action=secret.disclosed").json()["results"]
    named = query.replace('"shop"', '"shop.yaml"')
    assert problem(operator, named)["code"] == "not_found"


def test_accounts_grants_rules_and_roles__written__are_as_rest_shows_them(operator):
    operator.post("/services", {"slug": "shop"})
    done = data(
        operator,
        """mutation { createServiceAccount(input: {slug: "app", environment: "staging"}) { slug }
           updateServiceAccount(slug: "app", input: {environment: null}) { environment { slug } }
           createToken(account: "app", input: {name: "one"}) { raw token { id name } }
           createKeyRule(input: {pattern: "a.**", service: "shop"}) { id pattern service }
           putRole(name: "helper", input: {verbs: ["list", "read"]}) { name verbs builtIn }
           createGrant(input: {to: "service-account:app", role: "helper", on: {service: "shop"}})
             { id role on { service } }
           createRule(input: {name: "r", expression: "true", severity: WARNING}) { name severity key }
           updateRule(name: "r", input: {message: "m"}) { message expression } }""",
    )
    raw, token = done["createToken"]["raw"], done["createToken"]["token"]["id"]
    rule, grant = done["createKeyRule"]["id"], done["createGrant"]["id"]

    ended = data(
        operator,
        """mutation($t: ID!, $r: Long!, $g: Long!) {
           rotateToken(account: "app", token: $t, input: {overlap: 0}) { raw }
           withdrawToken(account: "app", token: $t)
           updateKeyRule(id: $r, input: {description: "d"}) { description }
           deleteKeyRule(id: $r) withdrawGrant(id: $g) deleteRole(name: "helper") deleteRule(name: "r")
           deleteServiceAccount(slug: "app") }""",
        t=token,
        r=rule,
        g=grant,
    )

    assert raw.startswith("csk_")
    assert done["updateServiceAccount"] == {"environment": None}
    assert done["createRule"] == {"name": "r", "severity": "warning", "key": None}
    assert done["createGrant"]["on"] == {"service": "shop"}
    assert ended.pop("rotateToken")["raw"] not in ("", raw)
    assert ended.pop("updateKeyRule") == {"description": "d"}
    assert set(ended.values()) == {True}


def test_import__by_content__stores_all_or_nothing(operator):
    query = """mutation($i: ImportInput!) { import(input: $i) { stored dryRun
               results { kind name status errors { code } } } }"""
    content = """{apiVersion: v1, kind: ConfigMap, metadata: {name: shop, namespace: production},
                 data: {n: "1"}}"""
    manifest = {"from": "kubernetes", "content": content, "file": "import.yaml"}

    done = data(operator, query, i=manifest)["import"]
    again = data(operator, query, i={**manifest, "dryRun": True})["import"]
    neither = problem(operator, query, i={"from": "consul"})
    broken = problem(operator, query, i={"from": "consul", "archive": "%%%"})

    assert (done["stored"], done["dryRun"]) == (True, False)
    assert ("configuration", "created") in {(e["kind"], e["status"]) for e in done["results"]}
    assert (again["stored"], again["dryRun"]) == (False, True)
    assert operator.get("/config/shop?environment=production").json()["config"] == {"n": "1"}
    assert (neither["code"], broken["code"]) == ("malformed", "malformed")


def test_ledger_and_streams__asked_for__are_done(operator):
    done = data(operator, "mutation { verifyLedger createStreamTicket { ticket expiresAt } }")

    assert done["verifyLedger"] is True
    assert done["createStreamTicket"]["ticket"]


def test_checks__as_queries__store_nothing(operator):
    operator.post("/services", {"slug": "shop"})
    publish(operator, "shop", {"n": 1})
    operator.post("/templates", {"slug": "base", "content": {"n": 1}, "parameters": {}})
    before = operator.get("/audit").json()["results"][0]["number"]

    found = data(
        operator,
        f"""{{ validate(input: {{service: "shop", {HERE}, config: {{n: 2}}}}) {{ valid changes {{ key new }} }}
             alone: validate(input: {{schema: {{type: "string"}}, config: 5}}) {{ valid errors {{ code }} }}
             render(template: "base", with: {{}}) none: render(template: "none") }}""",
    )

    assert found["validate"] == {"valid": True, "changes": [{"key": "n", "new": 2}]}
    assert found["alone"]["valid"] is False
    assert (found["render"], found["none"]) == ({"n": 1}, None)
    assert operator.get("/audit").json()["results"][0]["number"] == before


def test_acts__several_in_a_request__are_each_one_revision_and_fail_alone(operator):
    operator.post("/services", {"slug": "shop"})
    mutation = f"""mutation {{
      a: publish(service: "shop", input: {{ {HERE}, config: {{n: 1}} }}) {{ version revision }}
      b: publish(service: "shop", input: {{ {HERE}, config: {{n: 2}} }}) {{ version revision }}
      c: patch(service: "shop", input: {{ {HERE}, merge: {{n: 3}} }}) {{ version revision }} }}"""

    answer = ask(operator, mutation)

    done = answer["data"]
    assert (done["a"]["version"], done["b"], done["c"]["version"]) == (1, None, 2)
    assert done["c"]["revision"] > done["a"]["revision"]
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]["status"]) == (["b"], 428)


def test_rights__withdrawn_by_an_act__are_gone_for_the_next(operator, make_api, system):
    from apps.access import services
    from apps.access.policy import EVERYWHERE

    operator.post("/services", {"slug": "shop"})
    robot = make_api()
    to = f"service-account:{robot.account.slug}"
    grant = services.grant(actor=system, to=to, role="administrator", on=EVERYWHERE)
    token = robot.get(f"/service-accounts/{robot.account.slug}/tokens").json()["results"][0]["id"]
    withdraw = f'withdrawToken(account: "{robot.account.slug}", token: "{token}")'

    half = ask(
        robot,
        f'mutation {{ withdrawGrant(id: {grant.pk}) updateService(slug: "shop", input: {{name: "x"}}) {{ slug }} }}',
    )
    services.grant(actor=system, to=to, role="administrator", on=EVERYWHERE)
    ended = ask(
        robot,
        f'mutation {{ {withdraw} updateService(slug: "shop", input: {{name: "x"}}) {{ slug }} }}',
    )

    assert half["data"] == {"withdrawGrant": True, "updateService": None}
    assert half["errors"][0]["extensions"]["code"] == "not_found"
    assert ended["data"][withdraw.partition("(")[0]] is True
    assert ended["errors"][0]["extensions"]["code"] == "unauthenticated"


def test_idempotency_key__sent_again__does_no_act_twice(operator):
    operator.post("/services", {"slug": "shop"})
    mutation = f"""mutation {{
      publish(service: "shop", input: {{ {HERE}, config: {{n: 1}} }}) {{ version revision }}
      one: createServiceAccount(input: {{slug: "app"}}) {{ slug }} }}"""
    token = 'mutation { createToken(account: "app", input: {}) { raw token { id } } }'

    first = operator.post("/graphql", {"query": mutation}, idempotency_key="k")
    again = operator.post("/graphql", {"query": mutation}, idempotency_key="k")
    other = operator.post(
        "/graphql", {"query": mutation.replace("n: 1", "n: 2")}, idempotency_key="k"
    )
    made = operator.post("/graphql", {"query": token}, idempotency_key="t").json()["data"]
    repeated = operator.post("/graphql", {"query": token}, idempotency_key="t").json()

    assert first.json() == again.json()
    assert "errors" not in first.json()
    assert other.json()["errors"][0]["extensions"]["code"] == "key_reused"
    assert other.json()["data"]["one"] == {"slug": "app"}
    (error,) = repeated["errors"]
    assert error["extensions"]["code"] == "already_done"
    assert error["extensions"]["id"] == made["createToken"]["token"]["id"]
    assert made["createToken"]["raw"] not in json.dumps(repeated)


def test_cost__of_acts__bounds_how_many_one_request_does(operator):
    acts = " ".join(f'a{n}: deleteRule(name: "r{n}")' for n in range(21))

    assert problem(operator, f"mutation {{ {acts} }}")["errors"][0]["code"] == "cost"


def test_patch__of_both_or_neither_kind__is_refused(operator):
    operator.post("/services", {"slug": "shop"})
    for given in ("", "merge: {a: 1}, operations: []"):
        query = f'mutation {{ patch(service: "shop", input: {{ {given} }}) {{ version }} }}'
        assert problem(operator, query)["code"] == "malformed"


def test_session__without_csrf_token__cannot_write(client, django_user_model):
    from django.test import Client

    root = django_user_model.objects.create_user("root", is_staff=True, is_superuser=True)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(root)
    body = json.dumps({"query": 'mutation { createService(input: {slug: "x"}) { slug } }'})

    forged = strict.post("/graphql", body, "application/json")
    client.force_login(root)
    done = client.post("/graphql", body, "application/json")

    assert (forged.status_code, forged.json()["code"]) == (403, "csrf")
    assert done.json()["data"] == {"createService": {"slug": "x"}}


COUNTED = {
    "publish": (
        f'publish(service: "shop", input: {{ {HERE}, config: {{n: %d}}, onStale: OVERWRITE }}) {{ version changes {{ key }} }}',
        "POST /config/shop",
        lambda n: {"environment": "production", "config": {"n": n}, "on_stale": "overwrite"},
        1,
    ),
    "update a service": (
        'updateService(slug: "shop", input: {name: "%d"}) { slug name }',
        "PATCH /services/shop",
        lambda n: {"name": str(n)},
        7,
    ),
    "write a secret": (
        f'writeSecret(service: "shop", {HERE}, name: "pin", value: "%d") {{ version }}',
        "POST /secrets/shop/pin/versions?environment=production",
        lambda n: {"value": str(n)},
        1,
    ),
}
"""What GraphQL asks more than REST: the rights of the present, and after an act that moves them
(a service is a place) the rights anew and what is shown.
"""


@pytest.mark.parametrize("what", COUNTED)
def test_statements__of_an_act__are_those_of_rest_and_of_what_is_shown(operator, what):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    mutation, act, body, more = COUNTED[what]
    operator.post("/services", {"slug": "shop"})
    secret = {"service": "shop", "environment": "production", "name": "pin", "value": "v"}
    operator.post("/secrets", secret)
    counts = {}
    for number in range(4):
        with CaptureQueriesContext(connection) as captured:
            data(operator, f"mutation {{ {mutation % (number * 2)} }}")
        counts["graphql"] = len(captured)
        with CaptureQueriesContext(connection) as captured:
            assert operator(*act.split(), body(number * 2 + 1)).status_code < 300
        counts["rest"] = len(captured)

    assert counts["graphql"] - counts["rest"] == more

"""Reads with ``at=`` beside documents: each says after an act what it said right after it."""

import json
from importlib import import_module

import pytest
from django.apps import apps

from apps.access.people import create_group
from apps.core import runner
from apps.core.actor import system
from apps.registry.models import Environment
from tests.api.graphql_client import data, problem
from tests.api.test_references import HERE, publish
from tests.conftest import client_with
from tests.flows.test_propagation import last, service

pytestmark = pytest.mark.django_db
PLACE = {"service": "shop", "environment": "production"}
SECRET = f"/secrets/shop/db?{HERE}"


@pytest.fixture
def shop(make_api):
    api = make_api("administrator")
    service(api, "shop", "cart")
    return api


def as_of(path, at):
    """The address, as of ``at`` where it is given."""
    return f"{path}{'&' if '?' in path else '?'}at={at}" if at else path


def listed(api, path, at=""):
    """The results at an address, as of ``at`` where it is given."""
    answer = api.get(as_of(path, at))
    return answer.json()["results"] if answer.status_code == 200 else answer.status_code


def require_told_again(api, acts, tell):
    """Do each act, and ask after the last of them for what was told after each; what that was."""
    seen = []
    for act in acts:
        answer = act()
        assert answer.status_code < 300, answer.content
        seen.append((listed(api, "/audit?page_size=1")[0], tell(api)))
    for event, was in seen:
        for at in (event["revision"], event["at"]):
            assert tell(api, at) == was
    return [was for _event, was in seen]


def sections(api, at=""):
    """A service's sections, over both interfaces, and the file that some of them make."""
    rows = listed(api, "/services/shop/sections", at)
    one = api.get(as_of("/services/shop/sections/env", at))
    given = f", at: {json.dumps(str(at))}" if at else ""
    found = data(
        api,
        f'{{ service(slug: "shop") {{ section(key: "env"{given}) {{ description }} sections(first: 9{given})'
        " { edges { node { key type schema description } } } } }",
    )["service"]
    assert [each["node"] for each in found["sections"]["edges"]] == rows
    assert (found["section"] or {}).get("description") == one.json().get("description")
    return rows, api.get(as_of(f"/config/shop.env?{HERE}", at)).content.decode()


def test_sections__at_each_act__are_what_they_were(shop):
    path = "/services/shop/sections"
    publish(shop, "shop", {"env": {"A": 1}, "other": {"B": 2}})
    changed = {"schema": {"type": "object"}, "description": "What it runs with"}
    acts = [
        lambda: publish(shop, "cart", {"n": 1}),
        lambda: shop.post(path, {"key": "env", "type": "environment_variables"}),
        lambda: shop("PATCH", f"{path}/env", changed),
        lambda: shop.post(path, {"key": "other"}),
        lambda: shop("DELETE", f"{path}/env"),
        lambda: shop.post(path, {"key": "env"}),
    ]

    seen = require_told_again(shop, acts, sections)

    assert [len(rows) for rows, _file in seen] == [0, 1, 1, 2, 1, 2]
    assert [file for _rows, file in seen[:2]] == ["env__A=1\nother__B=2\n", "A=1\n"]
    assert seen[2][0][0]["description"] == "What it runs with"


def test_section__saved_before_an_act_that_ended_first__is_not_in_that_one(shop, monkeypatch):
    """As when a secret is revealed while a new schema is held against what is live."""
    from apps.configs.services import sections as services

    path = "/services/shop/sections"
    shop.post("/secrets", {**PLACE, "name": "db", "value": "x"})
    assert shop.post(path, {"key": "env", "description": "old"}).status_code == 201
    judge, between = services.judge_merging, []

    def meanwhile(**given):
        assert shop.post(f"/secrets/shop/db/reveal?{HERE}", {}).status_code == 200
        between.append(listed(shop, "/audit?page_size=1")[0])
        return judge(**given)

    monkeypatch.setattr(services, "judge_merging", meanwhile)
    assert shop("PATCH", f"{path}/env", {"description": "new"}).status_code == 200

    for at in (between[0]["revision"], between[0]["at"]):
        assert [each["description"] for each in listed(shop, path, at)] == ["old"]


def rules(api, at=""):
    """All rules, and the one of that name, over both interfaces."""
    rows = listed(api, "/rules?service=shop", at)
    one = listed(api, "/rules", at)
    given = f", at: {json.dumps(str(at))}" if at else ""
    asked = f'{{ rule(name: "LOW"{given}) {{ expression }} rules(first: 9{given}) {{ edges {{ node {{ name }} }} }} }}'
    found = data(api, asked)
    assert [each["node"]["name"] for each in found["rules"]["edges"]] == [e["name"] for e in one]
    single = api.get(as_of("/rules/low", at)).json()
    assert (found["rule"] or {}).get("expression") == single.get("expression")
    return rows, one, single


def test_rules__at_each_act__are_what_they_were(shop):
    low = {"name": "low", "service": "shop", "expression": "config.n < 5"}
    acts = [
        lambda: shop.post("/rules", {"name": "any", "expression": "true"}),
        lambda: shop.post("/rules", low),
        lambda: shop("PATCH", "/rules/low", {"expression": "config.n < 9"}),
        lambda: publish(shop, "cart", {"n": 1}),
        lambda: shop("DELETE", "/rules/low"),
        lambda: shop.post("/rules", {**low, "service": "cart"}),
    ]

    seen = require_told_again(shop, acts, rules)

    assert [len(own) for own, _all, _one in seen] == [0, 1, 1, 1, 0, 0]
    assert [one.get("expression") for _own, _all, one in seen] == [
        None, "config.n < 5", "config.n < 9", "config.n < 9", None, "config.n < 5",
    ]  # fmt: skip


def secrets(api, at=""):
    """A service's secrets, the one of that name, and its versions, over both interfaces."""
    rows = listed(api, "/secrets?service=shop", at)
    one = api.get(as_of(f"{SECRET}", at)).json()
    for gone in ("users", "rotation_status"):
        assert (gone in one) == (not at and "name" in one)
        one.pop(gone, None)
    versions = listed(api, f"/secrets/shop/db/versions?{HERE}", at)
    if at:
        members = "service environment name description version rotation createdAt createdBy"
        given = f'at: "{at}", service: "shop"'
        found = data(
            api,
            f"{{ pastSecrets({given}) {{ edges {{ node {{ {members} }} }} }}"
            f' pastSecret({given}, environment: "production", name: "DB") {{ versions {{ edges'
            " { node { version stages destroyed } } } } }",
        )
        assert [each["node"]["name"] for each in found["pastSecrets"]["edges"]] == [
            each["name"] for each in rows
        ]
        told = found["pastSecret"] and [
            each["node"] for each in found["pastSecret"]["versions"]["edges"]
        ]
        assert told == (
            None
            if versions == 404
            else [{k: each[k] for k in ("version", "stages", "destroyed")} for each in versions]
        )
    return rows, one, versions


def test_secrets__at_each_act__are_what_they_were(shop):
    def rotate():
        answer = shop.post(f"/secrets/shop/db/rotate?{HERE}", {})
        runner.run_due()
        return answer

    def patch(members):
        return shop("PATCH", SECRET, members)

    def write():
        return shop.post(f"/secrets/shop/db/versions?{HERE}", {"value": "next"})

    def make(name):
        return shop.post("/secrets", {**PLACE, "name": name, "value": "x", "description": "first"})

    rotation = {"rotator": "password", "every_days": 30}
    acts = [
        lambda: make("other"),
        lambda: make("db"),
        lambda: patch({"description": "The database"}),
        write,
        lambda: publish(shop, "cart", {"n": 1}),
        lambda: patch({"rotation": rotation, "description": "Rotated"}),
        rotate,
        write,
        lambda: patch({"rotation": None}),
        lambda: shop("DELETE", SECRET),
        lambda: make("db"),
    ]

    seen = require_told_again(shop, acts, secrets)

    assert [one.get("version") for _rows, one, _versions in seen] == [
        None, 1, 1, 2, 2, 2, 3, 4, 4, None, 1,
    ]  # fmt: skip
    assert seen[5][1]["rotation"]["every_days"] == 30
    assert [len(rows) for rows, _one, _versions in seen] == [1, *[2] * 8, 1, 2]


def test_secrets__of_the_past__are_for_those_of_today(shop):
    """What a key rule hides now is hidden as of then, and values are never there."""
    shop.post("/secrets", {**PLACE, "name": "db", "value": "hidden-value"})
    shop.post("/secrets", {**PLACE, "name": "open", "value": "hidden-value"})
    then = listed(shop, "/audit?page_size=1")[0]["revision"]
    for path in ("/secrets?", f"{SECRET}&", f"/secrets/shop/db/versions?{HERE}&"):
        answer = shop.get(f"{path}at={then}")
        assert answer.status_code == 200
        assert b"hidden-value" not in answer.content
    viewer = client_with("viewer", service="shop", environment="production")
    assert shop.post("/key-rules", {"pattern": "$secret.db"}).status_code == 201
    shop("DELETE", f"/secrets/shop/open?{HERE}")

    assert [each["name"] for each in listed(viewer, "/secrets", then)] == ["open"]
    assert viewer.get(f"{SECRET}&at={then}").status_code == 404
    assert viewer.get(f"/secrets/shop/db/versions?{HERE}&at={then}").status_code == 404
    assert listed(client_with("viewer", service="cart"), "/secrets", then) == []


def ties(api, at=""):
    """Who depends on a document, and who uses a template, over both interfaces."""
    graph = api.get(as_of(f"/config/cart/graph?{HERE}&steps=2", at)).json()
    dependents = listed(api, f"/config/cart/dependents?{HERE}", at)
    given = f"(at: {json.dumps(str(at))})" if at else ""
    found = data(
        api,
        '{ template(slug: "base") { newest' + given + " { version } }"
        ' configuration(service: "cart", environment: "production") { dependents'
        + given
        + " { hidden"
        " results { configuration { service { slug } environment { slug } } inherits keys { key target } } } } }",
    )
    told = found["configuration"]["dependents"]["results"]
    assert [each["keys"] for each in told] == [each["keys"] for each in dependents]
    newest = (found["template"]["newest"] or {}).get("version")
    return (
        graph,
        dependents,
        newest,
        (listed(api, "/templates", at), api.get(as_of("/templates/late", at)).json()),
        listed(api, "/templates/base/versions", at),
        [
            {k: v for k, v in each.items() if k != "outdated"}
            for each in listed(api, "/templates/base/users", at)
        ],
    )


def test_dependents_and_users__at_each_act__are_what_they_were(shop):
    shop.post("/templates", {"slug": "base", "content": {"t": 1}})
    publish(shop, "cart", {"n": 1, "m": {"x": 2}})
    assert shop("PATCH", "/environments/staging", {"parent": "production"}).status_code == 200
    base = [{"template": "base"}]
    acts = [
        lambda: publish(shop, "shop", {"a": "${cart:n}"}),
        lambda: publish(shop, "shop", {"a": 1, "b": "${cart:m.x}"}, extends=base),
        lambda: publish(shop, "cart", {"own": 1}, environment="staging"),
        lambda: shop.post("/templates/base/versions", {"content": {"t": 2}}),
        lambda: publish(shop, "shop", {"a": 1}, extends=[]),
        lambda: shop.post("/templates", {"slug": "late", "content": {}}),
        lambda: shop("PATCH", "/templates/late", {"name": "Later"}),
        lambda: shop("DELETE", "/config/cart?environment=staging"),
    ]

    seen = require_told_again(shop, acts, ties)

    assert [len(dependents) for _graph, dependents, *_rest in seen] == [1, 1, 2, 2, 1, 1, 1, 0]
    assert [users and users[0]["version"] for *_rest, users in seen] == [
        [],
        1,
        1,
        2,
        [],
        [],
        [],
        [],
    ]
    titles = [one.get("name") for *_rest, (_all, one), _versions, _users in seen]
    assert titles == [None] * 5 + ["late", "Later", "Later"]


def test_graph__origins_and_several__take_at_too(shop):
    publish(shop, "cart", {"n": 1})
    publish(shop, "shop", {"a": "${cart:n}"})
    then = last(shop, "shop")["revision"]
    publish(shop, "shop", {"b": 2})

    asked = (
        '{ snapshot(services: ["shop"], environment: "production", at: "%s") { revision results { version } }'
        ' configuration(service: "shop", environment: "production") { atTime(at: "%s") { config }'
        ' explain(at: "%s") { key } dependencies(at: "%s") { references { key } } } }'
    )
    found = data(shop, asked.replace("%s", str(then)))

    assert found["snapshot"] == {"revision": then, "results": [{"version": 1}]}
    assert found["configuration"] == {
        "atTime": {"config": {"a": 1}},
        "explain": [{"key": "a"}],
        "dependencies": {"references": [{"key": "a"}]},
    }
    assert problem(shop, '{ pastSecrets(at: "999999999") { edges { cursor } } }')["code"] == "epoch"
    for path in ("/secrets", "/services/shop/sections", "/templates"):
        assert shop.get(f"{path}?at=999999999").json()["code"] == "epoch"


def places(api, at=""):
    """Services and environments, each list with one of them, over both interfaces."""
    given = f"at: {json.dumps(str(at) if at else None)}"
    found = data(
        api,
        "{ services(first: 9, AT) { edges { node { slug name description owner labels"
        " sections(first: 9) { edges { node { key } } }"
        " configurations(first: 9) { edges { node { environment { slug } } } } } } }"
        ' service(slug: "SHOP", AT) { name section(key: "env") { key } }'
        " environments(first: 9, AT) { edges { node { slug name rank default protected serviceCount parentSlug"
        " parent { name parentSlug } configurations(first: 9) { edges { node { service { slug } } } } } } }"
        ' environment(slug: "STAGING", AT) { name parent { name } } }'.replace("AT", given),
    )
    services = listed(api, "/services", at)
    environments = listed(api, "/environments", at)
    nodes = [each["node"] for each in found["services"]["edges"]]
    members = ("slug", "name", "description", "owner", "labels")
    assert [{k: each[k] for k in members} for each in nodes] == services
    one = api.get(as_of("/services/shop", at)).json()
    assert found["service"]["name"] == one["name"]
    assert one in services
    there = [each["node"] for each in found["environments"]["edges"]]
    by_slug = {each["slug"]: each for each in environments}
    for each in there:
        own = by_slug[each["slug"]]
        assert (each["default"], each["name"], each["rank"], each["protected"]) == (
            own["default"], own["name"], own["rank"], own["protected"],
        )  # fmt: skip
        assert (each["serviceCount"], each["parentSlug"]) == (own["services"], own["parent"])
        above = by_slug.get(own["parent"])
        parent = above and {"name": above["name"], "parentSlug": above["parent"]}
        assert each["parent"] == parent
    assert api.get(as_of("/environments/staging", at)).json() == by_slug["staging"]
    return services, environments, found


def test_services_and_environments__at_each_act__are_what_they_were(shop):
    create_group(actor=system("test"), name="crew")
    late = {"slug": "late", "rank": 15, "parent": "staging"}

    def change(path, **members):
        return lambda: shop("PATCH", path, members)

    acts = [
        lambda: publish(shop, "cart", {"n": 1}),
        change("/services/shop", name="The shop", owner="crew", labels={"tier": "1"}),
        change("/environments/staging", name="Stage", rank=40, protected=True),
        lambda: shop.post("/services", {"slug": "late", "description": "New"}),
        lambda: shop.post("/environments", late),
        change("/environments/production", default=True),
        change("/environments/development", name="Dev"),
        change("/environments/late", parent="production"),
        change("/environments/development", default=True),
        change("/environments/production", name="Prod"),
        lambda: shop.post("/services/shop/sections", {"key": "env"}),
        lambda: publish(shop, "shop", {"n": 1}, environment="late"),
        lambda: shop("DELETE", "/config/cart?environment=production"),
        change("/services/shop", name="Shop", owner=None, labels={}),
    ]

    seen = require_told_again(shop, acts, places)

    assert [len(services) for services, _there, _graph in seen] == [2] * 3 + [3] * 11
    assert [len(there) for _services, there, _graph in seen] == [3] * 4 + [4] * 10
    defaults = [[e["slug"] for e in there if e["default"]] for _services, there, _graph in seen]
    assert defaults == [["development"]] * 5 + [["production"]] * 3 + [["development"]] * 6
    assert seen[0][1][2] == {
        "slug": "production", "name": "Production", "rank": 30, "parent": None, "default": False,
        "protected": False, "required_approvals": 0, "services": 1,
    }  # fmt: skip
    assert seen[1][0][1]["owner"] == "crew"
    counts = [{e["slug"]: e["services"] for e in there} for _services, there, _graph in seen]
    assert [each.get("late") for each in counts] == [None] * 4 + [0] * 7 + [1] * 3
    assert [each["production"] for each in counts] == [1] * 12 + [0] * 2


def test_places__of_the_past__are_those_that_one_knows_today(shop):
    """What was deleted since is not shown, and of the rest each caller sees what he sees now."""
    shop.post("/environments", {"slug": "gone"})
    shop.post("/services", {"slug": "gone"})
    then = listed(shop, "/audit?page_size=1")[0]["revision"]
    shop.post("/services", {"slug": "after"})
    for path in ("/services/gone", "/environments/gone"):
        assert shop.get(f"{path}?at={then}").status_code == 200
        assert shop("DELETE", path).status_code == 204
        assert shop.get(f"{path}?at={then}").status_code == 404
    viewer = client_with("viewer", service="shop", environment="production")

    assert [each["slug"] for each in listed(shop, "/services", then)] == ["cart", "shop"]
    assert [each["slug"] for each in listed(viewer, "/services", then)] == ["shop"]
    assert [each["slug"] for each in listed(viewer, "/environments", then)] == ["production"]
    asked = (
        "{ services(AT) { edges { node { slug } } } environments(AT) { edges { node { slug } } }"
        ' service(slug: "cart", AT) { slug } environment(slug: "staging", AT) { slug } }'
    )
    assert data(viewer, asked.replace("AT", f'at: "{then}"')) == {
        "services": {"edges": [{"node": {"slug": "shop"}}]},
        "environments": {"edges": [{"node": {"slug": "production"}}]},
        "service": None,
        "environment": None,
    }
    for path in ("/services/cart", "/environments/staging", "/services/after"):
        assert viewer.get(f"{path}?at={then}").status_code == 404
    assert shop.get(f"/services/after?at={then}").status_code == 404


def test_first_environments__of_an_older_installation__get_the_histories_that_they_had_not(shop):
    migration = import_module("apps.registry.migrations.0005_first_histories")
    shop("PATCH", "/environments/production", {"name": "Prod", "rank": 5, "default": True})
    before = listed(shop, "/audit?action=environment.*")[0]["revision"] - 1
    Environment.history.filter(history_type="+").delete()

    for _run in range(2):
        migration.create_rows(apps, None)
        found = listed(shop, "/environments", before)
        assert [(e["slug"], e["name"], e["rank"], e["default"]) for e in found] == [
            ("development", "Development", 10, True),
            ("staging", "Staging", 20, False),
            ("production", "Production", 30, False),
        ]
    assert listed(shop, "/environments", before + 1) == listed(shop, "/environments")


def experiments(api, at=""):
    """All experiments, over both interfaces."""
    rows = listed(api, "/experiments?service=shop&environment=production", at)
    given = f'(service: "SHOP", at: {json.dumps(str(at) if at else None)})'
    members = (
        "id service environment name description state audience holdout share exclusion metrics { name kind goal }"
        " alpha tunedFor variants { name weight patch } winner createdAt startsAt endsAt startedAt stoppedAt"
    )
    found = data(api, f"{{ experiments{given} {{ edges {{ node {{ {members} }} }} }} }}")
    nodes = [each["node"] for each in found["experiments"]["edges"]]
    assert [list(each.values()) for each in nodes] == [list(each.values()) for each in rows]
    for each in rows:
        assert api.get(as_of(f"/experiments/{each['id']}", at)).json() == each
        one = f'{{ experiment(id: "{each["id"]}", at: {json.dumps(str(at) if at else None)}) {{ state }} }}'
        assert data(api, one)["experiment"] == {"state": each["state"]}
    return rows


def test_experiments__at_each_act__are_what_they_were(shop):
    publish(shop, "shop", {"n": 1, "k": "text"})
    metrics = [{"name": "paid", "kind": "conversion", "goal": "increase"}]
    first = [{"name": "as-is", "weight": 1}, {"name": "more", "weight": 2.5, "patch": {"n": 2}}]
    second = [
        {"name": "Control"},
        {"name": "more", "patch": {"n": 3}},
        {"name": "b", "patch": {"k": "b"}},
    ]
    made = []

    def make(variants):
        answer = shop.post("/experiments", {**PLACE, "name": "trial", "variants": variants})
        made.append(f"/experiments/{answer.json()['id']}")
        return answer

    acts = [
        lambda: make(first),
        lambda: shop("PATCH", made[-1], {"variants": second, "holdout": 10}),
        lambda: shop("PATCH", made[-1], {"metrics": metrics, "description": "What for"}),
        lambda: publish(shop, "cart", {"n": 1}),
        lambda: shop("DELETE", made[-1]),
        lambda: make(second[:2]),
        lambda: shop("PATCH", made[-1], {"variants": [first[0], second[2]]}),
        lambda: shop.post(f"{made[-1]}/start", {}),
        lambda: shop("PATCH", made[-1], {"ends_at": "2099-01-01T00:00:00Z"}),
        lambda: shop.post(f"{made[-1]}/stop", {}),
        lambda: shop.post(f"{made[-1]}/publish", {"variant": "b"}),
        lambda: shop.post("/experiments", {**PLACE, "name": "next", "variants": first}),
    ]  # fmt: skip

    seen = require_told_again(shop, acts, experiments)

    assert [[each["state"] for each in rows] for rows in seen] == [
        *[["draft"]] * 4, [], *[["draft"]] * 2, *[["running"]] * 2, *[["stopped"]] * 2,
        ["draft", "stopped"],
    ]  # fmt: skip
    patches = [[each["patch"] for each in rows[-1]["variants"][1:]] for rows in seen if rows]
    assert patches == [
        [{"n": 2}], *[[{"n": 3}, {"k": "b"}]] * 3, [{"n": 3}], *[[{"k": "b"}]] * 6,
    ]  # fmt: skip
    assert [rows[-1]["winner"] for rows in seen[-3:]] == ["", "b", "b"]


def test_experiments__of_the_past__are_for_those_of_today(shop):
    """Their patches as far as one sees the keys now, and without what was redacted since."""
    publish(shop, "shop", {"n": 1, "pin": "hunter2hunter2"})
    first = [{"name": "as-is"}, {"name": "more", "patch": {"n": 2, "pin": "hunter2hunter2"}}]
    second = [{"name": "as-is"}, {"name": "more", "patch": {"n": 3}}]
    made = shop.post("/experiments", {**PLACE, "name": "trial", "variants": first}).json()
    then = listed(shop, "/audit?page_size=1")[0]["revision"]
    address = f"/experiments/{made['id']}?at={then}"
    shop("PATCH", f"/experiments/{made['id']}", {"variants": second})
    viewer = client_with("viewer", service="shop", environment="production")
    assert viewer.get(address).json() == made
    publish(shop, "shop", {"n": 1})
    redact = {"environment": "production", "version": 1, "key": "pin"}
    assert shop.post("/config/shop/redact", redact).status_code == 200

    shown = {"n": 2, "pin": {"$redacted": True}}
    assert viewer.get(address).json()["variants"][1]["patch"] == shown
    assert shop.post("/key-rules", {"pattern": "pin"}).status_code == 201
    assert viewer.get(address).json()["variants"][1]["patch"] == {"n": 2}
    assert client_with("viewer", service="cart").get(address).status_code == 404
    assert listed(client_with("viewer", service="cart"), "/experiments", then) == []
    assert shop.get(f"{address}0000000").json()["code"] == "epoch"
    asked = f'{{ experiment(id: "{made["id"]}", at: "{then}") {{ results {{ mixed }} }} }}'
    assert problem(shop, asked)["errors"][0]["pointer"] == "/at"

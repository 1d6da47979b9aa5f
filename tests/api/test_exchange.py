"""Export and import: round trips, what other systems keep, rights, and all or nothing."""

import io
import itertools
import json
import zipfile

import pytest

from tests.api.test_references import HERE, config, publish
from tests.flows.test_propagation import service

pytestmark = pytest.mark.django_db

MANIFESTS = """\
kind: ConfigMap
metadata: {name: shop, namespace: production}
data: {LOG: info}
---
kind: Secret
metadata: {name: shop, namespace: production}
stringData: {password: s3cret-canary}
"""


def archive(files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as written:
        for path, content in files.items():
            written.writestr(path, content)
    return made.getvalue()


def files_of(answer):
    assert answer.status_code == 200, answer.content
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        return {each: opened.read(each) for each in opened.namelist()}


def bring(api, files, kind, status=200, **query):
    text = "&".join(f"{name}={value}" for name, value in {"from": kind, **query}.items())
    answer = api("POST", f"/import?{text}", archive(files), "application/zip")
    assert answer.status_code == status, answer.content
    return answer.json()


def statuses(told):
    return {f"{each['kind']} {each['name']}": each["status"] for each in told["results"]}


@pytest.fixture(scope="module")
def built(operator):
    """An installation with something of each kind."""
    service(operator, "shop", "cart")
    operator("PATCH", "/environments/staging", {"parent": "production"})
    operator("PATCH", "/services/shop", {"labels": {"tier": "1"}, "description": "Sells."})
    operator.post("/services/shop/sections", {"key": "s", "schema": {"properties": {"n": {}}}})
    parameters = {"properties": {"pool": {"type": "integer", "default": 5}}}
    operator.post("/templates", {"slug": "low", "content": {"low": 1}})
    body = {"slug": "db", "content": {"pool": "${param:pool}"}, "parameters": parameters}
    operator.post("/templates", {**body, "extends": [{"template": "low"}]})
    text = "# why\ns:\n  n: 1  # here\nliteral: {$literal: {$remove: true}}\nprice: 1.10\n"
    sent = {"environment": "production", "content": text, "format": "yaml"}
    extends = [{"template": "db", "with": {"pool": 9}}]
    assert operator.post("/config/shop", {**sent, "extends": extends}).status_code == 201
    publish(operator, "shop", {"of": "${cart:x:-1}"}, environment="staging")
    publish(operator, "cart", {"x": "$${y}", "of": "${shop:pool:-0}"})
    rule = {"name": "small", "service": "shop", "expression": "config.pool < 99"}
    assert operator.post("/rules", {**rule, "tests": [{"config": {"pool": 1}}]}).status_code == 201
    return operator


def test_export__imported_where_it_came_from__changes_nothing(built):
    files = files_of(built.get("/export"))
    head = built.get("/audit").json()["results"][0]["number"]

    told = bring(built, files, "tree")

    assert set(statuses(told).values()) == {"unchanged"}
    assert built.get("/audit").json()["results"][0]["number"] == head
    assert files["services/shop/production.yaml"].startswith(b"# why\ns:\n  n: 1  # here\n")
    assert files_of(built.get("/export")) == files


def test_export__of_what_would_not_be_composed_so_today__changes_nothing_either(built):
    """Pinned, outdated, and breaking what was acknowledged: the source is what is compared."""
    service(built, "old", "bad")
    publish(built, "old", {"of": "${shop:s.n}"})
    sent = {"content": "s:\n  n: 2\n", "format": "yaml"}
    assert publish(built, "bad", {"n": "text"}).status_code == 201
    text = {"environment": "production", "base_version": 1, "message": "Two", **sent}
    assert built.post("/config/shop", text).status_code == 201
    back = {"environment": "production", "to_version": 1}
    assert built.post("/config/old/rollback", back).json()["pinned"] is True
    built("PATCH", "/environments/production", {"protected": True})
    built.post("/templates/low/versions", {"content": {"low": 2}})
    schema = {"key": "n", "schema": {"type": "integer"}, "acknowledge": True}
    assert built.post("/services/bad/sections", schema).status_code == 201
    files = files_of(built.get("/export"))
    before = [built.get(f"/config/{each}?{HERE}").json() for each in ("old", "shop", "bad")]
    head = built.get("/audit").json()["results"][0]["number"]

    told = bring(built, files, "tree")

    assert set(statuses(told).values()) == {"unchanged"}
    assert built.get("/audit").json()["results"][0]["number"] == head
    after = [built.get(f"/config/{each}?{HERE}").json() for each in ("old", "shop", "bad")]
    assert after == before
    assert (after[0]["pinned"], after[1]["outdated"]) == (True, True)


def test_import__of_sections_and_rules_that_live_ones_fail__wants_it_acknowledged(built, tmp_path):
    from django.core.management import call_command
    from django.core.management.base import CommandError

    files = files_of(built.get("/export"))
    files["services/shop/_service.yaml"] = files["services/shop/_service.yaml"].replace(
        b"properties:", b"maxProperties: 0\n      properties:"
    )
    files["rules.yaml"] = files["rules.yaml"].replace(b"config.pool < 99", b"config.pool < 9")
    head = built.get("/audit").json()["results"][0]["number"]

    told = bring(built, files, "tree", status=422)

    rows = {f"{each['kind']} {each['name']}": each for each in told["results"]}
    assert (told["stored"], rows["rule small"]["status"]) == (False, "refused")
    for row, pointer in ((rows["section shop:s"], "/s"), (rows["rule small"], "/pool")):
        first, second = row["errors"][:2]
        assert first["code"] == "live_failures"
        assert (second["service"], second["environment"]) == ("shop", "staging")
        assert second["pointer"] == pointer
    assert built.get("/audit").json()["results"][0]["number"] == head
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    with pytest.raises(CommandError, match="were refused"):
        call_command("import_configs", str(tmp_path), "--from", "tree")
    call_command("import_configs", str(tmp_path), "--from", "tree", "--acknowledge", "--dry-run")
    done = bring(built, files, "tree", acknowledge="true")
    assert done["stored"] is True
    rows = {f"{each['kind']} {each['name']}": each for each in done["results"]}
    assert rows["section shop:s"]["status"] == rows["rule small"]["status"] == "updated"
    assert rows["rule small"]["warnings"][1]["service"] == "shop"
    assert set(statuses(bring(built, files, "tree")).values()) == {"unchanged"}


def test_import__of_other_merge_keys__tells_what_would_not_compose(built):
    schema = {"properties": {"list": {"x-merge-key": "name"}}}
    built.post("/services/shop/sections", {"key": "m", "schema": schema})
    publish(built, "shop", {"m": {"list": [{"name": "a"}, {"name": "b", "n": 1}]}})
    own = {"m": {"list": [{"name": "a"}]}, "of": "${self:m.list[1].n}"}
    publish(built, "shop", own, environment="staging")
    files = files_of(built.get("/export"))
    path = "services/shop/_service.yaml"
    assert b"x-merge-key: name" in files[path]
    files[path] = files[path].replace(b"x-merge-key: name", b"x-other: name")

    told = bring(built, files, "tree", status=422)

    rows = {each["name"]: each for each in told["results"]}
    assert [each["pointer"] for each in rows["shop:m"]["errors"]] == ["", "/of"]
    assert bring(built, files, "tree", acknowledge="true")["stored"] is True
    assert built.get("/config/shop?environment=staging").json()["outdated"] is True


def test_import__of_a_schema_with_documents_that_keep_it__needs_no_acknowledging(built):
    files = files_of(built.get("/export"))
    described = files["services/shop/_service.yaml"].replace(b"'n': {}", b"n: {minimum: 5}")
    assert b"minimum" in described
    files["services/shop/_service.yaml"] = described
    files["services/shop/production.yaml"] = files["services/shop/production.yaml"].replace(
        b"n: 1", b"n: 7"
    )

    told = bring(built, files, "tree")

    assert statuses(told)["section shop:s"] == "updated"
    assert config(built, "shop")["s"] == {"n": 7}


def test_export__imported_under_other_names__gives_the_same(built):
    files = files_of(built.get("/export"))
    places = [("shop", "production"), ("shop", "staging"), ("cart", "production")]
    before = [config(built, *place) for place in places]
    renamed = {path.replace("/shop/", "/store/"): each for path, each in files.items()}
    renamed["services/cart/production.json"] = renamed["services/cart/production.json"].replace(
        b"${shop:", b"${store:"
    )
    renamed = {
        path.replace("/cart/", "/basket/"): each.replace(b"${cart:", b"${basket:")
        for path, each in renamed.items()
    }

    told = bring(built, renamed, "tree")

    assert statuses(told)["configuration store@production"] == "created"
    after = [
        config(built, *place)
        for place in (("store", "production"), ("store", "staging"), ("basket", "production"))
    ]
    assert after == before


def test_export__of_a_part__is_that_part_and_an_event(built):
    files = files_of(built.get("/export?service=shop&environment=staging"))

    assert {path for path in files if path.startswith("services/")} == {
        "services/shop/_service.yaml",
        "services/shop/staging.json",
    }
    event = built.get("/audit").json()["results"][0]
    assert (event["action"], event["data"]["services"]) == ("installation.exported", 1)
    assert built.get("/export?service=nowhere").status_code == 404


def test_export__of_somebody_restricted__is_his_view_and_his_import_keeps_the_rest(
    built, make_api, system
):
    publish(built, "cart", {"x": 1, "pin": "hidden-value", "of": "${shop:pool}"})
    built.post("/key-rules", {"pattern": "**.pin"})
    clerk, stranger = make_api("operator", service="cart"), make_api()

    files = files_of(clerk.get("/export"))
    told = bring(clerk, files, "tree")

    assert b"hidden-value" not in b"".join(files.values())
    assert not any("shop" in path for path in files)
    assert statuses(told)["configuration cart@production"] == "unchanged"
    assert stranger.get("/export").status_code == 403
    from apps.configs.models import Live

    live = Live.objects.get(configuration__service__slug="cart")
    assert json.loads(live.version.effective.content)["pin"] == "hidden-value"


def test_import__of_manifests__makes_secrets_that_documents_name(built):
    told = bring(built, {"shop.yaml": MANIFESTS}, "kubernetes", environment="staging")

    assert statuses(told) == {
        "service shop": "unchanged",
        "secret shop@production/shop.password": "created",
        "configuration shop@production": "updated",
    }
    assert config(built, "shop") == {"LOG": "info", "password": {"$secret": "shop.password"}}
    again = bring(built, {"shop.yaml": MANIFESTS}, "kubernetes")
    assert set(statuses(again).values()) == {"unchanged", "kept"}
    assert "s3cret-canary" not in json.dumps([told, again, built.get("/audit").json()])
    reveal = built.post("/secrets/shop/shop.password/reveal?" + HERE, {})
    assert reveal.json()["value"] == "s3cret-canary"


def test_import__of_a_spring_repository__keeps_what_is_shared_in_a_template(built):
    files = {
        "application.yml": "log: info\n",
        "orders.yml": "db: {pool: 5}\n",
        "orders-prod.yml": "db: {pool: 20}\n",
    }

    tried = bring(built, files, "spring", map="prod:production", dry_run="true")
    assert built.get("/services/orders").status_code == 404
    told = bring(built, files, "spring", map="prod:production")

    assert tried["dry_run"] is True
    assert statuses(tried) == statuses(told)
    events = built.get("/audit?page_size=20").json()["results"]
    of_it = [each for each in events if each["revision"] == events[0]["revision"]]
    assert [each["number"] for each in of_it] == list(
        range(events[0]["number"], events[0]["number"] - len(of_it), -1)
    )
    assert {"template.published", "service.created", "configuration.publish"} <= {
        each["action"] for each in of_it
    }
    assert events[0]["number"] == events[0]["revision"]
    assert all(
        later["previous"] == earlier["hash"] for later, earlier in itertools.pairwise(events)
    )
    assert config(built, "orders") == {"log": "info", "db": {"pool": 20}}
    built.post("/templates/application/versions", {"content": {"log": "debug"}})
    assert config(built, "orders")["log"] == "debug"


def test_import__with_one_that_is_refused__stores_nothing(built):
    head = built.get("/audit").json()["results"][0]["number"]
    files = {"orders/.env": "A=1\n", "shop/.env.production": "A=1\n", "cart/.env.moon": "B=1\n"}

    told = bring(built, files, "env", status=422)

    assert told["stored"] is False
    assert statuses(told)["file cart/.env.moon"] == "refused"
    assert built.get("/services/orders").status_code == 404
    assert built.get("/audit").json()["results"][0]["number"] == head


def test_import__of_what_a_rule_refuses__says_so_at_its_configuration(built):
    files = {"shop.yml": "pool: 100\n", "cart.yml": "x: 1\n"}

    told = bring(built, files, "spring", status=422, environment="production")

    rows = {each["name"]: each for each in told["results"] if each["kind"] == "configuration"}
    assert rows["shop@production"]["status"] == "refused"
    assert rows["shop@production"]["errors"][0]["code"] == "rule"
    assert rows["cart@production"]["status"] == "not_stored"


@pytest.mark.parametrize(
    ("kind", "content", "media", "status"),
    [
        ("moon", archive({}), "application/zip", 422),
        ("tree", archive({"a.txt": "x"}), "application/zip", 400),
        ("tree", archive({"configsvc.yaml": "format: 9\n"}), "application/zip", 400),
        ("spring", b"no archive", "application/zip", 400),
        ("spring", b"x", "text/plain", 415),
        ("spring&environment=moon", archive({}), "application/zip", 422),
        ("spring&map=prod", archive({}), "application/zip", 400),
        ("spring&dry_run=maybe", archive({}), "application/zip", 400),
    ],
)
def test_import__that_cannot_be_read__is_refused(built, kind, content, media, status):
    assert built("POST", f"/import?from={kind}", content, media).status_code == status


@pytest.mark.parametrize(
    ("path", "text", "refused"),
    [
        ("templates/t.yaml", "content: {}\nextends: [x]\n", "template t"),
        ("templates/t.yaml", "content: {}\nextends: 5\n", "template t"),
        ("environments.yaml", "environments: [{slug: [1]}]\n", "environment [1]"),
        ("environments.yaml", "environments: [{slug: x, parent: {a: 1}}]\n", "environment x"),
        ("rules.yaml", "rules: [{name: r, expression: 'true', service: none}]\n", "rule r"),
    ],
)
def test_import__of_a_tree_with_something_of_another_shape__refuses_that_by_name(
    built, make_api, path, text, refused
):
    files = {"configsvc.yaml": "format: 1\n", path: text}

    told = bring(make_api("administrator"), files, "tree", status=422)

    assert statuses(told) == {refused: "refused"}
    assert told["results"][0]["errors"]


def test_import__of_templates_that_lie_on_each_other_in_any_case__makes_the_lower_first(
    built, make_api
):
    files = {
        "configsvc.yaml": "format: 1\n",
        "templates/a.yaml": "content: {}\nextends: [{template: Zeta}]\n",
        "templates/zeta.yaml": "content: {}\n",
    }

    told = bring(make_api("administrator"), files, "tree")

    assert statuses(told) == {"template zeta": "created", "template a": "created"}


def test_import__by_rights__is_what_its_acts_are(built, make_api):
    files = {"cart.yml": "x: 1\n"}
    new = {"brand-new.yml": "x: 1\n"}
    operator = make_api("operator", service="cart")

    assert bring(operator, files, "spring", environment="production")["stored"] is True
    told = bring(operator, new, "spring", status=422, environment="production")
    hidden = bring(operator, {"shop.yml": "x: 1\n"}, "spring", status=422, environment="production")
    assert [each["errors"][0]["code"] for each in told["results"][:1]] == ["forbidden"]
    assert [each["errors"] for each in hidden["results"]] == [
        each["errors"] for each in told["results"]
    ]
    for role, status in (("viewer", 403), (None, 403)):
        bring(make_api(role, service="cart"), files, "spring", status=status)


def test_commands__export_and_import__go_round(built, tmp_path, capsys):
    from django.core.management import call_command
    from django.core.management.base import CommandError

    folder = tmp_path / "out"
    call_command("export_configs", str(folder))
    call_command("import_configs", str(folder), "--from", "tree")
    out = capsys.readouterr().out

    assert (folder / "services" / "shop" / "production.yaml").exists()
    assert "0 of " in out
    with pytest.raises(CommandError, match="holds something"):
        call_command("export_configs", str(folder))
    manifests = tmp_path / "shop.yaml"
    manifests.write_text(MANIFESTS)
    call_command("import_configs", str(manifests), "--from", "kubernetes", "--dry-run")
    assert "created      secret shop@production/shop.password" in capsys.readouterr().out
    with pytest.raises(CommandError, match="which --environment"):
        call_command("import_configs", str(manifests))
    with pytest.raises(CommandError, match="THERE=HERE"):
        call_command("import_configs", str(folder), "--from", "spring", "--map", "x")

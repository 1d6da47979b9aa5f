"""The project's own promises about itself: settings, layers, migrations, the house."""

import re
import subprocess
import sys
import uuid
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from django.urls import resolve

from configsvc.env import Env, UnsafeSettingError, check_key, variable_name

TOP = Path(__file__).resolve().parents[2]


def test_settings__readme_table__lists_every_variable_with_its_default():
    table = dict(
        re.findall(
            r"^\| `([A-Z_]+)` \| (?:`([^`]*)`)? ?\|", (TOP / "README.md").read_text(), re.MULTILINE
        )
    )

    known = {}
    for each in fields(Env):
        default = each.default
        if isinstance(default, tuple):
            default = ",".join(default)
        known[variable_name(each.name)] = (
            str(default).lower() if isinstance(default, bool) else str(default)
        )

    assert table == known


@pytest.mark.parametrize("key", ["short", "a" * 64, "changeme-changeme-changeme-changeme-1234"])
def test_check_key__weak__is_refused_by_name(key):
    with pytest.raises(UnsafeSettingError, match="CONFIGSVC_SECRET_KEY"):
        check_key("CONFIGSVC_SECRET_KEY", key)


def test_environment__read_in_one_place_alone():
    offenders = [
        path.relative_to(TOP).as_posix()
        for folder in ("apps", "configsvc")
        for path in (TOP / folder).rglob("*.py")
        if re.search(r"os\.environ|os\.getenv", path.read_text())
    ]

    assert sorted(offenders) == [
        "apps/delivery/management/commands/serve.py",
        "configsvc/asgi.py",
        "configsvc/env.py",
        "configsvc/settings_test.py",
    ]


BREAKS = {
    "upwards": ("apps/core/broken_contract.py", "from apps.configs import models\n"),
    "impure engine": ("apps/engine/broken_contract.py", "import time\n"),
    "framework below": ("apps/configs/broken_contract.py", "import rest_framework\n"),
    "services below": (
        "apps/configs/selectors/broken_contract.py",
        "from apps.configs.services import kernel\n",
    ),
    "model in a view": ("apps/api/broken_contract.py", "from apps.configs import models\n"),
    "guardian in the portal": ("apps/portal/broken_contract.py", "import guardian.shortcuts\n"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_import_contracts__broken_on_purpose__fail(name, tmp_path):
    import shutil

    for folder in ("apps", "configsvc"):
        shutil.copytree(
            TOP / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(TOP / "pyproject.toml", tmp_path)
    path, text = BREAKS[name]
    (tmp_path / path).write_text(text)

    checked = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )

    assert checked.returncode == 1, checked.stdout
    assert "BROKEN" in checked.stdout


@pytest.mark.django_db
def test_append_only__update_and_delete__are_refused_by_the_database(system, shop):
    from django.db import DatabaseError, connection, transaction

    from apps.audit.models import AuditEvent
    from apps.core.appendonly import AppendOnlyError, append_only_tables, list_missing_triggers

    assert append_only_tables() == [
        "audit_auditevent",
        "audit_checkpoint",
        "audit_publickey",
        "audit_verification",
        "configs_overlaiddocument",
        "configs_redaction",
        "configs_templateversion",
        "configs_text",
        "configs_version",
        "vault_knownkey",
        "vault_secretversion",
    ]
    assert list_missing_triggers(connection) == []
    with pytest.raises(AppendOnlyError):
        AuditEvent.objects.all().delete()
    statements = ["UPDATE audit_auditevent SET actor = 'x'", "DELETE FROM audit_auditevent"]
    if connection.vendor == "sqlite":
        statements.append("INSERT OR REPLACE INTO audit_auditevent SELECT * FROM audit_auditevent")
    for statement in statements:
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            connection.cursor().execute(statement)


@pytest.mark.django_db(transaction=True)
def test_refuse_unsafe__missing_trigger__is_named():
    from django.db import connection

    from apps.core import appendonly, safety

    assert safety.list_unsafe() == []
    appendonly.drop_triggers(connection, "configs_version")
    try:
        found = " ".join(safety.list_unsafe())
    finally:
        appendonly.create_triggers(connection, "configs_version")
    assert "configs_version_no_update" in found


@pytest.fixture
def operator(make_api):
    """Of a test alone: some of them need a real transaction."""
    return make_api("administrator")


@pytest.mark.django_db
def test_openapi__schema__is_made_without_a_warning_and_has_every_address(operator, capsys):
    answer = operator.get("/schema")

    assert answer.status_code == 200
    for path in (
        "/config/{service}",
        "/config/{service}/rollback",
        "/validate",
        "/grants",
        "/audit",
    ):
        assert f"  {path}:" in answer.content.decode()
    revealed = yaml.safe_load(answer.content)["paths"]["/secrets/{service}/{name}/reveal"]["post"]
    assert {"200", "404", "410", "503"} <= set(revealed["responses"])
    assert "warning" not in capsys.readouterr().err.lower()


@pytest.fixture
def no_archives(settings, tmp_path):
    """What other tests have backed up is looked up otherwise."""
    settings.BACKUP_FOLDER = settings.BACKUP_WORK = tmp_path


COUNTS = {
    "/config/shop?environment=production": 3,
    "/config/shop?environment=production&view=source": 3,
    "/config/shop.yaml?environment=production": 3,
    "/config/shop/value?environment=production&key=n": 3,
    "/config?service=shop&service=cart&environment=production": 4,
    "/config/shop/history?environment=production": 3,
    "/config/shop/history?environment=production&key=n": 6,
    "/config/shop/versions/1?environment=production": 2,
    "/config/shop/diff?environment=production&from=1&to=live": 4,
    "/config/shop/across?key=n": 11,
    "/config/shop/explain?environment=production&key=n": 5,
    "/config/shop/dependencies?environment=production": 2,
    "/config/shop/dependents?environment=production": 3,
    "/matrix": 6,
    "/metrics": 2,
    "/services": 2,
    "/services/shop": 2,
    "/services/shop/sections": 3,
    "/services/shop/sections/settings": 3,
    "/environments": 2,
    "/environments/production": 2,
    "/templates": 2,
    "/templates/base": 3,
    "/templates/base/versions": 3,
    "/secrets?environment=production": 3,
    "/secrets/shop/pin?environment=production": 8,
    "/secrets/shop/pin/versions?environment=production": 4,
    "/grants": 2,
    "/key-rules": 3,
    "/rules": 3,
    "/rules/low": 3,
    "/roles": 2,
    "/roles/base-reader": 2,
    "/service-accounts": 2,
    "/service-accounts/robot-0": 2,
    "/service-accounts/robot-0/tokens": 3,
    "/audit": 6,
    "/backups": 1,
    "/backups/runs": 2,
    "/config/shop/graph?environment=production": 6,
    "/config/shop/readers?environment=production": 3,
    "/config/shop/unread?environment=production": 6,
    "/templates/base/users": 5,
    "/flags?environment=production": 4,
    "/experiments": 5,
    "/experiments/{experiment}": 5,
    "/experiments/{experiment}/results": 9,
    "/services?at={then}": 6,
    "/services/shop?at={then}": 6,
    "/environments?at={then}": 7,
    "/environments/production?at={then}": 7,
    "/experiments?at={then}": 7,
    "/experiments/{experiment}?at={then}": 7,
    "/audit/checkpoints": 2,
    "/audit/verification": 3,
    "/key-rules/{key_rule}": 2,
}
UNCOUNTED = {
    *("healthz", "readyz", ".well-known/jwks.json", "schema", "docs", "graphql"),
    *("stream", "ofrep/v1/events"),
    *("export", "audit/export", "audit/verifier"),  # files, each of all that there is
    "backups/runs/<str:pk>",  # nothing is backed up here
}
OF_THE_PROGRAM = {"schema", "docs"}
"""What is fetched there is the same whatever is stored."""
PAGES = {
    "/admin/": 14,
    "/admin/config/shop/production/": 18,
    "/admin/config/shop/production/history/": 9,
    "/admin/config/shop/production/experiments/": 11,
    "/admin/config/shop/production/secrets/": 13,
    "/admin/registry/service/": 6,
    "/admin/registry/environment/": 6,
    "/admin/configs/section/": 7,
    "/admin/configs/template/": 5,
    "/admin/configs/rule/": 10,
    "/admin/access/serviceaccount/": 6,
    "/admin/core/user/": 5,
    "/admin/auth/group/": 5,
    "/admin/core/connection/": 5,
    "/admin/experiments/": 11,
    "/admin/secrets/": 13,
    "/admin/rights/": 16,
    "/admin/roles/": 5,
    "/admin/key-rules/": 7,
    "/admin/jobs/": 8,
    "/admin/ledger/": 6,
    "/admin/backups/": 7,
}


def _fill(api, system):
    """Three of everything that there are lists of, so that a statement for each row shows."""
    from apps.access.people import create_group, create_person

    def post(path, **body):
        answer = api.post(path, body)
        assert answer.status_code == 201, answer.content

    place = {"service": "shop", "environment": "production"}
    post("/services", slug="cart")
    for name in ("settings", "low", "other"):
        post("/services/shop/sections", key=name, type="application_settings")
    for service in ("shop", "cart"):
        post(f"/services/{service}/sections", key="flags", type="feature_flags")
    for name in ("base", "low", "other"):
        post("/templates", slug=name, content={"t": 1})
        post("/rules", name=name, service="shop", expression="config.n >= 0")
        role = {"verbs": ["list", "read"]}
        assert api("PUT", f"/roles/{name}-reader", role).status_code in (200, 201)
        post("/key-rules", pattern=f"ruled.{name}")
        post("/secrets", **place, name="pin" if name == "base" else name, value="v4lue")
        post("/service-accounts", slug=f"{name}-app", environment="production")
        post(f"/service-accounts/{name}-app/tokens", name="first")
        post("/service-accounts/robot-0/tokens", name=name)
        create_group(actor=system, name=name)
        create_person(actor=system, username=name)
    variants = [{"name": "as-is"}, {"name": "more", "patch": {"o": 1}}]
    for number in range(3):
        flags = {name: {"enabled": True} for name in ("low", "other", "third")}
        document = {"n": number, "m": "${cart:n:-0}", "db": {"$secret": "pin"}, "flags": flags}
        extends = [{"template": "base"}, {"template": "low"}]
        common = {"environment": "production", "on_stale": "overwrite"}
        post("/config/cart", config={"n": number, "flags": flags}, **common)
        post("/config/shop", config=document, extends=extends, **common)
        post("/experiments", **place, name=f"e{number}", variants=variants)
    return {
        "experiment": api.get("/experiments").json()["results"][0]["id"],
        "key_rule": api.get("/key-rules").json()["results"][0]["id"],
        "then": api.get("/audit?page_size=1").json()["results"][0]["revision"],
    }


def _count(get, paths, rows):
    from django.db import connection
    from django.db.models.query import MAX_GET_RESULTS
    from django.test.utils import CaptureQueriesContext

    found = {}
    for path in paths:
        address = path.format(**rows)
        get(address)
        with CaptureQueriesContext(connection) as captured:
            assert get(address).status_code == 200, path
        found[path] = len(captured)
        for each in captured:  # Django leaves a model's order out where a query counts
            limit = re.search(r"LIMIT (\d+)", each["sql"])
            is_page = limit is not None and int(limit[1]) not in (1, MAX_GET_RESULTS)
            assert "ORDER BY" in each["sql"] or not is_page, each["sql"]
    return found


@pytest.mark.django_db
def test_queries__of_each_list_and_fetch__are_as_checked_in(shop, operator, system, no_archives):
    rows = _fill(operator, system)

    assert _count(operator.get, COUNTS, rows) == COUNTS


def test_queries__every_address_that_is_fetched__is_counted():
    from apps.api.urls import urlpatterns

    def has_get(pattern):
        return hasattr(getattr(pattern.callback, "view_class", pattern.callback), "get")

    fetched = [each.pattern for each in urlpatterns if has_get(each)]
    counted = [path.partition("?")[0].lstrip("/") for path in COUNTS]
    missing = {str(each) for each in fetched if not any(map(each.match, counted))}

    assert missing == UNCOUNTED


@pytest.mark.django_db
def test_at__at_every_address_that_is_fetched__is_read_or_refused(
    shop, operator, system, no_archives
):
    """By the schema it takes ``at`` or it does not; never is it passed over."""
    rows = {**_fill(operator, system), "run": uuid.uuid4()}
    paths = yaml.safe_load(operator.get("/schema").content)["paths"]
    others = {each.replace("<str:pk>", "{run}") for each in UNCOUNTED - OF_THE_PROGRAM}
    told, takers = {}, set()
    for path in [*(each for each in COUNTS if "at=" not in each), *(f"/{each}" for each in others)]:
        address = path.format(**rows)
        route = resolve(address.partition("?")[0]).route
        named = re.sub(r"<\w+:(\w+)>", r"{\1}", route).replace("{pk}", "{id}")
        said = paths[f"/{named}"]["get"]
        names = {each["name"] for each in said.get("parameters", ())}
        takers |= {path} if "at" in names else set()
        for given in ("at=999999999", "at=", "at=1&at=1"):
            answer = operator.get(f"{address}{'&' if '?' in address else '?'}{given}")
            found = answer.json()
            told[path, given] = (found["code"], [each["pointer"] for each in found["errors"]])
            assert str(answer.status_code) in said["responses"]

    refused = ("malformed", ["/at"])
    for (path, given), said in told.items():
        taken = path in takers and given == "at=999999999"
        assert said == (("epoch", []) if taken else refused), (path, given)
    assert {"/services", "/environments/production", "/experiments", "/matrix"} <= takers


@pytest.mark.django_db
def test_queries__of_each_page_with_a_list__are_as_checked_in(
    shop, operator, system, client, no_archives
):
    from apps.access.sessions import begin
    from apps.core import clock
    from apps.core.models import User

    rows = _fill(operator, system)
    client.force_login(User.objects.create_superuser("ines"))
    session = client.session
    begin(session, now=clock.now() + timedelta(days=1))  # else a slow run counts its notes of use
    session.save()

    assert _count(client.get, PAGES, rows) == PAGES


def test_possessive_groups__that_old_pythons_match_wrongly__are_not_used():
    """Python before 3.11.5, Debian 12's among them, gets ``(?:a|b)*+`` wrong (gh-106052)."""
    found = [
        f"{path.name}: {line.strip()}"
        for path in (TOP / "apps" / "engine").rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"\)[*?+]\+", line)
    ]

    assert [line for line in found if "(?:export" not in line] == []  # that one has one way alone

"""Who may do what by REST and OFREP: every kind of actor at every address, against one table.

A new address, message or command that has no row here fails the test; pages, streams and GraphQL
have matrices of their own against the same actors.
"""

import io
import json
import re
import zipfile
from itertools import product

import pytest

from tests.contracts.actors import ACTORS, EVERYWHERE, HERE, HIDDEN, expected, leaks

pytestmark = pytest.mark.django_db

PATCH = "application/merge-patch+json"
FLAGS = "ofrep/v1/evaluate/flags"
NOW = "2100-01-01T00:00:00Z"
SHOP = {"service": "shop", "environment": "production"}

# (method, address, body, verb, key): key is what the verb is asked on: "free", "ruled" or None for
# any key of the configuration. Writes are dry runs.
CONFIGURATION = [
    ("GET", f"config/shop?{HERE}", None, "read", None),
    ("GET", f"config/shop.yaml?{HERE}", None, "read", None),
    ("GET", f"config/shop?{HERE}&view=source", None, "read", None),
    ("GET", f"config?service=shop&{HERE}", None, "read", None),
    ("GET", f"config/shop/value?{HERE}&key=free", None, "read", "free"),
    ("GET", f"config/shop/value?{HERE}&key=ruled.pin", None, "read", "ruled"),
    ("GET", f"config/shop/versions/1?{HERE}", None, "read", None),
    ("GET", f"config/shop/diff?{HERE}&from=1", None, "read", None),
    ("GET", f"config/shop/history?{HERE}", None, "read or audit", None),
    ("GET", f"config/shop/readers?{HERE}", None, "audit", None),
    ("GET", f"config/shop/unread?{HERE}", None, "audit", None),
    ("GET", f"config/shop/dependencies?{HERE}", None, "read", None),
    ("GET", f"config/shop/explain?{HERE}", None, "read", None),
    ("GET", "config/shop/across", None, "read", None),
    ("GET", f"config/shop/dependents?{HERE}", None, "read", None),
    ("GET", f"config/shop/graph?{HERE}", None, "read", None),
    ("GET", f"config/shop/graph?{HERE}&format=dot&steps=3", None, "read", None),
    ("POST", f"config/shop?{HERE}", {"config": {"free": 9}}, "publish", "free"),
    ("PATCH", f"config/shop?{HERE}&dry_run=true", {"free": 9}, "publish", "free"),
    ("PATCH", f"config/shop?{HERE}&dry_run=true", {"ruled": {"pin": 9}}, "publish", "ruled"),
    ("DELETE", f"config/shop?{HERE}&dry_run=true", None, "publish", "both"),
    ("POST", f"config/shop/rollback?{HERE}", {"to_version": 1}, "rollback", "both"),
    ("POST", "rollback", {**SHOP}, "rollback", "both"),
    ("POST", f"config/shop/refresh?{HERE}", {}, "publish", None),
    ("POST", f"config/shop/redact?{HERE}", {"version": 1, "key": "free"}, "secure", "redact"),
    ("POST", "validate", {**SHOP, "config": {"free": 1}}, "read", None),
    ("POST", "validate", {**SHOP, "config": {"own": {"$secret": "turning"}}}, "edit", "free"),
    ("POST", f"secrets/shop/pin/reveal?{HERE}", {}, "reveal", "free"),
    ("GET", f"secrets/shop/pin?{HERE}", None, "list", "free"),
    ("GET", f"secrets/shop/pin/versions?{HERE}", None, "list", "free"),
    ("GET", f"secrets/shop/pin?{HERE}&at={NOW}", None, "list", "free"),
    ("GET", f"secrets/shop/pin/versions?{HERE}&at={NOW}", None, "list", "free"),
    ("GET", f"config/shop/dependents?{HERE}&at={NOW}", None, "read", None),
    ("POST", f"secrets/shop/pin/versions?{HERE}", {"value": "next"}, "secure", "free"),
    ("PATCH", f"secrets/shop/pin?{HERE}", {"description": "x"}, "secure", "free"),
    ("PATCH", f"secrets/shop/pin?{HERE}", {"rotation": {"rotator": "key"}}, "secure", "free"),
    ("POST", f"secrets/shop/turning/rotate?{HERE}", {}, "secure", "rotate"),
    ("GET", f"config/shop?{HERE}&reveal=true", None, "read", "secret"),
    ("POST", f"services/shop/{FLAGS}?{HERE}", {}, "read", None),
    ("POST", f"services/shop/{FLAGS}/open?{HERE}", {}, "read", "free"),
    ("POST", f"services/shop/{FLAGS}/ruled?{HERE}", {}, "read", "ruled"),
    ("POST", f"{FLAGS}?{HERE}", {}, "read", "only service"),
    ("POST", f"{FLAGS}/open?{HERE}", {}, "read", "only service"),
]
# Of experiments over the configuration, which exist for who may read it. RUNS and DRAFT are the ids of
# one that runs and of a draft, made for each actor; each has the variants "free" and "ruled".
OUTCOMES = {"outcomes": [{"unit": "u1", "metric": "paid"}]}
EXPERIMENTS = [
    ("GET", f"config/shop?{HERE}&unit=u1", None, "read", None),
    ("GET", "experiments/RUNS", None, "read", None),
    ("GET", f"experiments/RUNS?at={NOW}", None, "read", None),
    ("GET", "experiments/RUNS/results", None, "read", None),
    ("POST", "experiments/RUNS/outcomes", OUTCOMES, "read", None),
    ("PATCH", "experiments/RUNS", {"description": "x"}, "publish", None),
    ("POST", "experiments/RUNS/publish", {"variant": "free", "dry_run": True}, "publish", "free"),
    ("POST", "experiments/RUNS/publish", {"variant": "ruled", "dry_run": True}, "publish", "ruled"),
    ("POST", "experiments/RUNS/stop", {}, "publish", None),
    ("PATCH", "experiments/DRAFT", {"starts_at": "2099-01-01T00:00:00Z"}, "publish", "both"),
    ("POST", "experiments/DRAFT/start", {"dry_run": True}, "publish", "both"),
    ("DELETE", "experiments/DRAFT", None, "publish", "both"),
]
PATCHES = {"free": {"free": 9}, "ruled": {"ruled": {"word": f"{HIDDEN}-too"}}}
# Rights on the installation as a whole: the status of those who have the verb everywhere.
INSTALLATION = [
    ("GET", "audit", None, {"audit"}),
    ("GET", "audit/export", None, {"audit"}),
    ("GET", "audit/checkpoints", None, {"audit"}),
    ("GET", "audit/verifier", None, {"audit"}),
    ("GET", "audit/verification", None, {"audit"}),
    ("POST", "audit/verification", {}, {"audit"}),
    ("GET", "grants", None, {"audit", "manage"}),
    ("GET", "key-rules", None, {"audit", "secure"}),
    ("POST", "key-rules", {"pattern": "x"}, {"secure"}),
    ("POST", "services", {"slug": ""}, {"manage"}),
    ("POST", "environments", {"slug": ""}, {"manage"}),
    ("POST", "templates", {"slug": "", "content": {}}, {"manage"}),
    ("POST", "service-accounts", {"slug": ""}, {"manage"}),
    ("POST", "grants", {"to": "user:none", "verb": "read"}, {"manage"}),
    ("PATCH", "environments/production", {"name": "Production"}, {"manage"}),
    ("PATCH", "services/shop", {"name": "Shop"}, {"manage"}),
    ("POST", "services/shop/sections", {"key": ""}, {"manage"}),
    ("POST", "rules", {"name": "", "expression": "true"}, {"manage"}),
    ("GET", "service-accounts", None, {"manage", "audit"}),
    ("GET", "service-accounts/robot-0", None, {"manage", "audit"}),
    ("PATCH", "service-accounts/robot-0", {}, {"manage"}),
    ("GET", "service-accounts/robot-0/tokens", None, {"manage", "audit"}),
    ("POST", "service-accounts/robot-0/tokens", {"name": 1}, {"manage"}),
    ("GET", "roles", None, {"manage", "secure", "audit"}),
    ("GET", "roles/viewer", None, {"manage", "secure", "audit"}),
    ("PUT", "roles/half-made", {"verbs": []}, {"manage"}),
    ("DELETE", "roles/viewer", None, {"manage"}),
    ("GET", "backups", None, {"manage", "audit"}),
    ("GET", "backups/runs", None, {"manage", "audit"}),
    ("POST", "backups", {}, {"manage"}),
    ("POST", "backups/drill", {}, {"manage"}),
    ("POST", "backups/prune", {"dry_run": True}, {"manage"}),
    ("POST", "backups/prune", {}, {"manage"}),
]
# Lists and archives, which give everybody what he may see.
SIGHT = [
    "environments",
    f"environments?at={NOW}",
    "experiments",
    f"experiments?at={NOW}",
    "export",
    "flags",
    "grants",
    "key-rules",
    "matrix",
    "rules",
    "secrets",
    "service-accounts",
    "services",
    f"services?at={NOW}",
    "templates",
]
ROOTS = {
    "": "leads to the portal; and every address below",
    "admin": "leads to the portal",
    "admin/login/": "open",
    "admin/": "test_portal_matrix",
    "accounts/": "test_portal_matrix",
    "api/v1/": "the same as at the root",
    "^.*$": "nothing",
}
# Every address of REST: those judged above, and why the others need no row.
ADDRESSES = {
    "ofrep/v1/evaluate/flags": "above",
    "ofrep/v1/evaluate/flags/<path:key>": "above",
    "ofrep/v1/events": "test_stream_matrix",
    "services/<str:service>/ofrep/v1/evaluate/flags": "above",
    "services/<str:service>/ofrep/v1/evaluate/flags/<path:key>": "above",
    "healthz": "open",
    "readyz": "open",
    ".well-known/jwks.json": "open",
    "metrics": "anybody who is logged in (tests/delivery/test_metrics)",
    "schema": "anybody who is logged in",
    "docs": "anybody who is logged in",
    "config": "above",
    "config/<str:service>": "above",
    "config/<str:service>/value": "above",
    "config/<str:service>/history": "above",
    "config/<str:service>/versions/<str:number>": "above",
    "config/<str:service>/diff": "above",
    "config/<str:service>/readers": "above",
    "config/<str:service>/unread": "above",
    "config/<str:service>/dependencies": "above",
    "config/<str:service>/explain": "above",
    "config/<str:service>/across": "above",
    "config/<str:service>/dependents": "above",
    "config/<str:service>/graph": "above",
    "config/<str:service>/rollback": "above",
    "rollback": "above; wider scopes need it on all of them (test_point_in_time)",
    "config/<str:service>/promote": "publish here and read there (test_promoting)",
    "config/<str:service>/redact": "above",
    "config/<str:service>/refresh": "above",
    "flags": "filtered by sight (tests/api/test_flag_list)",
    "experiments": "test_experiments__made_by_each_actor",
    "experiments/<str:pk>": "above",
    "experiments/<str:pk>/start": "above",
    "experiments/<str:pk>/stop": "above",
    "experiments/<str:pk>/publish": "above",
    "experiments/<str:pk>/outcomes": "above",
    "experiments/<str:pk>/results": "above",
    "graphql": "test_graph_matrix; the console: whoever is logged in",
    "matrix": "filtered by sight (tests/api/test_matrix)",
    "validate": "above",
    "environments": "above; the list is filtered by sight (test_common_rules)",
    "environments/<str:slug>": "above",
    "services": "above; the list is filtered by sight (test_common_rules)",
    "services/<str:slug>": "above",
    "services/<str:slug>/sections": "above",
    "services/<str:slug>/sections/<str:key>": "as the list of sections (test_common_rules)",
    "templates": "above",
    "templates/<str:slug>": "as the list of templates (test_common_rules)",
    "templates/<str:slug>/render": "as the list of templates (tests/api/test_templates)",
    "templates/<str:slug>/users": "read somewhere; filtered by sight (tests/api/test_templates)",
    "templates/<str:slug>/versions": "as the list of templates (test_common_rules)",
    "export": "what the caller may read (test_exchange)",
    "import": "as each of the acts that it is made of (test_exchange)",
    "rules": "above; the list is filtered by sight (test_rules)",
    "rules/<str:name>": "as the list of rules (test_rules)",
    "service-accounts": "above",
    "service-accounts/<str:slug>": "above",
    "service-accounts/<str:slug>/tokens": "above",
    "service-accounts/<str:slug>/tokens/<str:token_id>": "as the accounts (test_common_rules)",
    "service-accounts/<str:slug>/tokens/<str:token_id>/rotate": "as the accounts (test_rotation)",
    "grants": "above",
    "grants/<str:pk>": "as the list of grants (test_common_rules)",
    "key-rules": "above",
    "key-rules/<str:pk>": "as the list of key rules (test_key_rules)",
    "roles": "above",
    "roles/<str:name>": "above",
    "secrets": "filtered by sight (test_secrets)",
    "secrets/<str:service>/<str:name>": "above",
    "secrets/<str:service>/<str:name>/versions": "above",
    "secrets/<str:service>/<str:name>/rotate": "above",
    "secrets/<str:service>/<str:name>/reveal": "above",
    "audit": "above",
    "audit/export": "above",
    "audit/checkpoints": "above",
    "audit/verifier": "above",
    "audit/verification": "above",
    "backups": "above",
    "backups/drill": "above",
    "backups/prune": "above",
    "backups/runs": "above",
    "backups/runs/<str:pk>": "as the list (tests/api/test_backups)",
    "backups/<str:name>": "as the list (tests/api/test_backups)",
    "backups/<str:name>/verify": "as making one (tests/api/test_backups)",
    "stream": "test_stream_matrix",
    "stream/tickets": "anybody who is logged in",
}
COMMANDS = {
    "backup",
    "serve",
    "create_token",
    "rotate_keys",
    "export_configs",
    "import_configs",
    "make_triggers",
    "audit",
    "worker",
    "link_identity",
    "remove_second_factor",
    "changepassword",
    "createsuperuser",
    "reseal_second_factors",
}  # whoever can run one holds the data folder anyway


def ask(api, method, address, body):
    kind = PATCH if method == "PATCH" and address.startswith("config/") else "application/json"
    if method == "POST" and address.startswith("config/shop?"):
        body = {**body, "dry_run": True, "on_stale": "overwrite"}
    elif address == "rollback":
        body = {**body, "at": _first_revision(), "dry_run": True}
    elif method == "POST" and ("rollback" in address or "refresh" in address):
        body = {**body, "dry_run": True}
    return api(method, f"/{address}", body, kind)


def _first_revision():
    from apps.configs.models import Version

    return Version.objects.filter(configuration__service__slug="shop").earliest("number").revision


def status_of(answer):
    """The status; a document that is not valid was refused."""
    if b'"valid":false' in answer.content.replace(b" ", b""):
        return 403
    return answer.status_code


ANYWHERE = {("GET", each) for each in ("key-rules", "service-accounts", "roles", "roles/viewer")}
"""Lists that somebody who has the verb somewhere may ask for: they hold what he manages."""


def test_configuration__each_actor_and_interface__is_answered_as_the_table_says(world):
    wrong = []
    for name, (method, address, body, verb, key) in product(ACTORS, CONFIGURATION):
        answer = ask(world[name], method, address, body)
        if status_of(answer) not in expected(name, verb, key):
            wrong.append((name, method, address, answer.status_code, answer.content[:200]))
        if found := leaks(name, answer.content, revealed="reveal" in address):
            wrong.append((name, method, address, found, answer.content[:200]))

    assert wrong == [], "\n".join(map(str, wrong))


def test_lists__each_actor__tell_nothing_that_he_may_not_know(world):
    wrong = []
    told = set()
    for name, address in product(ACTORS, SIGHT):
        answer = world[name].get(f"/{address}")
        content = unpacked(answer.content)
        told |= {address} if b"shop" in content else set()
        found = leaks(name, content, service="shop")
        if answer.status_code >= 500 or found:
            wrong.append((name, address, answer.status_code, found, content[:200]))

    assert wrong == [], "\n".join(map(str, wrong))
    assert told >= {"export", "flags", "grants", "matrix", "secrets", "services"}


def unpacked(content):
    """An answer's text; an archive's names and files."""
    if not content.startswith(b"PK"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return b"".join(each.encode() + archive.read(each) for each in archive.namelist())


def trial(world, name, *, started=False):
    """The id of an experiment with a variant of free keys and one of ruled keys."""
    variants = [{"name": "as-is"}, *({"name": n, "patch": each} for n, each in PATCHES.items())]
    metrics = [{"name": "paid"}]
    body = {**SHOP, "name": name, "variants": variants, "metrics": metrics, "share": 5}
    maker = world["operator of the rule"]
    made = maker.post("/experiments", body)
    assert made.status_code == 201, made.content
    pk = made.json()["id"]
    if started:
        assert maker.post(f"/experiments/{pk}/start", {}).status_code == 200
    return pk


def of_experiment(name, verb, key):
    """What the table gives of an experiment: it exists for those who may read the configuration."""
    return expected(name, verb, key) if "read" in ACTORS[name][1] else {404}


def test_experiments__each_actor_and_act__is_answered_as_the_table_says(world):
    wrong = []
    for number, name in enumerate(ACTORS):
        ids = {
            "RUNS": trial(world, f"r{number}", started=True),
            "DRAFT": trial(world, f"d{number}"),
        }
        for method, address, body, verb, key in EXPERIMENTS:
            wanted = expected if address.startswith("config/") else of_experiment
            for word, pk in ids.items():
                address = address.replace(word, pk)  # noqa: PLW2901 - the address of this row
            answer = ask(world[name], method, address, body)
            status = 200 if answer.status_code == 204 else answer.status_code
            if status not in wanted(name, verb, key) or leaks(name, answer.content):
                wrong.append((name, method, address, status, answer.content[:200]))

    assert wrong == [], "\n".join(map(str, wrong))


def test_experiments__made_by_each_actor__are_as_the_table_says_of_their_keys(world):
    trial(world, "known")
    wrong = []
    for (number, name), (key, patch) in product(enumerate(ACTORS), PATCHES.items()):
        variants = [{"name": "as-is"}, {"name": "other", "patch": patch}]
        body = {**SHOP, "name": f"of-{number}-{key}", "variants": variants}
        answer = world[name].post("/experiments", body)
        status = 200 if answer.status_code == 201 else answer.status_code
        if status not in expected(name, "publish", key) or leaks(name, answer.content):
            wrong.append((name, key, answer.status_code, answer.content[:200]))
        listed = world[name].get("/experiments?page_size=200")
        sees = bool(listed.json()["results"])
        if sees != ("read" in ACTORS[name][1]) or leaks(name, listed.content):
            wrong.append((name, key, listed.content[:200]))

    assert wrong == [], "\n".join(map(str, wrong))


def test_installation__each_actor_and_interface__is_answered_as_the_table_says(world):
    wrong = []
    for name, (method, address, body, verbs) in product(ACTORS, INSTALLATION):
        held = ACTORS[name][1] if name in EVERYWHERE else set()
        status = ask(world[name], method, address, body).status_code
        may = bool(held & verbs) or (name == "elsewhere" and (method, address) in ANYWHERE)
        refused = {403, 404, 422} if address == "grants" and method == "POST" else {403, 404}
        if (status in refused) == may and not (may and status == 422):
            wrong.append((name, method, address, status))

    assert wrong == [], "\n".join(map(str, wrong))


def test_anonymous__every_interface__is_401(world):
    from tests.conftest import Api

    rows = [(m, a, b) for m, a, b, *_rest in (*CONFIGURATION, *EXPERIMENTS, *INSTALLATION)]

    assert {ask(Api(), *row).status_code for row in rows} == {401}


def test_withdrawn_token_and_deactivated_account__are_401(world, system):
    from apps.access import services
    from apps.core.models import User

    first, second = world["operator"], world["administrator"]
    services.withdraw_token(actor=system, token=first.account.tokens.get())
    User.objects.filter(pk=second.account.user_id).update(is_active=False)

    for api in (first, second):
        assert api.get(f"/config/shop?{HERE}").status_code == 401


def test_superuser__everything__is_open_also_what_rules_cover(world, client, django_user_model):
    person = django_user_model.objects.create_user("root", is_staff=True, is_superuser=True)
    client.force_login(person)

    answer = client.get(f"/config/shop?{HERE}")

    assert json.loads(answer.content)["config"]["ruled"]["pin"] == 2


def test_map__every_address_and_command__has_its_row():
    from django.core.management import get_commands

    from apps.api.urls import urlpatterns
    from configsvc.urls import urlpatterns as roots

    assert {str(each.pattern) for each in roots} == ROOTS.keys()
    addresses = {str(each.pattern) for each in urlpatterns}
    commands = {name for name, app in get_commands().items() if str(app).startswith("apps.")}

    assert addresses == set(ADDRESSES)
    assert commands == COMMANDS
    rows = (*CONFIGURATION, *EXPERIMENTS, *INSTALLATION)
    judged = [row[1].partition("?")[0] for row in rows]
    for address, why in ADDRESSES.items():
        form = re.sub("<path:.+?>", ".+", re.sub("<str:.+?>", "[^/]+", address))
        if why.startswith("above"):
            assert any(re.fullmatch(form, each) for each in judged), address


def test_policy__each_actor_and_verb__is_allowed_what_the_table_says(world):
    """The one question that every interface asks, of every verb there is."""
    from apps.access import explaining, policy
    from apps.access.policy import Place
    from apps.access.roles import VERBS
    from apps.access.selectors import authenticate_token
    from apps.core import clock
    from apps.engine.paths import parse_path
    from apps.registry.selectors import get_environment, get_service

    place = Place(get_service("shop"), get_environment("production"))
    for number, key in enumerate(("free", "ruled.pin"), start=1):
        told = {each.name: set(each.verbs) for each in explaining.who_may(place, parse_path(key))}
        for name, row in ACTORS.items():
            actor = authenticate_token(world[name].raw, now=clock.now())
            may = {v for v in VERBS if policy.allowed(actor, v, place, [parse_path(key)])}
            assert may == row[number], (name, key)
            assert told.get(actor.name, set()) == row[number], (name, key)

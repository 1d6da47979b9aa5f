"""Who may do what: every kind of actor at every interface, against one table.

A new address, page, message or command that has no row here fails the test.
"""

import json
import re
from itertools import product

import pytest

pytestmark = pytest.mark.django_db

VIEWER = {"list", "read"}
OPERATOR = VIEWER | {"edit", "publish", "rollback", "approve"}
OFFICER = VIEWER | {"reveal", "audit", "secure"}
EVERYTHING = OPERATOR | OFFICER | {"manage"}

# name: what is given as (role or verb, where), and what that opens: free keys, ruled keys.
# where: "here" shop in production, "service" shop, "environment" production, "all", "rule".
ACTORS = {
    "nobody": ([], set(), set()),
    "lister": ([("list", "here")], {"list"}, set()),
    "viewer": ([("viewer", "here")], VIEWER, set()),
    "viewer of the service": ([("viewer", "service")], VIEWER, set()),
    "consumer": ([("consumer", "environment")], VIEWER | {"reveal"}, set()),
    "developer": ([("developer", "here")], VIEWER | {"edit"}, set()),
    "operator": ([("operator", "here")], OPERATOR, set()),
    "auditor": ([("auditor", "all")], VIEWER | {"audit"}, set()),
    "security officer": ([("security-officer", "all")], OFFICER, set()),
    "administrator": ([("administrator", "all")], EVERYTHING, set()),
    "reader of the rule": ([("viewer", "here"), ("read", "rule")], VIEWER, {"read"}),
    "operator of the rule": ([("operator", "here"), ("operator", "rule")], OPERATOR, OPERATOR),
    "publisher of the rule alone": ([("list", "here"), ("publish", "rule")], {"list"}, {"publish"}),
    "elsewhere": ([("administrator", "other")], set(), set()),
    "ended": ([], set(), set()),
}
EVERYWHERE = {"auditor", "security officer", "administrator"}
PATCH = "application/merge-patch+json"
HERE = "environment=production"

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
    ("POST", f"config/shop/refresh?{HERE}", {}, "publish", None),
    ("POST", f"config/shop/redact?{HERE}", {"version": 1, "key": "free"}, "secure", "redact"),
    ("POST", "validate", {"service": "shop", "environment": "production"}, "read", "validate"),
    ("POST", f"secrets/shop/pin/reveal?{HERE}", {}, "reveal", "free"),
    ("GET", f"secrets/shop/pin?{HERE}", None, "list", "free"),
    ("GET", f"secrets/shop/pin/versions?{HERE}", None, "list", "free"),
    ("POST", f"secrets/shop/pin/versions?{HERE}", {"value": "next"}, "secure", "free"),
    ("PATCH", f"secrets/shop/pin?{HERE}", {"description": "x"}, "secure", "free"),
    ("PATCH", f"secrets/shop/pin?{HERE}", {"rotation": {"rotator": "key"}}, "secure", "free"),
    ("POST", f"secrets/shop/turning/rotate?{HERE}", {}, "secure", "rotate"),
    ("GET", f"config/shop?{HERE}&reveal=true", None, "read", "secret"),
    ("POST", f"services/shop/ofrep/v1/evaluate/flags?{HERE}", {}, "read", None),
]
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
    ("GET", "service-accounts", None, {"manage"}),
    ("GET", "roles", None, {"manage", "secure", "audit"}),
    ("GET", "roles/viewer", None, {"manage", "secure", "audit"}),
    ("PUT", "roles/half-made", {"verbs": []}, {"manage"}),
    ("DELETE", "roles/viewer", None, {"manage"}),
]
# Every address of REST: those judged above, and why the others need no row.
ADDRESSES = {
    "ofrep/v1/evaluate/flags": "as with the service's prefix (test_ofrep)",
    "ofrep/v1/evaluate/flags/<path:key>": "as all flags (test_ofrep)",
    "ofrep/v1/events": "by a ticket that an evaluation gave (tests/flows/test_ofrep_served)",
    "services/<str:service>/ofrep/v1/evaluate/flags": "above",
    "services/<str:service>/ofrep/v1/evaluate/flags/<path:key>": "as all flags (test_ofrep)",
    "healthz": "open",
    "readyz": "open",
    ".well-known/jwks.json": "open",
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
    "config/<str:service>/promote": "publish here and read there (test_promoting)",
    "config/<str:service>/redact": "above",
    "config/<str:service>/refresh": "above",
    "graphql": "as REST, field by field (tests/api/test_graphql_rights)",
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
    "service-accounts/<str:slug>": "as the list of accounts (test_common_rules)",
    "service-accounts/<str:slug>/tokens": "as the list of accounts (test_common_rules)",
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
    "stream": "answered by the delivery layer (test_watch)",
    "stream/tickets": "anybody who is logged in",
}
MESSAGES = {"subscribe", "unsubscribe", "applied", "ping"}  # rights in test_watch
COMMANDS = {
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


@pytest.fixture
def world(system, shop, make_api):
    """The configuration, the rule, a secret, and one client for each kind of actor."""
    from datetime import timedelta

    from apps.access import key_rules, services
    from apps.access.policy import EVERYWHERE as ALL
    from apps.access.policy import Place
    from apps.configs.services.places import create_service
    from apps.core import clock
    from apps.registry.selectors import get_environment

    production = get_environment("production")
    other = create_service(actor=system, slug="other")
    admin = make_api("administrator")
    secret = {"service": "shop", "environment": "production", "name": "pin", "value": "v4lue"}
    assert admin.post("/secrets", secret).status_code == 201
    turning = {**secret, "name": "turning", "rotation": {"rotator": "password"}}
    assert admin.post("/secrets", turning).status_code == 201
    for pin in (1, 2):
        document = {"free": pin, "ruled": {"pin": pin}, "db": {"$secret": "pin"}}
        body = {"environment": "production", "config": document, "on_stale": "overwrite"}
        assert admin.post("/config/shop", body).status_code == 201
    rule = key_rules.create_key_rule(actor=system, pattern="ruled", place=ALL)
    where = {
        "here": Place(shop, production),
        "service": Place(shop),
        "environment": Place(environment=production),
        "all": ALL,
        "other": Place(other),
        "rule": rule,
    }
    clients = {}
    for name, (grants, _free, _ruled) in ACTORS.items():
        api = make_api()
        for what, place in grants:
            known = what in ("list", "read", "publish")
            given = {"verb": what} if known else {"role": what}
            to = f"service-account:{api.account.slug}"
            services.grant(actor=system, to=to, on=where[place], **given)
        clients[name] = api
    ended = clients["ended"]
    soon = clock.now() + timedelta(milliseconds=30)
    to = f"service-account:{ended.account.slug}"
    services.grant(actor=system, to=to, role="administrator", on=ALL, expires_at=soon)
    while clock.now() <= soon:
        pass
    return clients


def ask(api, method, address, body):
    kind = PATCH if method == "PATCH" and address.startswith("config/") else "application/json"
    if method == "POST" and address.startswith("config/shop?"):
        body = {**body, "dry_run": True, "on_stale": "overwrite"}
    elif method == "POST" and ("rollback" in address or "refresh" in address):
        body = {**body, "dry_run": True}
    elif address == "validate":
        body = {**body, "config": {"free": 1}}
    return api(method, f"/{address}", body, kind)


ANYWHERE = {("GET", each) for each in ("key-rules", "service-accounts", "roles", "roles/viewer")}
"""Lists that somebody who has the verb somewhere may ask for: they hold what he manages."""


def expected(name, verb, key):  # noqa: PLR0911 - a table
    """The statuses that the table gives this actor; 2xx stands for having the right."""
    _grants, free, ruled = ACTORS[name]
    if "list" not in free:
        return {404}
    verbs = verb.split(" or ")
    on_free, on_ruled = (any(each in held for each in verbs) for held in (free, ruled))
    if not (on_free or (on_ruled and verb in ("read", "publish", "rollback"))):
        return {403}
    if key == "ruled":
        if verb == "read":
            return {200} if on_ruled else {404}  # left out of what the caller may see
        return {200} if on_ruled else {403}
    if key == "both":
        return {200} if on_free and on_ruled else {403}
    if key == "secret":
        return {200} if "reveal" in free else {403}
    if key == "rotate":
        return {202, 409}  # one of the others has begun it
    if key == "redact":
        return {422}  # the value is live: the right was there
    if verb == "publish" and key == "free" and not on_free:
        return {403}
    if verb == "read" and key == "free" and not on_free:
        return {404}
    return {200, 201}


def test_configuration__each_actor_and_interface__is_answered_as_the_table_says(world):
    wrong = []
    for name, (method, address, body, verb, key) in product(ACTORS, CONFIGURATION):
        answer = ask(world[name], method, address, body)
        if answer.status_code not in expected(name, verb, key):
            wrong.append((name, method, address, answer.status_code, answer.content[:200]))
        if "read" not in ACTORS[name][2] and b'"pin":' in answer.content and method == "GET":
            wrong.append((name, method, address, "shows the ruled key", answer.content[:200]))

    assert wrong == []


def test_installation__each_actor_and_interface__is_answered_as_the_table_says(world):
    wrong = []
    for name, (method, address, body, verbs) in product(ACTORS, INSTALLATION):
        held = ACTORS[name][1] if name in EVERYWHERE else set()
        status = ask(world[name], method, address, body).status_code
        may = bool(held & verbs) or (name == "elsewhere" and (method, address) in ANYWHERE)
        refused = {403, 404, 422} if address == "grants" and method == "POST" else {403, 404}
        if (status in refused) == may and not (may and status == 422):
            wrong.append((name, method, address, status))

    assert wrong == []


def test_anonymous__every_interface__is_401(world):
    from tests.conftest import Api

    rows = [(m, a, b) for m, a, b, *_rest in (*CONFIGURATION, *INSTALLATION)]

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

    assert json.loads(answer.content)["config"]["ruled"] == {"pin": 2}


def test_map__every_address_message_and_command__has_its_row():
    import inspect

    from django.core.management import get_commands

    from apps.api.urls import urlpatterns
    from apps.delivery.consumers import ConfigConsumer

    addresses = {str(each.pattern) for each in urlpatterns}
    commands = {name for name, app in get_commands().items() if str(app).startswith("apps.")}
    kinds = set(re.findall(r'kind == "(\w+)"', inspect.getsource(ConfigConsumer._handle)))

    assert addresses == set(ADDRESSES)
    assert commands == COMMANDS
    assert kinds == MESSAGES
    judged = {row[1].partition("?")[0].partition("/")[0] for row in (*CONFIGURATION, *INSTALLATION)}
    assert {each for each, why in ADDRESSES.items() if why.startswith("above")} <= {
        each for each in ADDRESSES if each.partition("/")[0] in judged
    }

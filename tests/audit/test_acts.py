"""One event per act, line by line: what is done by whom leaves exactly these events."""

import datetime
import importlib
import itertools
import json
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.audit.event_names import Modules
from tests.audit.secret_acts import SECRET_ACTS
from tests.audit.spread_acts import HERE, SPREAD_ACTS, publish

pytestmark = pytest.mark.django_db

PASSWORD = "a long phrase that holds"


def templates_body(content):
    from apps.configs.services.templates import Body

    return Body(content)


@pytest.fixture
def world(shop, system, settings, tmp_path):
    """Names for what the acts are done to."""
    from types import SimpleNamespace

    from apps.access import key_rules, people, services
    from apps.access.policy import EVERYWHERE, Place
    from apps.configs.services import rules, sections, templates
    from apps.configs.services.places import create_environment, create_service
    from apps.registry.selectors import get_environment
    from apps.vault.services import create_secret

    settings.PRIVATE_TARGETS = [ip_network("127.0.0.0/8")]
    keys = tmp_path / "encryption.key"
    keys.write_text("The-First-Key-Text-" + "asdfghjk1234" * 3 + "\n")
    keys.chmod(0o600)
    settings.KEY_PROVIDER = {**settings.KEY_PROVIDER, "keys": (), "file": str(keys)}
    found = SimpleNamespace(actor=system, shop=shop, production=get_environment("production"))
    found.here = Place(shop, found.production)
    found.other = create_service(actor=system, slug="other")
    found.spare = create_environment(actor=system, slug="spare", rank=90)
    found.section = sections.create_section(actor=system, service=shop, key="settings")
    found.document_rule = rules.create_rule(
        actor=system, name="small", place=EVERYWHERE, expression="config.m < 9"
    )
    found.template = templates.create_template(
        actor=system, slug="base", body=templates.Body({})
    ).template
    found.crew = people.create_group(actor=system, name="crew")
    found.ada = people.create_person(actor=system, username="ada", password=PASSWORD)
    found.robot = services.create_account(actor=system, slug="robot")
    found.token, _raw = services.create_token(actor=system, account=found.robot)
    found.rule = key_rules.create_key_rule(actor=system, pattern="a.**", place=EVERYWHERE)
    found.grant = services.grant(actor=system, to="group:crew", role="viewer")
    services.grant(actor=system, to="group:crew", role="viewer", on=found.rule)
    publish(found, "n: a text\n")
    publish(found, "n: 2\n")
    found.secret = create_secret(actor=system, place=found.here, slug="pin", value="v4lue")
    return found


def options():
    from apps.configs.services.bases import Options

    return Options()


def roll_back(w):
    from apps.configs.services.rollback import rollback

    rollback(actor=w.actor, place=w.here, options=options(), to_version=1)


def restore_point(w):
    from apps.access.policy import EVERYWHERE
    from apps.audit.selectors import find_point, head
    from apps.configs.services.point_in_time import Wanted, restore

    point = find_point(number=head().revision)
    publish(w, "n: 3\n")
    restore(actor=w.actor, wanted=Wanted(EVERYWHERE, point), options=options())


def retire(w):
    from apps.configs.services import publishing

    publishing.retire(actor=w.actor, place=w.here, options=options())


def redact(w):
    from apps.configs.services.redacting import redact as act

    act(actor=w.actor, place=w.here, number=1, key="n")


def of_module(module, name, /, **members):
    """An act of a module's service on what ``members`` name."""

    def act(w):
        given = {key: value(w) if callable(value) else value for key, value in members.items()}
        getattr(importlib.import_module(module), name)(actor=w.actor, **given)

    return act


def access(name, /, **members):
    return of_module("apps.access.services", name, **members)


def people(name, /, **members):
    return of_module("apps.access.people", name, **members)


def end_grants(w):
    from apps.access import services
    from apps.access.models import Grant
    from apps.core import clock

    past = clock.now() - datetime.timedelta(minutes=1)
    Grant.objects.filter(pk=w.grant.pk).update(expires_at=past)
    services.end_grants(actor=w.actor)


def rule(name, /, **members):
    def act(w):
        from apps.access import key_rules
        from apps.access.policy import EVERYWHERE

        on = {"place": EVERYWHERE} if name == "create_key_rule" else {"rule": w.rule}
        getattr(key_rules, name)(actor=w.actor, **on, **members)

    return act


def configs(module, name, /, **members):
    return of_module(f"apps.configs.services.{module}", name, **members)


def vault(name, /, **members):
    return of_module("apps.vault.services", name, **members)


def destroy_version(w):
    from apps.vault import services

    services.write_secret(actor=w.actor, secret=w.secret, value="next")
    services.destroy_version(actor=w.actor, version=w.secret.versions.get(number=1))


def disclose(w):
    from apps.access import services
    from tests.conftest import Api

    publish(w, 'n: {"$secret": pin}\n')
    services.grant(actor=w.actor, to="service-account:robot", role="consumer")
    _token, raw = services.create_token(actor=w.actor, account=w.robot)
    for _ in range(2):
        answer = Api(raw).get("/config/shop?environment=production&reveal=true")
        assert answer.status_code == 200, answer.content


def rotate_keys(w):
    from apps.vault import rewrapping

    list(rewrapping.rewrap_all(actor=w.actor, batch=10))


def export(w):
    from apps.access.ledger_view import LedgerView
    from apps.audit.downloads import export as act
    from apps.audit.selectors import EventFilters

    act(actor=w.actor, filters=EventFilters(), form="csv", view=LedgerView(w.actor))


def sign_key(w):
    from apps.audit.checkpoints import register_key

    register_key(actor=w.actor)
    register_key(actor=w.actor)


def log_in(password, out=False):
    def act(_w):
        from django.test import Client

        client = Client()
        client.post("/admin/login/", {"username": "ada", "password": password})
        if out:
            client.post("/admin/logout/")

    return act


PIN = "secret:shop@production/pin"
ACTS = {
    "publish": (lambda w: publish(w, "n: 3\n"), [("configuration.publish", HERE)]),
    "publish, unchanged": (lambda w: publish(w, "n: 2\n"), []),
    "roll back": (roll_back, [("configuration.rollback", HERE)]),
    "restore a point in time": (
        restore_point,
        [("configuration.publish", HERE), ("configuration.restore", HERE)],
    ),
    "retire": (retire, [("configuration.retire", HERE)]),
    "redact": (redact, [("configuration_text.redacted", HERE)]),
    "grant": (access("grant", to="user:ada", role="viewer"), [("grant.given", "user:ada")]),
    "withdraw a grant": (
        access("withdraw_grant", grant=lambda w: w.grant),
        [("grant.withdrawn", "group:crew")],
    ),
    "a grant ends": (end_grants, [("grant.ended", "group:crew")]),
    "make a key rule": (rule("create_key_rule", pattern="b"), [("key_rule.created", "key-rule:*")]),
    "change a key rule": (
        rule("update_key_rule", pattern="c"),
        [("key_rule.updated", "key-rule:*")],
    ),
    "end a key rule with its grants": (
        rule("delete_key_rule"),
        [("key_rule.deleted", "key-rule:*"), ("grant.withdrawn", "group:crew")],
    ),
    "make a group": (people("create_group", name="new"), [("group.created", "group:new")]),
    "make a person": (people("create_person", username="bob"), [("user.created", "user:bob")]),
    "rename a person": (
        people("rename_person", user=lambda w: w.ada, email="", name="Ada B"),
        [("user.renamed", "user:ada")],
    ),
    "make a superuser": (
        people("update_person", user=lambda w: w.ada, is_active=True, is_superuser=True),
        [("user.updated", "user:ada")],
    ),
    "set a password": (
        people("set_password", user=lambda w: w.ada, password="another phrase that holds"),
        [("user.password", "user:ada")],
    ),
    "link an identity": (
        of_module(
            "apps.access.identities", "link", user=lambda w: w.ada, issuer="https://id", subject="5"
        ),
        [("identity.linked", "user:ada")],
    ),
    "put into a group": (
        people("set_groups", user=lambda w: w.ada, groups=lambda w: [w.crew]),
        [("user.groups", "user:ada")],
    ),
    "put into the same groups": (
        people("set_groups", user=lambda w: w.ada, groups=lambda _w: []),
        [],
    ),
    "make an account": (
        access("create_account", slug="new"),
        [("account.created", "service-account:new")],
    ),
    "change an account": (
        access("update_account", account=lambda w: w.robot, description="x"),
        [("account.updated", "service-account:robot")],
    ),
    "end an account with its tokens": (
        access("delete_account", account=lambda w: w.robot),
        [
            ("account.deleted", "service-account:robot"),
            ("token.withdrawn", "service-account:robot"),
        ],
    ),
    "make a token": (
        access("create_token", account=lambda w: w.robot),
        [("token.created", "service-account:robot")],
    ),
    "withdraw a token": (
        access("withdraw_token", token=lambda w: w.token),
        [("token.withdrawn", "service-account:robot")],
    ),
    "log in": (log_in(PASSWORD), [("login", "user:ada")]),
    "log in and out": (log_in(PASSWORD, out=True), [("login", "user:ada"), ("logout", "user:ada")]),
    "fail to log in": (log_in("wrong"), [("login.failed", "user:ada")]),
    "make a service": (
        configs("places", "create_service", slug="new"),
        [("service.created", "service:new")],
    ),
    "change a service": (
        configs("places", "update_service", service=lambda w: w.shop, name="Shop"),
        [("service.updated", "service:shop")],
    ),
    "end a service": (
        configs("places", "delete_service", service=lambda w: w.other),
        [("service.deleted", "service:other")],
    ),
    "make an environment": (
        configs("places", "create_environment", slug="new"),
        [("environment.created", "environment:new")],
    ),
    "protect an environment": (
        configs("places", "update_environment", environment=lambda w: w.production, protected=True),
        [("environment.updated", "environment:production")],
    ),
    "end an environment": (
        configs("places", "delete_environment", environment=lambda w: w.spare),
        [("environment.deleted", "environment:spare")],
    ),
    "make a section": (
        configs("sections", "create_section", service=lambda w: w.shop, key="new"),
        [("section.created", "section:shop:new")],
    ),
    "change a section": (
        configs("sections", "update_section", section=lambda w: w.section, description="x"),
        [("section.updated", "section:shop:settings")],
    ),
    "end a section": (
        configs("sections", "delete_section", section=lambda w: w.section),
        [("section.deleted", "section:shop:settings")],
    ),
    "make a rule": (
        configs("rules", "create_rule", name="new", place=lambda w: w.here, key="n", equals=2),
        [("rule.created", "rule:new")],
    ),
    "change a rule": (
        configs("rules", "update_rule", rule=lambda w: w.document_rule, message="x"),
        [("rule.updated", "rule:small")],
    ),
    "end a rule": (
        configs("rules", "delete_rule", rule=lambda w: w.document_rule),
        [("rule.deleted", "rule:small")],
    ),
    "make a template": (
        configs("templates", "create_template", slug="new", body=lambda _w: templates_body({})),
        [("template.published", "template:new")],
    ),
    "publish a template": (
        configs(
            "templates",
            "publish_template",
            template=lambda w: w.template,
            body=lambda _w: templates_body({"a": 1}),
        ),
        [("template.published", "template:base")],
    ),
    "change a template": (
        configs("templates", "update_template", template=lambda w: w.template, name="x"),
        [("template.updated", "template:base")],
    ),
    "end a template": (
        configs("templates", "delete_template", template=lambda w: w.template),
        [("template.deleted", "template:base")],
    ),
    "make a secret": (
        vault("create_secret", place=lambda w: w.here, slug="new", value="v"),
        [("secret.created", "secret:shop@production/new")],
    ),
    "write a secret": (
        vault("write_secret", secret=lambda w: w.secret, value="v2"),
        [("secret.written", PIN)],
    ),
    "reveal twice": (
        lambda w: [vault("reveal", secret=lambda w: w.secret)(w) for _ in range(2)],
        [("secret.revealed", PIN), ("secret.revealed", PIN)],
    ),
    "disclose twice to one account": (
        disclose,
        [
            ("configuration.publish", HERE),
            ("grant.given", "service-account:robot"),
            ("token.created", "service-account:robot"),
            ("secret.disclosed", PIN, "service-account:robot"),
        ],
    ),
    "destroy a version": (destroy_version, [("secret.written", PIN), ("secret.destroyed", PIN)]),
    "end a secret": (vault("delete_secret", secret=lambda w: w.secret), [("secret.deleted", PIN)]),
    "wrap keys again": (rotate_keys, [("key.rotated", "key:*")]),
    "sign by a new key": (sign_key, [("signature_key.added", "key:*")]),
    "export the ledger": (export, [("ledger.exported", "ledger")]),
    "seal second factors anew": (
        lambda _w: importlib.import_module("apps.access.logins").reseal_factors(),
        [("factors.resealed", "installation", "system:access")],
    ),
    **SPREAD_ACTS,
    **SECRET_ACTS,
}


BY = {
    "log in": "user:ada",
    "log in and out": "user:ada",
    "fail to log in": "address:127.0.0.1",
}
"""Who did it, where it was not the world's own actor."""
ELSEWHERE = {
    "backup.created": "tests/flows/test_backups.py",
    "backup.pruned": "tests/api/test_backups.py",
    "backup.tried": "tests/flows/test_backups.py",
    "backup.verified": "tests/api/test_backups.py",
    "factor.enrolled": "tests/portal/test_login.py",
    "factor.removed": "tests/portal/test_login.py",
    "token.rotated": "tests/access/test_rotation.py",
    "role.created": "tests/access/test_own_roles.py",
    "role.updated": "tests/access/test_own_roles.py",
    "role.deleted": "tests/access/test_own_roles.py",
    "job.put": "tests/portal/test_rotation.py",
    "installation.restored": "tests/flows/test_after_restore.py",
    "installation.epoch_begun": "tests/audit/test_epochs.py",
    "installation.rights_confirmed": "tests/access/test_holds.py",
    "installation.exported": "tests/api/test_exchange.py",
    "experiment.created": "tests/api/test_experiments.py",
    "experiment.updated": "tests/api/test_experiments.py",
    "experiment.started": "tests/api/test_experiments.py",
    "experiment.stopped": "tests/api/test_experiments.py",
    "experiment.deleted": "tests/api/test_experiments.py",
    "configuration.experiment": "tests/api/test_experiments.py",
    "refused.write": "tests/audit/test_refusals.py",
    "refused.reveal": "tests/audit/test_refusals.py",
    "secret.ending": "tests/vault/test_rotators.py",
}
"""Events that take more to arise, and the tests that assert them."""
PUT_TOGETHER = {
    "configuration.*": "with each cause",
    "?wave[place]": "the causes in FOLLOWING",
    "?reason.cause": "those of each Reason",
    "?key[1]": "refusals that were recorded before",
}
"""What in the code is not a name by itself, and what names it stands for."""


@pytest.mark.each_database
@pytest.mark.parametrize("name", ACTS)
def test_act__each_one__leaves_exactly_its_events(world, name):
    from apps.audit.models import AuditEvent

    before = AuditEvent.objects.count()
    act, expected = ACTS[name]

    act(world)

    rows = AuditEvent.objects.filter(number__gt=before).order_by("number")
    wanted = [(*each, BY.get(name, world.actor.name))[:3] for each in expected]
    open_ends = [target.removesuffix("*") for _action, target, _actor in wanted]
    found = [
        (
            each.action,
            f"{start}*" if start.endswith(":") and each.target.startswith(start) else each.target,
            each.actor,
        )
        for each, start in itertools.zip_longest(rows, open_ends[: len(rows)], fillvalue="")
    ]
    assert found == wanted


WHAT = {
    "protect an environment": {
        "name": "Production",
        "parent": None,
        "default": False,
        "protected": True,
        "required_approvals": 0,
    },
    "give a secret its rotation": {"rotator": "password", "keep_hours": 1},
    "change a connection": {"kind": "webhook", "address": "https://127.0.0.1:10/"},
    "link an identity": {"issuer": "https://id", "subject": "5"},
    "rotate in vain": {"step": "set"},
    "open what was altered": {"version": 1},
}


@pytest.mark.parametrize("name", WHAT)
def test_act__settings_that_matter__are_in_its_event(world, name):
    from apps.audit.models import AuditEvent

    ACTS[name][0](world)

    data = json.loads(AuditEvent.objects.order_by("number").last().data)
    assert WHAT[name].items() <= data.items()


def test_acts__every_event_that_the_code_can_write__is_in_a_table_or_a_test():
    from apps.configs.secret_news import CAUSE
    from apps.configs.services import overlays
    from apps.configs.services.planning import FOLLOWING

    events = Modules("apps").written()
    causes = {
        *Modules("apps/configs", "cause", "Plan").written(),
        *Modules("apps/configs", "cause", "Reason").written(),
        *FOLLOWING,
        CAUSE,
        overlays.CAUSE,
    }
    assert PUT_TOGETHER.keys() <= events.keys() | causes
    names = events.keys() | {f"configuration.{each}" for each in causes - PUT_TOGETHER.keys()}
    written = names - PUT_TOGETHER.keys()

    listed = {action for _act, found in ACTS.values() for action, *_more in found}
    assert written - listed == set(ELSEWHERE)
    for action, path in ELSEWHERE.items():
        assert f'"{action}"' in Path(path).read_text(), action

"""Who gets which page of the portal: every kind of person at every address, against one table.

An address of the portal that has no row here fails the test.
"""

import uuid
from itertools import product

import pytest
from django.template import Template

from tests.conftest import client_with
from tests.contracts.actors import ACTORS, EVERYWHERE
from tests.portal.conftest import logged_in

pytestmark = pytest.mark.django_db

PLACE = ("shop", "production")
SERVICE = EVERYWHERE | {"viewer of the service"}
DOCUMENT = {"content": "free: 1\n", "format": "yaml", "base_version": "2", "page": "p"}
EXAMPLE = {"content": "own: 1\n", "format": "yaml", "section": "free"}
SECRET = {"name": "made", "value": "v4lue-of-a-secret"}
MAKE = {"content": "db: v4lue-in-plain-text\n", "format": "yaml", "pointer": "/db", "name": "other"}
SOME, ALL, HERE, ON_SERVICE = "some", "all", "here", "service"
ANYBODY = ()
DRAWN = {"administrator", "developer", "publisher of the rule alone"}
JSON_HIDDEN = 422
"""A background request answers 422 for what may not be known of, as for what does not exist."""

# name: (path's parts, form to post or None, verbs of which one is needed, where, hidden status).
# Where one is refused: what is hidden when `list` is missing there, else 403.
PAGES = {
    "config": (PLACE, None, {"read"}, HERE, 404),
    "config-draft": (PLACE, DOCUMENT, {"edit", "publish"}, HERE, JSON_HIDDEN),
    "config-propose": (PLACE, DOCUMENT, {"edit", "publish"}, HERE, 404),
    "config-convert": (PLACE, DOCUMENT, {"list"}, HERE, JSON_HIDDEN),
    "config-flags": (PLACE, {"content": "free: 1"}, {"read"}, HERE, JSON_HIDDEN),
    "config-example": (PLACE, EXAMPLE, {"list"}, HERE, JSON_HIDDEN),
    "config-use": (PLACE, None, {"read"}, HERE, 404),
    "config-history": (PLACE, None, {"read", "audit"}, HERE, 404),
    "config-promote": (PLACE, None, {"publish"}, HERE, 404),
    "config-graph": (PLACE, None, {"read"}, HERE, 404),
    "config-explain": (PLACE, None, {"read"}, HERE, 404),
    "config-across": (PLACE, None, {"read"}, HERE, 404),
    "config-readers": (PLACE, None, {"audit"}, HERE, 404),
    "config-diff": (PLACE, None, {"read"}, HERE, 404),
    "config-then": (PLACE, None, {"read"}, HERE, 404),
    "config-then-marks": (PLACE, None, {"read"}, HERE, 404),
    "config-redact": ((*PLACE, 1), None, {"secure"}, HERE, 404),
    "config-refresh": (PLACE, {}, {"publish"}, HERE, 404),
    "config-experiments": (PLACE, None, {"read"}, HERE, 404),
    "config-experiment-new": (PLACE, None, {"publish"}, HERE, 404),
    "config-experiment-preview": (PLACE, {"patch": "a: 1"}, {"publish"}, HERE, JSON_HIDDEN),
    "config-secrets": (PLACE, None, {"list"}, HERE, 404),
    "config-new-secret": (PLACE, SECRET, {"secure"}, HERE, JSON_HIDDEN),
    "config-make-secret": (PLACE, MAKE, {"secure"}, HERE, JSON_HIDDEN),
    "config-secret": ((*PLACE, "pin"), None, {"list"}, HERE, 404),
    "config-secret-reveal": ((*PLACE, "pin"), {"version": "1"}, {"reveal"}, HERE, JSON_HIDDEN),
    "config-secret-rotation": ((*PLACE, "pin"), None, {"list"}, HERE, 404),
    "flags": ((), None, {"read"}, SOME, 403),
    "experiments": ((), None, {"read"}, SOME, 403),
    "secrets": ((), None, ANYBODY, ALL, 403),
    "exchange": ((), None, {"read"}, SOME, 403),
    "restore": ((), None, {"rollback"}, SOME, 403),
    "exchange-export": ((), None, {"read"}, SOME, 403),
    "jobs": ((), None, {"audit", "manage"}, ALL, 403),
    "backups": ((), None, {"audit", "manage"}, ALL, 403),
    "backups-runs": ((), None, {"audit", "manage"}, ALL, 403),
    "rights-past": ((), None, {"audit"}, ALL, 403),
    "rights": ((), None, {"audit", "manage"}, ALL, 403),
    "roles": ((), None, {"audit", "manage", "secure"}, SOME, 403),
    "role": (("viewer",), None, {"audit", "manage", "secure"}, SOME, 403),
    "key-rules": ((), None, {"audit", "secure", "manage"}, SOME, 403),
    "key-rules-preview": ((), None, {"secure", "manage"}, SOME, 403),
    "ledger": ((), None, {"audit"}, ALL, 403),
    "ledger-refused": ((), None, {"audit"}, ALL, 403),
    "ledger-proof": ((), None, {"audit"}, ALL, 403),
    "ledger-verify": ((), {}, {"audit"}, ALL, 403),
    "ledger-download": (("verifier.py",), None, {"audit"}, ALL, 403),
    "core_connection_changelist": ((), None, {"manage"}, ALL, 403),
    "core_connection_add": ((), None, {"manage"}, ALL, 403),
    "index": ((), None, ANYBODY, ALL, 403),
    "registry_service_changelist": ((), None, {"list"}, SOME, 403),
    "registry_environment_changelist": ((), None, {"list"}, SOME, 403),
    "configs_section_changelist": ((), None, {"list"}, SOME, 403),
    "configs_rule_changelist": ((), None, {"list"}, SOME, 403),
    "configs_rule_add": ((), None, {"manage"}, SOME, 403),
    "configs_template_changelist": ((), None, {"list"}, SOME, 403),
    "access_serviceaccount_changelist": ((), None, {"manage", "audit"}, SOME, 403),
    "core_user_changelist": ((), None, {"manage", "audit"}, ALL, 403),
    "auth_group_changelist": ((), None, {"manage", "audit"}, ALL, 403),
    "registry_service_add": ((), None, {"manage"}, ALL, 403),
    "registry_environment_add": ((), None, {"manage"}, ALL, 403),
    "configs_section_add": ((), None, {"manage"}, ALL, 403),
    "configs_template_add": ((), None, {"manage"}, ALL, 403),
    "access_serviceaccount_add": ((), None, {"manage"}, SOME, 403),
    "core_user_add": ((), None, {"manage"}, ALL, 403),
    "auth_group_add": ((), None, {"manage"}, ALL, 403),
}
# The rows of Django's admin: 302 to the start where a row is not one's own to know of.
ROWS = {
    "registry_service_change": ("service", {"list"}, HERE),
    "registry_service_history": ("service", {"audit", "manage"}, ON_SERVICE),
    "registry_service_delete": ("service", {"manage"}, ON_SERVICE),
    "configs_section_change": ("section", {"list"}, HERE),
    "configs_section_history": ("section", {"audit", "manage"}, ON_SERVICE),
    "configs_section_delete": ("section", {"manage"}, ON_SERVICE),
    "configs_rule_change": ("document rule", {"read"}, HERE),
    "configs_rule_history": ("document rule", {"audit", "manage"}, ON_SERVICE),
    "configs_rule_delete": ("document rule", {"manage"}, ON_SERVICE),
    "registry_environment_change": ("environment", {"list"}, SOME),
    "registry_environment_history": ("environment", {"audit", "manage"}, ALL),
    "registry_environment_delete": ("environment", {"manage"}, ALL),
    "configs_template_change": ("template", {"read"}, SOME),
    "configs_template_history": ("template", {"audit", "manage"}, ALL),
    "configs_template_delete": ("template", {"manage"}, ALL),
    "access_serviceaccount_change": ("account", {"audit", "manage"}, ALL),
    "access_serviceaccount_history": ("account", {"audit", "manage"}, ALL),
    "access_serviceaccount_delete": ("account", {"manage"}, ALL),
    "core_connection_change": ("connection", {"manage"}, ALL),
    "core_connection_history": ("connection", {"manage"}, ALL),
    "core_connection_delete": ("connection", {"manage"}, ALL),
    "core_user_change": ("person", {"audit", "manage"}, ALL),
    "core_user_history": ("person", {"audit", "manage"}, ALL),
    "core_user_delete": ("person", set(), ALL),
    "auth_group_change": ("group", {"audit", "manage"}, ALL),
    "auth_group_history": ("group", {"audit", "manage"}, ALL),
    "auth_group_delete": ("group", set(), ALL),
}
# Why the others need no row of the tables above.
OTHERS = {
    "config-publish": "as publishing by REST, whose service it calls (test_pages)",
    "config-proposal": "who may publish and read every key (test_proposals)",
    "config-rollback": "below: the rights on all keys that change",
    "config-retire": "below: the same",
    **dict.fromkeys(
        ("experiment", "experiment-change", "experiment-start", "experiment-publish"),
        "below: read for one that may be read, publish for what acts on it",
    ),
    "rights-of": "below: about oneself, and of others what is in one's own places",
    "key-rule": "below: 404 for those who may not know of the rule",
    "access_serviceaccount_tokens": "below",
    "search": "finds pages of the sidebar alone",
    "confirm-rights": "superusers alone (tests/access/test_holds.py)",
    "login": "open",
    "logout": "open",
    "password_change": "one's own",
    "password_change_done": "one's own",
    "autocomplete": "finds groups for who may open their pages (test_groups)",
    "auth_group_members": "who may manage everything (test_groups)",
    "jsi18n": "texts of the interface",
    "view_on_site": "no model has a page of its own: 404",
    "app_list": "the models that one may list",
    **{
        f"{each}_simple_history": "as the row's history (test_pages)"
        for each in (
            "registry_service",
            "registry_environment",
            "configs_rule",
            "configs_section",
            "configs_template",
            "access_serviceaccount",
            "core_connection",
            "core_user",
            "auth_group",
        )
    },
}
OWN_LOGIN = {
    "account_logout",
    "account_reauthenticate",
    "account_change_password",
    "single_sign_on",
    "single_sign_on_callback",
}  # and mfa_…: one's own log-in and factors (test_login)


@pytest.fixture(scope="module")
def world(module_rows):
    """The configuration, a rule, a secret, a row of each kind, and a person of each kind."""
    from apps.access import key_rules, people, services
    from apps.access.policy import EVERYWHERE as ALL_PLACES
    from apps.access.policy import Place
    from apps.configs.services import rules, sections, templates
    from apps.configs.services.places import create_service
    from apps.core import clock
    from apps.core.actor import system as system_actor
    from apps.core.models import Connection
    from apps.registry.selectors import get_environment

    system = system_actor("test")
    production = get_environment("production")
    shop, other = (create_service(actor=system, slug=slug) for slug in ("shop", "other"))
    admin = client_with("administrator")
    secret = {"service": "shop", "environment": "production", "name": "pin", "value": "v4lue"}
    assert admin.post("/secrets", secret).status_code == 201
    for pin in (1, 2):
        document = {"free": pin, "ruled": {"pin": pin}, "db": {"$secret": "pin"}}
        body = {"environment": "production", "config": document, "on_stale": "overwrite"}
        assert admin.post("/config/shop", body).status_code == 201
    rows = {
        "service": shop,
        "environment": production,
        "section": sections.create_section(actor=system, service=shop, key="free"),
        "template": templates.create_template(
            actor=system, slug="base", body=templates.Body({})
        ).template,
        "document rule": rules.create_rule(
            actor=system, name="free", place=Place(shop), expression="config.free > 0"
        ),
        "account": services.create_account(actor=system, slug="app"),
        "group": people.create_group(actor=system, name="web"),
        "connection": Connection.objects.create(
            slug="hook",
            kind="webhook",
            address="https://hook.example/",
            credential=uuid.uuid4(),
            created_at=clock.now(),
        ),
        "rule": key_rules.create_key_rule(actor=system, pattern="ruled", place=ALL_PLACES),
    }
    where = {
        "here": Place(shop, production),
        "service": Place(shop),
        "environment": Place(environment=production),
        "all": ALL_PLACES,
        "other": Place(other),
        "rule": rows["rule"],
    }
    people = {}
    for number, (name, (grants, _free, _ruled)) in enumerate(ACTORS.items()):
        people[name] = logged_in(f"person-{number}")
        for what, place in grants:
            given = {"verb" if what in ("list", "read", "publish") else "role": what}
            services.grant(actor=system, to=f"user:person-{number}", on=where[place], **given)
    rows["person"] = people["nobody"].person
    people["rows"] = rows
    return people


def holds(name, verbs, where):
    """Whether the table gives this kind of person one of the verbs there, or on some keys there."""
    _grants, free, ruled = ACTORS[name]
    if where == HERE:
        free = free | (ruled & {"read", "publish", "rollback"})
    if name == "elsewhere":
        return where == SOME
    reach = {SOME: ACTORS, HERE: ACTORS, ON_SERVICE: SERVICE, ALL: EVERYWHERE}[where]
    return name in reach and bool(free & verbs)


@pytest.fixture
def drawn_for_some(monkeypatch):
    """Draws pages for few kinds of people: what is answered is decided before, and takes half the time."""
    draw = Template._render

    def drawn(template, context):
        return draw(template, context) if drawn.now else ""

    monkeypatch.setattr(Template, "_render", drawn)
    return drawn


def ask(client, name, args, form):
    from django.urls import reverse

    path = reverse(f"admin:{name}", args=args)
    if name == "key-rules-preview":
        path += "?pattern=free"
    return client.get(path) if form is None else client.post(path, form)


def test_pages__each_kind_of_person__gets_what_the_table_says(world, drawn_for_some):
    wrong = []
    for name, (page, row) in product(ACTORS, PAGES.items()):
        args, form, verbs, where, hidden = row
        drawn_for_some.now = name in DRAWN
        if page in ("config-new-secret", "config-make-secret"):
            form = {**form, "name": f"made-by-{list(ACTORS).index(name)}-{page[7:10]}"}
        status = ask(world[name], page, args, form).status_code
        if verbs == ANYBODY or holds(name, verbs, where):
            wanted = {200, 201, 302}
        else:
            sees = where != HERE or "list" in ACTORS[name][1]
            wanted = {403} if sees else {hidden}
        if status not in wanted:
            wrong.append((name, page, status, wanted))

    assert wrong == [], wrong


def test_rows__each_kind_of_person__gets_what_the_table_says(world, drawn_for_some):
    wrong = []
    for name, (page, (row, verbs, where)) in product(ACTORS, ROWS.items()):
        drawn_for_some.now = name in DRAWN
        status = ask(world[name], page, [world["rows"][row].pk], None).status_code
        leads_on = page in ("core_user_history", "auth_group_history")  # to the ledger
        wanted = {302 if leads_on else 200} if holds(name, verbs, where) else {302, 403, 404}
        if status not in wanted:
            wrong.append((name, page, status, wanted))

    assert wrong == [], wrong


def test_sidebar__of_each_kind_of_person__shows_exactly_what_opens(world, drawn_for_some):
    from django.urls import reverse

    from apps.portal.navigation import LINKS

    links = {reverse(name) for _title, _icon, name, _verb, _where in LINKS}
    for name in ACTORS:
        drawn_for_some.now = True
        groups = ask(world[name], "index", (), None).context["sidebar_navigation"]
        drawn_for_some.now = name in DRAWN
        shown = {item["link"] for group in groups for item in group["items"]}
        page = {"accept": "text/html"}
        opens = {each for each in links if world[name].get(each, headers=page).status_code == 200}
        assert shown == opens, (name, shown ^ opens)


@pytest.mark.parametrize(
    ("page", "parts", "verb"),
    [("config-rollback", (*PLACE, 1), "rollback"), ("config-retire", PLACE, "publish")],
)
def test_page_of_an_act_on_all_keys__needs_the_right_on_every_one(world, page, parts, verb):
    found = {name: ask(world[name], page, parts, None).status_code for name in ACTORS}

    for name, status in found.items():
        _grants, free, ruled = ACTORS[name]
        if "list" not in free:
            assert status == 404, name
        elif verb in free and verb in ruled:
            assert status == 200, name
        else:
            assert status == 403, name


def test_experiment_pages__need_read_on_its_configuration_and_acts_publish(world, make_api):
    variants = [{"name": "as-is"}, {"name": "more", "patch": {"free": 9}}]
    body = {"service": "shop", "environment": "production", "name": "e", "variants": variants}
    made = make_api("administrator").post("/experiments", body)
    assert made.status_code == 201, made.content
    pk = made.json()["id"]
    acts = [("experiment-change", [pk]), ("experiment-start", [pk])]
    for name in ACTORS:
        reads, acting = holds(name, {"read"}, HERE), holds(name, {"publish"}, HERE)
        assert ask(world[name], "experiment", [pk], None).status_code == (200 if reads else 404)
        for page, args in [*acts, ("experiment-publish", [pk, "more"])]:
            wanted = 404 if not reads else 200 if acting else 403
            assert ask(world[name], page, args, None).status_code == wanted, (name, page)


def test_key_rule_page__is_for_those_who_change_or_audit_it(world):
    number = world["rows"]["rule"].pk
    for name in ACTORS:
        answers = [ask(world[name], "key-rule", [pk], None) for pk in (number, 99999)]
        wanted = 200 if holds(name, {"audit", "secure", "manage"}, ALL) else 404
        assert [each.status_code for each in answers] == [wanted, 404], name


def test_actor_page__of_another__is_for_those_who_give_or_audit_and_one_s_own_for_everybody(world):
    from django.urls import reverse

    for name in ACTORS:
        own = f"user:{world[name].person.username}"
        other = f"user:{world['operator' if name != 'operator' else 'viewer'].person.username}"
        address = reverse("admin:rights-of")
        may = holds(name, {"audit", "manage", "secure"}, SOME)
        assert world[name].get(f"{address}?who={own}").status_code == 200, name
        answer = world[name].get(f"{address}?who={other}")
        assert answer.status_code == (200 if may else 404), name
        if name == "elsewhere":
            assert answer.context["rows"] == []


def test_token_buttons__are_for_those_who_manage_the_account(world, system):
    from apps.access.services import create_token

    account = world["rows"]["account"]
    token, _raw = create_token(actor=system, account=account)
    for name in ACTORS:
        before = account.tokens.count()
        answer = ask(
            world[name],
            "access_serviceaccount_tokens",
            [account.pk],
            {"rotate": token.pk, "overlap": "60"},
        )
        assert (account.tokens.count() > before) == holds(name, {"manage"}, ALL), (name, answer)


def test_nobody_logged_in__every_page__leads_to_log_in_or_is_refused(world, client):
    from django.urls import reverse

    for page, (args, form, *_rest) in PAGES.items():
        answer = ask(client, page, args, form)
        assert answer.status_code == 302, page
        assert answer.headers["Location"].startswith(reverse("admin:login")), page


def test_map__every_page__has_its_row():
    from apps.portal.login.urls import urlpatterns
    from apps.portal.registered import urls

    def names(patterns):
        for each in patterns:
            if hasattr(each, "url_patterns"):
                yield from names(each.url_patterns)
            elif each.name:
                yield each.name

    assert set(names(urls[0])) == set(PAGES) | set(ROWS) | set(OTHERS)
    own = set(names(urlpatterns))
    assert {each for each in own if not each.startswith("mfa_")} == OWN_LOGIN

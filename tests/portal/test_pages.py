"""The portal's pages over Django's client: who sees what, and what odd addresses get."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.access.models import Grant, ServiceAccount
from apps.audit.models import AuditEvent
from apps.configs import sources

pytestmark = pytest.mark.django_db

PLACE = "/admin/config/shop/production/"


def rows():
    """One row of each kind that hangs on the hidden service and environment."""
    from apps.configs.models import Section
    from apps.registry.models import Environment, Service

    return {
        "registry/service": Service.objects.get(slug="vault-door").pk,
        "registry/environment": Environment.objects.get(slug="bunker").pk,
        "configs/section": Section.objects.get(service__slug="vault-door").pk,
    }


def test_sidebar__of_somebody_with_rights__reads_them_once(shop, log_in):
    viewer = log_in("vera", ("viewer", "shop", "production"))
    viewer.get("/admin/rights/of/")

    with CaptureQueriesContext(connection) as asked:
        assert viewer.get("/admin/nowhere/").status_code == 404

    looks = [each["sql"] for each in asked if "access_accessgeneration" in each["sql"]]
    assert len(looks) == 1


@pytest.mark.parametrize("kind", ["registry/service", "registry/environment", "configs/section"])
def test_history__of_a_hidden_row__is_404_as_for_a_missing_one(two_services, log_in, kind):
    viewer = log_in("vera", ("viewer", "shop", "production"))
    auditor = log_in("olu", ("auditor", None, None))
    address = f"/admin/{kind}/{rows()[kind]}/history/"

    hidden, missing = viewer.get(address), viewer.get(f"/admin/{kind}/99999/history/")

    assert (hidden.status_code, missing.status_code) == (404, 404)
    assert auditor.get(address).status_code == 200


def test_history__of_a_seen_row__needs_audit_or_manage(two_services, log_in):
    address = f"/admin/registry/service/{two_services[0].pk}/history/"

    assert log_in("vera", ("viewer", "shop", None)).get(address).status_code == 403
    assert log_in("olu", ("auditor", None, None)).get(address).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/admin/",
        "/admin/registry/service/",
        "/admin/registry/environment/",
        "/admin/configs/section/",
        "/admin/configs/template/",
        "/admin/registry/service/{shop}/change/",
        PLACE,
        f"{PLACE}history/",
        f"{PLACE}use/",
    ],
)
def test_pages__of_a_person_with_one_service__name_no_other(two_services, log_in, path):
    viewer = log_in("vera", ("viewer", "shop", "production"))

    page = viewer.get(path.format(shop=two_services[0].pk)).content.decode()

    assert "shop" in page or "template" in path or "environment" in path
    assert "vault-door" not in page
    assert "bunker" not in page


def test_groups__and_people__are_for_those_who_manage_or_audit_everything(two_services, log_in):
    viewer = log_in("vera", ("viewer", None, None))
    manager = log_in("ines", ("administrator", None, None))

    for address in ("/admin/auth/group/", "/admin/core/user/"):
        assert viewer.get(address).status_code == 403
        assert manager.get(address).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/admin/core/user/9999/history/", 404),
        ("/admin/core/user/x/history/", 404),
        ("/admin/auth/group/x/history/", 404),
        ("/admin/access/serviceaccount/999/tokens/", 404),
        ("/admin/access/serviceaccount/x/tokens/", 404),
        (f"{PLACE}history/?before=%C2%B2", 200),
        ("/admin/ledger/?before=%C2%B2", 200),
        ("/admin/?label=a__range=b", 200),
        ("/admin/?label=tier=1", 200),
        ("/admin/?label=%00=b", 400),
        (f"{PLACE}history/?author=%00", 400),
        (f"{PLACE}diff/?from=%C2%B2", 404),
        (f"{PLACE}diff/?from=0001-01-01T00:00:00%2B23:59", 404),
        (f"{PLACE}rollback/99999999999/", 404),
    ],
)
def test_odd_addresses__get_a_page(two_services, log_in, path, status):
    answer = log_in("ines", superuser=True).get(path)

    assert answer.status_code == status


@pytest.mark.parametrize("field", ["base_version", "withdraw"])
def test_odd_numbers_in_forms__are_refused(two_services, log_in, field):
    admin = log_in("ines", superuser=True)
    address = f"{PLACE}publish/" if field == "base_version" else "/admin/rights/"

    assert admin.post(address, {field: "²", "content": "a: 1"}).status_code in (302, 400, 422)


def test_group__history__leads_to_the_ledger(two_services, log_in, system):
    from apps.access.people import create_group

    group = create_group(actor=system, name="shop & co")

    answer = log_in("ines", superuser=True).get(f"/admin/auth/group/{group.pk}/history/")

    assert answer.headers["Location"] == "/admin/ledger/?target=group:shop%20%26%20co"


def test_overview__filter_by_label__finds_the_services_that_have_it(two_services, log_in, system):
    from apps.configs.services.places import update_service

    update_service(actor=system, service=two_services[0], labels={"tier": "1", "a__range": "b"})
    admin = log_in("ines", superuser=True)

    for label, found in (("tier=1", True), ("tier=2", False), ("a__range=b", True), ("tier", True)):
        names = [row["service"].slug for row in admin.get(f"/admin/?label={label}").context["rows"]]
        assert ("shop" in names) is found, label


def draft_of(page):
    return {
        name: re.search(rf'name="{name}" value="([^"]*)"', page).group(1)
        for name in ("known", "base_version")
    }


def save(client, page, content, **facts):
    data = {"content": content, "format": "yaml", "base_version": 1, "page": page, **facts}
    return client.post(f"{PLACE}draft/", data)


def test_draft__of_an_older_tab__does_not_overwrite_the_newer_one(two_services, log_in):
    ada = log_in("ada", ("operator", None, None))
    older = draft_of(ada.get(PLACE).content.decode())
    assert save(ada, "tab-b", "b: newer\n", **older).status_code == 200

    refused = save(ada, "tab-a", "a: older\n", **older)
    published = ada.post(
        f"{PLACE}publish/", {"content": "a: older\n", "format": "yaml", "page": "tab-a", **older}
    )

    assert (refused.status_code, refused.json()["code"]) == (422, "draft_moved")
    assert published.status_code == 409
    assert "a: older" in published.content.decode()
    page = ada.get(PLACE).content.decode()
    assert "b: newer" in page
    assert "Version 1" in page


def test_draft__of_the_same_tab__goes_on_without_an_answer(two_services, log_in):
    """The answer to a save may be lost on the way: the page still owns its draft."""
    ada = log_in("ada", ("operator", None, None))

    for text in ("a: 1\n", "a: 2\n", "a: 3\n"):
        assert save(ada, "tab-a", text, known="").status_code == 200

    assert "a: 3" in ada.get(PLACE).content.decode()


def test_draft__opened_anew__is_gone_on_with(two_services, log_in):
    ada = log_in("ada", ("operator", None, None))
    save(ada, "tab-a", "a: first\n", known="")
    facts = draft_of(ada.get(PLACE).content.decode())

    saved = save(ada, "tab-b", "a: second\n", **facts)

    assert saved.status_code == 200
    assert saved.json()["known"] > facts["known"]


def test_new_token__is_in_its_own_answer_and_in_no_cookie(two_services, log_in, system):
    from apps.access.services import create_account

    account = create_account(actor=system, slug="app")
    admin = log_in("ines", superuser=True)

    answer = admin.post(f"/admin/access/serviceaccount/{account.pk}/tokens/", {"name": "x"})

    assert re.search(r"csk_[\w-]{43}", answer.content.decode())
    assert "no-store" in answer.headers["Cache-Control"]
    assert "csk_" not in str(answer.cookies)
    listed = admin.get(f"/admin/access/serviceaccount/{account.pk}/change/").content.decode()
    assert not re.search(r"csk_[\w-]{43}", listed)


def test_account_form__offers_the_environments_that_one_may_know_of(two_services, log_in):
    page = log_in("mei", ("administrator", "shop", "production"))

    form = page.get("/admin/access/serviceaccount/add/").content.decode()

    assert ">production</option>" in form
    assert "bunker" not in form


def test_accounts__of_an_environments_manager__are_those_of_that_environment(
    two_services, log_in, system
):
    from apps.access.services import create_account
    from apps.registry.selectors import get_environment

    mine = create_account(actor=system, slug="mine", environment=get_environment("staging"))
    other = create_account(actor=system, slug="other-one", environment=get_environment("bunker"))
    manager = log_in("mei", ("administrator", None, "staging"))

    page = manager.get("/admin/access/serviceaccount/").content.decode()

    assert "mine" in page
    assert "other-one" not in page
    assert manager.get(f"/admin/access/serviceaccount/{mine.pk}/change/").status_code == 200
    assert manager.get(f"/admin/access/serviceaccount/{other.pk}/change/").status_code == 302


def test_weak_password__is_refused_in_the_form(two_services, log_in):
    admin = log_in("ines", superuser=True)
    form = {"username": "zoe", "first_name": "", "last_name": "", "email": "", "is_active": "on"}

    refused = admin.post("/admin/core/user/add/", {**form, "password": "password123"})
    taken = admin.post("/admin/core/user/add/", {**form, "password": "seven green apples 4"})

    assert refused.status_code == 200
    assert "too common" in refused.content.decode() or "too short" in refused.content.decode()
    assert taken.status_code == 302


def test_draft__saved_from_another_tab_while_one_publishes__stays(
    two_services, log_in, monkeypatch
):
    """The other tab saves after the page was asked and before its version is written."""
    ada = log_in("ada", ("operator", None, None))
    facts = draft_of(ada.get(PLACE).content.decode())
    assert save(ada, "tab-a", "a: published\n", **facts).status_code == 200
    other = draft_of(ada.get(PLACE).content.decode())
    parse = sources.from_text

    def save_meanwhile(*given):
        assert save(ada, "tab-b", "b: newer\n", **other).status_code == 200
        return parse(*given)

    monkeypatch.setattr(sources, "from_text", save_meanwhile)
    published = ada.post(
        f"{PLACE}publish/",
        {"content": "a: published\n", "format": "yaml", "page": "tab-a", **facts},
    )
    monkeypatch.undo()

    assert published.status_code == 409
    assert "a: published" in published.content.decode()
    page = ada.get(PLACE).content.decode()
    assert "b: newer" in page
    assert "Version 1" in page


def test_draft__refused_while_another_tab_saved__does_not_overwrite_it(
    two_services, log_in, monkeypatch
):
    ada = log_in("ada", ("operator", None, None))
    facts = draft_of(ada.get(PLACE).content.decode())
    assert save(ada, "tab-b", "b: newer\n", **facts).status_code == 200

    refused = ada.post(
        f"{PLACE}publish/", {"content": "a: [", "format": "yaml", "page": "tab-a", **facts}
    )

    assert refused.status_code == 409
    assert "a: [" in refused.content.decode()
    assert "b: newer" in ada.get(PLACE).content.decode()


def test_make_a_token__by_who_manages_the_environment__reads_this_alone(two_services, log_in):
    ada = log_in("ada", ("administrator", None, "production"))

    page = ada.post(f"{PLACE}use/").content.decode()
    again = ada.post(f"{PLACE}use/").content.decode()

    assert ServiceAccount.objects.count() == 1
    assert Grant.objects.filter(user__service_account__isnull=False).count() == 1
    actions = AuditEvent.objects.order_by("number").values_list("action", flat=True)
    assert list(actions)[-4:] == [
        "account.created", "grant.given", "token.created", "token.created",
    ]  # fmt: skip
    revisions = AuditEvent.objects.order_by("-number").values_list("revision", flat=True)[:4]
    assert len(set(revisions)) == 2
    tokens = [re.search(r'id="token">(csk_[^<]+)<', each).group(1) for each in (page, again)]
    place = PLACE.removeprefix("/admin/config/").strip("/").split("/")
    for raw in tokens:
        headers = {"authorization": f"Bearer {raw}"}
        own = Client().get(f"/config/{place[0]}?environment={place[1]}", headers=headers)
        other = Client().get("/environments/staging", headers=headers)
        assert (own.status_code, other.status_code) == (200, 404)


def test_make_a_token__not_allowed_to_give_it__leaves_nothing_behind(two_services, log_in):
    service, environment = PLACE.removeprefix("/admin/config/").strip("/").split("/")
    ada = log_in("ada", ("administrator", service, environment))

    page = ada.get(f"{PLACE}use/").content.decode()
    refused = ada.post(f"{PLACE}use/")

    assert "Make a token for this configuration" not in page
    assert refused.status_code == 403
    assert not ServiceAccount.objects.exists()


def test_diff_page__leads_to_the_difference_as_a_json_patch(two_services, operator, log_in):
    body = {"environment": "production", "config": {"a": 2}, "base_version": 1}
    assert operator.post("/config/shop", body).status_code == 201
    ada = log_in("ada", ("viewer", "shop", None))

    page = ada.get("/admin/config/shop/production/diff/?from=1").content.decode()

    link = page.split("JSON Patch")[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    assert ada.get(link).json() == [{"op": "replace", "path": "/a", "value": 2}]


def test_outdated__brought_up_to_date_by_the_button__has_what_moved(shop, operator, log_in):
    """A key of another moved, in a protected environment: the button takes it up."""
    operator.post("/services", {"slug": "cart"})
    for name, config in (("cart", {"x": 1}), ("shop", {"of": "${cart:x}"})):
        body = {"environment": "production", "config": config}
        assert operator.post(f"/config/{name}", body).status_code == 201
    operator("PATCH", "/environments/production", {"protected": True})
    moved = {"environment": "production", "config": {"x": 2}, "base_version": 1}
    assert operator.post("/config/cart", moved).status_code == 201
    ada = log_in("ada", ("operator", "shop", None))
    at = "/admin/config/shop/production/"
    page = ada.get(at).content.decode()
    assert "Bring up to date" in page
    button = page.split("Bring up to date")[0].rsplit("<form", 1)[1]

    done = ada.post(button.split('action="')[1].split('"')[0], follow=True)

    assert "Version 2 is live." in done.content.decode()
    assert "Bring up to date" not in done.content.decode()
    live = operator.get("/config/shop?environment=production").json()
    assert (live["config"], live["version"], live.get("outdated")) == ({"of": 2}, 2, None)
    row = operator.get("/config/shop/history?environment=production").json()["results"][0]
    assert (row["cause"], row["author"]) == ("refresh", "user:ada")


def test_history__of_a_row__says_who_did_it_in_the_portal_s_format(two_services, log_in, api_shop):
    from apps.configs.models import Template
    from apps.configs.services import templates
    from apps.configs.services.bases import Options
    from apps.core.actor import system

    auditor = log_in("olu", ("auditor", None, None))
    page = auditor.get(f"/admin/registry/service/{api_shop.pk}/history/").content.decode()
    assert "user:ines" in page
    assert ">None<" not in " ".join(page.split()).replace("> ", ">").replace(" <", "<")
    assert re.search(r">\d{4}-\d\d-\d\d \d\d:\d\d:\d\d</time>", page)

    templates.create_template(actor=system("test"), slug="base", body=templates.Body({"a": 1}))
    base = Template.objects.get()
    body = templates.Body({"a": 2})
    options = Options(message="second thoughts")
    templates.publish_template(actor=system("test"), template=base, body=body, options=options)
    page = auditor.get(f"/admin/configs/template/{base.pk}/history/").content.decode()
    assert "v2" in page
    assert "second thoughts" in page


@pytest.fixture
def api_shop(two_services, log_in):
    """``shop``, renamed by a person."""
    service = two_services[0]
    log_in("ines", superuser=True).post(
        f"/admin/registry/service/{service.pk}/change/",
        {"name": "Shop", "description": "", "owner": "", "label_lines": ""},
    )
    return service


@pytest.mark.parametrize(
    ("document", "key", "in_python"),
    [
        ({"a": {"x.y": 1}, "b": 2}, "a%5B%22x.y%22%5D", r"a[\&quot;x.y\&quot;]"),
        ({"pin": {"$secret": "pin"}, "z": 1}, "z", "z"),
        ({}, "settings.timeout", "settings.timeout"),
    ],
)  # fmt: skip
def test_use__of_a_document__shows_lines_that_fetch_one_of_its_keys_here(
    shop, operator, log_in, document, key, in_python
):
    secret = {"service": "shop", "environment": "production", "name": "pin", "value": "7431"}
    operator.post("/secrets", secret)
    operator.post("/config/shop", {"environment": "production", "config": document})

    page = log_in("olu", ("operator", "shop", None)).get(f"{PLACE}use/").content.decode()

    assert f"/config/shop/value?environment=production&amp;key={key}<" in page
    assert f"config.get(&quot;{in_python}&quot;)" in page
    assert "/config/shop.yaml?environment=production<" in page

"""The pages about rights: who may do what and why, giving, taking back, roles and key rules."""

import html
import re

import pytest

pytestmark = pytest.mark.django_db

PLACE = "/admin/rights/?service=shop&environment=production"
BODY = {"service": "shop", "environment": "production"}


def text_of(answer):
    return html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode()))


def rows_of(answer):
    return {row["title"]: [verb["name"] for verb in row["verbs"]] for row in answer.context["rows"]}


@pytest.fixture
def group(system):
    from apps.access import people
    from apps.core.models import User

    made = people.create_group(actor=system, name="web")
    person = User.objects.create_user("wes", is_staff=True)
    people.set_groups(actor=system, user=person, groups=[made])
    return made


def test_place__says_who_may_and_through_which_grant(two_services, log_in, group):
    admin = log_in("ines", ("administrator", None, None))
    log_in("vera", ("viewer", "shop", None))

    given = admin.post(
        PLACE, {"to": "group:web", "role": "developer", **BODY, "until": "2099-01-02T03:04"}
    )
    page = admin.get(PLACE)

    assert given.status_code == 302
    rows = rows_of(page)
    assert rows["group:web"] == rows["user:wes"] == ["list", "read", "edit"]
    assert rows["user:vera"] == ["list", "read"]
    assert "manage" in rows["user:ines"]
    words = " ".join(text_of(page).split())
    assert "developer through group:web on shop in production until 2099-01-02 03:04 UTC" in words
    assert "1 member" in words
    assert "viewer on shop in every environment" in words
    assert rows_of(admin.get(f"{PLACE}&q=web")).keys() == {"group:web", "user:wes"}


def test_place__single_verbs__are_given_together_and_taken_back(two_services, log_in):
    from apps.access.models import Grant

    admin, vera = log_in("ines", ("administrator", None, None)), log_in("vera")
    assert vera.get("/admin/config/shop/production/").status_code == 404

    admin.post(PLACE, {"to": "user:vera", "verb": ["list", "read"], **BODY})

    assert vera.get("/admin/config/shop/production/").status_code == 200
    for grant in Grant.objects.filter(user=vera.person):
        assert admin.post(PLACE, {"withdraw": grant.pk}).status_code == 302
    assert vera.get("/admin/config/shop/production/").status_code == 404


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"to": "user:nobody-here", "role": "viewer"}, "There is no such user"),
        ({"to": "user:vera"}, "Give a role or a verb"),
        ({"to": "user:vera", "role": "viewer", "verb": "read"}, "not both"),
        ({"to": "user:vera", "role": "viewer", "until": "2001-01-01T00:00"}, "in the past"),
        ({"to": "user:vera", "role": "viewer", "until": "soon"}, "a date and a time"),
        ({"to": "user:vera", "role": "no-such-role"}, "There is no such role"),
        ({"to": "user:vera", "role": "operator"}, "Nobody grants what he does not have"),
        (
            {"to": "user:vera", "role": "viewer", "service": "vault-door"},
            "nothing that you may see",
        ),
        ({"to": "user:vera", "role": "viewer", "service": ""}, "'manage'"),
        ({"to": "user:vera", "role": "viewer", "key_rule": "99"}, "nothing that you may see"),
        ({"withdraw": "99999"}, "There is no such grant"),
    ],
)
def test_place__what_is_refused__is_said_and_what_was_typed_stays(
    two_services, log_in, system, given, words
):
    from apps.access import services
    from apps.access.policy import Place

    log_in("vera")
    manager = log_in("mei", ("viewer", "shop", None))
    services.grant(actor=system, to="user:mei", verb="manage", on=Place(two_services[0]))

    answer = manager.post(PLACE, {**BODY, **given})

    assert answer.status_code == 422
    assert words in text_of(answer)
    if "to" in given:
        assert f'value="{given["to"]}"' in answer.content.decode()


def test_withdraw__grant_of_a_place_that_one_does_not_manage__is_as_good_as_missing(
    two_services, log_in
):
    from apps.access.models import Grant

    log_in("vera", ("viewer", "vault-door", None))
    manager = log_in("mei", ("administrator", "shop", None))
    hidden = Grant.objects.get(user__username="vera")

    answers = [manager.post(PLACE, {"withdraw": pk}) for pk in (hidden.pk, 99999)]

    assert [each.status_code for each in answers] == [422, 422]
    assert {"There is no such grant" in text_of(each) for each in answers} == {True}
    assert Grant.objects.filter(pk=hidden.pk).exists()


def test_place__without_audit_or_manage__is_refused_and_hidden_ones_are_404(two_services, log_in):
    viewer, nobody = log_in("vera", ("viewer", "shop", "production")), log_in("nora")
    hidden = "/admin/rights/?service=vault-door&environment=bunker"

    assert viewer.get(PLACE).status_code == 403
    assert viewer.get("/admin/rights/").status_code == 403
    pages = [(viewer, hidden), (viewer, hidden.replace("vault-door", "never")), (nobody, PLACE)]
    answers = [client.get(path) for client, path in pages]
    assert [each.status_code for each in answers] == [404, 404, 404]
    texts = [
        re.sub(r"user:\w+|nora|vera|value=\"[^\"]*\"", "", text_of(each)) for each in answers[:2]
    ]
    assert texts[0] == texts[1]


def test_key__under_a_rule__is_answered_by_grants_on_the_rule_alone(two_services, log_in, system):
    from apps.access import key_rules, services
    from apps.access.policy import Place

    admin = log_in("ines", superuser=True)
    log_in("vera", ("operator", "shop", None))
    log_in("rita", ("viewer", "shop", None))
    rule = key_rules.create_key_rule(
        actor=system, pattern="security.**", place=Place(two_services[0])
    )
    services.grant(actor=system, to="user:rita", verb="read", on=rule)

    ruled, free = admin.get(f"{PLACE}&key=security.pin"), admin.get(f"{PLACE}&key=settings")
    secret = admin.get(f"{PLACE}&key=$secret.pin")

    assert rows_of(ruled) == {"user:ines": [], "user:rita": ["read"]}
    assert "needs grants of its own: security.**" in " ".join(text_of(ruled).split())
    assert rows_of(free)["user:vera"][-1] == "approve"
    assert "The secret pin is covered by no key rule" in " ".join(text_of(secret).split())
    assert admin.get(f"{PLACE}&key=a[").status_code == 400


def test_key__rule_of_a_place_that_one_may_not_see__is_not_named(two_services, log_in, system):
    from apps.access import key_rules, services
    from apps.access.policy import Place
    from apps.configs.services.places import update_environment
    from apps.registry.selectors import get_environment

    bunker, production = get_environment("bunker"), get_environment("production")
    update_environment(actor=system, environment=production, parent="bunker")
    rule = key_rules.create_key_rule(
        actor=system, pattern="hush.**", place=Place(environment=bunker)
    )
    log_in("spy", ("viewer", None, "bunker"))
    services.grant(actor=system, to="user:spy", verb="read", on=rule)
    manager = log_in("mei", ("administrator", "shop", "production"))

    for address in (PLACE, f"{PLACE}&key=hush.x", f"{PLACE}&view=grants", "/admin/key-rules/"):
        page = text_of(manager.get(address))
        assert "hush.**" not in page, address
        assert "bunker" not in page, address
    assert "1 rule of a place that you may not see covers it" in " ".join(
        text_of(manager.get(f"{PLACE}&key=hush.x")).split()
    )
    assert manager.get(f"/admin/key-rules/{rule.pk}/").status_code == 404
    found = manager.get(f"{PLACE}&key=hush.x&q=every+service+in+bunker")
    assert rows_of(found) == {}
    give = {"to": "user:spy", "role": "viewer"}
    hidden, missing = (
        manager.post(PLACE, give | {"key_rule": number}) for number in (rule.pk, rule.pk + 1000)
    )
    assert [str(each) for each in hidden.context["messages"]] == [
        str(each) for each in missing.context["messages"]
    ]


def test_actor__says_where_and_why__and_hides_what_the_asker_may_not_know(
    two_services, log_in, group, system
):
    from apps.access import services
    from apps.access.policy import Place

    shop, hidden = two_services
    services.grant(actor=system, to="group:web", role="viewer", on=Place(shop))
    services.grant(actor=system, to="user:wes", role="operator", on=Place(hidden))
    auditor, manager = (
        log_in("olu", ("auditor", None, None)),
        log_in("mei", ("administrator", "shop", None)),
    )
    address = "/admin/rights/of/?who=user:wes"

    whole, part = auditor.get(address), manager.get(address)

    assert rows_of(whole).keys() == {"shop in every environment", "vault-door in every environment"}
    assert "viewer through group:web" in " ".join(text_of(whole).split())
    assert rows_of(part) == {"shop in every environment": ["list", "read"]}
    assert "vault-door" not in part.content.decode()
    assert rows_of(auditor.get("/admin/rights/of/?who=group:web")).keys() == {
        "shop in every environment"
    }
    assert "user:wes" in text_of(auditor.get("/admin/rights/of/?who=group:web"))


def test_actor__one_may_ask_about_oneself_and_about_nobody_else(two_services, log_in, group):
    viewer = log_in("vera", ("viewer", "shop", None))

    own = viewer.get("/admin/rights/of/?who=user:vera")

    assert rows_of(own) == {"shop in every environment": ["list", "read"]}
    assert "Give rights" not in text_of(own)
    for name in ("user:wes", "user:missing", "group:web", ""):
        assert viewer.get(f"/admin/rights/of/?who={name}").status_code == 404


def test_actor__token__is_its_accounts_and_ended_ones_may_nothing(
    two_services, log_in, make_api, system
):
    from apps.access import services

    admin, robot = log_in("ines", superuser=True), make_api("consumer", service="shop")
    token = robot.account.tokens.get()

    page = admin.get(f"/admin/rights/of/?token={token.pk}")

    assert rows_of(page) == {"shop in every environment": ["list", "read", "reveal"]}
    assert "may do what its account may, and never more" in text_of(page)
    services.withdraw_token(actor=system, token=token)
    ended = text_of(admin.get(f"/admin/rights/of/?token={token.pk}"))
    assert "it may do nothing any more" in ended
    elsewhere = log_in("mei", ("administrator", "shop", None))
    assert elsewhere.get(f"/admin/rights/of/?token={token.pk}").status_code == 404
    for odd in ("x", "0" * 32):
        assert admin.get(f"/admin/rights/of/?token={odd}").status_code == 404


def test_pages__with_500_grants__go_page_by_page_and_find(two_services, log_in, system):
    from apps.access.models import Grant
    from apps.core import clock
    from apps.core.models import User

    admin = log_in("ines", superuser=True)
    people = User.objects.bulk_create(User(username=f"person-{n:03}") for n in range(500))
    Grant.objects.bulk_create(
        Grant(
            user=each,
            role="viewer",
            service=two_services[0],
            created_at=clock.now(),
            created_by="t",
        )
        for each in people
    )

    first, last = admin.get(PLACE), admin.get(f"{PLACE}&page=11")

    assert (len(first.context["rows"]), first.context["page"].paginator.count) == (50, 501)
    assert "page=2" in first.content.decode()
    assert list(rows_of(last)) == ["user:person-499"]
    assert list(rows_of(admin.get(f"{PLACE}&q=person-123"))) == ["user:person-123"]
    assert len(admin.get("/admin/rights/?view=grants").context["rows"]) == 50
    assert len(first.content) < 400_000


def test_who_may__costs_the_same_for_more_grants(
    two_services, log_in, django_assert_max_num_queries
):
    admin = log_in("ines", superuser=True)
    for number in range(20):
        log_in(f"p{number}", ("viewer", "shop", None))

    with django_assert_max_num_queries(35):
        assert admin.get(PLACE).status_code == 200


def test_roles__made_changed_and_ended_on_the_pages(two_services, log_in):
    from apps.access.models import Grant

    admin, vera = log_in("ines", ("administrator", None, None)), log_in("vera")
    made = admin.post(
        "/admin/roles/", {"name": "checker", "description": "Looks", "verb": ["list"]}
    )
    assert made.status_code == 302
    admin.post(PLACE, {"to": "user:vera", "role": "checker", **BODY})
    assert vera.get("/admin/config/shop/production/").status_code == 403

    changed = admin.post("/admin/roles/checker/", {"act": "update", "verb": ["list", "read"]})
    refused = admin.post("/admin/roles/checker/", {"act": "delete"})

    assert (changed.status_code, refused.status_code) == (302, 422)
    assert "1 grant is made of this role" in text_of(refused)
    assert vera.get("/admin/config/shop/production/").status_code == 200
    grant = Grant.objects.get(role="checker")
    assert admin.post("/admin/roles/checker/", {"withdraw": grant.pk}).status_code == 302
    assert admin.post("/admin/roles/checker/", {"act": "delete"}).status_code == 302
    assert admin.get("/admin/roles/checker/").status_code == 404


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "viewer", "verb": ["list"]}, "There is a role 'viewer' already"),
        ({"name": "fine"}, "one or more of these verbs"),
        ({"name": "a b", "verb": ["list"]}, "A name is"),
    ],
)
def test_roles__what_is_refused__is_said(two_services, log_in, given, words):
    admin = log_in("ines", superuser=True)

    answer = admin.post("/admin/roles/", given)

    assert answer.status_code == 422
    assert words in text_of(answer)


def test_roles__are_seen_by_those_who_give_or_audit__and_made_by_administrators(
    two_services, log_in
):
    viewer, auditor = log_in("vera", ("viewer", None, None)), log_in("olu", ("auditor", None, None))

    assert viewer.get("/admin/roles/").status_code == 403
    assert auditor.get("/admin/roles/").status_code == 200
    assert auditor.post("/admin/roles/", {"name": "x", "verb": ["list"]}).status_code == 422
    assert auditor.get("/admin/roles/x/").status_code == 404
    assert auditor.post("/admin/roles/viewer/", {"verb": ["list"]}).status_code == 422


def test_key_rules__made_previewed_changed_and_ended(two_services, log_in):
    from apps.access.models import KeyRule

    officer = log_in("sam", ("security-officer", None, None))
    query = {"pattern": "**", "service": "shop"}
    look = officer.get("/admin/key-rules/preview/", query).json()
    assert look["found"] == [
        {
            "place": "shop@production",
            "url": "/admin/config/shop/production/",
            "keys": ["a"],
            "more": 0,
        }
    ]

    made = officer.post("/admin/key-rules/", {"pattern": "a", "service": "shop"})
    rule = KeyRule.objects.get()

    assert made.headers["Location"] == f"/admin/key-rules/{rule.pk}/"
    assert (
        officer.get("/admin/key-rules/preview/", query).json()["count"] == 0
    )  # hidden from now on
    assert "shop in every environment" in text_of(officer.get("/admin/key-rules/"))
    place = f"/admin/key-rules/{rule.pk}/"
    for act in ({"act": "update", "pattern": "b.**"}, {"act": "delete"}):
        assert officer.post(place, act).status_code == 422
    assert "End the rule" not in officer.get(place).content.decode()

    manager = log_in("max", ("administrator", None, None))
    assert "End the rule" in manager.get(place).content.decode()
    assert manager.post(place, {"act": "update", "pattern": "b.**"}).status_code == 302
    refused = manager.post(place, {"act": "update", "pattern": "b["})
    assert (refused.status_code, KeyRule.objects.get().pattern) == (422, "b.**")
    assert manager.post(place, {"act": "delete"}).status_code == 302
    assert not KeyRule.objects.exists()


def test_key_rules__preview__names_secrets_and_nothing_hidden(two_services, log_in, system):
    from apps.access.policy import Place
    from apps.registry.selectors import get_environment
    from apps.vault.services import create_secret

    place = Place(two_services[0], get_environment("production"))
    create_secret(actor=system, place=place, slug="pin", value="v4lue-of-the-pin")
    hidden = Place(two_services[1], get_environment("bunker"))
    create_secret(actor=system, place=hidden, slug="pin", value="v4lue-of-another")
    officer = log_in("sam", ("security-officer", "shop", None))

    look = officer.get("/admin/key-rules/preview/?pattern=$secret.*")
    every = officer.get("/admin/key-rules/preview/?pattern=**").content.decode()

    assert [each["keys"] for each in look.json()["found"]] == [["$secret.pin"]] or [
        each["keys"] for each in look.json()["found"]
    ] == [['["$secret"].pin']]
    assert "vault-door" not in every
    assert "v4lue" not in every
    for pattern in ("", "a["):
        assert officer.get(f"/admin/key-rules/preview/?pattern={pattern}").status_code == 422
    assert (
        log_in("vera", ("viewer", None, None))
        .get("/admin/key-rules/preview/?pattern=a")
        .status_code
        == 403
    )


def test_key_rules__grant_on_one__is_given_on_its_page(two_services, log_in, system):
    from apps.access import key_rules
    from apps.access.policy import Place

    rule = key_rules.create_key_rule(actor=system, pattern="a", place=Place(two_services[0]))
    officer, vera = (
        log_in("sam", ("security-officer", None, None)),
        log_in("vera", ("viewer", None, None)),
    )
    address = f"/admin/key-rules/{rule.pk}/"

    given = officer.post(address, {"to": "user:vera", "verb": "read", "key_rule": rule.pk})
    too_much = officer.post(address, {"to": "user:vera", "verb": "publish", "key_rule": rule.pk})

    assert given.status_code == 422  # he has not the right himself, and does not manage
    assert too_much.status_code == 422
    admin = log_in("ines", ("administrator", None, None))
    assert (
        admin.post(
            address, {"to": "user:vera", "verb": ["list", "read"], "key_rule": rule.pk}
        ).status_code
        == 302
    )
    assert "a: 1" in vera.get("/admin/config/shop/production/").content.decode()


def test_rotate__from_the_accounts_page__is_shown_once(two_services, log_in, make_api):
    admin, robot = log_in("ines", superuser=True), make_api("viewer", service="shop")
    token = robot.account.tokens.get()
    address = f"/admin/access/serviceaccount/{robot.account.pk}/"

    answer = admin.post(f"{address}tokens/", {"rotate": token.pk, "overlap": "3600"})

    raw = re.search(r"csk_[\w-]{43}", answer.content.decode()).group()
    assert "works until" in text_of(answer)
    assert "no-store" in answer.headers["Cache-Control"]
    page = admin.get(f"{address}change/").content.decode()
    assert raw not in page
    assert "until" in page
    from tests.conftest import Api

    assert {Api(each).get("/services").status_code for each in (raw, robot.raw)} == {200}
    for odd in ("", "x", "99999999999"):
        odd_answer = admin.post(f"{address}tokens/", {"rotate": token.pk, "overlap": odd})
        assert (odd_answer.status_code, robot.account.tokens.count()) == (302, 2)


def test_links__from_objects_and_actors__lead_to_their_pages(two_services, log_in, group, make_api):
    from apps.configs.models import Section

    admin, robot = log_in("ines", superuser=True), make_api()
    section = Section.objects.get(service__slug="shop")
    links = {
        f"/admin/registry/service/{two_services[0].pk}/change/": "?service=shop",
        f"/admin/configs/section/{section.pk}/change/": "?service=shop&amp;key=settings",
        f"/admin/core/user/{admin.person.pk}/change/": "of/?who=user%3Aines",
        f"/admin/auth/group/{group.pk}/change/": "of/?who=group%3Aweb",
        f"/admin/access/serviceaccount/{robot.account.pk}/change/": "of/?who=service-account%3A",
    }

    for page, link in links.items():
        content = admin.get(page).content.decode()
        assert f"/admin/rights/{link}" in content, page


def test_person__read_by_an_auditor__shows_nothing_of_the_password(log_in, system):
    from apps.access.people import create_person

    ada = create_person(actor=system, username="ada", password="seven green apples 4")
    auditor = log_in("olu", ("auditor", None, None))
    address = f"/admin/core/user/{ada.pk}/change/"
    shown = auditor.get(address)
    narrowed = auditor.get("/admin/core/user/?password__startswith=md5")

    assert shown.status_code == 200
    assert ada.password not in shown.content.decode()
    assert 'name="password"' not in shown.content.decode()
    assert narrowed.status_code == 400
    root = log_in("root", superuser=True)
    assert 'name="password"' in root.get(address).content.decode()
    assert ada.password not in root.get(address).content.decode()


def test_template__by_who_manages_without_reading__is_refused_and_shows_nothing(log_in, system):
    from apps.access import services
    from apps.configs.services.templates import Body, create_template

    made = create_template(actor=system, slug="base", body=Body({"shown": "n0-secret"})).template
    manager = log_in("max")
    for verb in ("list", "manage"):
        services.grant(actor=system, to="user:max", verb=verb)

    answer = manager.get(f"/admin/configs/template/{made.pk}/change/")

    assert answer.status_code in (302, 403, 404)
    assert "n0-secret" not in answer.content.decode()


def test_key_rules__for_who_manages_one_service__opens_as_manage_implies_secure(
    two_services, log_in, system
):
    from apps.access import services
    from apps.access.policy import Place
    from apps.registry.selectors import get_service

    mia = log_in("mia")
    refused = mia.get("/admin/key-rules/")
    place = Place(get_service("shop"))
    services.grant(actor=system, to="user:mia", verb="manage", on=place)

    opened = mia.get("/admin/key-rules/")

    assert (refused.status_code, opened.status_code) == (403, 200)
    assert "/admin/key-rules/" in mia.get("/admin/").content.decode()


def test_place__with_many_key_rules__names_some_and_leads_to_the_others(
    two_services, log_in, system
):
    from apps.access import key_rules
    from apps.access.policy import Place

    for number in range(30):
        key_rules.create_key_rule(actor=system, pattern=f"k{number}", place=Place(two_services[0]))
    page = text_of(log_in("root", superuser=True).get(PLACE))

    assert "k11" in page
    assert "18 more" in page


def test_places__of_more_than_one_configuration__are_said_in_words(two_services, log_in, system):
    from apps.access.key_rules import create_key_rule
    from apps.access.policy import EVERYWHERE

    create_key_rule(actor=system, pattern="pin", place=EVERYWHERE)
    ines = log_in("ines", ("administrator", None, None))
    log_in("vera", ("viewer", "shop", None))
    pages = [
        ines.get(f"/admin/{path}").content.decode()
        for path in ("rights/", "rights/?service=shop", "rights/past/", "key-rules/", "roles/")
    ]

    assert not any("@*" in page or "*@" in page for page in pages)
    assert "Rights on shop in every environment" in pages[1]
    assert "shop in every environment" in pages[2]
    assert "<td>directly</td>" in pages[2]


def test_refusal__of_one_field__is_said_once_and_without_its_pointer(two_services, log_in):
    ines = log_in("ines", superuser=True)

    answer = ines.post("/admin/rights/", {"to": "user:nobody-of-us", "role": "viewer"})

    page = answer.content.decode()
    assert page.count("There is no such user") == 1
    assert "/to" not in page.split("There is no such user")[1][:40]

"""Every way that the portal shows leads somewhere, and what is refused has a way back."""

import re

import pytest

pytestmark = pytest.mark.django_db

PLACE = "/admin/config/shop/production/"
PEOPLE = {
    "viewer": ("viewer", "shop", "production"),
    "developer": ("developer", None, None),
    "operator": ("operator", "shop", None),
    "auditor": ("auditor", None, None),
    "administrator": ("administrator", None, None),
}


@pytest.fixture
def account(two_services, system):
    from apps.access.services import create_account, create_token

    made = create_account(actor=system, slug="app")
    create_token(actor=system, account=made)
    return made


def links(page):
    found = re.findall(r'href="(/admin/[^"#]*)"', page)
    return {each.replace("&amp;", "&") for each in found if "/logout/" not in each}


@pytest.mark.parametrize("role", PEOPLE)
def test_links__of_each_kind_of_person__lead_to_pages_that_open(
    two_services, account, log_in, make_api, system, role
):
    from apps.access.people import create_group
    from apps.configs.services.places import update_service

    create_group(actor=system, name="sre")
    update_service(actor=system, service=two_services[0], owner="sre")
    secret = {"service": "shop", "environment": "production", "name": "pin", "value": "v4lue"}
    assert make_api("administrator").post("/secrets", secret).status_code == 201
    somebody = log_in("vera", PEOPLE[role])
    starts = [
        PLACE,
        f"{PLACE}history/",
        f"{PLACE}secrets/pin/",
        f"/admin/registry/service/{two_services[0].pk}/change/",
        f"/admin/access/serviceaccount/{account.pk}/change/",
    ]
    pages = {each: somebody.get(each) for each in starts}
    found = {
        link
        for answer in pages.values()
        if answer.status_code == 200
        for link in links(answer.content.decode())
    }

    assert found
    dead = {each: status for each in found if (status := somebody.get(each).status_code) >= 400}
    assert dead == {}


def test_tokens__of_who_may_only_read_the_account__have_no_buttons(account, log_in):
    address = f"/admin/access/serviceaccount/{account.pk}/change/"
    auditor = log_in("olu", ("auditor", None, None)).get(address).content.decode()
    manager = log_in("ines", ("administrator", None, None)).get(address).content.decode()

    for button in ("Rotate…", "Withdraw…", "Make a token"):
        assert button not in auditor, button
        assert button in manager, button


def test_token_and_grant__are_taken_back_only_after_a_question(account, log_in):
    ines = log_in("ines", ("administrator", None, None))

    token = ines.get(f"/admin/access/serviceaccount/{account.pk}/change/").content.decode()
    grants = ines.get("/admin/rights/?view=grants").content.decode()

    for page in (token, grants):
        asked = re.findall(
            r"<details class=\"p-sure\">(?:(?!</details>).)*</details>", page, re.DOTALL
        )
        assert page.count('name="withdraw"') == sum('name="withdraw"' in each for each in asked) > 0


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/admin/nowhere/", 404, "Not found"),
        ("/admin/registry/service/{}/history/", 403, "A right is missing"),
        ("/admin/auth/group/", 403, "A right is missing"),
        ("/admin/registry/service/99999/history/", 404, "Not found"),
    ],
)
def test_refusals__of_django_s_own_views__are_pages_of_the_portal(
    two_services, log_in, path, status, words
):
    answer = log_in("vera", ("viewer", "shop", None)).get(path.format(two_services[0].pk))

    page = answer.content.decode()
    assert answer.status_code == status
    assert words in page
    assert "To the configurations" in page
    assert 'href="/admin/registry/service/"' in page  # the menu


@pytest.mark.parametrize(
    ("path", "wanted", "unwanted"),
    [
        ("/admin/registry/service/", [">Services<"], [">Registry<", "Show all", "show all"]),
        ("/admin/registry/service/?q=sho", ["1 found", "show all services"], ["Show all"]),
        ("/admin/core/user/", [">People<"], [">Core<", ">Users<"]),
        ("/admin/registry/service/{}/change/", [">Services<", ">shop<"], [">Registry<", ">Shop<"]),
        ("/admin/config/shop/production/", [">shop · production<"], [">Shop · production<"]),
    ],
)
def test_heading__of_a_page__says_the_menu_s_words_and_names_as_they_are(
    two_services, log_in, path, wanted, unwanted
):
    answer = log_in("ines", superuser=True).get(path.format(two_services[0].pk))

    heading = answer.content.decode().partition("<h1")[2].partition("</h1>")[0]
    heading = re.sub(r">\s+|\s+<", lambda found: found[0].strip(), heading)
    assert [each for each in wanted if each not in heading] == []
    assert [each for each in unwanted if each in heading] == []


def test_log_out__asked_for_by_a_link__is_a_page_with_the_portal_s_looks(log_in):
    page = log_in("ines").get("/admin/logout/").content.decode()

    assert "portal/portal.css" in page
    assert "Log out?" in page


def test_hints__of_keys__are_for_those_who_may_write(two_services, log_in):
    address = "/admin/config/shop/production/"

    assert "Ctrl+S" in log_in("dev", ("developer", "shop", None)).get(address).content.decode()
    assert "Ctrl+S" not in log_in("vera", ("viewer", "shop", None)).get(address).content.decode()

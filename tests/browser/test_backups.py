"""The page of backups in a real browser: it fits, and what goes on moves by itself."""

import pytest
from playwright.sync_api import expect

from tests.serving import installation

pytestmark = [pytest.mark.browser, pytest.mark.servers]

PAGE = "/admin/backups/"
HELD = """
from apps.access.holds import hold_rights
from apps.core.transactions import writing
with writing():
    hold_rights()
"""


def test_backup__made_and_verified__shows_its_end_by_itself_and_is_copied(open_page):
    page = open_page("admin")
    page.goto(PAGE)
    before = page.locator("#runs .badge.live").count()

    page.get_by_role("button", name="Back up now").click()

    ends = "before => document.querySelectorAll('#runs .badge.live').length > before"
    page.wait_for_function(ends, arg=before, timeout=90_000)
    page.wait_for_selector("[data-copy]")
    before = page.locator("#runs .badge.live").count()
    page.get_by_role("button", name="Verify").first.click()
    page.wait_for_function(ends, arg=before, timeout=90_000)
    page.wait_for_function(
        "document.querySelector('#runs [data-goes-on]') === null", timeout=90_000
    )
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("[data-copy]").first.click()
    page.wait_for_function("document.querySelector('[data-copy]').textContent === 'Copied'")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("manage.py backup restore 20")


@pytest.mark.parametrize(("size", "dark"), [((1280, 900), False), ((390, 800), True)])
def test_page__wide_and_narrow__fits_without_a_complaint(open_page, size, dark):
    page = open_page("admin", size=size, dark=dark)

    for address in (PAGE, f"{PAGE}?prune=1"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), address


def test_rights_that_wait__marked_and_confirmed__count_again_but_for_those(chromium):
    with installation(demo=True) as made:
        made.manage("shell", "-v0", "-c", HELD)
        server = made.start()
        page = chromium.new_context(base_url=server.url).new_page()
        complaints = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/admin/confirm-rights/")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", made.password)
        page.click("button[type=submit]")
        page.wait_for_url("**/admin/confirm-rights/")
        said, button = page.locator("#marked"), page.locator("#confirm")
        expect(said).to_have_text("Nothing is marked: all of it counts again")

        page.get_by_role("button", name="Mark them").click()
        expect(page.locator("input[name=token]:checked")).to_have_count(
            page.locator("input[name=token][data-used='']").count()
        )
        expect(button).to_have_text("Withdraw what is marked, and confirm the rest")
        page.get_by_role("button", name="Mark nothing").click()
        expect(button).to_have_text("Confirm: rights count again")
        row = page.locator("tr", has_text="tester").filter(has=page.locator("input[name=token]"))
        row.locator("input").check()
        expect(said).to_have_text("1 right marked, to be withdrawn")
        with server.client(made.raw) as client:
            assert client.get("/services").status_code == 503
        button.click()
        page.wait_for_load_state()

        with server.client(made.raw) as client:
            assert client.get("/services").status_code == 401
        page.goto("/admin/confirm-rights/")
        expect(page.get_by_role("heading", name="No rights wait")).to_be_visible()
        assert complaints == []
        page.context.close()

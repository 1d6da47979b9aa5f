"""The page of backups in a real browser: it fits, and what goes on moves by itself."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.servers]

PAGE = "/admin/backups/"


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

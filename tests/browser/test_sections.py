"""Help with sections in a real Chromium: it follows the cursor, and puts examples in."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

CONFIG = "/admin/config/checkout/development/"


def text_of(page):
    return page.evaluate("document.querySelector('textarea[name=content]').value")


def test_help__follows_the_cursor_and_puts_an_example_in_that_is_valid(served, open_page):
    page = open_page("ada")
    page.goto(CONFIG)
    before = text_of(page)

    page.locator(".cm-line", has_text="cpu:").first.click()
    expect(page.locator("#help-type")).to_have_text("Resource limits")
    expect(page.locator("#help-title")).to_contain_text("limits")
    page.click("#help-insert")

    expect(page.locator("#help-status")).to_contain_text("Put in")
    assert "replicas:" in text_of(page)
    expect(page.locator("#summary")).to_contain_text("Valid", timeout=30000)
    page.keyboard.press("Control+z")
    assert text_of(page) == before
    expect(page.locator("#saved")).to_have_text("Saved", timeout=30000)


def test_help__of_a_chosen_section__names_its_members_and_completes_them(served, open_page):
    page = open_page("ada")
    page.goto(CONFIG)

    page.click("#help [data-section=security]")
    expect(page.locator("#help-members")).to_contain_text("cors")
    text = text_of(page).replace("security:\n", "security:\n  tls:\n    m\n", 1)
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)
    page.keyboard.press("Control+Home")
    for _ in range(text[: text.index("    m\n")].count("\n")):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("Control+Space")

    expect(page.locator(".cm-tooltip-autocomplete")).to_contain_text("min_version")
    expect(page.locator("#help-title")).to_have_text("security.tls")
    page.keyboard.press("Escape")
    expect(page.locator("#saved")).to_have_text("Saved", timeout=30000)

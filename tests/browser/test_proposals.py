"""A draft in a real Chromium: who may not publish hands it over, who may looks at it and does."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

CONFIG = "/admin/config/checkout/production/"


def test_draft__of_one_who_may_not_publish__is_published_by_another(served, open_page):
    page = open_page("mei")
    page.goto(CONFIG)
    page.locator(".cm-content").click()
    page.keyboard.press("Control+Home")
    page.keyboard.insert_text("handed: over\n")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#dialog-title")).to_contain_text("Ask for publishing")
    expect(page.locator("#publish")).to_be_enabled()
    page.fill("#dialog [name=message]", "For the new carrier")
    page.click("#publish")
    expect(page.locator("body")).to_contain_text("Handed over: whoever may publish here sees it")

    other = open_page("ada", (390, 800), dark=True)
    other.click(".p-waiting a:has-text('checkout@production')")
    expect(other.locator(".p-changes tr.added")).to_contain_text("handed")
    expect(other.locator("#merge")).to_contain_text("handed: over")
    assert other.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 1
    other.click("text=Publish it to production")

    expect(other.locator("body")).to_contain_text("written by mei.")
    with served.servers[0].client(served.raw) as client:
        live = client.get("/config/checkout?environment=production").json()
    assert live["config"]["handed"] == "over"

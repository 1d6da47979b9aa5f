"""The slider over a history: what it shows as it moves, in a real Chromium."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_slider__moved_by_keys__shows_the_document_of_then_and_leads_to_restoring(open_page):
    page = open_page("admin")
    page.goto("/admin/config/shipping/production/history/")
    slider = page.locator("#then input[type=range]")
    expect(slider).to_be_visible()

    slider.focus()
    page.keyboard.press("Home")

    expect(page.locator("#then output")).to_contain_text("Version 1, publish")
    expect(page.locator("#then-shown h2")).to_contain_text("Version 1, as of")
    expect(page.locator("#then-shown pre")).to_contain_text("settings")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#then-shown h2")).to_contain_text("Version 2, as of")
    page.locator("#then input[name=at]").fill("someday")
    page.keyboard.press("Enter")
    expect(page.locator("#then output")).to_contain_text("no such point")
    page.locator("#then input[type=range]").focus()
    page.keyboard.press("Home")
    page.get_by_role("link", name="Restore to this point").click()
    expect(page.locator("h2").first).to_contain_text(re.compile("becomes? what|become what"))

"""Secrets in a real Chromium: inserted at the cursor without leaving the page, and hidden again."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

CONFIG = "/admin/config/checkout/production/"
CANARY = "canary-88c2-in-the-browser"


def content(page):
    return page.evaluate("document.querySelector('textarea[name=content]').value")


def made(page, name, value):
    """Makes a secret on the tab, and stays on its page."""
    page.goto(f"{CONFIG}secrets/")
    page.locator("summary", has_text="Make a secret").click() if not page.locator(
        "input[name=name]"
    ).is_visible() else None
    page.fill("input[name=name]", name)
    page.fill("textarea[name=value]", value)
    page.click("text=Make the secret")
    expect(page.locator("h2.p-name")).to_have_text(name)


@pytest.mark.parametrize(
    ("form", "text", "back", "expected"),
    [
        ("yaml", "db:\n  password:", 0, 'db:\n  password: {"$secret": "NAME"}'),
        ("yaml", "a: 1\n", 0, 'a: 1\nNAME: {"$secret": "NAME"}'),
        ("yaml", 'url: "pg://u:@h"', 3, 'url: "pg://u:${secret:NAME}@h"'),
        ("json", '{"a": }', 1, '{"a": {"$secret": "NAME"}}'),
        ("toml", "a = ", 0, 'a = {"$secret" = "NAME"}'),
        (
            "xml",
            "<config><a></a></config>",
            13,
            '<config><a><_ name="$secret">NAME</_></a></config>',
        ),
        ("properties", "a=", 0, "a=${secret:NAME}"),
        ("env", "A=", 0, "A=${secret:NAME}"),
    ],
)
def test_insert_secret__chosen__stands_at_the_cursor_in_the_format(
    served, open_page, form, text, back, expected
):
    name = "chosen"
    page = open_page("admin")
    page.goto(f"{CONFIG}secrets/{name}/")
    if not page.locator("h2.p-name").count():
        made(page, name, CANARY)
    page.goto(CONFIG)
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.select_option("#format", form)
    page.locator(".cm-content").click()
    page.keyboard.insert_text(text)
    for _ in range(back):
        page.keyboard.press("ArrowLeft")

    page.click("#insert-secret")
    page.fill("#secret-find", "CHOS")
    page.keyboard.press("Enter")

    assert content(page) == expected.replace("NAME", name)
    assert page.evaluate("document.activeElement.classList.contains('cm-content')")


def test_insert_secret__made_in_the_dialog__publishes_without_leaving_the_page(served, open_page):
    page = open_page("admin")
    page.goto(CONFIG)
    if page.locator("text=Discard the draft").count():
        page.click("text=Discard the draft")
        page.wait_for_load_state()
    address, before = page.url, content(page)
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(before.rstrip() + "\n")
    page.click("#insert-secret")
    if not page.locator("#secret-form input[name=name]").is_visible():
        page.click("text=Make a new one")
    page.fill("#secret-form input[name=name]", "bad name")
    page.fill("#secret-form textarea", CANARY)
    page.click("#secret-make")
    expect(page.locator("#secret-status")).to_contain_text("A name is")
    page.fill("#secret-form input[name=name]", "fresh_key")
    page.click("#secret-make")

    expect(page.locator(".cm-content")).to_contain_text('fresh_key: {"$secret": "fresh_key"}')
    assert page.url == address
    assert page.locator("#secret-form textarea").input_value() == ""
    expect(page.locator("#saved")).to_have_text("Saved", timeout=30000)
    page.click("#review")
    page.click("#publish")
    expect(page.locator("body")).to_contain_text("Published version")
    assert CANARY not in page.content()
    page.goto(f"{CONFIG}secrets/fresh_key/")
    expect(page.locator("body")).to_contain_text("Used by checkout@production")


def test_reveal__after_thirty_seconds__is_hidden_again(served, open_page):
    page = open_page("admin")
    made(page, "hidden-again", CANARY)
    page.clock.install()
    page.goto(f"{CONFIG}secrets/hidden-again/")
    assert CANARY not in page.content()

    page.click("[data-reveal]")
    expect(page.locator("#revealed-value")).to_have_text(CANARY)
    page.clock.fast_forward(28_000)
    expect(page.locator("#revealed-value")).to_have_text(CANARY)
    page.clock.fast_forward(3_000)

    expect(page.locator("#revealed")).to_be_hidden()
    assert CANARY not in page.content()


def test_reveal__page_left_and_come_back_to__shows_nothing(served, open_page):
    page = open_page("admin")
    made(page, "left-behind", CANARY)
    page.click("[data-reveal]")
    expect(page.locator("#revealed-value")).to_have_text(CANARY)
    page.fill("textarea[name=value]", "typed-and-left")

    page.goto("/admin/")
    page.go_back()

    expect(page.locator("h2.p-name")).to_have_text("left-behind")
    assert CANARY not in page.content()
    assert page.locator("textarea[name=value]").input_value() == ""
    stored = page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, history.state])"
    )
    assert CANARY not in stored

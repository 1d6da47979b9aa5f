"""The editor in each format: the same document, in colours, and back to the text as it was."""

import pytest
from playwright.sync_api import expect

from apps.engine import formats, values
from tests.browser.test_portal import CONFIG, live, replace_text

pytestmark = pytest.mark.browser

COLOURS = """() => new Set(
    [...document.querySelectorAll(".cm-content span")].map(each => getComputedStyle(each).color)
).size"""


def content(page):
    return page.evaluate("document.querySelector('textarea[name=content]').value")


def switch(page, form):
    """Choose a format, and wait for the text in it."""
    before = content(page)
    page.select_option("#format", form)
    page.wait_for_function(
        "before => document.querySelector('textarea[name=content]').value !== before", arg=before
    )


def discard(page):
    page.goto(CONFIG)
    page.click("text=Discard the draft")
    page.wait_for_load_state()


def test_format__switched__holds_the_same_document_and_goes_back_as_it_was(served, open_page):
    page = open_page("tom")
    page.goto(CONFIG)
    written = content(page)
    document = formats.parse(written, "yaml").tree
    assert "# " in written

    for form in ("toml", "json"):
        switch(page, form)
        assert values.same(formats.parse(content(page), form).tree, document), form
        expect(page.locator("#summary")).to_contain_text("Valid · no changes against live")
        assert page.evaluate(COLOURS) > 2, form
        expect(page.locator("text=Without its comments and layout")).to_be_visible()
        page.click("text=Back to yaml, as it was")
        assert (content(page), page.input_value("#format")) == (written, "yaml")
        assert page.evaluate(COLOURS) > 2

    timeout = int(live(served))
    switch(page, "json")
    replace_text(page, f'"timeout": {timeout}', f'"timeout": {timeout + 1}')
    expect(page.locator("text=Back to yaml, as it was")).to_have_count(0)  # would lose the change
    page.click("#review")
    expect(page.locator("#dialog-diff")).to_contain_text(f'"timeout": {timeout},')
    expect(page.locator("#dialog")).to_contain_text(
        "a yaml text, whose comments and layout are not"
    )
    page.click("#cancel")
    discard(page)


def test_format__that_cannot_hold_the_text__says_so_and_leaves_it(served, open_page):
    page = open_page("tom")
    page.goto(CONFIG)
    for text, said in (("nothing: null\n", "TOML cannot hold"), ("a: [\n", "This is not YAML")):
        replace_text(page, content(page), text)

        page.select_option("#format", "toml")

        expect(page.locator("#saved")).to_contain_text(f"Not converted: {said}")
        assert (content(page), page.input_value("#format")) == (text, "yaml")
    discard(page)

"""Rights and secrets in a real Chromium: narrow pages, live previews, a secret in one step."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

CONFIG = "/admin/config/checkout/production/"
LEAK = "postgres://app:canary-31fa@db.example/shop"
TEXTS = {
    "yaml": f"leak:\n  url: '{LEAK}' # oh\n",
    "toml": f'[leak]\nurl = "{LEAK}"\n',
}


def content(page):
    return page.evaluate("document.querySelector('textarea[name=content]').value")


def write(page, form, text):
    page.goto(CONFIG)
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.select_option("#format", form)
    page.locator(".cm-content").click()
    page.keyboard.insert_text(text)


def stored(page):
    return page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, history.state])")


def test_make_it_a_secret__at_the_problem__leaves_its_name_and_keeps_the_value_nowhere(open_page):
    page = open_page("admin")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    write(page, "yaml", TEXTS["yaml"])

    page.click("#problems .p-mend")
    assert page.input_value("#make-form input[name=name]") == "leak-url"
    page.fill("#make-form input[name=name]", "bad name")
    page.click("#make-button")
    expect(page.locator("#make-status")).to_contain_text("A name is")
    page.fill("#make-form input[name=name]", "from-problem")
    page.click("#make-button")

    expect(page.locator("#make-dialog")).to_be_hidden()
    assert content(page) == 'leak:\n  url: {"$secret": "from-problem"} # oh\n'
    expect(page.locator("#problems .p-mend")).to_have_count(0)
    expect(page.locator("#saved")).to_have_text("Saved")
    assert "canary-31fa" not in page.content() + stored(page) + " ".join(asked)
    page.reload()
    assert "from-problem" in content(page)
    assert "canary-31fa" not in page.content()


def test_make_it_a_secret__in_the_review__goes_on_with_the_review(open_page):
    page = open_page("admin")
    write(page, "toml", TEXTS["toml"])
    page.click("#review")

    page.click("#dialog .p-mend")
    page.fill("#make-form input[name=name]", "from-review")
    page.keyboard.press("Enter")

    expect(page.locator("#make-dialog")).to_be_hidden()
    expect(page.locator("#dialog")).to_be_visible()
    expect(page.locator("#dialog .p-mend")).to_have_count(0)
    assert content(page) == '[leak]\nurl = {"$secret" = "from-review"}\n'


def test_key_rule__while_one_types__shows_what_it_covers(open_page):
    page = open_page("admin", size=(390, 844), dark=True)
    page.goto("/admin/key-rules/")

    page.fill("#key-rule input[name=pattern]", "security.**")

    expect(page.locator("#key-rule-preview")).to_contain_text("checkout@production")
    expect(page.locator("#key-rule-preview")).to_contain_text("security.csrf")
    page.fill("#key-rule input[name=pattern]", "a[")
    expect(page.locator("#key-rule-preview")).to_contain_text("A pattern is written")


def test_pages_about_rights__on_a_phone__fit(open_page):
    page = open_page("admin", size=(390, 844))
    place = "/admin/rights/?service=checkout&environment=production"
    for path in (place, f"{place}&view=grants", "/admin/rights/of/?who=user:ada", "/admin/roles/"):
        page.goto(path)
        over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(over) == 0, path

    page.goto("/admin/rights/of/?who=user:nobody")
    page.select_option(".p-give select[name=role]", "viewer")
    page.select_option(".p-give select[name=service]", "checkout")
    page.click(".p-give button")

    expect(page.locator("body")).to_contain_text("user:nobody now has 'viewer' on checkout")
    page.click(".p-reasons summary")
    page.click("text=Take it back")
    expect(page.locator("body")).to_contain_text("No grant is given yet")

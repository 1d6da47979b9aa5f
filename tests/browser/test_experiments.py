"""An experiment in a real Chromium: made with the code editor and sliders, started, and looked at."""

import httpx
import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

LISTED = "/admin/config/shipping/staging/experiments/"
LATER = "later-by-a-name-that-no-button-of-a-phone-has-room-for"
PATCH = "[name=variants_patch] + .p-patch-editor .cm-content"


def make(page):
    page.goto(LISTED)
    page.click("text=Make the first")
    page.fill("input[name=name]", "later-cutoff")
    page.fill("textarea[name=description]", "Who may order until later orders more.")
    page.fill("[name=variants_name] >> nth=0", "as-is")
    page.fill("[name=variants_name] >> nth=1", LATER)
    page.click(PATCH)
    page.keyboard.insert_text("settings:\n  trial: 1\n")
    expect(page.locator(".p-patch-preview")).to_contain_text("settings.trial")
    page.click("#add-variant")
    expect(page.locator("[name=variants_weight] >> nth=2")).to_have_value("33.33")
    page.click(".p-variant-row >> nth=2 >> .p-drop")
    page.fill("[name=variants_weight] >> nth=1", "40")
    expect(page.locator("[name=variants_weight] >> nth=0")).to_have_value("60")
    page.click("text=Add a condition")
    page.fill("[aria-label=Value]", "user-1")
    page.select_option("[aria-label=Operator]", "starts_with")
    page.fill("[name=metrics_name]", "ordered")
    page.click("text=Save and check…")


def take_part(served, address):
    """A hundred units fetch, and some of them order."""
    token, url = served.token("consumer", "parcel-app"), served.servers[0].url
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
        for number in range(100, 160):
            headers = {"X-Config-Unit": f"user-{number}"}
            answer = client.get("/config/shipping?environment=staging", headers=headers)
            assert answer.json()["experiment"]["variant"] in ("as-is", LATER)
        outside = client.get("/config/shipping?environment=staging&unit=user-2").json()
        assert "experiment" not in outside
        outcomes = [{"unit": f"user-{n}", "metric": "ordered"} for n in range(100, 120)]
        pk = address.rstrip("/").rpartition("/")[2]
        told = client.post(f"/experiments/{pk}/outcomes", json={"outcomes": outcomes})
        assert told.status_code == 200, told.text


def test_experiment__made_started_and_taken_part_in__shows_its_picture(served, open_page):
    page = open_page("admin")
    make(page)

    expect(page.locator(".p-legend")).to_contain_text("room-for 40 %")
    expect(page.locator(".portal")).to_contain_text('"targetingKey":{"starts_with":["user-1"]}')
    page.click("text=Start later-cutoff >> nth=-1")
    expect(page.locator(".p-empty")).to_contain_text("No unit has fetched a variant yet")
    take_part(served, page.url)
    page.reload()

    expect(page.locator("svg.p-day-bars rect")).to_have_count(2)
    expect(page.locator(".p-metric")).to_contain_text("not known yet")
    assert page.locator(".p-variant").count() == 2
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("text=Publish this variant for everybody…")
    expect(page.locator(".p-changes")).to_contain_text("settings.trial")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_form__refused__keeps_what_was_typed(open_page):
    page = open_page("admin")
    page.goto(f"{LISTED}new/")
    page.fill("input[name=name]", "a b")
    page.click(PATCH)
    page.keyboard.insert_text("settings: [broken")
    expect(page.locator(".p-patch-preview .p-wrong")).to_contain_text("Line")
    page.click("text=Save the draft")

    expect(page.locator(".p-banner.warn")).to_contain_text("Nothing is saved yet")
    expect(page.locator("input[name=name]")).to_have_value("a b")
    expect(page.locator(PATCH)).to_contain_text("settings: [broken")

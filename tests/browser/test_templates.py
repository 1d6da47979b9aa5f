"""A template in a real Chromium: what follows is shown before it is saved, and then it is saved."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_template__that_others_use__is_saved_once_its_consequences_were_seen(served, open_page):
    with served.servers[0].client(served.raw) as client:
        client.post("/services", json={"slug": "follower"})
        template = {"slug": "followed", "content": {"pool": 5}}
        assert client.post("/templates", json=template).status_code == 201
        body = {"environment": "production", "config": {"own": 1}}
        body |= {"extends": [{"template": "followed"}]}
        assert client.post("/config/follower", json=body).status_code == 201
    page = open_page("admin")
    page.goto("/admin/configs/template/?q=followed")
    page.click("text=followed")
    page.fill("[name=content]", "pool: 9\n")

    page.click("[name=_save]")

    review = page.locator(".p-review")
    expect(review).to_contain_text("follower@production")
    expect(review.locator("li.changed")).to_contain_text("pool")
    expect(page.locator("[name=content]")).to_have_value("pool: 9\n")
    page.click("text=Publish version 2 of followed to 1 configuration")
    page.wait_for_url("**/admin/configs/template/*")
    with served.servers[0].client(served.raw) as client:
        live = client.get("/config/follower?environment=production").json()
    assert live["config"] == {"own": 1, "pool": 9}

"""Importing in a real Chromium: what a file would do, with the file still chosen, and doing it."""

import pytest
from playwright.sync_api import expect

from tests.api.test_exchange import archive

pytestmark = pytest.mark.browser


def test_import__of_a_chosen_file__is_tried_and_then_done(served, open_page):
    page = open_page("admin")
    page.goto("/admin/exchange/")
    page.select_option("[name=kind]", "spring")
    content = archive({"browsed.yml": "a: 1\n"})
    page.set_input_files(
        "[name=file]", {"name": "repo.zip", "mimeType": "application/zip", "buffer": content}
    )
    expect(page.locator("[name=mapped]")).to_have_value("")

    page.click("[value=try]")
    expect(page.locator("#report")).to_contain_text("2 of 2 would be new or changed.")
    page.click("[value=import]")

    expect(page.locator("#report")).to_contain_text("Done: 2 of 2 are new or changed.")
    page.goto("/admin/config/browsed/development/")
    expect(page.locator(".p-head")).to_contain_text("Version 1")

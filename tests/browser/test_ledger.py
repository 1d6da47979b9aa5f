"""The auditors' pages in a real browser: they fit, verifying shows its end, files come down."""

import os
import zipfile

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.servers]

PAGES = {
    "ledger": "/admin/ledger/",
    "timeline": "/admin/ledger/?target=configuration:checkout@production",
    "proof": "/admin/ledger/proof/",
    "past": "/admin/rights/past/?service=checkout&environment=production",
    "readers": "/admin/config/checkout/production/readers/",
}


@pytest.mark.parametrize(("size", "dark"), [((1280, 900), False), ((390, 800), True)])
def test_pages__wide_and_narrow__fit_without_a_complaint(open_page, size, dark):
    page = open_page("admin", size=size, dark=dark)

    for name, address in PAGES.items():
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        if folder := os.environ.get("CONFIGSVC_TEST_PICTURES"):
            page.screenshot(path=f"{folder}/{name}-{size[0]}.png", full_page=True)


def test_verify_now__pressed__shows_its_result_by_itself(open_page):
    page = open_page("admin")
    page.goto(PAGES["proof"])
    before = page.get_by_text("Every link holds").count()

    page.get_by_role("button", name="Verify now").click()

    page.wait_for_function(
        "before => document.body.innerText.split('Every link holds').length - 1 > before",
        arg=before,
        timeout=60_000,
    )


def test_bundle__pressed__is_an_archive_of_everything(open_page, tmp_path):
    page = open_page("admin")
    page.goto(PAGES["proof"])

    with page.expect_download() as waiting:
        page.get_by_role("link", name="Everything as one archive").click()

    waiting.value.save_as(tmp_path / "bundle.zip")
    assert set(zipfile.ZipFile(tmp_path / "bundle.zip").namelist()) == {
        "README.txt",
        "verifier.py",
        "keys.json",
        "checkpoints.jsonl",
        "ledger.jsonl",
    }

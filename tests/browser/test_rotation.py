"""The pages of rotation, jobs and connections in a real Chromium, narrow and dark too."""

import pytest

pytestmark = [pytest.mark.servers, pytest.mark.browser]

PLACE = "/admin/config/checkout/production/"
PAGES = (
    f"{PLACE}secrets/turning/",
    f"{PLACE}secrets/turning/rotation/",
    f"{PLACE}secrets/turning/rotation/?rotator=postgres",
    "/admin/jobs/?state=past",
    "/admin/jobs/?state=due",
    "/admin/core/connection/",
    "/admin/core/connection/add/",
)


@pytest.fixture(scope="module")
def turning(served):
    with served.servers[0].client(served.raw) as client:
        body = {
            "service": "checkout",
            "environment": "production",
            "name": "turning",
            "value": "first value",
        }
        assert client.post("/secrets", json=body).status_code == 201


def test_rotation__set_and_started_by_a_person__gives_a_new_version(served, turning, open_page):
    page = open_page("admin")
    page.goto(f"{PLACE}secrets/turning/")
    page.get_by_role("link", name="Set a rotation").click()
    page.get_by_label("Length").fill("48")
    page.get_by_label("symbols").check()
    page.get_by_label("Every so many days").fill("30")
    page.get_by_role("button", name="Set the rotation").click()
    page.get_by_role("button", name="Rotate now").click()
    for _ in range(240):
        if page.get_by_text("v1 → v2").count() and page.get_by_text("done", exact=True).count():
            break
        page.wait_for_timeout(250)
        page.reload()
    page.goto(f"{PLACE}secrets/turning/")
    page.get_by_role("button", name="Reveal").first.click()
    page.wait_for_function("document.getElementById('revealed-value').textContent.length === 48")


@pytest.mark.parametrize("size", [(390, 800), (1280, 900)])
def test_pages__narrow_and_dark__fit(served, turning, open_page, size):
    page = open_page("admin", size=size, dark=size[0] == 390)
    for address in PAGES:
        answer = page.goto(address)
        assert answer.status == 200, address
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], address

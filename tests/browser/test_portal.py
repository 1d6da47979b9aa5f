"""The portal in a real Chromium: write, review, publish, hear of others, roll back."""

import json
import threading
import time

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.test_login import log_out
from tests.flows.test_watch import Stream, receive, socket_to

pytestmark = pytest.mark.browser

CONFIG = "/admin/config/checkout/production/"


def log_in(page, name):
    page.goto("/admin/login/")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", "pw-123456")
    page.click("button[type=submit]")


def replace_text(page, old, new):
    """Type ``new`` over the first ``old`` in the editor, as a person would."""
    text = page.evaluate("document.querySelector('textarea[name=content]').value")
    assert old in text
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text.replace(old, new, 1))
    expect(page.locator("#saved")).to_have_text("Saved", timeout=30000)


def live(served, key="settings.timeout"):
    url = f"{served.servers[0].url}/config/checkout/value?environment=production&key={key}"
    return httpx.get(url, headers={"Authorization": f"Bearer {served.raw}"}).text


def publish_by_api(served, timeout):
    with served.servers[0].client(served.raw) as client:
        answer = client.patch(
            "/config/checkout?environment=production",
            content=json.dumps({"settings": {"timeout": timeout}}),
            headers={"Content-Type": "application/merge-patch+json"},
        )
    assert answer.status_code == 201, answer.text
    return answer.json()


def current(served):
    return int(live(served))


def test_publish_in_the_browser__reaches_sse_websocket_and_long_poll(served, open_page):
    """Heard on the same server; on PostgreSQL, with Redis, on a second one."""
    server = served.start() if served.is_postgres else served.servers[0]
    page = open_page("ada")
    page.goto(CONFIG)
    expect(page.locator("#live-dot")).to_contain_text("live")
    before = current(served)
    stream = Stream(server, served.raw, "service=checkout&environment=production")
    with server.client(served.raw) as client:
        revision = client.get("/config/checkout?environment=production").json()["revision"]
    polled = {}

    def poll():
        with server.client(served.raw) as client:
            url = f"/config/checkout?environment=production&after={revision}&wait=30"
            polled["answer"] = client.get(url)

    thread = threading.Thread(target=poll)
    thread.start()
    with socket_to(server, served.raw) as socket:
        subscription = {"type": "subscribe", "service": "checkout", "environment": "production"}
        socket.send(json.dumps(subscription))
        receive(socket, "ready")

        replace_text(page, f"timeout: {before}", f"timeout: {before + 1}")
        page.click("#review")
        expect(page.locator("#dialog")).to_contain_text("settings.timeout")
        page.fill("#dialog input[name=message]", "from the browser")
        page.click("#publish")
        expect(page.locator("body")).to_contain_text("Published version")
        by_socket = receive(socket, "changed")

    thread.join(30)
    by_stream, _id = stream.until(1)[-1]
    assert by_socket["version"] == by_stream["version"] == polled["answer"].json()["version"]
    assert by_stream["keys"] == ["settings.timeout"]
    assert current(served) == before + 1
    page.goto(f"{CONFIG}history/")
    expect(page.locator(".p-timeline li").first).to_contain_text("from the browser")
    expect(page.locator(".p-timeline li").first).to_contain_text("user:ada")


def test_somebody_else_publishes__the_page_shows_it_at_once(served, open_page):
    page = open_page("ada")
    page.goto(CONFIG)
    expect(page.locator("#live-dot")).to_contain_text("live")

    made = publish_by_api(served, current(served) + 1)

    expect(page.locator("#news")).to_contain_text(f"Version {made['version']}")


def publish_from_a_stale_tab(served, page):
    """Have it refused: the timeout, which somebody else raised by 5 and this tab by 2. Gives what it was."""
    page.goto(CONFIG)
    before = current(served)
    publish_by_api(served, before + 5)
    replace_text(page, f"timeout: {before}", f"timeout: {before + 2}")
    page.click("#review")
    page.click("#publish")
    expect(page.locator("body")).to_contain_text("while you wrote")
    return before


def test_stale_tab__is_refused_with_what_changed_and_loses_nothing(served, open_page):
    page = open_page("ada")
    before = publish_from_a_stale_tab(served, page)
    expect(page.locator("body")).to_contain_text("/settings/timeout")
    assert current(served) == before + 5
    page.click("text=Go on with my text")
    expect(page.locator(".cm-content")).to_contain_text(f"timeout: {before + 2}")
    page.click("#review")
    page.click("#publish")
    expect(page.locator("body")).to_contain_text("Published version")
    assert current(served) == before + 2


def test_text_kept_in_the_browser__restored_after_somebody_published__is_refused_as_a_stale_tab(
    served, open_page
):
    page = open_page("ada")
    page.goto(CONFIG)
    before = current(served)
    page.context.clear_cookies()
    page.locator(".cm-content").click()
    page.keyboard.press("Control+Home")
    page.keyboard.insert_text("# kept in the browser\n")
    expect(page.locator("#saved")).to_contain_text("kept in this browser", timeout=30000)
    log_in(page, "ada")
    publish_by_api(served, before + 5)

    page.goto(CONFIG)
    page.locator("text=Restore unsaved text").first.click()
    expect(page.locator("#news")).to_contain_text("was published since you began this text")
    page.click("#review")
    expect(page.locator("#dialog")).to_contain_text("was published meanwhile")
    page.click("#publish")

    expect(page.locator("body")).to_contain_text("while you wrote")
    assert current(served) == before + 5
    page.click("text=Merge theirs into my text")
    expect(page.locator(".cm-content")).to_contain_text("# kept in the browser")
    expect(page.locator("#restore")).to_be_hidden()
    page.click("#review")
    page.click("#publish")
    expect(page.locator("body")).to_contain_text("Published version")
    expect(page.locator("#restore")).to_be_hidden()
    assert current(served) == before + 5


def test_stale_tab__whose_text_is_discarded__is_not_offered_again(served, open_page):
    page = open_page("ada")
    before = publish_from_a_stale_tab(served, page)
    page.click("text=Take the live version")

    expect(page.locator(".cm-content")).to_contain_text(f"timeout: {before + 5}")
    expect(page.locator("#restore")).to_be_hidden()


def test_errors__stand_at_their_lines_and_publishing_waits(served, open_page):
    page = open_page("ada")
    page.goto(CONFIG)
    before = current(served)
    replace_text(page, f"timeout: {before}", "timeout: soon")

    expect(page.locator("#problems")).to_contain_text("Line")
    expect(page.locator("#problems")).to_contain_text("type integer")
    expect(page.locator(".cm-lint-marker-error")).to_have_count(1)
    page.click("#review")
    expect(page.locator("#publish")).to_be_disabled()
    page.click("#cancel")
    assert current(served) == before
    page.click("text=Discard the draft") if page.locator("text=Discard the draft").count() else None


def test_draft__log_out_and_closed_tab__survives(served, open_page, sessions):
    page = open_page("mei")
    page.goto(CONFIG)
    text = page.evaluate("document.querySelector('textarea[name=content]').value")
    page.locator(".cm-content").click()
    page.keyboard.press("Control+Home")
    page.keyboard.insert_text("# mei was here\n")
    expect(page.locator("#saved")).to_have_text("Saved", timeout=30000)
    ended = sessions["mei"]
    log_out(page)
    page.context.close()

    again = open_page("mei")
    assert sessions["mei"] != ended, "nobody had to log in again"
    again.goto(CONFIG)

    expect(again.locator(".cm-content")).to_contain_text("# mei was here")
    expect(again.locator("#review")).to_have_text("Review and hand over")
    again.click("text=Discard the draft")
    again.wait_for_load_state()
    assert again.evaluate("document.querySelector('textarea[name=content]').value") == text


def test_session_ended_while_typing__text_is_kept_in_the_browser(served, open_page):
    page = open_page("mei")
    page.goto("/admin/config/cart/staging/")
    page.context.clear_cookies()
    page.locator(".cm-content").click()
    page.keyboard.insert_text("# typed after the session ended\n")
    expect(page.locator("#saved")).to_contain_text("kept in this browser", timeout=30000)

    log_in(page, "mei")
    page.goto("/admin/config/cart/staging/")

    page.locator("text=Restore unsaved text").first.click()
    expect(page.locator(".cm-content")).to_contain_text("# typed after the session ended")


def test_roll_back__shows_its_diff_first_and_makes_a_version(served, open_page):
    before = current(served)
    publish_by_api(served, before + 7)
    page = open_page("ada")
    page.goto(f"{CONFIG}history/")
    page.locator("text=Roll back…").first.click()

    expect(page.locator(".p-changes")).to_contain_text("settings.timeout")
    expect(page.locator(".cm-mergeView, .cm-editor").first).to_be_visible()
    page.locator("button.p-primary", has_text="Roll back").click()
    expect(page.locator("body")).to_contain_text("is live")
    assert current(served) == before


def test_use_this__makes_a_token_that_works(served, open_page):
    page = open_page("admin")
    page.goto(f"{CONFIG}use/")
    page.click("text=Make a token")
    raw = page.locator("#token").inner_text()

    url = f"{served.servers[0].url}/config/checkout?environment=production"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {raw}"})

    assert answer.status_code == 200


PAGES = [
    "/admin/",
    CONFIG,
    f"{CONFIG}history/",
    f"{CONFIG}diff/?from=1&to=live",
    f"{CONFIG}use/",
    f"{CONFIG}secrets/",
    "/admin/secrets/",
    "/admin/rights/?service=checkout&environment=production",
    "/admin/ledger/",
    "/admin/registry/service/",
    "/admin/registry/service/1/change/",
    "/admin/registry/service/1/history/",
    "/admin/registry/environment/",
    "/admin/configs/template/1/change/",
    "/admin/configs/section/",
    "/admin/access/serviceaccount/1/change/",
    "/admin/core/user/",
    "/docs",
]
REFUSED = {
    "ada": {"/admin/rights/", "/admin/ledger/", "/history/", "/serviceaccount/", "/core/user/"},
    "olu": set(),
    "nobody": {"/config/", "/rights/", "/ledger/", "/registry/", "/configs/", "/access/", "/core/"},
}


@pytest.mark.parametrize(
    ("name", "size", "dark"),
    [("olu", (1280, 900), False), ("nobody", (390, 800), False), ("admin", (390, 800), True)],
)
def test_every_page__for_each_kind_of_person__opens_or_refuses_without_errors(
    served, open_page, name, size, dark
):
    page = open_page(name, size, dark)
    foreign = []
    page.on(
        "request",
        lambda request: (
            foreign.append(request.url)
            if not request.url.startswith((served.servers[0].url, "data:", "blob:", "ws:"))
            else None
        ),
    )
    for path in PAGES:
        answer = page.goto(path)
        refused = name == "nobody" and any(part in path for part in REFUSED["nobody"])
        assert answer.status in ((403, 404, 200) if refused else (200,)), (path, answer.status)
        overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert path == "/docs" or overflow <= 1, (path, overflow)
    assert foreign == []


def test_service__registered_in_the_admin__appears_with_its_labels(served, open_page):
    page = open_page("admin")
    page.goto("/admin/registry/service/add/")
    name = f"svc-{int(time.time())}"
    page.fill("input[name=slug]", name)
    page.fill("input[name=name]", "New service")
    page.fill("textarea[name=label_lines]", "tier=3")
    page.click("button[name=_save], input[name=_save]")
    expect(page.locator("body")).to_contain_text("tier=3")
    page.goto("/admin/registry/service/add/")
    page.fill("input[name=slug]", name)
    page.fill("input[name=name]", "The same again")
    page.click("button[name=_save], input[name=_save]")

    expect(page.locator("body")).to_contain_text("This name is taken")
    expect(page.locator("input[name=name]")).to_have_value("The same again")


def test_services__on_a_phone__show_their_labels_whole(served, open_page):
    page = open_page("admin", (390, 800))
    page.goto("/admin/registry/service/?q=payments")

    badges = page.locator("#result_list .badge")
    assert badges.count() > 2
    for badge in badges.all():
        box = badge.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390, badge.inner_text()


def test_services__filtered_by_label__are_those_that_have_it(served, open_page):
    page = open_page("admin")
    page.goto("/admin/registry/service/")
    everything = page.locator("#result_list tbody tr, #changelist-form tbody tr").count()
    page.locator("[x-on\\:click*=filterOpen]").first.click()
    page.fill("#filter-form input[name=label]", "tier=1")
    page.click("#filter-form button[type=submit]")
    page.wait_for_url("**label=tier**")

    rows = page.locator("#result_list tbody tr, #changelist-form tbody tr")
    assert 0 < rows.count() < everything
    assert rows.filter(has_text="tier=1").count() == rows.count()

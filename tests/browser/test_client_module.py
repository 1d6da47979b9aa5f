"""The module for browsers in a real one: it reads, follows, polls where streams fail, and keeps a copy."""

import signal

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.servers]

OPEN = """
async ({ timing = {}, ...options }) => {
  const { connect } = await import("/static/client/configsvc.js");
  const log = (level, text) => (window.logged ??= []).push(text);
  window.config = await connect("followed", { environment: "production", timing, log, ...options });
  window.heard = [];
  return [config.get("settings.timeout"), config.version, config.stale];
}
"""
FOLLOW = "() => { config.onChange((changed) => heard.push(changed.get('settings.timeout')), 'settings.*'); }"
QUICK = {"firstPause": 100, "longestPause": 500, "streamFailures": 1, "pollWait": 5000}


def publish(served, timeout):
    body = {"environment": "production", "config": {"settings": {"timeout": timeout}}}
    with served.servers[0].client(served.raw) as client:
        client.post("/services", json={"slug": "followed"})
        answer = client.post("/config/followed", json={**body, "on_stale": "overwrite"})
        assert answer.status_code in (200, 201), answer.text


def hear(page, value):
    page.wait_for_function("value => heard.includes(value)", arg=value, timeout=60_000)


def test_follow__publishes__are_heard_with_the_sessions_cookie(served, open_page):
    publish(served, 1)
    page = open_page("admin")
    assert page.evaluate(OPEN, {})[0] == 1

    with page.expect_response(lambda response: "/stream" in response.url):
        page.evaluate(FOLLOW)
    page.wait_for_timeout(500)
    publish(served, 2)
    hear(page, 2)
    publish(served, 3)
    hear(page, 3)

    assert page.evaluate("heard") == [2, 3]


def test_follow__server_silent_for_long__opens_anew_and_resumes(served, open_page):
    publish(served, 10)
    page = open_page("admin")
    streams = []
    page.on("request", lambda each: streams.append(each) if "/stream?" in each.url else None)
    page.evaluate(OPEN, {"timing": {"firstPause": 100, "longestPause": 500, "heartbeat": 16_000}})
    with page.expect_response(lambda response: "min_revision=" in response.url):  # the first look
        page.evaluate(FOLLOW)

    try:
        with page.expect_request(lambda request: "/stream?" in request.url, timeout=60_000):
            served.servers[0].process.send_signal(signal.SIGSTOP)
    finally:
        served.servers[0].process.send_signal(signal.SIGCONT)
    publish(served, 11)

    hear(page, 11)
    assert len(streams) > 1
    assert "last-event-id" in streams[-1].headers


def test_follow__streams_do_not_get_through__polls(served, open_page):
    publish(served, 20)
    page = open_page("admin")
    page.route("**/stream?*", lambda route: route.abort())
    page.evaluate(OPEN, {"timing": QUICK})
    with page.expect_request(lambda request: "wait=" in request.url, timeout=60_000):
        page.evaluate(FOLLOW)

    publish(served, 21)

    hear(page, 21)


def test_copy__server_out_of_reach__is_read_from_the_browsers_store(served, open_page):
    publish(served, 30)
    page = open_page("admin")
    first = page.evaluate(OPEN, {"cache": True})
    page.route("**/config/followed*", lambda route: route.abort())

    again = page.evaluate(OPEN, {"cache": True})

    assert (first[0], first[2]) == (30, False)
    assert again == [30, first[1], True]
    assert "using the copy" in page.evaluate("logged.join()")
    page.evaluate("localStorage.setItem('configsvc:followed@production', 'damaged')")
    refused = page.evaluate(
        f"options => ({OPEN})(options).catch((error) => [error.name, error.status])",
        {"cache": True},
    )
    assert refused == ["ConfigError", 503]

"""The GraphQL console in a real Chromium: asks, changes and watches with the person's session."""

import os
import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

CHANGES = (
    'subscription { changes(service: ["catalog"], environment: "*") { kind changed { version } } }'
)


def open_console(page):
    page.goto("/admin/")
    page.get_by_role("link", name="GraphQL console").click()
    expect(page.locator(".graphiql-query-editor")).to_be_visible()
    return page


def write(page, query):
    """Put a query in place of the editor's."""
    editor = page.locator(".graphiql-query-editor .CodeMirror").first
    editor.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(query)


def run(page, query):
    write(page, query)
    page.keyboard.press("Control+Enter")
    return page.locator(".result-window")


def test_console__of_a_person__asks_and_changes_with_his_rights(served, open_page):
    page = open_console(open_page("admin"))

    expect(run(page, '{ service(slug: "catalog") { slug } }')).to_contain_text('"slug": "catalog"')
    change = (
        'mutation { updateService(slug: "catalog", input: {description: "%s"}) { description } }'
    )
    expect(run(page, change % "by the console")).to_contain_text("by the console")
    run(page, change % "")
    page.get_by_label("Show Documentation Explorer").click()
    expect(page.locator(".graphiql-doc-explorer")).to_contain_text("Mutation")
    assert page.evaluate("Object.keys(localStorage).filter((n) => n.startsWith('graphiql'))") == []


def test_console__subscription__tells_what_is_published(served, open_page):
    page = open_console(open_page("admin"))
    result = run(page, CHANGES)
    expect(result).to_contain_text("READY")

    with served.servers[0].client(served.raw) as client:
        live = client.get("/config/catalog?environment=development").json()["config"]
        body = {"environment": "development", "config": live, "on_stale": "overwrite"}
        changed = {**body, "config": {**live, "console": "heard"}}
        assert client.post("/config/catalog", json=changed).status_code == 201
        expect(result).to_contain_text("CHANGED")
        assert client.post("/config/catalog", json=body).status_code == 201


def test_console__without_a_session__leads_to_the_log_in(served, chromium):
    context = chromium.new_context(base_url=served.servers[0].url)
    page = context.new_page()
    page.goto("/graphql")

    assert re.search(r"/login/\?next=/graphql", page.url)
    context.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 800)], ids=["wide", "narrow"])
def test_console__in_each_size_and_light__is_whole(served, open_page, size, dark):
    page = open_page("admin", size=size, dark=dark)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/graphql")
    result = run(page, "{ environments { edges { node { slug } } } }")
    expect(result).to_contain_text("production")

    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/console-{size[0]}-{'dark' if dark else 'light'}.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    editor = page.locator(".graphiql-query-editor").bounding_box()
    assert min(editor["width"], result.bounding_box()["width"]) > 250
    shade = page.evaluate(
        "getComputedStyle(document.querySelector('.graphiql-container')).backgroundColor"
    )
    lightness = float(re.search(r"([\d.]+)", shade.replace("rgb", "")).group(1))
    assert (lightness < 128) == dark, shade
    here = served.servers[0].url
    assert [url for url in asked if not url.startswith((here, "data:"))] == []

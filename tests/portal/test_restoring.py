"""Going back in the portal: the slider's stops, the document of then, restoring a point in time."""

import html
import json
import re

import pytest

from tests.api.test_references import HERE, config, publish
from tests.flows.test_propagation import service

pytestmark = pytest.mark.django_db

PLACE = "/admin/config/shop/production"


@pytest.fixture
def shop(make_api):
    operator = make_api("administrator")
    service(operator, "shop", "cart")
    publish(operator, "cart", {"c": 1})
    publish(operator, "shop", {"n": 1}, message="the first")
    publish(operator, "shop", {"n": 2, "more": True})
    return operator


def revisions(api, name="shop"):
    rows = api.get(f"/config/{name}/history?{HERE}").json()["results"]
    return {row["version"]: row["revision"] for row in rows}


def hidden_fields(page):
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


def test_then__a_revision_or_a_time__shows_the_document_and_what_changed_since(admin_client, shop):
    first = revisions(shop)[1]

    page = admin_client.get(f"{PLACE}/then/?at={first}").content.decode()
    part = admin_client.get(f"{PLACE}/then/?at={first}&part=1").content.decode()

    for text in ("Version 1, as of", "the first"):
        assert text in page
    for text in ("&#x27;n&#x27;: 1", "2 changes since"):
        assert text in part
    assert "<html" not in part
    assert f"/admin/restore/?at={first}&amp;service=shop" in part
    before = admin_client.get(f"{PLACE}/then/?at={first - 1}").content.decode()
    assert "Nothing was published here by then." in before
    assert admin_client.get(f"{PLACE}/then/?at=yesterday").status_code == 400


def test_marks__of_a_long_history__are_spread_over_all_of_it(admin_client, shop, monkeypatch):
    for n in range(3, 12):
        publish(shop, "shop", {"n": n})
    few = [each["version"] for each in _marks(admin_client)]
    monkeypatch.setattr("apps.configs.selectors.history.MARKS", 4)

    thinned = [each["version"] for each in _marks(admin_client)]

    assert few == list(range(1, 12))
    assert thinned == [2, 5, 8, 11]


def _marks(client):
    return json.loads(client.get(f"{PLACE}/then/marks/").content)["marks"]


def test_restore__previewed_and_confirmed__is_one_act(admin_client, shop):
    first = revisions(shop)[1]
    publish(shop, "cart", {"c": 2})

    page = admin_client.get(f"/admin/restore/?at={first}").content.decode()
    assert "2 configurations become what they were" in page
    done = admin_client.post(
        "/admin/restore/", {**hidden_fields(page), "message": "Bad day"}, follow=True
    ).content.decode()

    assert "2 configurations restored as of revision" in done
    assert (config(shop, "shop"), config(shop, "cart")) == ({"n": 1}, {"c": 1})
    assert max(revisions(shop).values()) == max(revisions(shop, "cart").values())


def test_restore__where_something_moved_since_the_preview__asks_again(admin_client, shop):
    first = revisions(shop)[1]
    page = admin_client.get(f"/admin/restore/?at={first}&service=shop").content.decode()
    publish(shop, "shop", {"n": 3})

    again = admin_client.post("/admin/restore/", hidden_fields(page)).content.decode()

    assert "Something else was published meanwhile" in again
    assert config(shop, "shop") == {"n": 3}
    admin_client.post("/admin/restore/", hidden_fields(again))
    assert config(shop, "shop") == {"n": 1}


def test_restore__what_cannot_be__says_why_and_keeps_what_was_chosen(admin_client, shop):
    page = admin_client.get("/admin/restore/?at=soon&service=shop").content.decode()

    assert "Write a time as" in page
    assert "<option selected>shop</option>" in page
    nothing = admin_client.get(f"/admin/restore/?at={revisions(shop)[2]}").content.decode()
    assert "Everything is as it was" in nothing

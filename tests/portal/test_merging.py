"""Somebody published meanwhile: choosing what is taken, and going on with the result."""

import pytest

pytestmark = pytest.mark.django_db

PLACE = "/admin/config/shop/production"
BODY = {"environment": "production", "on_stale": "overwrite"}


@pytest.fixture
def stale(operator, shop, log_in):
    """An author on version 1, and version 2 that changed ``b`` meanwhile."""
    for document in ({"a": 1, "b": 1}, {"a": 1, "b": 2, "c": 1}):
        assert operator.post("/config/shop", {**BODY, "config": document}).status_code == 201
    return log_in("ada", ("operator", "shop", "production"))


def form(text, **members):
    return {"content": text, "format": "yaml", "base_version": "1", "page": "p", **members}


def draft_of(client):
    from apps.configs.models import Change

    row = Change.objects.get(author=client.person)
    return row.base_version, row.content


def test_other_keys__are_merged_into_the_draft_and_nothing_is_published(stale, operator):
    refused = stale.post(f"{PLACE}/publish/", form("a: 9  # nine\nb: 1\n"))
    merged = stale.post(f"{PLACE}/draft/", form("a: 9  # nine\nb: 1\n", merge="1"))

    assert refused.status_code == 409
    assert b"Merge theirs into my text" in refused.content
    assert (merged.status_code, merged.headers["Location"]) == (302, f"{PLACE}/")
    assert draft_of(stale) == (2, "a: 9  # nine\nb: 2\nc: 1\n")
    live = operator.get("/config/shop?environment=production").json()
    assert (live["version"], live["config"]["a"]) == (2, 1)


@pytest.mark.parametrize(("side", "value"), [("ours", 7), ("theirs", 2), ("base", 1)])
def test_same_key__is_taken_from_the_side_that_was_chosen(stale, side, value):
    text = "a: 1\nb: 7\n"
    refused = stale.post(f"{PLACE}/publish/", form(text))
    page = refused.content.decode()
    unchosen = stale.post(f"{PLACE}/draft/", form(text, merge="1"))
    merged = stale.post(f"{PLACE}/draft/", form(text, merge="1", **{"choice:/b": side}))

    assert 'name="choice:/b" value="theirs"' in page
    assert unchosen.status_code == 409
    assert merged.status_code == 302
    assert draft_of(stale) == (2, f"a: 1\nb: {value}\nc: 1\n")


def test_odd_choices__are_refused_and_the_text_stays(stale):
    stale.post(f"{PLACE}/publish/", form("a: 1\nb: 7\n"))

    answer = stale.post(f"{PLACE}/draft/", form("a: 1\nb: 7\n", merge="1", **{"choice:/b": "x"}))

    assert 400 <= answer.status_code < 500
    assert draft_of(stale) == (1, "a: 1\nb: 7\n")

"""A configuration's history: who published what, when, why and from what cause; and any two compared."""

import re
from html import unescape

import pytest

pytestmark = pytest.mark.django_db

PLACE = "/admin/config/shop/production/"
COMMON = {"environment": "production", "on_stale": "overwrite"}


@pytest.fixture
def published(shop, operator):
    """Three versions, and the first of them brought back as the fourth."""
    for number in (1, 2, 3):
        config = {"pool": number * 10, "same": "x", f"only{number}": True}
        body = {**COMMON, "config": config, "message": f"reason {number}"}
        assert operator.post("/config/shop", body).status_code == 201
    back = {"environment": "production", "to_version": 1, "message": "it broke"}
    assert operator.post("/config/shop/rollback", back).status_code == 201
    return operator


def texts(page, pattern):
    """The texts in each match, without tags and with single spaces."""
    found = re.findall(pattern, page.content.decode(), re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]*>|\">", " ", each)).split()) for each in found]


def test_history__each_entry__says_when_and_from_what_cause(published, log_in):
    page = log_in("vera", ("viewer", "shop", None)).get(f"{PLACE}history/")

    entries = texts(page, r'<div class="p-entry">(.*?)</div>')
    times = re.findall(r'<time datetime="([^"]+)">([^<]+)</time>', page.content.decode())

    known = published.get("/config/shop/history?environment=production").json()["results"]
    assert [each.split(" service-account:")[0] for each in entries] == [
        "v4 rollback of v1 live it broke",
        "v3 publish reason 3",
        "v2 publish reason 2",
        "v1 publish reason 1",
    ]
    seconds = [each["published_at"][:19] for each in known]
    assert [each[:19] for each, _shown in times] == seconds
    assert [shown for _machine, shown in times] == [each.replace("T", " ") for each in seconds]


@pytest.mark.parametrize(
    ("sides", "heading", "rows"),
    [
        (
            "from=1&to=2",
            "production v1 → production v2 3 changes",
            {"removed only1 true", "added only2 true", "changed pool 10 20"},
        ),
        (
            "from=3&to=2",
            "production v3 → production v2 3 changes",
            {"added only2 true", "removed only3 true", "changed pool 30 20"},
        ),
        ("from=1&to=live", "production v1 → production v4 0 changes", set()),
    ],
)
def test_diff__two_chosen_versions__shows_what_differs_between_them(
    published, log_in, sides, heading, rows
):
    page = log_in("vera", ("viewer", "shop", None)).get(f"{PLACE}diff/?{sides}")

    assert texts(page, r"<h2>(.*?)</h2>")[0] == heading
    assert set(texts(page, r'<tr class="(\w+">.*?)</tr>')) == rows

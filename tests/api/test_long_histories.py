"""Histories of more versions than a page may look through."""

import json
import uuid

import pytest

from apps.access import key_rules
from apps.access.policy import EVERYWHERE
from apps.configs.models import Version
from apps.core import clock
from tests.portal.conftest import log_in  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db

VERSIONS = 2_600
"""More than are judged, or looked through where keys are hidden, for one page."""
URL = "/config/shop/history?environment=production"
DOCUMENT = {"db": {"pool_size": 1, "user": "u"}, "hosts": [{"name": "a", "password": "p"}]}
FILTERED = (
    "key=db.pool_size",
    "key=db.*",
    "key=hosts",
    "key=nowhere",
    "author=nobody",
    "key=*.*.*.*",
)


@pytest.fixture
def long(shop, operator):
    """Every tenth version touched ``db.pool_size``, every other ``hosts[0].name``; the first one all."""
    body = {"environment": "production", "config": DOCUMENT}
    assert operator.post("/config/shop", body).status_code == 201
    first = Version.objects.get()
    touched = {0: '["db.pool_size"]', **dict.fromkeys(range(2, 10, 2), '["hosts[0].name"]')}
    Version.objects.bulk_create(
        Version(
            id=uuid.uuid4(),
            configuration_id=first.configuration_id,
            number=number,
            source_id=first.source_id,
            format=first.format,
            effective_id=first.effective_id,
            keys=touched.get(number % 10, '["other"]'),
            cause="publish",
            author=first.author,
            revision=first.revision,
            published_at=first.published_at + number * clock.MINUTE,
        )
        for number in range(2, VERSIONS + 1)
    )
    return operator


def walk(api, url, link="next"):
    """The numbers on each page from there on, and the last page."""
    found = []
    while url:
        page = api.get(url).json()
        found.append([each["version"] for each in page["results"]])
        url = page[link]
    return found, page


@pytest.mark.parametrize("asked", FILTERED)
def test_history__narrowed__finds_everything_both_ways(long, asked):
    tenth = [*range(VERSIONS, 1, -10), 1]
    even = [each for each in range(VERSIONS, 1, -1) if each % 10 in (2, 4, 6, 8)]
    expected = {"db.pool_size": tenth, "db.*": tenth, "hosts": [*even, 1]}.get(asked[4:], [])

    forth, last = walk(long, f"{URL}&{asked}&page_size=100")
    back, _first = walk(long, last["previous"], "previous") if last["previous"] else ([], last)

    assert [each for page in forth for each in page] == expected
    if len(forth) > 1:
        older = set(forth[-1])
        assert sorted((each for page in back for each in page), reverse=True) == [
            x for x in expected if x not in older
        ]
    assert len(forth) < 30


def test_history__time__begins_at_the_versions_of_that_time(long):
    moment = json.loads(long.get("/config/shop/versions/50?environment=production").content)
    at = moment["published_at"]

    until, _last = walk(long, f"{URL}&until={at}&page_size=30")
    since = long.get(f"{URL}&since={at}&page_size=200&cursor=240").json()["results"]
    rare = long.get(f"{URL}&until={at}&key=db.pool_size").json()

    assert until == [list(range(50, 20, -1)), list(range(20, 0, -1))]
    assert [each["version"] for each in since] == list(range(239, 49, -1))
    assert [each["version"] for each in rare["results"]] == [50, 40, 30, 20, 10, 1]
    assert rare["next"] is None


@pytest.mark.parametrize("asked", FILTERED)
def test_history__keys_hidden__costs_a_few_statements_and_no_version_before(
    long, make_api, system, asked, django_assert_max_num_queries
):
    key_rules.create_key_rule(actor=system, pattern="**.password", place=EVERYWHERE)
    reader = make_api("viewer")
    reader.get(f"{URL}&page_size=1")

    with django_assert_max_num_queries(30):
        page = reader.get(f"{URL}&{asked}&page_size=10")

    assert page.status_code == 200


def test_history__keys_hidden__ends_its_pages_where_their_changes_do_not_matter(
    long, make_api, system
):
    """``hosts`` is hidden, for a password is in it: touched or not, a page says the same."""
    key_rules.create_key_rule(actor=system, pattern="**.password", place=EVERYWHERE)
    reader = make_api("viewer")

    hidden, _last = walk(reader, f"{URL}&key=hosts")
    nothing, _last = walk(reader, f"{URL}&key=nowhere")
    links = [
        reader.get(f"{URL}&key={key}").json()["next"].partition("cursor=")[2]
        for key in ("hosts", "nowhere")
    ]

    assert hidden == nothing == [[], []]
    assert links[0] == links[1]


def test_history_page__nothing_on_it__leads_to_the_older_ones(long, log_in):  # noqa: F811
    browser = log_in("vera", ("viewer", "shop", None))

    page = browser.get("/admin/config/shop/production/history/?key=*.*.*.*").content.decode()

    assert "Nothing down to version 601 matches" in page
    assert "before=601" in page
    older = browser.get("/admin/config/shop/production/history/?key=*.*.*.*&before=601")
    assert "<h2>Nothing matches</h2>" in older.content.decode()


def test_graphql_history__empty_page__has_a_cursor_to_go_on_from(long):
    query = """query($after: String) { configuration(service: "shop", environment: "production") {
        history(key: "*.*.*.*", first: 5, after: $after) {
            edges { cursor } pageInfo { hasNextPage endCursor } } } }"""
    after, pages = None, []
    while not pages or pages[-1]["pageInfo"]["hasNextPage"]:
        answer = long.post("/graphql", {"query": query, "variables": {"after": after}})
        pages.append(answer.json()["data"]["configuration"]["history"])
        after = pages[-1]["pageInfo"]["endCursor"]

    assert [each["edges"] for each in pages] == [[], []]

"""The home page, and the page of a service's keys in all its environments."""

import pytest

from tests.api.test_matrix import shop  # noqa: F401 - a fixture
from tests.api.test_references import publish

pytestmark = pytest.mark.django_db

ACROSS = "/admin/config/shop/production/across/"
DIFF = "/admin/config/shop/production/diff/?from=staging&amp;to=production"
PROMOTE = "/admin/config/shop/production/promote/?from=staging"


def test_overview__of_who_may_publish__leads_to_the_difference_and_to_promoting(
    shop,  # noqa: F811 - the fixture
    log_in,
):
    page = log_in("ada", ("operator", None, None)).get("/admin/").content.decode()

    assert f'href="{DIFF}" title="What differs from staging">4 keys apart</a>' in page
    assert f'href="{PROMOTE}"' in page
    assert 'href="/admin/config/cart/production/promote/?from=staging"' in page


def test_overview__of_who_may_read__leads_to_the_difference_alone(shop, log_in):  # noqa: F811
    page = log_in("eve", ("viewer", "shop", None)).get("/admin/").content.decode()

    assert f'href="{DIFF}"' in page
    assert "promote" not in page
    assert "cart" not in page


def test_overview__links__open(shop, log_in):  # noqa: F811 - the fixture
    ada = log_in("ada", ("operator", None, None))
    found = ada.get("/admin/").context["rows"]
    links = {
        each[name] for row in found for each in row["cells"] for name in ("url", "diff", "promote")
    } | {row["across"] for row in found}

    assert {ada.get(each).status_code for each in links - {""}} == {200}


def test_overview__queries__do_not_grow_with_services_and_environments(
    shop,  # noqa: F811 - the fixture
    log_in,
    system,
    django_assert_max_num_queries,
):
    from apps.configs.services.places import create_environment

    eve = log_in("eve", ("operator", "shop", None), ("operator", "cart", None))
    counts = []
    for number in range(2):
        eve.get("/admin/")
        with django_assert_max_num_queries(35) as captured:
            assert eve.get("/admin/").status_code == 200
        counts.append(len(captured))
        for rank in range(4):
            slug = f"e{number}{rank}"
            create_environment(actor=system, slug=slug, rank=rank)
            assert shop.post("/services", {"slug": slug}).status_code == 201
            for service in ("shop", "cart"):
                publish(shop, service, {"a": [number, rank]}, environment=slug)

    assert counts[0] == counts[1]


def test_across__one_key__shows_each_value_and_marks_what_differs(shop, log_in):  # noqa: F811
    page = log_in("eve", ("viewer", "shop", None)).get(ACROSS, {"key": "a"}).content.decode()

    row = page[page.index('<tr class="differs">') :]
    assert row.index("<code>a</code>") < row.index(">1</code>") < row.index(">2</code>")
    assert ">own</a>" in row


def test_across__narrowed_to_what_differs__leaves_out_what_is_the_same(shop, log_in):  # noqa: F811
    eve = log_in("eve", ("viewer", "shop", None))

    everything = [row["key"] for row in eve.get(ACROSS).context["rows"]]
    differing = [row["key"] for row in eve.get(ACROSS, {"differ": "1"}).context["rows"]]

    assert sorted(everything) == ["a", "b", "pin", "pool", "same"]
    assert sorted(differing) == ["a", "b", "pin", "pool"]


def test_across__with_text_that_is_no_glob__finds_nothing_and_says_so(shop, log_in):  # noqa: F811
    page = log_in("eve", ("viewer", "shop", None)).get(ACROSS, {"key": 'a["'}).content.decode()

    assert "No key matches" in page

"""Services by environments, and keys across environments: REST and the portal's pages."""

import json
import re

import pytest

from tests.api.test_references import publish
from tests.portal.conftest import log_in  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def shop(operator):
    """``shop``: two keys apart between staging and production; ``cart``: in staging alone."""
    for slug in ("shop", "cart"):
        assert operator.post("/services", {"slug": slug}).status_code == 201
    secret = {"service": "shop", "environment": "production", "name": "pin", "value": "v4lue"}
    assert operator.post("/secrets", secret).status_code == 201
    operator.post("/templates", {"slug": "base", "content": {"pool": 5}})
    publish(operator, "shop", {"a": 1, "b": [1, 2], "same": 1}, environment="staging")
    tree = {"a": 2, "b": [1], "same": 1, "pin": {"$secret": "pin"}}
    extends = [{"template": "base"}]
    assert publish(operator, "shop", tree, extends=extends).status_code == 201
    publish(operator, "cart", {"x": 1}, environment="staging")
    return operator


def cells(api, query=""):
    answer = api.get(f"/matrix{query}")
    assert answer.status_code == 200, answer.content
    return {
        row["service"]: {each.pop("environment"): each for each in row["environments"]}
        for row in answer.json()["results"]
    }


def test_matrix__of_two_services__says_what_is_live_and_how_far_apart(shop):
    found = cells(shop)

    assert list(found) == ["cart", "shop"]
    assert list(found["shop"]) == ["development", "staging", "production"]
    assert found["shop"]["development"] == {"version": None}
    assert found["cart"]["production"] == {"version": None}
    staging, production = found["shop"]["staging"], found["shop"]["production"]
    assert "apart" not in staging
    assert production["apart"] == {"from": "staging", "keys": 4}  # a, b, pool, pin
    assert (production["version"], production["pinned"], production["retired"]) == (1, False, False)
    history = shop.get("/config/shop/history?environment=production").json()["results"][0]
    assert production["published_at"] == history["published_at"]
    assert production["revision"] == history["revision"]


def test_matrix__of_equal_and_retired_ones__is_nothing_apart_and_skips(shop):
    publish(shop, "shop", {"a": 1, "b": [1, 2], "same": 1}, environment="development")
    shop("DELETE", "/config/shop?environment=staging")

    found = cells(shop)["shop"]

    assert found["staging"]["retired"] is True
    assert "apart" not in found["staging"]
    assert found["production"]["apart"] == {"from": "development", "keys": 4}


def test_matrix__of_too_large_documents__does_not_count_but_leads_on(shop, monkeypatch):
    from apps.configs.selectors import matrix

    monkeypatch.setattr(matrix, "MOST_READ", 60)

    assert cells(shop)["shop"]["production"]["apart"] == {"from": "staging", "keys": None}


def test_matrix__in_pages_and_narrowed__finds_those(shop):
    shop("PATCH", "/services/cart", {"labels": {"tier": "1"}, "name": "The Basket"})

    first = shop.get("/matrix?page_size=1").json()
    second = shop.get(first["next"]).json()

    assert [row["service"] for row in first["results"] + second["results"]] == ["cart", "shop"]
    assert second["next"] is None
    asked = ("q=bask", "q=CART", "label=tier", "label=tier=1")
    assert [list(cells(shop, f"?{each}")) for each in asked] == [["cart"]] * 4
    assert [cells(shop, f"?{each}") for each in ("q=zz", "label=tier=2", "owner=web")] == [{}] * 3
    assert shop.get("/matrix?page_size=0").status_code == 400


def test_matrix__of_who_sees_some__has_those_cells_alone(shop, make_api):
    lists = make_api("viewer", service="shop", environment="production")
    nobody = make_api()

    assert list(cells(lists)) == ["shop"]
    assert list(cells(lists)["shop"]) == ["production"]
    assert "apart" not in cells(lists)["shop"]["production"]
    assert nobody.get("/matrix").json()["results"] == []


def across(api, query="", service="shop"):
    answer = api.get(f"/config/{service}/across{query}")
    assert answer.status_code == 200, answer.content
    return {row["key"]: row["values"] for row in answer.json()["results"]}


def test_across__one_key__has_each_environments_value_and_layer(shop):
    found = across(shop, "?key=a")

    own = {"layers": [{"kind": "own"}], "hides": []}
    assert found == {
        "a": [
            {"environment": "staging", "value": 1, **own},
            {"environment": "production", "value": 2, **own},
        ]
    }
    columns = shop.get("/config/shop/across?key=a").json()["environments"]
    assert [(each["environment"], each["version"]) for each in columns] == [
        ("development", None),
        ("staging", 1),
        ("production", 1),
    ]


def test_across__every_key__names_secrets_and_templates(shop):
    found = across(shop)

    assert sorted(found) == ["a", "b", "pin", "pool", "same"]
    assert found["pin"][0]["value"] == {"$secret": "pin"}
    assert found["pin"][0]["secrets"] == ["pin"]
    assert found["pool"][0]["layers"] == [{"kind": "template", "name": "base", "version": 1}]
    assert [each["environment"] for each in found["pool"]] == ["production"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/config/shop/across?key=", 400),
        ("/config/shop/across?key=a..b", 400),
        ("/config/nothing/across?key=a", 404),
    ],
)
def test_across__that_is_no_question__is_refused(shop, path, status):
    assert shop.get(path).status_code == status


def test_both__in_two_worlds_that_differ_in_hidden_keys__answer_alike(
    shop,
    make_api,
    system,
    log_in,  # noqa: F811 - the fixture
):
    """A hidden key looks like one that is not there."""
    from apps.access.policy import Place
    from apps.configs import sources
    from apps.configs.services import publishing
    from apps.configs.services.bases import Options
    from apps.registry.selectors import get_environment, get_service

    shop.post("/key-rules", {"pattern": "**.hush", "service": "cart"})
    clerk = make_api("viewer", service="cart")
    person = log_in("clerk", ("viewer", "cart", None))
    told = []
    worlds = (({"hush": 1}, {"n": 1}), ({"hush": 1, "q": {"hush": 3}}, {"n": 1, "hush": "v" * 50}))
    for world in worlds:
        for environment, hidden in zip(("staging", "production"), world, strict=True):
            place = Place(get_service("cart"), get_environment(environment))
            source = sources.from_tree({"x": 1, "s": hidden, "n": environment})
            options = Options(on_stale="overwrite")
            publishing.publish(actor=system, place=place, source=source, options=options)
        answers = [clerk.get(path).json() for path in ("/matrix", "/config/cart/across")]
        page = person.get("/admin/config/cart/production/across/").content.decode()
        plain = re.sub(r'"(version|revision|published_at)": ?[^,}]+', "", json.dumps(answers))
        table = re.sub(r"v\d+", "", page[page.index("<table") : page.index("</table>")])
        told.append((plain, table))
        assert "hush" not in plain + table
        assert answers[0]["results"][0]["environments"][2]["apart"]["keys"] == 2  # n, s.n

    assert told[0] == told[1]

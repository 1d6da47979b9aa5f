"""The list of flags over all configurations, and which of them could go."""

import pytest

from apps.rollouts.flag_list import list_everywhere
from tests.api.test_references import publish
from tests.flows.test_propagation import service

pytestmark = pytest.mark.django_db

FLAGS = {
    "over": {"enabled": True, "share": 50, "expires": "2020-01-01"},
    "everyone": True,
    "split": {"enabled": True, "share": 50},
    "later": {"enabled": True, "expires": "2999-01-01"},
    "broken_off": {"enabled": False, "variants": ["a"]},
}


@pytest.fixture
def shops(operator):
    for name in ("shop", "cart", "plain"):
        service(operator, name)
        if name != "plain":
            body = {"key": "flags", "type": "feature_flags"}
            assert operator.post(f"/services/{name}/sections", body).status_code == 201
        assert publish(operator, name, {"flags": FLAGS}).status_code == 201
    assert (
        publish(operator, "cart", {"flags": {"x": False}}, environment="staging").status_code == 201
    )
    return operator


def listed(api, query=""):
    return api.get(f"/flags?{query}").json()["results"]


def test_flags__of_all_configurations__are_listed_with_why_they_could_go(shops):
    rows = listed(shops, "service=shop")

    assert [(row["key"], row["enabled"], row["expires"], row["stale"]) for row in rows] == [
        ("broken_off", False, None, None),
        ("everyone", True, None, "everyone"),
        ("later", True, "2999-01-01", None),
        ("over", True, "2020-01-01", "expired"),
        ("split", True, None, None),
    ]
    assert {(row["service"], row["environment"]) for row in listed(shops)} == {
        ("shop", "production"),
        ("cart", "production"),
        ("cart", "staging"),
    }
    assert [
        row["key"] for row in listed(shops, "stale=true&service=cart&environment=production")
    ] == [
        "everyone",
        "over",
    ]
    assert shops.get("/flags?stale=perhaps").status_code == 400


def test_flags__of_others__are_not_listed(shops, make_api):
    reader = make_api("viewer", service="cart", environment="staging")

    assert [(row["service"], row["key"]) for row in listed(reader)] == [("cart", "x")]
    assert make_api().get("/flags").status_code == 403


def test_flags__with_a_rule_on_them__are_left_out(shops, make_api):
    shops.post("/key-rules", {"pattern": "flags.over.**", "service": "shop"})
    shops.post("/key-rules", {"pattern": "flags.over", "service": "shop"})
    reader = make_api("viewer", service="shop")

    assert "over" not in {row["key"] for row in listed(reader)}


def test_statements__of_a_list__do_not_grow_with_it(shops, system, django_assert_num_queries):
    list_everywhere(actor=system)

    with django_assert_num_queries(3):
        assert len(list_everywhere(actor=system)) == 11
    with django_assert_num_queries(3):
        assert len(list_everywhere(actor=system, service="shop")) == 5

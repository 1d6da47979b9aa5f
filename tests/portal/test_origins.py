"""The page that says where each key comes from."""

import pytest

from tests.api.test_references import publish

pytestmark = pytest.mark.django_db

PAGE = "/admin/config/shop/production/explain/"


@pytest.fixture
def layered(operator, shop):
    """``shop`` in production over staging, a template, a reference, a secret and its own document."""
    operator.post("/templates", {"slug": "base", "content": {"t": 1, "u": 1, "own": 0}})
    assert operator.post("/services", {"slug": "cart"}).status_code == 201
    publish(operator, "cart", {"k": 1})
    operator("PATCH", "/environments/production", {"parent": "staging"})
    secret = {"service": "shop", "environment": "production", "name": "key", "value": "v4lue"}
    assert operator.post("/secrets", secret).status_code == 201
    publish(operator, "shop", {"up": 1, "u": 0}, environment="staging")
    tree = {"own": 1, "from": "${cart:k}", "db": {"$secret": "key"}, "list": [1, 2]}
    tree |= {"raw": {"$literal": {"a": {"$remove": True}}}}
    answer = publish(operator, "shop", tree, extends=[{"template": "base"}])
    assert answer.status_code == 201, answer.content
    return operator


def rows(client, **asked):
    answer = client.get(PAGE, asked)
    assert answer.status_code == 200
    return {row["key"]: row for row in answer.context["rows"]}


def texts(row, *names):
    return [[each["text"] for each in row[name]] for name in names]


def test_page__of_each_key__names_its_layer_what_it_hides_and_links_them(layered, log_in):
    ada = log_in("ada", ("viewer", None, None))

    found = rows(ada)

    assert texts(found["own"], "layers", "hides") == [["own"], ["template base v1"]]
    assert texts(found["t"], "layers", "hides") == [["template base v1"], []]
    assert texts(found["u"], "layers", "hides") == [["template base v1"], ["parent staging"]]
    assert texts(found["up"], "layers") == [["parent staging"]]
    assert texts(found["from"], "uses") == [["cart@production:k"]]
    assert texts(found["db"], "layers", "hides", "secrets") == [["own"], [], ["key"]]
    assert texts(found["raw.a.$remove"], "layers", "hides") == [["own"], []]
    assert found["list"]["value"] == "[1,2]"
    links = {
        each["url"]
        for row in found.values()
        for name in ("layers", "hides", "uses", "secrets")
        for each in row[name]
    }
    assert len(links) == 5
    assert {ada.get(each).status_code for each in links} == {200}


def test_page__same_as_rest__for_every_key(layered, log_in):
    ada = log_in("ada", ("viewer", None, None))
    found = rows(ada)

    told = layered.get("/config/shop/explain?environment=production").json()["results"]

    assert [each["key"] for each in told] == list(found)
    for each in told:
        row = found[each["key"]]
        assert len(each["layers"]) == len(row["layers"])
        assert len(each["hides"]) == len(row["hides"])


def test_page__searched__finds_by_text_glob_and_layer(layered, log_in):
    ada = log_in("ada", ("viewer", None, None))

    assert list(rows(ada, key="OW")) == ["own"]
    assert list(rows(ada, key="u*")) == ["u", "up"]
    assert list(rows(ada, key="u")) == ["u", "up"]
    assert list(rows(ada, **{"from": "template:base@1"})) == ["t", "u"]
    assert sorted(rows(ada, **{"from": "hides"})) == ["own", "u"]
    assert "No key matches" in ada.get(PAGE, {"key": "zz"}).content.decode()


def test_page__of_who_sees_one_configuration__links_to_no_other(layered, log_in):
    eve = log_in("eve", ("viewer", "shop", "production"))

    found = rows(eve)

    assert found["up"]["layers"] == [{"text": "parent staging", "url": ""}]
    assert found["from"]["uses"] == [{"text": "cart@production:k", "url": ""}]


def test_page__with_hidden_keys__has_none_of_them(layered, log_in):
    layered.post("/key-rules", {"pattern": "own", "service": "shop"})

    answer = log_in("ada", ("viewer", None, None)).get(PAGE)

    assert "own" not in {row["key"] for row in answer.context["rows"]}


def test_page__before_the_first_publish_and_retired__says_so(layered, log_in):
    ada = log_in("ada", ("viewer", None, None))
    layered("DELETE", "/config/shop?environment=production")

    for path in (PAGE, "/admin/config/cart/staging/explain/"):
        assert "Nothing is live here" in ada.get(path).content.decode()


def test_page__of_many_keys__asks_the_database_no_more(
    layered, log_in, django_assert_max_num_queries
):
    tree = {f"k{number}": "${cart:k}" for number in range(500)}
    assert publish(layered, "shop", tree).status_code == 201
    ada = log_in("ada", ("viewer", None, None))
    ada.get(PAGE)

    with django_assert_max_num_queries(45):
        answer = ada.get(PAGE)

    assert answer.context["page"].paginator.count >= 500

"""The page of what a configuration is made of, and what is made of it."""

import pytest

pytestmark = pytest.mark.django_db

PAGE = "/admin/config/cart/production/graph/"


@pytest.fixture
def three(operator, shop):
    """``cart`` on a template; ``shop`` and ``till`` refer to its keys."""
    operator.post("/templates", {"slug": "base", "content": {"t": 1}})
    for slug in ("cart", "till"):
        assert operator.post("/services", {"slug": slug}).status_code == 201

    def publish(service, config, **more):
        body = {"environment": "production", "on_stale": "overwrite", "config": config, **more}
        assert operator.post(f"/config/{service}", body).status_code == 201

    publish("till", {"x": 1})
    publish("cart", {"k": 1, "from": "${till:x}"}, extends=[{"template": "base"}])
    publish("shop", {"a": "${cart:k}", "b": "${cart:t}"})
    publish("till", {"x": 1, "y": "${cart:k}"})
    return operator


def test_page__draws_both_sides_and_lists_the_keys(three, log_in):
    ada = log_in("ada", ("viewer", None, None))

    page = ada.get(PAGE).content.decode()

    picture, table = page.split("</svg>")
    for name in ("template base v1", "cart@production", "shop@production", "till@production"):
        assert f"<title>{name}</title>" in picture
    assert "2 keys" in picture
    assert 'href="/admin/config/shop/production/graph/"' in picture
    assert "<td><code>k</code></td><td>shop@production <code>a</code></td>" in table
    assert "<td><code>from</code></td><td>till@production <code>x</code></td>" in table


def test_page__as_text__is_mermaid_and_dot(three, log_in):
    ada = log_in("ada", ("viewer", None, None))

    flow, digraph = ada.get(PAGE, {"as": "mermaid"}), ada.get(PAGE, {"as": "dot"})

    assert flow["Content-Type"] == "text/plain; charset=utf-8"
    assert '["template base v1"]' in flow.content.decode()
    assert '"cart@production" -> "shop@production" [label="2 keys"];' in digraph.content.decode()


def test_page__of_who_sees_one_service__names_no_other(three, log_in):
    eve = log_in("eve", ("viewer", "cart", None))

    page = eve.get(PAGE).content.decode()

    assert "shop@production" not in page
    assert "2 more that you may not see are made of it." in page
    assert 'href="/admin/config/till' not in page
    assert "shop" not in eve.get(PAGE, {"as": "dot"}).content.decode()


def test_page__with_nothing_beside_it__says_so(shop, log_in):
    page = log_in("ada", ("viewer", None, None)).get("/admin/config/shop/staging/graph/")

    assert "refers to nothing" in page.content.decode()


def test_page__with_many_beside_it__draws_some_and_lists_all(three, log_in):
    for number in range(15):
        assert three.post("/services", {"slug": f"s{number}"}).status_code == 201
        body = {"environment": "production", "config": {"c": "${cart:k}"}}
        assert three.post(f"/config/s{number}", body).status_code == 201

    page = log_in("ada", ("viewer", None, None)).get(PAGE).content.decode()

    picture, table = page.split("</svg>")
    assert picture.count("<rect") == 1 + 12 + 2
    assert "5 more are not drawn" in table
    assert all(f"s{number}@production" in table for number in range(15))


CHAIN = ("one", "two", "mid", "four", "five")


@pytest.fixture
def chain(operator, shop):
    """``five`` refers to ``four``, that to ``mid``, ``two`` and ``one``; ``five`` to ``mid`` too."""
    for slug in CHAIN:
        assert operator.post("/services", {"slug": slug}).status_code == 201
    before = None
    for slug in CHAIN:
        config = {"k": f"${{{before}:k}}"} if before else {"k": 1}
        config |= {"m": "${mid:k}"} if slug == "five" else {}
        body = {"environment": "production", "config": config}
        assert operator.post(f"/config/{slug}", body).status_code == 201
        before = slug
    return operator


def edges(client, **asked):
    text = client.get("/admin/config/mid/production/graph/", {"as": "dot", **asked})
    found = [line.split('"') for line in text.content.decode().splitlines() if "->" in line]
    return {(line[1].split("@")[0], line[3].split("@")[0]) for line in found}


@pytest.mark.parametrize(
    ("depth", "found"),
    [
        ("", {("two", "mid"), ("mid", "four"), ("mid", "five")}),
        ("1", {("two", "mid"), ("mid", "four"), ("mid", "five")}),
        ("2", {("one", "two"), ("two", "mid"), ("mid", "four"), ("mid", "five"), ("four", "five")}),
        ("3", {("one", "two"), ("two", "mid"), ("mid", "four"), ("mid", "five"), ("four", "five")}),
        ("9", {("two", "mid"), ("mid", "four"), ("mid", "five")}),
    ],
)
def test_page__over_several_steps__has_what_is_that_far(chain, log_in, depth, found):
    ada = log_in("ada", ("viewer", None, None))

    assert edges(ada, depth=depth) == found
    page = ada.get("/admin/config/mid/production/graph/", {"depth": depth}).content.decode()
    names = {each for tie in found for each in tie}
    assert page.split("</svg>")[0].count("<rect") == len(names)
    assert page.count('class="p-line"') == len(found)


def test_page__over_several_steps__looks_into_what_one_may_read_alone(chain, log_in):
    lists = ("viewer", "mid", None)
    eve = log_in("eve", lists, ("viewer", "four", None))

    assert edges(eve, depth="3") == {("two", "mid"), ("mid", "four")}
    page = eve.get("/admin/config/mid/production/graph/", {"depth": "3"}).content.decode()
    assert "1 more that you may not see is made of it or of what is made of it." in page
    assert "five" not in page
    assert "one@" not in page


def test_page__over_several_steps__of_a_circle__comes_to_an_end(chain, log_in):
    body = {"environment": "production", "on_stale": "overwrite"}
    config = {"k": 1, "back": "${five:m}"}
    assert chain.post("/config/one", {**body, "config": config}).status_code == 201

    found = edges(log_in("ada", ("viewer", None, None)), depth="3")

    assert ("five", "one") in found
    assert len(found) == 6

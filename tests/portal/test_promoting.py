"""Promoting in the portal: what it would do, clashes, and doing it."""

import pytest

from tests.api.test_references import config, publish

pytestmark = pytest.mark.django_db

PAGE = "/admin/config/shop/production/promote/"


@pytest.fixture
def ada(shop, operator, log_in):
    publish(operator, "shop", {"a": 1, "b": 1}, environment="staging")
    publish(operator, "shop", {"a": 2, "b": 1})
    return log_in("ada", ("operator", None, None))


def texts(answer):
    return " ".join(answer.content.decode().split())


def test_page__without_a_choice__offers_the_other_environments(ada):
    page = texts(ada.get(PAGE))

    assert '<option value="staging"' in page
    assert '<option value="production"' not in page
    assert "/admin/config/shop/production/promote/" in texts(
        ada.get("/admin/config/shop/production/")
    )


def test_page__with_a_choice__shows_changes_and_does_them_on_post(ada, operator):
    page = texts(ada.get(f"{PAGE}?from=staging"))

    assert "<code>a</code></th><td><code>2</code></td><td><code>1</code>" in page
    assert config(operator, "shop") == {"a": 2, "b": 1}
    sent = {"from": "staging", "keys": "", "base_version": "1", "message": "Go"}
    done = ada.post(PAGE, sent, follow=True)
    assert "Version 2 is live, with 1 change(s) from staging." in texts(done)
    assert config(operator, "shop") == {"a": 1, "b": 1}
    assert "Nothing differs" in texts(ada.get(f"{PAGE}?from=staging"))
    stale = ada.post(PAGE, {**sent, "base_version": "1"})
    assert "was published after the base 1" in texts(stale)


def test_page__where_both_changed__lets_one_choose(ada, operator):
    ada.post(PAGE, {"from": "staging", "keys": ""})
    publish(operator, "shop", {"a": 5, "b": 1})
    publish(operator, "shop", {"a": 6, "b": 7}, environment="staging")

    clash = texts(ada.get(f"{PAGE}?from=staging&merge=1"))
    chosen = texts(ada.get(f"{PAGE}?from=staging&merge=1&choice:/a=theirs"))

    assert 'name="choice:/a" value="theirs"' in clash
    assert "<code>6</code>" in clash
    assert '<input type="hidden" name="choice:/a" value="theirs">' in chosen
    assert "<code>b</code></th><td><code>1</code></td><td><code>7</code>" in chosen
    ada.post(PAGE, {"from": "staging", "merge": "1", "choice:/a": "theirs"})
    assert config(operator, "shop") == {"a": 5, "b": 7}


def test_page__of_what_would_be_invalid__says_where(ada, operator):
    rule = {"name": "least", "environment": "production", "expression": "config.a > 1"}
    assert operator.post("/rules", rule).status_code == 201

    page = texts(ada.get(f"{PAGE}?from=staging"))

    assert "<code>/a</code> Rule &#x27;least&#x27;: It does not hold." in page
    assert ada.get(f"{PAGE}?from=nowhere").status_code == 404


def test_page__where_others_follow__shows_their_changes_or_leaves_them(ada, operator):
    operator.post("/services", {"slug": "cart"})
    assert publish(operator, "cart", {"of": "${shop:a}"}).status_code == 201

    page = texts(ada.get(f"{PAGE}?from=staging"))

    assert "This publishes to 1 other configuration: <b>1 in production</b>." in page
    assert "<code>cart@production</code>" in page
    assert "<code>of</code> <del>2</del> → <ins>1</ins>" in page
    rule = {"name": "least", "service": "cart", "expression": "config.of > 1"}
    assert operator.post("/rules", rule).status_code == 201
    assert "cart@production" in texts(ada.get(f"{PAGE}?from=staging"))
    left = texts(ada.get(f"{PAGE}?from=staging&dependents=leave"))
    assert "it would be invalid: it becomes outdated" in left
    assert '<input type="hidden" name="dependents" value="leave">' in left
    ada.post(PAGE, {"from": "staging", "dependents": "leave"})
    assert config(operator, "shop") == {"a": 1, "b": 1}
    assert config(operator, "cart") == {"of": 2}

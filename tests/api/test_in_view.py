"""What an author is told, and held to, of a document with keys that he may not read."""

import pytest

from apps.access import key_rules, services
from apps.access.policy import EVERYWHERE
from tests.api.test_experiments import VARIANTS, make
from tests.api.test_references import HERE, config, errors, publish
from tests.flows.test_propagation import service

pytestmark = pytest.mark.django_db

CREDENTIAL = "AKIA" + "IOSFODNN7EXAMPLX"
PORTS = {"properties": {"ports": {"type": "array", "items": {"type": "integer"}}}}


@pytest.fixture
def shop(operator):
    """Of a developer and operator without the right on any ``password``."""
    service(operator, "shop", "cart")
    return operator


def hide(system, pattern):
    return key_rules.create_key_rule(actor=system, pattern=pattern, place=EVERYWHERE)


def declare(make_api, key, **members):
    body = {"key": key, "acknowledge": True, **members}
    assert make_api("administrator").post("/services/shop/sections", body).status_code == 201


def merge(api, patch):
    return api("PATCH", f"/config/shop?{HERE}", patch, "application/merge-patch+json")


def warned(answer):
    return [(each["pointer"], each["code"]) for each in answer.json()["warnings"]]


def test_credential__in_a_list__is_told_to_those_who_see_the_list(shop, system):
    hidden = [{"password": "x", "note": CREDENTIAL}]
    publish(shop, "shop", {"users": hidden, "free": [{"note": CREDENTIAL}]})
    hide(system, "**.password")

    answer = merge(shop, {"n": 1})

    assert answer.status_code == 201
    assert warned(answer) == [("/free/0/note", "credential")]


def test_credential__in_a_list_of_a_security_section__is_refused_whatever_could_be_hidden(
    shop, system, make_api
):
    declare(make_api, "security", type="security_settings")
    hide(system, "**.password")

    answer = publish(shop, "shop", {"security": {"clients": [{"note": CREDENTIAL}]}})

    assert [each[:2] for each in errors(answer)] == [("/security/clients/0/note", "credential")]


def test_list__that_its_author_may_write_and_not_read__is_held_to_its_schema(
    shop, system, make_api
):
    written, _other = hide(system, "**.password"), hide(system, "**.pin")
    to = f"service-account:{shop.account.slug}"
    services.grant(actor=system, to=to, verb="publish", on=written)
    items = {"items": {"properties": {"name": {"type": "string"}}}}
    declare(make_api, "s", schema={"properties": {"users": items, "db": {"maxProperties": 1}}})

    broken = publish(shop, "shop", {"s": {"users": [{"password": "x", "name": 5}]}})
    many = publish(shop, "shop", {"s": {"db": {"password": "x", "user": "u"}}})
    fine = publish(shop, "shop", {"s": {"users": [{"password": "x", "name": "a"}]}})

    assert [each[:2] for each in errors(broken)] == [("/s/users/0/name", "type")]
    assert [each[:2] for each in errors(many)] == [("/s/db", "maxProperties")]
    assert fine.status_code == 201


def test_reference__that_leads_nowhere_in_a_list__is_told_to_those_who_see_the_list(shop, system):
    publish(shop, "cart", {"host": "c", "port": 1})
    publish(shop, "shop", {"users": [{"password": "x", "host": "${cart:host}"}]})
    publish(shop, "cart", {"port": 1}, dependents="leave")
    hide(system, "**.password")

    answer = publish(shop, "shop", {"n": 1})

    assert errors(answer) == []
    assert b"cart@production:host" not in answer.content


def test_reference__of_an_author_in_a_list_of_his__is_told_where_it_leads_nowhere(shop, system):
    publish(shop, "cart", {"port": 1})
    publish(shop, "shop", {"n": 1})
    hide(system, "**.password")

    refused = publish(shop, "shop", {"free": [{"host": "${cart:none}"}]})

    assert [each[:2] for each in errors(refused)] == [("/free/0/host", "reference")]


def start(api, patch):
    """An experiment with one variant beside the control, begun."""
    made = make(api, variants=[VARIANTS[0], {"name": "other", "weight": 1, "patch": patch}])
    assert made.status_code == 201, made.content
    return api.post(f"/experiments/{made.json()['id']}/start", {})


def test_variant__that_is_broken_in_what_its_author_sees__says_so_when_it_starts(
    shop, system, make_api
):
    declare(make_api, "s", schema={"maxProperties": 1})
    publish(shop, "shop", {"s": {"size": 1}})
    hide(system, "s.db.password")

    answer = start(shop, {"s": {"limit": 2}})

    assert [each[:2] for each in errors(answer)] == [("/s", "maxProperties")]


def test_variant__that_is_broken_in_a_list_that_its_author_sees__refuses_his_publish(
    shop, system, make_api
):
    declare(make_api, "s", schema={"properties": {"hosts": {"items": {"type": "string"}}}})
    publish(shop, "shop", {"s": {"size": 1}})
    assert start(shop, {"s": {"hosts": ["a"]}}).status_code == 200
    hide(system, "**.password")
    schema = {"properties": {"hosts": {"items": {"type": "string", "minLength": 2}}}}
    administrator = make_api("administrator")
    changed = administrator(
        "PATCH", "/services/shop/sections/s", {"schema": schema, "acknowledge": True}
    )
    assert changed.status_code == 200, changed.content

    answer = merge(shop, {"s": {"size": 2}})

    (problem,) = errors(answer)
    assert problem[:2] == ("/s/hosts/0", "minLength")
    assert problem[2].startswith("With ")
    assert config(shop, "shop") == {"s": {"size": 1}}


@pytest.mark.parametrize("hidden", ["x", "a\nb\nc"])
def test_problem__of_a_patch_or_a_refresh__has_no_line_of_a_text_with_hidden_keys(
    shop, system, make_api, hidden
):
    lines = "".join(f"  {each}: 1\n" for each in hidden.split())
    text = f"locked:\n{lines}s:\n  ports: [x]\n"
    body = {"environment": "production", "content": text, "format": "yaml"}
    assert shop.post("/config/shop", body).status_code == 201
    hide(system, "locked")
    declare(make_api, "s", schema=PORTS)

    patched = merge(shop, {"n": 1})
    refreshed = shop.post("/config/shop/refresh", {"environment": "production"})

    for answer in (patched, refreshed):
        assert [each[:2] for each in errors(answer)] == [("/s/ports/0", "type")]
        assert "line" not in answer.json()["errors"][0]

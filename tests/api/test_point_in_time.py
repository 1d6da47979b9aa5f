"""Any point in time: configurations read, and made again, as they were after an act."""

import json
import random

import pytest

from tests.api.graphql_client import data
from tests.api.test_past_reads import as_of
from tests.api.test_references import HERE, config, publish
from tests.flows.random_graph import RandomGraph
from tests.flows.test_propagation import last, service

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def shop(operator):
    service(operator, "shop", "cart", "late")
    return operator


def revision(answer):
    assert answer.status_code == 201, answer.content
    return answer.json()["revision"]


def restore(api, **members):
    return api.post("/rollback", members)


def test_rollback__everything_to_a_revision__is_one_act_of_new_versions(shop):
    revision(publish(shop, "cart", {"n": 1}))
    then = revision(publish(shop, "shop", {"a": 1, "cart": "${cart:n}"}))
    revision(publish(shop, "cart", {"n": 2}))
    revision(publish(shop, "shop", {"a": 2}, environment="staging"))
    revision(publish(shop, "late", {"z": 1}))

    preview = restore(shop, at=then, dry_run=True).json()
    assert config(shop, "cart") == {"n": 2}
    answer = restore(shop, at=then, message="Bad import")

    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert [(each["service"], each["version"]) for each in told["results"]] == [
        ("cart", 3),
        ("shop", 3),
    ]
    assert told["at"]["revision"] == then
    assert [each["service"] for each in told["absent"]] == ["late", "shop"]
    assert [each["changes"] for each in preview["results"]] == [
        each["changes"] for each in told["results"]
    ]
    assert config(shop, "cart") == {"n": 1}
    assert config(shop, "shop") == {"a": 1, "cart": 1}
    assert config(shop, "late") == {"z": 1}
    row = last(shop, "cart")
    assert (row["cause"], row["message"], row["revision"]) == (
        "restore",
        "Bad import",
        told["revision"],
    )
    again = restore(shop, at=then)
    assert (again.status_code, again.json()["results"]) == (200, [])


def test_rollback__what_was_not_there__is_retired_when_asked_to(shop):
    then = revision(publish(shop, "cart", {"n": 1}))
    publish(shop, "late", {"z": 1})

    assert restore(shop, at=then, service="late", absent="retire").status_code == 201

    assert shop.get(f"/config/late?{HERE}").status_code == 410
    assert last(shop, "late")["cause"] == "restore"
    back = revision(restore(shop, at=then + 1, service="late", environment="production"))
    assert config(shop, "late") == {"z": 1}
    assert back > then


def test_rollback__keys_of_one_environment__leaves_everything_else(shop):
    for environment in ("staging", "production"):
        publish(shop, "cart", {"t": {"n": 1, "m": 1}}, environment=environment)
    at = shop.get("/audit").json()["results"][0]["at"]
    for environment in ("staging", "production"):
        publish(shop, "cart", {"t": {"n": 2, "m": 2}}, environment=environment)

    answer = restore(shop, at=at, environment="staging", keys=["t.n"])

    assert answer.status_code == 201, answer.content
    assert config(shop, "cart", "staging") == {"t": {"n": 1, "m": 2}}
    assert config(shop, "cart") == {"t": {"n": 2, "m": 2}}


def test_reads__at_a_time_or_a_revision__show_what_was_live_then(shop):
    shop.post("/templates", {"slug": "base", "content": {"t": 1}})
    publish(shop, "cart", {"n": 1})
    publish(
        shop, "shop", {"a": 1, "cart": "${cart:n}"}, extends=[{"template": "base"}], message="one"
    )
    then = last(shop, "shop")["revision"]
    moment = last(shop, "shop")["published_at"]
    shop.post("/templates/base/versions", {"content": {"t": 2}})
    publish(shop, "shop", {"b": 2}, extends=[])
    epoch = shop.get(f"/config/shop?{HERE}").headers["X-Config-Epoch"]

    for at in (str(then), f"{epoch}-{then}", moment):
        read = shop.get(f"/config/shop?{HERE}&at={at}").json()
        assert (read["version"], read["config"]) == (1, {"t": 1, "a": 1, "cart": 1})
        value = shop.get(f"/config/shop/value?{HERE}&at={at}&key=a")
        assert value.content == b"1"
        both = shop.get(f"/config?service=shop&service=cart&{HERE}&at={at}").json()["results"]
        assert [each["config"] for each in both] == [read["config"], {"n": 1}]
        origins = shop.get(f"/config/shop/explain?{HERE}&at={at}&key=t").json()["results"]
        assert origins[0]["layers"] == [{"kind": "template", "name": "base", "version": 1}]
        links = shop.get(f"/config/shop/dependencies?{HERE}&at={at}").json()["results"]
        assert {
            "key": "cart",
            "service": "cart",
            "environment": "production",
            "target": "n",
        } in links
        assert shop.get(f"/templates/base?at={at}").json()["content"] == {"t": 1}
        differs = shop.get(f"/config/shop/diff?{HERE}&from={moment}&to=live").json()["changes"]
        assert {each["key"] for each in differs} == {"a", "cart", "t", "b"}
    assert shop.get(f"/config/shop/dependencies?{HERE}").json()["results"] == []


def side_by_side(api, at=""):
    """The matrix and a service's keys in all environments, without what the past does not tell."""
    rows = api.get(as_of("/matrix", at)).json()["results"]
    for cell in (cell for row in rows for cell in row["environments"]):
        assert ("pinned" in cell) == (not at and cell["version"] is not None)
        cell.pop("pinned", None)
        cell.pop("outdated", None)
    return rows, api.get(as_of("/config/cart/across", at)).json()


def test_side_by_side__at_each_revision__is_what_it_was_then(shop):
    publish(shop, "late", {"z": 1}, environment="staging")
    seen = {}
    acts = [
        lambda: publish(shop, "cart", {"n": 1, "m": [1]}, environment="staging"),
        lambda: publish(shop, "cart", {"n": 1}),
        lambda: publish(shop, "cart", {"n": 2, "m": [1]}),
        lambda: shop("DELETE", f"/config/cart?{HERE}"),
        lambda: publish(shop, "cart", {"n": 3}),
    ]
    for act in acts:
        answer = act()
        assert answer.status_code < 300, answer.content
        seen[shop.get("/audit").json()["results"][0]["revision"]] = side_by_side(shop)

    assert len({json.dumps(each) for each in seen.values()}) == len(acts)
    for revision_, was in seen.items():
        assert side_by_side(shop, revision_) == was
    first = next(iter(seen))
    asked = (
        f'{{ matrix(first: 1, at: "{first}") {{ edges {{ node {{ cells {{ environment version pinned }} }} }} }}'
        f' across(service: "cart", at: "{first}") {{ results {{ key values {{ value }} }} }} }}'
    )
    told = data(shop, asked)
    cells = {each["environment"]: each for each in told["matrix"]["edges"][0]["node"]["cells"]}
    assert (cells["staging"]["version"], cells["production"]["version"]) == (1, None)
    assert cells["staging"]["pinned"] is None
    assert told["across"]["results"] == [
        {"key": "m", "values": [{"value": [1]}]},
        {"key": "n", "values": [{"value": 1}]},
    ]


@pytest.mark.parametrize(
    ("at", "status", "code"),
    [
        ("999999999", 409, "epoch"),
        ("abcd-1", 409, "epoch"),
        ("2001-01-01T00:00:00Z", 404, "not_found"),
        ("yesterday", 400, "malformed"),
    ],
)
def test_reads__at_no_point_of_the_ledger__say_so(shop, at, status, code):
    publish(shop, "cart", {"n": 1})

    paths = (f"/config/cart?{HERE}&at={at}", f"/matrix?at={at}", f"/config/cart/across?at={at}")
    for answer in [*map(shop.get, paths), restore(shop, at=at)]:
        assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    "members",
    [{}, {"at": True}, {"at": 1.5}, {"at": 1, "absent": "delete"}, {"at": 1, "keys": ["a..b"]}],
)
def test_rollback__a_request_that_is_none__is_refused_with_its_member(shop, members):
    publish(shop, "cart", {"n": 1})

    answer = restore(shop, **members)

    assert answer.status_code in (400, 422), answer.content


def test_rollback__without_the_right_on_all_of_the_scope__is_refused(shop, system):
    from apps.access import services
    from apps.access.policy import Place
    from apps.registry.selectors import get_environment, get_service
    from tests.conftest import client_with

    then = revision(publish(shop, "cart", {"n": 1}))
    publish(shop, "cart", {"n": 2})
    api = client_with(None)
    for verb in ("list", "read", "rollback"):
        services.grant(
            actor=system,
            to=f"service-account:{api.account.slug}",
            verb=verb,
            on=Place(get_service("cart"), get_environment("production")),
        )

    assert restore(api, at=then, environment="production").status_code in (403, 404)
    assert restore(api, at=then).status_code == 403
    assert restore(api, at=then, service="shop").status_code == 404
    done = restore(api, at=then, service="cart", environment="production")
    assert done.status_code == 201, done.content
    assert config(shop, "cart") == {"n": 1}


def states():
    """The effective document of every live configuration; ``None`` while it is retired."""
    from apps.configs.models import Live

    rows = Live.objects.select_related("version", "configuration")
    return {
        str(row.configuration): None if row.version.retired else row.version.effective_id
        for row in rows
    }


def test_restore__random_points_of_random_histories__are_what_was_then(system):
    """Byte for byte, whatever else has moved; and restoring what was before that leads back."""
    from apps.access.policy import EVERYWHERE
    from apps.audit.selectors import find_point, head
    from apps.configs.models import Live
    from apps.configs.services.bases import Options
    from apps.configs.services.point_in_time import RETIRE, Wanted, restore

    chance = random.Random(20261127)
    graph = RandomGraph(system, chance, 5)
    known = {}
    moved = 0
    for _ in range(1_500 if pytest.long_form else 120):
        graph.act()
        known[head().revision] = states()
        if chance.random() > 0.15:
            continue
        wanted = chance.choice(list(known))
        point = find_point(number=wanted)
        done = restore(
            actor=system,
            wanted=Wanted(EVERYWHERE, point, absent=RETIRE),
            options=Options(),
        )
        now, then = states(), known[wanted]
        assert {name: each for name, each in now.items() if each} == {
            name: each for name, each in then.items() if each
        }
        moved += len(done.outcomes)
        known[head().revision] = now
        for live in Live.objects.filter(pinned=True).select_related("version"):
            assert not live.version.retired
    assert moved > len(known) // 4


def test_restored__document__is_the_stored_text_of_then(shop):
    text = "# why\nn: 1   # one\n"
    body = {"environment": "production", "content": text, "format": "yaml"}
    then = revision(shop.post("/config/cart", body))
    publish(shop, "cart", {"n": 2})

    restore(shop, at=then, service="cart")

    source = shop.get(f"/config/cart?{HERE}&view=source").json()
    assert source["content"] == text
    assert json.loads(shop.get(f"/config/cart?{HERE}").content)["config"] == {"n": 1}


def test_rollback__what_is_as_it_was__does_not_follow_what_is_restored(shop):
    publish(shop, "cart", {"n": 1})
    publish(shop, "shop", {"n": "${cart:n}"})
    rule = {"name": "low", "expression": "config.n < 5", "service": "shop"}
    assert shop.post("/rules", rule).status_code == 201
    then = revision(publish(shop, "cart", {"n": 9}, dependents="leave"))
    publish(shop, "cart", {"n": 8}, dependents="leave")
    assert shop("DELETE", "/rules/low").status_code == 204

    told = restore(shop, at=then, environment="production").json()

    assert [each["service"] for each in told["results"]] == ["cart"]
    assert told["affected"] == [
        {"service": "shop", "environment": "production", "changes": [], "outdated": "restored"}
    ]
    assert (config(shop, "cart"), config(shop, "shop")) == ({"n": 9}, {"n": 1})
    assert shop.get(f"/config/shop?{HERE}").json()["outdated"]

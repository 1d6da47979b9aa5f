"""Roles of one's own: what they give, that they change at once, and who may make them."""

import json
import threading

import pytest

pytestmark = pytest.mark.django_db

PUBLISHER = ["list", "read", "publish"]


def put(api, name="publisher", verbs=PUBLISHER, **members):
    return api("PUT", f"/roles/{name}", {"verbs": verbs, **members})


def give(api, to, role="publisher", **on):
    return api.post("/grants", {"to": f"service-account:{to.account.slug}", "role": role, "on": on})


def statuses(api):
    body = {"environment": "production", "config": {"a": 2}, "dry_run": True}
    return (
        api.get("/config/shop?environment=production").status_code,
        api.post("/config/shop", {**body, "on_stale": "overwrite"}).status_code,
    )


@pytest.fixture
def operator(make_api):
    """Of a test alone: some of them need a real transaction."""
    return make_api("administrator")


@pytest.fixture
def published(operator, shop):
    body = {"environment": "production", "config": {"a": 1}}
    assert operator.post("/config/shop", body).status_code == 201
    return operator


def test_own_role__given__gives_its_verbs_where_it_is_given(published, make_api):
    robot, other = make_api(), make_api()

    made = put(published, description="May publish, not write drafts")

    assert made.status_code == 201
    assert made.headers["Location"] == "/roles/publisher"
    assert give(published, robot, service="shop").status_code == 201
    assert statuses(robot) == (200, 200)
    assert statuses(other) == (404, 404)
    fetched = json.loads(published.get("/roles/publisher").content)
    assert fetched == {
        "name": "publisher",
        "description": "May publish, not write drafts",
        "verbs": PUBLISHER,
        "built_in": False,
    }


def test_own_role__verbs_changed__counts_at_once_on_what_was_given_before(published, make_api):
    robot, member = make_api(), make_api()
    put(published)
    give(published, robot, service="shop")
    give(published, member, environment="production", service="shop")
    give(published, member)
    assert statuses(robot) == statuses(member) == (200, 200)

    changed = put(published, verbs=["read", "list", "edit"])

    assert changed.status_code == 200
    assert json.loads(changed.content)["verbs"] == ["list", "read", "edit"]
    assert statuses(robot) == statuses(member) == (200, 403)
    assert put(published, verbs=["list"]).status_code == 200
    assert statuses(robot) == statuses(member) == (403, 403)


def test_own_role__beside_another_grant__leaves_that_as_it_is(published, make_api):
    robot = make_api("viewer", service="shop")
    put(published)
    give(published, robot, service="shop")

    put(published, verbs=["publish"])

    assert statuses(robot) == (200, 200)
    grants = json.loads(published.get("/grants?page_size=200").content)["results"]
    mine = [g for g in grants if g["to"] == f"service-account:{robot.account.slug}"]
    assert [each["role"] for each in mine] == ["viewer", "publisher"]


def test_own_role__on_a_key_rule__follows_there_too(published, make_api):
    robot = make_api("viewer", service="shop")
    rule = json.loads(published.post("/key-rules", {"pattern": "a"}).content)["id"]
    put(published, verbs=["list", "read"])
    given = give(published, robot, key_rule=rule)
    assert given.status_code == 201
    value = "/config/shop/value?environment=production&key=a"
    assert robot.get(value).status_code == 200

    put(published, verbs=["list"])

    assert robot.get(value).status_code == 404


def test_own_role__in_use__is_not_deleted_and_says_by_how_many(published, make_api):
    robot = make_api()
    put(published)
    given = json.loads(give(published, robot, service="shop").content)["id"]

    refused = published("DELETE", "/roles/publisher")

    answer = json.loads(refused.content)
    assert (refused.status_code, answer["code"], answer["grants"]) == (409, "in_use", 1)
    assert statuses(robot) == (200, 200)
    assert published("DELETE", f"/grants/{given}").status_code == 204
    assert published("DELETE", "/roles/publisher").status_code == 204
    assert published.get("/roles/publisher").status_code == 404
    assert give(published, robot, service="shop").status_code == 422


def test_own_role__with_a_verb_that_its_maker_has_not__is_refused(published, make_api, system):
    from apps.access import services

    half = make_api()
    for verb in ("list", "read", "manage"):
        services.grant(actor=system, to=f"service-account:{half.account.slug}", verb=verb)
    put(published, name="revealer", verbs=["list", "reveal"])

    assert put(half, verbs=["list", "reveal"]).status_code == 403
    assert give(half, half, role="revealer").status_code == 403
    assert put(half, verbs=["list", "read"]).status_code == 201
    assert put(half, name="revealer", verbs=["reveal", "list", "publish"]).status_code == 403
    assert put(half, name="revealer", verbs=["reveal"]).status_code == 200
    assert put(published, verbs=["list", "read", "reveal"]).status_code == 200
    assert give(half, half).status_code == 403


@pytest.mark.parametrize(
    ("name", "verbs"),
    [
        ("viewer", ["list"]),
        ("Viewer", ["list"]),
        ("read", ["list"]),
        ("a" * 33, ["list"]),
        ("..", ["list"]),
        ("fine", []),
        ("fine", ["fly"]),
        ("fine", [1]),
        ("fine", ["list", {}]),
    ],
)
def test_own_role__bad_name_or_verbs__is_422(published, name, verbs):
    assert put(published, name=name, verbs=verbs).status_code == 422


def test_built_in_role__stays(published):
    refused = published("DELETE", "/roles/viewer")

    assert (refused.status_code, json.loads(refused.content)["code"]) == (409, "built_in")


def test_own_role__each_act__is_in_the_ledger(published):
    put(published)
    put(published)
    put(published, verbs=["list"])
    published("DELETE", "/roles/publisher")

    events = json.loads(published.get("/audit?target=role:publisher").content)["results"]

    assert [each["action"] for each in events] == ["role.deleted", "role.updated", "role.created"]
    assert events[1]["data"]["verbs"] == ["list"]


def test_own_role__of_a_token_that_could_do_more__is_not_handed_out(published, make_api, system):
    from apps.access import services

    robot, half = make_api(), make_api()
    put(published, verbs=["list", "reveal"])
    give(published, robot)
    for verb in ("list", "manage"):
        services.grant(actor=system, to=f"service-account:{half.account.slug}", verb=verb)

    refused = half.post(f"/service-accounts/{robot.account.slug}/tokens", {})

    assert refused.status_code == 403


def test_own_role__grant_of_it_ended__gives_nothing_and_others_stay(published, make_api, system):
    from datetime import timedelta

    from apps.access import services
    from apps.core import clock

    robot = make_api("viewer", service="shop")
    put(published)
    soon = clock.now() + timedelta(milliseconds=50)
    to = f"service-account:{robot.account.slug}"
    services.grant(actor=system, to=to, role="publisher", expires_at=soon)
    while clock.now() <= soon:
        pass

    assert statuses(robot) == (200, 403)
    assert services.end_grants(actor=system) == 1
    assert statuses(robot) == (200, 403)


def test_own_role__that_many_have__changes_in_as_many_statements_as_for_few(published, system):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from apps.access import services
    from apps.core.models import User

    counts = []
    for number in range(2, 42, 20):
        put(published, verbs=PUBLISHER)
        for each in range(number):
            User.objects.get_or_create(username=f"p{each}")
            services.grant(actor=system, to=f"user:p{each}", role="publisher")
        with CaptureQueriesContext(connection) as captured:
            assert put(published, verbs=["list"]).status_code == 200
        counts.append(len(captured))

    assert counts[0] == counts[1]


def test_role__of_the_same_letters_in_another_case__is_refused_and_changes_nothing(published):
    put(published, "shop-lead", ["read"])

    refused = put(published, "Shop-Lead", ["read", "edit"])

    assert refused.status_code == 422
    assert json.loads(refused.content)["errors"][0]["code"] == "taken"
    assert json.loads(published.get("/roles/shop-lead").content)["verbs"] == ["read"]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", ["other verbs", "deleted"])
def test_grant__beside_a_change_of_its_role__waits_and_gives_what_the_role_then_is(system, change):
    """The change holds the role; the grant is asked for meanwhile, and told only afterwards."""
    from django.db import connection, transaction

    from apps.access import own_roles, policy, services
    from apps.access.models import Grant
    from apps.access.policy import EVERYWHERE
    from apps.access.selectors import actor_of_user
    from apps.core.models import User
    from apps.core.transactions import writing
    from apps.engine.errors import DomainError

    role, _made = own_roles.put_role(actor=system, name="reader", verbs=["list"])
    ada = User.objects.create_user("ada")
    ended, asked = [], threading.Event()

    def give():
        connection.ensure_connection()
        asked.set()
        try:
            services.grant(actor=system, to="user:ada", role="reader", on=EVERYWHERE)
        except DomainError as error:
            ended.append(error)
        else:
            ended.append(None)
        finally:
            connection.close()

    giving = threading.Thread(target=give)
    with writing():
        if change == "deleted":
            own_roles.delete_role(actor=system, role=role)
        else:
            own_roles.put_role(actor=system, name="reader", verbs=["list", "audit"])
        giving.start()
        assert asked.wait(10)
        giving.join(0.5)
        waited = not ended
        assert transaction.get_connection().in_atomic_block
    giving.join(30)

    assert waited
    if change == "deleted":
        assert isinstance(ended[0], DomainError)
        assert not Grant.objects.exists()
    else:
        assert ended == [None]
        assert policy.allowed(actor_of_user(ada), "audit", EVERYWHERE)

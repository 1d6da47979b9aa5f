"""Refusals in the ledger: which ones, by whom, and how many of a flood."""

import datetime
import json

import pytest

pytestmark = pytest.mark.django_db

HERE = "environment=production"


def events(action=""):
    from apps.audit.models import AuditEvent

    rows = AuditEvent.objects.filter(action__startswith=action or "refused")
    found = rows.order_by("number").values_list("actor", "action", "target", "data")
    return [(actor, action, target, json.loads(data)) for actor, action, target, data in found]


@pytest.fixture
def viewer(make_api, shop, system):
    from apps.access.policy import Place
    from apps.configs import sources
    from apps.configs.services import publishing
    from apps.configs.services.bases import Options
    from apps.registry.selectors import get_environment

    publishing.publish(
        actor=system,
        place=Place(shop, get_environment("production")),
        source=sources.from_text("a: 1\n", "yaml"),
        options=Options(),
    )
    return make_api("viewer", service="shop")


def publish(api, **more):
    return api.post(f"/config/shop?{HERE}", {"config": {"a": 2}, "on_stale": "overwrite", **more})


def test_write__without_the_right__is_one_event_with_who_what_and_why(viewer):
    assert publish(viewer).status_code == 403

    assert events() == [
        (
            f"service-account:{viewer.account.slug}",
            "refused.write",
            "configuration:shop@production",
            {
                "address": "/config/shop",
                "code": "forbidden",
                "count": 1,
                "method": "POST",
                "right": "publish",
            },
        )
    ]


def test_write__again_and_again__is_one_event_each_minute_with_the_count(viewer):
    from apps.audit import refusals
    from apps.core import clock

    for _ in range(50):
        publish(viewer)
    refusals.flush()
    assert [data["count"] for *_rest, data in events()] == [1]

    refusals.flush(now=clock.now() + datetime.timedelta(seconds=61))
    publish(viewer)

    assert [data["count"] for *_rest, data in events()] == [1, 49, 1]


def test_flush__at_the_end_of_the_process__writes_what_was_counted(viewer):
    from apps.audit import refusals

    for _ in range(3):
        publish(viewer)

    refusals.flush(everything=True)

    assert [data["count"] for *_rest, data in events()] == [1, 2]


def test_flood__of_different_addresses_and_targets__does_not_fill_the_ledger(anonymous, viewer):
    for number in range(60):
        viewer.post(f"/config/none-{number}", {"config": {}})
    for number in range(300):
        anonymous.client.post(
            f"/config/{number}", REMOTE_ADDR=f"10.0.{number // 250}.{number % 250}"
        )

    found = events()
    mine = [row for row in found if row[0].startswith("service-account")]
    others = [row for row in found if row[0].startswith("address:")]
    assert len(mine) == 21
    assert mine[-1][2] == "(others)"
    assert len(others) == 201
    assert others[-1][:3] == ("address:(others)", "refused.write", "(others)")


def test_hidden_and_missing__look_alike_in_the_ledger_too(make_api, shop):
    stranger = make_api()

    for service in ("shop", "none"):
        assert stranger.post(f"/config/{service}?{HERE}", {"config": {}}).status_code == 404

    assert [(target, data["code"]) for _a, _b, target, data in events()] == [
        ("/config/shop", "not_found"),
        ("/config/none", "not_found"),
    ]


def test_anonymous_write__is_recorded_by_address(anonymous, shop):
    assert publish(anonymous).status_code == 401

    (row,) = events()
    assert row[:3] == ("address:127.0.0.1", "refused.write", "/config/shop")


def test_reveal__refused_in_each_way__is_an_event(viewer, operator):
    secret = {"service": "shop", "environment": "production", "name": "pin", "value": "v4lue"}
    assert operator.post("/secrets", secret).status_code == 201
    assert publish(operator, config={"db": {"$secret": "pin"}}).status_code == 201

    statuses = [
        viewer.post(f"/secrets/shop/pin/reveal?{HERE}", {}).status_code,
        viewer.get(f"/config/shop?{HERE}&reveal=true").status_code,
    ]

    assert statuses == [403, 403]
    found = events("refused.reveal")
    assert {row[2] for row in found} <= {"configuration:shop@production", "/config/shop"}
    assert sum(row[3]["count"] for row in found) >= 1
    assert found[0][3]["address"] == "/secrets/shop/pin/reveal"


def test_reads__refused__are_counted_and_no_event(viewer, make_api):
    from apps.audit import refusals
    from apps.audit.models import RefusedRead

    stranger = make_api()
    for _ in range(5):
        stranger.get(f"/config/shop?{HERE}")
    viewer.get("/audit")
    stranger.post("/validate", {"service": "shop", "environment": "production", "config": {}})

    refusals.flush()

    found = {(row.actor.split(":")[1], row.target): row.count for row in RefusedRead.objects.all()}
    assert events() == []
    assert found == {
        (stranger.account.slug, "config/{service}"): 5,
        (viewer.account.slug, "installation"): 1,
        (stranger.account.slug, "validate"): 1,
    }


def test_portal__refused_publish_and_page__are_an_event_and_a_count(client, viewer, system):
    from apps.access import services
    from apps.access.policy import EVERYWHERE
    from apps.audit import refusals
    from apps.audit.models import RefusedRead
    from apps.core.models import User

    person = User.objects.create_user("vera", is_staff=True)
    services.grant(actor=system, to="user:vera", role="viewer", on=EVERYWHERE)
    client.force_login(person)

    written = client.post("/admin/config/shop/production/publish/", {"content": "a: 3"})
    read = client.get("/admin/ledger/")
    refusals.flush()

    assert (written.status_code, read.status_code) == (403, 403)
    (row,) = events()
    assert row[:3] == ("user:vera", "refused.write", "configuration:shop@production")
    assert [each.target for each in RefusedRead.objects.all()] == ["installation"]


def test_login__guessed_many_times__is_one_event_a_minute(client, system):
    from apps.core.models import User

    User.objects.create_user("vera", password="a long phrase that holds", is_staff=True)
    for _ in range(4):
        client.post("/admin/login/", {"username": "vera", "password": "wrong"})

    assert [row[:3] for row in events("login.failed")] == [
        ("address:127.0.0.1", "login.failed", "user:vera")
    ]


def test_refusal__that_the_ledger_cannot_take__is_refused_all_the_same(viewer, settings):
    settings.AUDIT_FILE, settings.AUDIT_FILE_REQUIRED = "/dev/full", True

    answer = publish(viewer)

    assert answer.status_code == 403
    assert events() == []


def test_refused_reads__from_very_many_addresses__stay_in_so_many_rows(db, monkeypatch):
    from apps.audit import refusals
    from apps.audit.models import RefusedRead

    monkeypatch.setattr(refusals, "MAX_ROWS_A_DAY", 5)
    for number in range(20):
        refusals.count_read(actor=f"address:192.0.2.{number}", target="configuration:shop")
        refusals.flush()

    assert RefusedRead.objects.count() == 6
    assert sum(RefusedRead.objects.values_list("count", flat=True)) == 20


def test_refused_reads__after_their_time__are_dropped(db, monkeypatch):
    from datetime import timedelta

    from apps.audit import refusals
    from apps.audit.models import RefusedRead
    from apps.core import clock

    refusals.count_read(actor="user:ada", target="configuration:shop")
    refusals.flush()
    assert refusals.prune_reads() == 0
    later = clock.now() + timedelta(days=402)
    monkeypatch.setattr(clock, "now", lambda: later)

    assert refusals.prune_reads() == 1
    assert not RefusedRead.objects.exists()


def test_refused_reads__from_one_network__are_counted_together(client, db):
    from apps.audit import refusals
    from apps.audit.models import RefusedRead

    for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1", "192.0.2.1"):
        assert client.get(f"/config/shop?{HERE}", REMOTE_ADDR=address).status_code == 401
    refusals.flush(everything=True)

    found = dict(RefusedRead.objects.values_list("actor", "count"))
    assert found == {
        "address:2001:db8:1:2::/64": 2,
        "address:2001:db8:1:3::/64": 1,
        "address:192.0.2.1": 1,
    }

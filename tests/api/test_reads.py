"""Who reads a key, and which keys nobody reads, from the counters."""

import json
import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from apps.access import services
from apps.access.models import KeyRule
from apps.configs.services.places import create_service
from apps.core import clock
from apps.core.actor import Actor, system
from apps.delivery import reads
from apps.delivery.models import ReadCount
from apps.registry.models import Configuration

pytestmark = pytest.mark.django_db

HERE = "environment=production"
NOW = 1_800_000_000.0


@pytest.fixture
def published(operator, shop):
    body = {"environment": "production", "config": {"a": {"x": 1, "y": 2}, "b": 3}}
    assert operator.post("/config/shop", body).status_code == 201
    return operator


def readers(api, key=""):
    answer = api.get(f"/config/shop/readers?{HERE}&key={key}")
    assert answer.status_code == 200, answer.content
    return {row["account"]: row["count"] for row in json.loads(answer.content)["results"]}


def unread(api, days=90):
    return json.loads(api.get(f"/config/shop/unread?{HERE}&days={days}").content)["keys"]


def test_readers__fetches_in_every_way__are_counted_by_account_and_key(published, make_api):
    whole, part, one = (make_api("viewer") for _ in range(3))
    for _ in range(3):
        whole.get(f"/config/shop?{HERE}")
    whole.get(f"/config/shop.yaml?{HERE}")
    whole.get(f"/config?service=shop&{HERE}")
    part.get(f"/config/shop?{HERE}&key=a.*")
    one.get(f"/config/shop/value?{HERE}&key=b")
    names = [f"service-account:{each.account.slug}" for each in (whole, part, one)]

    assert readers(published) == {names[0]: 5, names[1]: 1, names[2]: 1}
    assert readers(published, "a.x") == {names[0]: 5, names[1]: 1}
    assert readers(published, "b") == {names[0]: 5, names[2]: 1}


@pytest.mark.parametrize(
    ("path", "count", "of_b"),
    [
        (f"/config/shop/versions/1?{HERE}", 1, 1),
        (f"/config/shop/diff?{HERE}&from=1", 2, 2),
        (f"/config/shop/diff?{HERE}&from=1&to=1&format=unified", 1, 1),
        (f"/config/shop/explain?{HERE}", 1, 1),
        (f"/config/shop/explain?{HERE}&key=a.*", 1, 0),
        ("/config/shop/across?key=a.x", 1, 0),
        ("/config/shop/across", 1, 1),
        ("/export?service=shop", 1, 1),
    ],
)
def test_readers__other_ways_to_a_document__are_counted_too(published, make_api, path, count, of_b):
    body = {"environment": "production", "config": {"a": {"x": 1, "y": 2}, "b": 4}}
    assert published.post("/config/shop", body | {"base_version": 1}).status_code == 201
    api = make_api("viewer")
    name = f"service-account:{api.account.slug}"

    assert api.get(path).status_code == 200

    assert readers(published).get(name, 0) == count
    assert readers(published, "a.x").get(name, 0) == count
    assert readers(published, "b").get(name, 0) == of_b


def test_readers__several_at_once_and_nothing_new__are_not_counted(published, make_api):
    api = make_api("viewer")
    name = f"service-account:{api.account.slug}"
    address = f"/config?service=shop&{HERE}"
    first = api.get(address)
    assert (first.status_code, readers(published)) == (200, {name: 1})

    after = f"after={first['X-Config-Revision']}"
    none = api.get(f"{address}&{after}")
    known = api.get(f"{address}&{after}", if_none_match='"x"')

    assert (none.status_code, known.status_code) == (204, 304)
    assert readers(published) == {name: 1}


def test_readers__of_a_key_that_somebody_may_not_see__do_not_name_him(published, make_api, system):
    from apps.access.key_rules import create_key_rule
    from apps.access.policy import EVERYWHERE

    create_key_rule(actor=system, pattern="a.x", place=EVERYWHERE)
    reader = make_api("viewer")
    assert reader.get(f"/config/shop?{HERE}").status_code == 200
    name = f"service-account:{reader.account.slug}"
    services.grant(
        actor=system,
        to=f"service-account:{published.account.slug}",
        verb="list",
        on=KeyRule.objects.get(),
    )

    assert name in readers(published, "a.y")
    assert name not in readers(published, "a.x")


def test_readers__counted_again__keep_first_and_last(published, make_api, monkeypatch):
    viewer = make_api("viewer")
    now = clock.now()
    viewer.get(f"/config/shop?{HERE}")
    readers(published)
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=1))
    viewer.get(f"/config/shop?{HERE}")

    (row,) = json.loads(published.get(f"/config/shop/readers?{HERE}").content)["results"]
    assert row["count"] == 2
    assert clock.read_rfc3339(row["last_at"]) - clock.read_rfc3339(row["first_at"]) >= timedelta(
        hours=23
    )


def test_unread__keys_that_nobody_asked_for__are_named(published, make_api, monkeypatch):
    viewer = make_api("viewer")
    assert unread(published) == ["a.x", "a.y", "b"]

    viewer.get(f"/config/shop/value?{HERE}&key=a.x")
    viewer.get(f"/config/shop?{HERE}&key=b")
    assert unread(published) == ["a.y"]

    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=91))
    assert unread(published) == ["a.x", "a.y", "b"]
    viewer.get(f"/config/shop?{HERE}")
    assert unread(published) == []


def test_refused_and_missing__are_not_counted(published, make_api):
    nobody, lister = make_api(), make_api("viewer")
    nobody.get(f"/config/shop?{HERE}")
    lister.get(f"/config/shop?{HERE}&version=9")
    lister.get(f"/config/shop/value?{HERE}&key=none")
    lister.get(f"/config/shop.env?{HERE}&section=none")

    assert readers(published) == {}


@pytest.mark.parametrize("query", ["days=0", "days=x", "days=4000", "days=-1"])
def test_unread__bad_days__is_400(published, query):
    assert published.get(f"/config/shop/unread?{HERE}&{query}").status_code == 400


def test_flush__more_documents__takes_as_many_statements(published, operator, make_api):
    viewer = make_api("viewer")
    body = {"environment": "production", "config": {"a": 1}}
    names = ["shop", *(create_service(actor=system("test"), slug=f"s{n}").slug for n in range(4))]
    for name in names[1:]:
        assert operator.post(f"/config/{name}", body).status_code == 201
    reads.flush()

    statements = []
    for asked in (names[:1], names, names):
        for name in asked:
            viewer.get(f"/config/{name}?{HERE}")
        with CaptureQueriesContext(connection) as seen:
            assert reads.flush() == len(asked)
        statements.append(len(seen))

    assert statements[1:] == [statements[0]] * 2
    rows = ReadCount.objects.filter(account=f"service-account:{viewer.account.slug}")
    counts = dict(rows.values_list("configuration__service__slug", "count"))
    assert counts == {**dict.fromkeys(names, 2), "shop": 3}


def test_counters__many_different_keys__are_bounded(published, make_api):
    viewer = make_api("viewer")
    for number in range(reads.MAX_PATTERNS + 20):
        viewer.get(f"/config/shop?{HERE}&key=k{number}")
        if number % 10 == 0:
            reads.flush()
    reads.flush()

    assert ReadCount.objects.count() <= reads.MAX_PATTERNS + 1
    assert sum(row.count for row in ReadCount.objects.all()) == reads.MAX_PATTERNS + 20


def reading(*keys, version=1):
    """What counts for one who is given the shop's version, or keys of it, again and again."""
    here = Configuration.objects.get()
    reader = Actor(name="service-account:reader")
    return reads.Reading(
        here.service_id, here.environment_id, actor=reader, version=version, keys=keys
    )


def counted():
    """The rows of the reader: version, keys, first, last and how often."""
    rows = ReadCount.objects.filter(account="service-account:reader").order_by("version", "asked")
    return list(rows.values_list("version", "asked", "first_at", "last_at", "count"))


def test_reading__noted_before_and_after_each_flush__is_counted_from_first_to_last(published):
    one, began = reading(), clock.now()
    moments = [began + timedelta(seconds=each) for each in range(6)]
    for number, moment in enumerate(moments):
        one.note(moment.timestamp())
        if number % 2:
            reads.flush()

    assert counted() == [(1, "", moments[0], moments[-1], 6)]


def test_readings__of_the_same__share_a_counter_and_others_do_not(published):
    reads.flush()
    for one in (reading(), reading(), reading("b", "a"), reading("a", "b"), reading(version=2)):
        one.note(NOW)
        one.note(NOW)

    assert reads.flush() == 3
    found = [(version, asked, count) for version, asked, _first, _last, count in counted()]
    assert found == [(1, "", 4), (1, "a b", 4), (2, "", 2)]


def test_reading__noted_while_a_flush_fails__is_not_lost(published, monkeypatch):
    one, two, began = reading(), reading("a"), clock.now()
    first, second, third, fourth = (began + timedelta(seconds=each) for each in range(4))
    one.note(first.timestamp())
    two.note(second.timestamp())

    def refuse():
        one.note(third.timestamp())
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as patch, pytest.raises(OperationalError):
        patch.setattr("apps.delivery.reads.writing", refuse)
        reads.flush()
    two.note(fourth.timestamp())
    reads.flush()

    assert counted() == [(1, "", first, third, 2), (1, "a", second, fourth, 2)]


def test_readings__more_than_may_wait__are_counted_once_others_are_written(published, monkeypatch):
    reads.flush()
    monkeypatch.setattr(reads, "MAX_WAITING", 1)
    one, two = reading(), reading("a")
    for each in (one, two, one, two):
        each.note(NOW)
    assert (reads.flush(), [row[-1] for row in counted()]) == (1, [2])

    two.note(NOW)
    assert (reads.flush(), [row[-1] for row in counted()]) == (1, [2, 1])


def test_readings__of_two_tokens_of_an_account__note_the_use_of_each_once_until_written(
    published, monkeypatch
):
    reads.flush()
    used = []
    monkeypatch.setattr(reads, "note_use", lambda actor: used.append(actor.token_id))
    here = Configuration.objects.get()
    spot = here.service_id, here.environment_id
    actors = [Actor(name="service-account:reader", token_id=each) for each in ("one", "two")]
    of_both = [reads.Reading(*spot, actor=each, version=1) for each in actors]

    for _time in range(2):
        for each in (*of_both, *of_both):
            each.note(NOW)
        reads.flush()

    assert used == ["one", "two"] * 2
    assert [row[-1] for row in counted()] == [8]


def test_reading__noted_by_several_threads_during_flushes__is_counted_exactly(published):
    one, times = reading(), 2_000
    threads = [
        threading.Thread(target=lambda: [one.note(NOW) for _ in range(times)]) for _ in range(4)
    ]
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        reads.flush()
    for each in threads:
        each.join()
    reads.flush()

    assert [row[-1] for row in counted()] == [4 * times]

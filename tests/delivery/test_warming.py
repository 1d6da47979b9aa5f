"""What was asked often before a stop is ready after the start, for those who still may have it."""

import json
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync

from apps.access import holds, services
from apps.access.models import Token
from apps.core import clock
from apps.delivery import reads, warming
from apps.delivery.hot import Hot
from apps.delivery.models import HotQuestion, ReadCount
from apps.delivery.polls import Polls
from apps.delivery.warming import Warmth
from tests.delivery.asgi_client import Asgi, following
from tests.delivery.test_hot import HOT, LONG, SYSTEM, asked, bearer, publish, same, world  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)

OWN = ("x-config-instance", "x-config-unit")
REMEMBERED = [
    (address, headers)
    for address, headers in HOT
    if "reveal" not in address and not {name for name, _value in headers} & {*OWN}
]


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch):
    monkeypatch.setattr("apps.delivery.hot.CATCH_UP_WITHIN", 20)
    monkeypatch.setattr("apps.delivery.feed.CURRENT_FOR", 60)
    monkeypatch.setattr(warming, "WITHIN", 60)


def life(scenario):
    """One process: it warms, ``scenario(asgi, feed)`` happens, it remembers."""

    async def living():
        async with following() as feed:
            asgi = Asgi()
            hot = Hot(asgi.behind)
            asgi.hot = Polls(hot)
            warmth = Warmth(hot)
            await warmth.begin()
            found = await scenario(asgi, feed)
            await warmth.end()
            return found

    return async_to_sync(living)()


def asking(reader, *questions, times=2):
    """Asks each so often; gives the last answers, and how often Django was asked for each."""

    async def scenario(asgi, _feed):
        found = {}
        for address, headers in questions:
            for _again in range(times):
                found[address, headers] = await asked(asgi, address, reader, *headers)
        return found

    return scenario


def test_start__after_a_stop__has_ready_what_was_asked(world):  # noqa: F811
    publish(config={"a": 1, "long": LONG, "env": {"A": "1"}})
    reader = bearer(world["everything"])
    before = life(asking(reader, *REMEMBERED))

    after = life(asking(reader, *REMEMBERED, times=1))

    for question, (answer, _times) in before.items():
        again, times = after[question]
        assert times == 0, question
        assert answer.status == 200 or "if-none-match" in str(question)
        same(again, answer)


def test_what_has_a_secret_or_is_one_instances_or_units__is_not_remembered(world):  # noqa: F811
    own = [each for each in HOT if each not in REMEMBERED]
    assert len(own) == 3
    life(asking(bearer(world["everything"]), *own, ("/config/cart", ())))

    assert [json.loads(each.asked)[0] for each in HotQuestion.objects.all()] == ["/config/cart"]


def test_what_is_remembered__is_no_token_and_no_value(world):  # noqa: F811
    publish(config={"a": "unspeakable"})
    life(asking(bearer(world["viewer"]), ("/config/shop?key=a", ())))

    (row,) = HotQuestion.objects.values()
    assert row["count"] == 1
    assert json.loads(row["asked"]) == ["/config/shop", "key=a", "http", {"host": "localhost"}]
    token = Token.objects.get(pk=row["token_id"])
    for word in (world["viewer"], token.digest, "unspeakable"):
        assert word not in str(row)


def test_what_is_asked_ahead__is_counted_as_nobodys_read(world):  # noqa: F811
    questions = ("/config/shop", ()), ("/config?service=shop&service=cart", ())
    life(asking(bearer(world["viewer"]), *questions))
    reads.flush()
    ReadCount.objects.all().delete()
    Token.objects.update(last_used_at=None)

    async def nothing(_asgi, feed):
        return len(feed.memory)

    assert life(nothing)
    reads.flush()
    assert not ReadCount.objects.exists()
    assert not Token.objects.filter(last_used_at__isnull=False).exists()


@pytest.mark.parametrize("what", ["token", "expired", "account", "grant"])
def test_who_may_not_any_more__has_nothing_ready(world, what, monkeypatch):  # noqa: F811
    reader = bearer(world["viewer"])
    life(asking(reader, ("/config/shop", ())))
    token = Token.objects.get(account__slug="viewer")
    if what == "token":
        services.withdraw_token(actor=SYSTEM, token=token)
    elif what == "expired":
        Token.objects.update(expires_at=clock.now() - timedelta(seconds=1))
    elif what == "account":
        services.delete_account(actor=SYSTEM, account=token.account)
    else:
        services.withdraw_grant(actor=SYSTEM, grant=token.account.user.grants.get())

    async def scenario(asgi, feed):
        return len(feed.memory), await asked(asgi, "/config/shop", reader)

    kept, (answer, times) = life(scenario)
    assert (kept, times) == (0, 1)
    assert answer.status in (401, 404)


def test_view__narrowed_since__is_what_is_ready(world):  # noqa: F811
    """The answer is of the rights at the start, not of those when it was asked."""
    from apps.access import key_rules
    from apps.access.policy import EVERYWHERE

    publish(config={"a": 1, "mine": "unspeakable"})
    reader = bearer(world["viewer"])
    question = ("/config/shop", ())
    before = life(asking(reader, question))
    key_rules.create_key_rule(actor=SYSTEM, pattern="mine", place=EVERYWHERE)

    after = life(asking(reader, question, times=1))

    assert b"unspeakable" in before[question][0].body
    assert after[question][1] == 0
    assert b"unspeakable" not in after[question][0].body


def test_questions__too_many_or_no_time__the_hottest_are_ready(world, monkeypatch):  # noqa: F811
    reader = bearer(world["viewer"])
    cold, hot = ("/config/cart", ()), ("/config/shop", ())

    async def both(asgi, feed):
        await asking(reader, cold)(asgi, feed)
        await asking(reader, hot, times=5)(asgi, feed)

    life(both)
    monkeypatch.setattr(warming, "AT_ONCE", 1)
    monkeypatch.setattr(warming, "WITHIN", 0)

    after = life(asking(reader, cold, hot, times=1))

    assert (after[hot][1], after[cold][1]) == (0, 1)

    monkeypatch.setattr(warming, "MOST", 1)
    life(both)
    assert HotQuestion.objects.get(count__gt=1).asked.startswith('["/config/shop"')


def test_what_nobody_asked_for_a_day__is_forgotten(world, monkeypatch):  # noqa: F811
    reader = bearer(world["viewer"])
    life(asking(reader, ("/config/cart", ())))
    HotQuestion.objects.update(last_at=clock.now() - timedelta(hours=25))

    after = life(asking(reader, ("/config/cart", ()), ("/config/shop", ()), times=2))

    assert after["/config/cart", ()][1] == 0  # the second time
    assert [each.count for each in HotQuestion.objects.all()] == [1, 1]
    HotQuestion.objects.filter(asked__contains="cart").update(
        last_at=clock.now() - timedelta(hours=25)
    )
    life(asking(reader, ("/config/shop", ()), times=2))
    assert HotQuestion.objects.count() == 1


def test_rights__held__have_nothing_ready_and_the_server_goes_on(world, monkeypatch):  # noqa: F811
    said = []
    monkeypatch.setattr(warming.logger, "exception", said.append)
    reader = bearer(world["viewer"])
    life(asking(reader, ("/config/shop", ())))
    holds.hold_rights()

    after = life(asking(reader, ("/config/shop", ()), times=1))

    assert after["/config/shop", ()][0].status == 503
    assert not said


def test_question__of_another_program__is_passed_over(world):  # noqa: F811
    reader = bearer(world["viewer"])
    questions = ("/config/cart", ()), ("/config/shop", ())
    life(asking(reader, *questions))
    HotQuestion.objects.filter(asked__contains="cart").update(asked='["of", "another", "form"]')

    after = life(asking(reader, *questions, times=1))

    assert [times for _answer, times in after.values()] == [1, 0]


def test_start__where_nothing_can_be_asked__is_said_and_goes_on(world, monkeypatch):  # noqa: F811
    said = []

    def refuse():
        raise OSError("no disk")

    monkeypatch.setattr(warming, "_read", refuse)
    monkeypatch.setattr(warming.logger, "exception", said.append)

    after = life(asking(bearer(world["viewer"]), ("/config/shop", ())))

    assert after["/config/shop", ()][0].status == 200
    assert "could not be made ready" in said[0]


def test_count__is_of_the_last_while(world):  # noqa: F811
    question = ("/config/shop", ())

    async def scenario(asgi, feed):
        counts = []
        for times in (5, 2):
            await asking(bearer(world["viewer"]), question, times=times)(asgi, feed)
            await warming._note()
            counts.append(await HotQuestion.objects.values_list("count", flat=True).aget())
        return counts

    assert life(scenario) == [4, 2]  # the first time Django was asked

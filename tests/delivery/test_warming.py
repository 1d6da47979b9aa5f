"""What was asked often before a stop is ready after the start, for those who still may have it."""

import asyncio
import json
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from apps.access import holds, services
from apps.access.models import Token
from apps.audit.models import AuditEvent
from apps.core import clock
from apps.core.transactions import writing
from apps.delivery import reads, warming
from apps.delivery.hot import Hot
from apps.delivery.models import HotQuestion, ReadCount
from apps.delivery.polls import Polls
from apps.vault.models import Disclosure
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
            await warming.warm(hot)
            found = await scenario(asgi, feed)
            await note()
            return found

    return async_to_sync(living)()


@sync_to_async
def note():
    warming.flush(everything=True)


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


def test_questions__too_many__the_hottest_are_remembered_and_ready(world, monkeypatch):  # noqa: F811
    reader = bearer(world["viewer"])
    cold, hot = ("/config/cart", ()), ("/config/shop", ())

    async def both(asgi, feed):
        await asking(reader, cold)(asgi, feed)
        await asking(reader, hot, times=5)(asgi, feed)

    life(both)
    monkeypatch.setattr(warming, "MOST", 1)
    after = life(asking(reader, cold, hot, times=1))
    assert (after[hot][1], after[cold][1]) == (0, 1)

    life(both)
    assert HotQuestion.objects.get().asked.startswith('["/config/shop"')


def test_what_is_remembered__is_bounded_however_many_ways_somebody_asks(world, monkeypatch):  # noqa: F811
    monkeypatch.setattr(warming, "MOST", 5)
    monkeypatch.setattr(warming, "MOST_OF_ONE", 2)
    ways = [("/config/cart", (("accept", f"application/json;q=0.{n}"),)) for n in range(8)]
    flood, other = bearer(world["everything"]), bearer(world["viewer"])

    async def scenario(asgi, feed):
        for each in ways:
            await asking(flood, each, times=4)(asgi, feed)
            await note()
        await asking(flood, *ways, times=3)(asgi, feed)
        await asking(other, ("/config/shop", ()))(asgi, feed)

    life(scenario)

    accounts = HotQuestion.objects.values_list("token__account__slug", flat=True)
    assert len(accounts) <= 5
    assert "viewer" in accounts


def test_what_is_one_instances_or_units__takes_nobodys_place(world, monkeypatch):  # noqa: F811
    monkeypatch.setattr(warming, "MOST", 2)
    instances = [("/config/shop", (("x-config-instance", f"pod-{n}"),)) for n in range(4)]

    async def scenario(asgi, feed):
        await asking(bearer(world["viewer"]), *instances, times=5)(asgi, feed)
        await asking(bearer(world["viewer"]), ("/config/cart", ()))(asgi, feed)

    life(scenario)

    assert [json.loads(each.asked)[0] for each in HotQuestion.objects.all()] == ["/config/cart"]


def test_token__with_a_space_that_is_none_in_ascii__is_no_question_of_its_own(world):  # noqa: F811
    async def scenario(asgi, feed):
        counts = []
        for end in ("", "\xa0", "\x85"):
            reader = bearer(world["viewer"] + end)
            found = await asking(reader, ("/config/shop", ()), times=3)(asgi, feed)
            counts += [times for _answer, times in found.values()]
        return counts

    assert life(scenario) == [0, 1, 1]

    assert [each.count for each in HotQuestion.objects.all()] == [2]


@pytest.mark.parametrize("written", ["reveal=true", "%72eveal=true", "key=db&reveal=true"])
def test_secrets__are_revealed_to_nobody_by_a_start(world, written):  # noqa: F811
    """Neither where a client's tag made the answer one without them, nor where somebody wrote it there."""
    publish(config={"db": {"$secret": "pin"}})
    reader = bearer(world["everything"])
    address = f"/config/shop?{written}"

    async def scenario(asgi, feed):
        first, _times = await asked(asgi, address, reader)
        tag = (("if-none-match", first.header(b"etag").decode()),)
        await asking(reader, (address, tag), ("/config/cart", ()), times=3)(asgi, feed)

    life(scenario)
    row = HotQuestion.objects.get()
    assert row.asked.startswith('["/config/cart"')
    row.asked = json.dumps(["/config/shop", written, "http", {"host": "localhost"}])
    row.save()

    events = AuditEvent.objects.filter(action="secret.disclosed").count()
    with writing():
        Disclosure.objects.all().delete()

    async def nothing(_asgi, feed):
        return len(feed.memory)

    assert life(nothing) == 0
    assert AuditEvent.objects.filter(action="secret.disclosed").count() == events
    assert not Disclosure.objects.exists()


@pytest.mark.parametrize(
    "asked_as",
    [
        '["/config/shop", "", "http", {"Accept-Encoding": "gzip", "host": "localhost"}]',
        '["/config/shop", "", "http", {"host": "localhost", "x-config-unit": "u"}]',
        '["/config/shop", "unit=u", "http", {"host": "localhost"}]',
        '["/audit", "", "http", {"host": "localhost"}]',
        '["of", "another", "form"]',
        "[1, 2, 3, 4]",
        '["/config/shop", null, "http", {}]',
        '["/config/shop", "", "http", {"host": 1}]',
        "[" * 3_000,
        "no JSON",
    ],
)
def test_question__that_this_program_did_not_write__is_passed_over(world, asked_as):  # noqa: F811
    reader = bearer(world["viewer"])
    questions = ("/config/cart", ()), ("/config/shop", ())
    life(asking(reader, *questions))
    HotQuestion.objects.filter(asked__contains="shop").update(asked=asked_as, count=99)

    after = life(asking(reader, *questions, times=1))

    assert [times for _answer, times in after.values()] == [0, 1]
    assert after["/config/shop", ()][0].status == 200


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
    monkeypatch.setattr(warming.logger, "error", lambda text, **_more: said.append(text))
    reader = bearer(world["viewer"])
    life(asking(reader, ("/config/shop", ())))
    holds.hold_rights()
    monkeypatch.setattr(Hot, "ask_ahead", said.append)

    after = life(asking(reader, ("/config/shop", ()), times=1))

    assert after["/config/shop", ()][0].status == 503
    assert not said


def test_start__where_an_answer_does_not_come__goes_on(world, monkeypatch):  # noqa: F811
    life(asking(bearer(world["viewer"]), ("/config/shop", ())))
    monkeypatch.setattr(warming, "WITHIN", 0.2)
    asked_for = []

    async def stuck(scope, _receive, _send):
        asked_for.append(scope["path"])
        await asyncio.Event().wait()

    async def starting():
        async with following(), asyncio.timeout(20):
            await warming.warm(Hot(stuck))

    async_to_sync(starting)()

    assert asked_for == ["/config/shop"]


def test_start__where_nothing_can_be_asked__is_said_and_goes_on(world, monkeypatch):  # noqa: F811
    said = []

    def refuse():
        raise OSError("no disk")

    monkeypatch.setattr(warming, "_read", refuse)
    monkeypatch.setattr(warming.logger, "error", lambda text, **_more: said.append(text))

    after = life(asking(bearer(world["viewer"]), ("/config/shop", ())))

    assert after["/config/shop", ()][0].status == 200
    assert "could not be made ready" in said[0]


def test_count__is_of_the_last_while(world):  # noqa: F811
    question = ("/config/shop", ())

    async def scenario(asgi, feed):
        counts = []
        for times in (5, 2):
            await asking(bearer(world["viewer"]), question, times=times)(asgi, feed)
            await note()
            counts.append(await HotQuestion.objects.values_list("count", flat=True).aget())
        return counts

    assert life(scenario) == [4, 2]  # the first time Django was asked

"""The checker of watches finds each violation in made-up logs, and none in those that are right."""

import pytest

from tests.faults.guarantees import (
    ATOMIC,
    BOOKMARKABLE,
    ORDERED,
    RELIABLE,
    RESUMABLE,
    RIGHTS,
    UNIQUE,
    Act,
    Change,
    Heard,
    Held,
    Ledger,
    Log,
    Moment,
    check,
    longest,
)

EPOCH = "7f3a"
ENDED_AT = 100.0
EVERYTHING = Held(None, None, Moment(0, 0.0))
SHOP = [Change("shop", "production", number) for number in range(1, 5)]
CART = Change("cart", "production", 1)
LEDGER = Ledger(
    EPOCH,
    [
        Act(10, 10.0, (SHOP[0],)),
        Act(20, 20.0, (SHOP[1], CART)),
        Act(30, 30.0, (SHOP[2],)),
        Act(40, 40.0, (SHOP[3],)),
    ],
    [(at, int(at // 10 * 10)) for at in range(100)],
)


def opened(at, cursor=None):
    return Heard(at, "opened", revision=cursor)


def said(at, kind, revision, epoch=EPOCH):
    return Heard(at, kind, epoch, revision)


def told(at, revision, change, last=True, epoch=EPOCH):
    return Heard(at, "changed", epoch, revision, change, last)


LOST = Heard(0, "lost")
BEGUN = [opened(5), said(5, "ready", 0)]
FIRST = told(11, 10, SHOP[0])
SECOND = [told(21, 20, CART, last=False), told(21, 20, SHOP[1])]
THIRD = told(31, 30, SHOP[2])
FOURTH = told(41, 40, SHOP[3])


def found(
    heard, rights=(EVERYTHING,), services=None, environment="production", ledger=LEDGER, late=0.0
):
    log = Log("one", services, environment, list(rights), list(heard))
    return [each.guarantee for each in check([log], ledger, ENDED_AT, late)]


GOOD = {
    "all in order": [*BEGUN, FIRST, *SECOND, THIRD, said(35, "bookmark", 30), FOURTH],
    "bookmarks again and again": [
        *BEGUN, FIRST, said(12, "bookmark", 10), said(13, "bookmark", 10), *SECOND, THIRD, FOURTH,
    ],
    "cut off and resumed": [
        *BEGUN, FIRST, LOST, opened(35, 10), said(35, "ready", 10), *SECOND, THIRD, FOURTH,
    ],
    "cut off within a revision, which is told again": [
        *BEGUN, FIRST, SECOND[0], LOST, opened(25, 10), said(25, "ready", 10), *SECOND, THIRD, FOURTH,
    ],
    "an older cursor": [
        *BEGUN, FIRST, *SECOND, opened(25, 10), said(25, "ready", 10), *SECOND, THIRD, FOURTH,
    ],
    "too slow, and told so": [*BEGUN, FIRST, said(32, "resync", 30), FOURTH],
    "gone before the rest": [*BEGUN, FIRST, LOST],
    "begun again without a cursor": [
        *BEGUN, FIRST, LOST, opened(35), said(35, "ready", 30), FOURTH,
    ],
}  # fmt: skip
BAD = {
    "later one first": ([*BEGUN, FIRST, THIRD, *SECOND, FOURTH], {RELIABLE, ORDERED}),
    "bookmark that goes back": (
        [*BEGUN, FIRST, *SECOND, THIRD, FOURTH, said(50, "bookmark", 30)],
        {ORDERED},
    ),
    "resync that goes back": (
        [*BEGUN, FIRST, *SECOND, said(22, "resync", 10), *SECOND, THIRD, FOURTH],
        {ORDERED, UNIQUE},
    ),
    "before its cursor": (
        [opened(25, 20), said(25, "ready", 20), FIRST, THIRD, FOURTH],
        {ORDERED},
    ),
    "twice": ([*BEGUN, FIRST, FIRST, *SECOND, THIRD, FOURTH], {UNIQUE}),
    "twice within a revision": (
        [*BEGUN, FIRST, SECOND[0], *SECOND, THIRD, FOURTH],
        {UNIQUE},
    ),
    "again after it resumed": (
        [*BEGUN, FIRST, LOST, opened(15, 10), said(15, "ready", 10), FIRST, *SECOND, THIRD, FOURTH],
        {UNIQUE},
    ),
    "one left out": ([*BEGUN, FIRST, THIRD, FOURTH], {RELIABLE}),
    "silence": ([*BEGUN, FIRST, *SECOND, THIRD], {RELIABLE}),
    "not in the ledger": (
        [*BEGUN, FIRST, *SECOND, told(26, 25, SHOP[0]), THIRD, FOURTH],
        {RELIABLE},
    ),
    "another version than in the ledger": (
        [*BEGUN, told(11, 10, SHOP[3]), *SECOND, THIRD, FOURTH],
        {RELIABLE},
    ),
    "other keys than in the ledger": (
        [*BEGUN, told(11, 10, SHOP[0]._replace(keys=("a",))), *SECOND, THIRD, FOURTH],
        {RELIABLE},
    ),
    "told before the commit": ([*BEGUN, told(8, 10, SHOP[0]), *SECOND, THIRD, FOURTH], {RELIABLE}),
    "ready at a revision to come": (
        [opened(5), said(5, "ready", 10), *SECOND, THIRD, FOURTH],
        {RELIABLE},
    ),
    "half of a revision": ([*BEGUN, FIRST, SECOND[1], THIRD, FOURTH], {ATOMIC}),
    "a revision without its end": ([*BEGUN, FIRST, SECOND[0], THIRD, FOURTH], {ATOMIC, RELIABLE}),
    "a bookmark within a revision": (
        [*BEGUN, FIRST, SECOND[0], said(21, "bookmark", 10), *SECOND, THIRD, FOURTH],
        {ATOMIC},
    ),
    "one left out while it was away": (
        [*BEGUN, FIRST, LOST, opened(25, 10), said(25, "ready", 10), THIRD, FOURTH],
        {RESUMABLE},
    ),
    "begun elsewhere than at its cursor": (
        [*BEGUN, FIRST, LOST, opened(25, 10), said(25, "ready", 20), THIRD, FOURTH],
        {RESUMABLE},
    ),
    "resync though it could be resumed": (
        [
            *BEGUN, FIRST, LOST,
            opened(25, 10), said(25, "ready", 20), said(25, "resync", 20), THIRD, FOURTH,
        ],
        {RESUMABLE},
    ),
    "another epoch": (
        [*BEGUN, told(11, 10, SHOP[0], epoch="0000"), *SECOND, THIRD, FOURTH],
        {RESUMABLE},
    ),
    "a bookmark beyond what was told": (
        [*BEGUN, FIRST, said(25, "bookmark", 20), THIRD, FOURTH],
        {BOOKMARKABLE},
    ),
}  # fmt: skip


@pytest.mark.parametrize("heard", GOOD.values(), ids=GOOD)
def test_check__log_that_is_right__finds_nothing(heard):
    assert found(heard) == []


@pytest.mark.parametrize(("heard", "guarantees"), BAD.values(), ids=BAD)
def test_check__violation__is_named_by_its_guarantee(heard, guarantees):
    assert set(found(heard)) == guarantees


def test_check__change_that_is_not_asked_for__need_not_and_must_not_be_told():
    heard = [*BEGUN, FIRST, told(21, 20, SHOP[1]), THIRD, FOURTH]

    assert found(heard, services=frozenset({"shop"})) == []
    assert found([*BEGUN, FIRST, *SECOND, THIRD, FOURTH], services=frozenset({"shop"})) == [RIGHTS]
    assert found(heard[:2], environment="staging") == []


def test_check__right_given_late__what_came_before_need_not_be_told():
    rights = [Held("shop", None, Moment(25, 25.0))]

    assert found([*BEGUN, THIRD, FOURTH], rights) == []
    assert found([*BEGUN, FOURTH], rights) == [RELIABLE]
    assert found([*BEGUN, FIRST, THIRD, FOURTH], rights) == [RIGHTS]


def test_check__right_withdrawn__nothing_is_told_after_five_seconds():
    """Who had not heard of a change while he might need not hear of it any more."""
    rights = [Held("shop", "production", Moment(0, 0.0), Moment(25, 25.0))]
    until_then = [*BEGUN, FIRST, told(21, 20, SHOP[1])]

    assert found(until_then, rights) == []
    assert found([*until_then, told(30, 30, SHOP[2])], rights) == []
    assert found([*until_then, THIRD], rights) == [RIGHTS]
    assert found([*BEGUN, FIRST, said(30, "bookmark", 20)], rights) == []
    assert found([*BEGUN, FIRST, said(24, "bookmark", 20)], rights) == [BOOKMARKABLE]


def test_check__right_withdrawn__what_was_sent_before_may_be_read_late_and_nothing_else():
    rights = [Held("shop", "production", Moment(0, 0.0), Moment(22, 22.0))]
    before = told(39, 20, SHOP[1])

    assert found([*BEGUN, FIRST, before], rights) == [RIGHTS]
    assert found([*BEGUN, FIRST, before], rights, late=15.0) == []
    assert found([*BEGUN, FIRST, before], rights, late=11.0) == [RIGHTS]
    assert found([*BEGUN, FIRST, told(39, 30, SHOP[2])], rights, late=15.0) == [RIGHTS]
    again = [opened(28, 10), said(28, "ready", 10)]
    assert found([*BEGUN, FIRST, LOST, *again, before], rights, late=15.0) == [RIGHTS]


def test_longest__is_of_news_that_was_made_while_its_reader_was_connected():
    heard = [*BEGUN, told(13, 10, SHOP[0]), LOST, opened(25, 10), said(25, "ready", 10)]
    log = Log(
        "me", None, None, [EVERYTHING], [*heard, told(29, 20, SHOP[1]), told(31, 30, SHOP[2])]
    )

    assert longest([log], LEDGER) == 3.0


def test_check__nobody_asked_the_ledger_in_between__no_early_news_is_claimed():
    ledger = Ledger(EPOCH, LEDGER.acts)

    assert found([*BEGUN, told(8, 10, SHOP[0]), *SECOND, THIRD, FOURTH], ledger=ledger) == []

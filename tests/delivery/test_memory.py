"""What a process remembers is bounded, and forgotten by the places that it is about."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.delivery.memory import Memory


class Sized:
    def __init__(self, size):
        self.size = size


def keep(memory, *keys, size=10):
    for key in keys:
        memory.keep(key, Sized(size))


def held(memory, keys):
    """Which of the keys are there, without asking for them."""
    return [key for key in keys if key in memory._kept]


def test_keep__more_than_the_limit__drops_what_was_put_first():
    memory = Memory(30)

    keep(memory, "a", "b", "c", "d")

    assert held(memory, "abcd") == ["b", "c", "d"]
    assert memory.size == 30


def test_keep__what_was_asked_for__is_spared_and_goes_when_nobody_asks_again():
    memory = Memory(30)
    keep(memory, "a", "b", "c", "d")  # each was new once
    memory.find("b")

    keep(memory, "e")
    assert held(memory, "abcde") == ["b", "d", "e"]
    keep(memory, "f")
    assert held(memory, "abcdef") == ["b", "e", "f"]
    keep(memory, "g", "h")
    assert "b" not in held(memory, "abcdefgh")


def test_keep__all_were_asked_for__still_ends_and_holds_the_limit():
    memory = Memory(30)
    keep(memory, "a", "b", "c")
    for key in "abc":
        memory.find(key)

    keep(memory, "d")

    assert memory.size == 30
    assert len(memory) == 3
    assert "d" in held(memory, "abcd")


def test_keep__larger_than_everything__is_not_kept_and_drops_nothing_but_what_it_replaces():
    memory = Memory(30)
    keep(memory, "a", "b")

    keep(memory, "b", size=31)

    assert held(memory, "ab") == ["a"]
    assert memory.size == 10


def test_forget__a_place__drops_what_is_about_it_and_about_others_too():
    memory = Memory(1_000)
    memory.keep("one", Sized(10), [(1, 1)])
    memory.keep("both", Sized(10), [(1, 1), (2, 1)])
    memory.keep("other", Sized(10), [(2, 1)], size=3)
    memory.keep("none", Sized(10))

    memory.forget([(1, 1)])

    assert held(memory, ["one", "both", "other", "none"]) == ["other", "none"]
    assert memory.size == 13
    memory.forget([(2, 1)])
    assert not memory._at
    memory.clear()
    assert (len(memory), memory.size) == (0, 0)


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), st.integers(0, 9), st.integers(1, 40), st.integers(0, 2)),
        st.tuples(st.just("find"), st.integers(0, 9)),
        st.tuples(st.just("forget"), st.integers(0, 2)),
    ),
    max_size=60,
)


@given(ACTS)
def test_memory__after_any_acts__counts_what_it_holds_within_the_limit(acts):
    memory = Memory(100)
    for kind, *how in acts:
        if kind == "keep":
            key, size, place = how
            memory.keep(key, Sized(size), [(place, place)])
            assert memory.find(key) is not None
        elif kind == "find":
            memory.find(*how)
        else:
            memory.forget([(how[0], how[0])])
            assert (how[0], how[0]) not in memory._at
        entries = memory._kept.items()
        assert memory.size == sum(each.size for _key, each in entries) <= memory.limit
        about = {place: {k for k, e in entries if place in e.places} for place in memory._at}
        assert about == dict(memory._at)


def test_keep_once__the_same_again__gives_where_it_is_and_takes_no_more():
    memory = Memory(30)
    first, again = Sized(10), Sized(10)

    where = memory.keep_once("a", first)

    assert memory.keep_once("a", again) is where
    assert where.find() is first is memory.find("a")
    assert memory.size == 10


def test_keep_once__found_where_it_is__is_spared_until_it_is_dropped():
    memory = Memory(30)
    keep(memory, "a", "b", "c", "d")  # each was new once
    where = memory.keep_once("b", Sized(10))

    keep(memory, "e")
    assert held(memory, "abcde") == ["b", "d", "e"]
    where.find()
    keep(memory, "f", "g")
    assert held(memory, "abcdefg") == ["b", "f", "g"]
    keep(memory, "h", "i", "j")
    assert (held(memory, "b"), where.find()) == ([], None)


def test_keep_once__its_place_was_forgotten__is_not_found_and_kept_anew():
    memory = Memory(30)
    where = memory.keep_once("a", Sized(10), [(1, 2)])

    memory.forget([(1, 2)])

    assert where.find() is None
    again = memory.keep_once("a", Sized(10), [(1, 2)])
    assert again.find() is memory.find("a") is not None


def test_keep_once__larger_than_everything_may_be__is_nowhere():
    memory = Memory(30)

    assert memory.keep_once("a", Sized(31)).find() is None
    assert (len(memory), memory.size) == (0, 0)


@pytest.mark.parametrize("threads", [4])
def test_memory__used_by_several_threads__holds_its_limit(threads):
    memory, faults = Memory(200), []

    def use(number):
        try:
            for turn in range(3_000):
                key = (turn * 7 + number) % 50
                memory.keep(key, Sized(10), [(key % 5, 0)])
                memory.find((key + 1) % 50)
                if turn % 50 == 0:
                    memory.forget([(number, 0)])
        except Exception as error:
            faults.append(error)

    running = [threading.Thread(target=use, args=(number,)) for number in range(threads)]
    for each in running:
        each.start()
    for each in running:
        each.join()

    assert not faults
    assert memory.size == sum(each.size for each in memory._kept.values()) <= memory.limit

import datetime
from collections import Counter

from apps.engine.bucketing import SLOTS
from apps.engine.experiments.assignment import Assignment, find_free
from apps.engine.flags.conditions import Context

NOW = datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC)
UNITS = 4_000


def make(seed="e1", **members):
    given = {
        "group": "g",
        "holdout": 0,
        "slots": [[0, SLOTS]],
        "audience": {},
        "weights": {"a": 1, "b": 1},
    }
    return Assignment.of(seed=seed, **{**given, **members})


def choices(assignment, count=UNITS):
    return [assignment.choose(Context({"targetingKey": f"u{n}"}, NOW)) for n in range(count)]


def test_choose__without_a_unit__gives_none():
    assert make().choose(Context({}, NOW)) is None


def test_choose__any_unit__is_the_same_each_time_and_by_the_weights():
    found = choices(make(weights={"a": 3, "b": 1}))

    assert found == choices(make(weights={"a": 3, "b": 1}))
    assert abs(Counter(found)["a"] / UNITS - 0.75) < 0.04
    assert None not in found


def test_choose__of_two_in_a_group__gives_no_unit_both():
    halves = make("e1", slots=[[0, 5_000]]), make("e2", slots=[[5_000, SLOTS]])
    first, second = map(choices, halves)

    for one, other in zip(first, second, strict=True):
        assert (one is None) != (other is None)


def test_choose__of_two_that_do_not_share_a_group__is_independent():
    first, second = choices(make("e1")), choices(make("e2", group="h"))
    both = Counter(zip(first, second, strict=True))

    assert all(abs(count / UNITS - 0.25) < 0.04 for count in both.values())
    assert len(both) == 4


def test_holdout__of_a_group__is_the_same_in_each_of_its_experiments():
    held = [
        {n for n, choice in enumerate(choices(make(seed, holdout=20))) if choice is None}
        for seed in ("e1", "e2")
    ]

    assert held[0] == held[1]
    assert abs(len(held[0]) / UNITS - 0.2) < 0.04
    wider = {n for n, choice in enumerate(choices(make(holdout=30))) if choice is None}
    assert held[0] < wider


def test_audience__of_others__gives_none():
    only = make(audience={"targetingKey": {"ends_with": "7"}})

    assert [n for n, choice in enumerate(choices(only, 20)) if choice] == [7, 17]


def test_find_free__between_what_is_taken__gives_the_first_that_nobody_has():
    assert find_free([], 100) == [(0, 100)]
    assert find_free([(10, 20), (0, 5)], 10) == [(5, 10), (20, 25)]
    assert find_free([(0, SLOTS)], 1) == []
    assert find_free([(0, SLOTS - 3), (2, 7)], 10) == [(SLOTS - 3, SLOTS)]

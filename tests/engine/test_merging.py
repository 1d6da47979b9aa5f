"""Three-way merging: by example, and by what must hold for any documents."""

import copy
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine import values
from apps.engine.merge_keys import NO_KEYS
from apps.engine.merging import merge_three
from apps.engine.paths import leaves
from tests.engine.keyed import keyed
from tests.engine.strategies import trees
from tests.engine.test_diff import NUMBER, pairs

KEYS = keyed({"hosts": "name", "hosts.ports": "id"})


def conflicts(base, ours, theirs, keys=NO_KEYS):
    return merge_three(base, ours, theirs, keys).conflicts


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "pointers"),
    [
        ({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {"a": 2}, {"a": 2}, []),
        ({"a": 1}, {}, {}, []),
        ({"a": 1}, {"a": 2}, {"a": 3}, ["/a"]),
        ({"a": 1}, {"a": NUMBER}, {"a": True}, ["/a"]),
        ({"a": 1}, {"a": 2}, {}, ["/a"]),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 1}}, {}, ["/a"]),
        ({"a": {"b": 1}}, {"a": 5}, {"a": {"b": 2}}, ["/a"]),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 1}}, {"a": {"b": 3, "c": 2}}, ["/a/b"]),
        ({}, {"a": {"x": 1}}, {"a": {"y": 1}}, []),
        ({}, {"a": {"x": 1, "z": 1}}, {"a": {"y": 1, "z": 2}}, ["/a/z"]),
        ({"a": 1}, {"a": {"x": 1}}, {"a": {"y": 1}}, ["/a"]),
        ({"l": [1, 2]}, {"l": [3, 2]}, {"l": [1, 4]}, []),
        ({"l": [1, 2]}, {"l": [3, 2]}, {"l": [4, 2]}, ["/l/0"]),
        ({"l": [1, 2]}, {"l": [3, 2]}, {"l": [1]}, ["/l"]),
        ({}, {"a": {"$append": [1]}}, {"a": {"$prepend": [1]}}, ["/a"]),
        ({"a": {"x": 1}}, {"a": {"$replace": {"x": 1}}}, {"a": {"x": 2}}, ["/a"]),
        ({}, {"a": {"$replace": {"x": 1}}}, {"a": {"$replace": {"y": 1}}}, []),
        ({}, {"a/b": 1}, {"a/b": 2}, ["/a~1b"]),
    ],
)
def test_overlapping__both_sides__lists_what_clashes(base, ours, theirs, pointers):
    assert [each.pointer for each in conflicts(base, ours, theirs)] == pointers
    assert [each.pointer for each in conflicts(base, theirs, ours)] == pointers


def test_conflict__as_answer__leaves_out_what_is_not_there():
    (removed,) = conflicts({"a": 1}, {}, {"a": None})
    (added,) = conflicts({}, {"a": 1}, {"a": 2})

    assert removed.as_dict() == {"pointer": "/a", "base": 1, "theirs": None}
    assert added.as_dict() == {"pointer": "/a", "ours": 1, "theirs": 2}


@given(pairs(), st.data())
@settings(deadline=None)
def test_overlapping__only_one_side_changed__is_never_a_conflict(documents, data):
    base, ours = documents

    assert conflicts(base, ours, base) == []
    assert conflicts(base, base, ours) == []
    assert conflicts(base, ours, copy.deepcopy(ours)) == []


def named(*names, **more):
    return {"hosts": [{"name": name, **more} for name in names]}


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ({"a": 1}, {"a": 2, "b": 1}, {"a": 1, "c": 1}, {"a": 2, "b": 1, "c": 1}),
        ({"a": 1, "b": 1}, {"b": 1}, {"a": 1, "b": 2}, {"b": 2}),
        ({}, {"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"l": [1, 2]}, {"l": [3, 2]}, {"l": [1, 4]}, {"l": [3, 4]}),
        (named("a", "b"), named("a", "x", "b"), named("a", "b", "y"), named("a", "x", "b", "y")),
        (named("a", "b"), named("b"), named("a", "b", "c"), named("b", "c")),
        (named("a", "b", "c"), named("c", "b", "a"), named("a", "b", "c", "d"), None),
        (named("a"), named("y", "a"), named("x", "a"), named("x", "y", "a")),
        (named("a"), named("a", "z"), named("a", "z"), named("a", "z")),
        (
            {"hosts": [{"name": "a", "p": 1, "q": 1}, {"name": "b", "p": 1}]},
            {"hosts": [{"name": "a", "p": 2, "q": 1}, {"name": "b", "p": 1}]},
            {"hosts": [{"name": "b", "p": 3}, {"name": "a", "p": 1, "q": 4}]},
            {"hosts": [{"name": "b", "p": 3}, {"name": "a", "p": 2, "q": 4}]},
        ),
    ],
)
def test_merge__changes_that_do_not_overlap__are_all_there(base, ours, theirs, merged):
    for left, right in ((ours, theirs), (theirs, ours)):
        made = merge_three(base, left, right, KEYS)
        assert made.conflicts == []
        if merged is not None:
            assert values.same(made.tree, merged)


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "pointers"),
    [
        (named("a", "b", "c"), named("c", "b", "a"), named("b", "a", "c"), ["/hosts"]),
        (named("a"), named("a", p=1), named(), ["/hosts/0"]),
        (named("a"), named("a", p=1), named("a", p=2), ["/hosts/0/p"]),
        (named("a"), {"hosts": [{"name": "a"}, {"name": "a"}]}, named("a", "b"), ["/hosts"]),
    ],
)
def test_merge__lists_of_named_items__clash_where_both_changed(base, ours, theirs, pointers):
    assert [each.pointer for each in conflicts(base, ours, theirs, KEYS)] == pointers


def test_merge__with_choices__takes_what_was_chosen_and_has_no_conflict():
    base, ours, theirs = {"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 3}

    made = merge_three(base, ours, theirs, choices={"/a": "theirs", "/b": "theirs"})
    back = merge_three(base, ours, theirs, choices={"/a": "base"})

    assert (made.tree, made.conflicts) == ({"a": 3}, [])
    assert (back.tree, [each.pointer for each in back.conflicts]) == ({"a": 1, "b": 2}, ["/b"])


items = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("abcde")}, optional={"p": st.integers(0, 2), "q": st.booleans()}
    ),
    max_size=5,
    unique_by=lambda item: item["name"],
)
documents = trees() | st.fixed_dictionaries({"hosts": items, "n": st.integers(0, 2)})


@given(documents, documents)
@settings(deadline=None)
def test_merge__one_side_unchanged__is_the_other(base, other):
    before = copy.deepcopy((base, other))

    for ours, theirs in ((base, other), (other, base), (other, copy.deepcopy(other))):
        made = merge_three(base, ours, theirs, KEYS)
        assert made.conflicts == []
        assert values.same(made.tree, other)
    assert values.same(list(before), [base, other])


@given(documents, documents, documents)
@settings(deadline=None)
def test_merge__sides_swapped__says_the_same(base, ours, theirs):
    one, two = merge_three(base, ours, theirs, KEYS), merge_three(base, theirs, ours, KEYS)

    if not one.conflicts:
        assert values.same(one.tree, two.tree)
    assert len(one.conflicts) == len(two.conflicts)


@given(documents, documents, documents)
@settings(deadline=None)
def test_merge__without_conflict__loses_no_change_of_either_side(base, ours, theirs):
    made = merge_three(base, ours, theirs)
    if made.conflicts:
        return
    was, merged = dict(leaves(base)), dict(leaves(made.tree))
    for side, other in ((ours, theirs), (theirs, ours)):
        mine, others = dict(leaves(side)), dict(leaves(other))
        for path, value in mine.items():
            if path and path in was and path in others and not values.same(value, was[path]):
                assert values.same(merged[path], value)


def test_merge__large_documents__take_little_time():
    base = {f"k{i}": {"a": i, "b": [i] * 3} for i in range(6_000)}
    ours = {**base, **{f"k{i}": {"a": -i} for i in range(0, 6_000, 2)}}
    theirs = {**base, **{f"k{i}": {"a": i, "c": 1} for i in range(1, 6_000, 2)}}
    hosts = {"hosts": [{"name": f"n{i}"} for i in range(8_000)]}
    started = time.process_time()

    assert merge_three(base, ours, theirs).conflicts == []
    more = {"hosts": [*hosts["hosts"], {"name": "x"}]}
    fewer = {"hosts": hosts["hosts"][10:]}
    assert len(merge_three(hosts, more, fewer, KEYS).tree["hosts"]) == 7_991

    assert time.process_time() - started < 5


def test_merge__many_new_items_on_both_sides__takes_little_time():
    base = [{"name": f"n{i}"} for i in range(1_000)]
    ours, theirs = ([{"name": f"{side}{i}"} for i in range(15_000)] for side in "ab")
    started = time.process_time()

    made = merge_three(*({"hosts": side} for side in (base, base + ours, theirs + base)), KEYS)
    same_place = merge_three(*({"hosts": side} for side in ([], ours, theirs)), KEYS)

    assert (made.conflicts, len(made.tree["hosts"])) == ([], 31_000)
    assert (same_place.conflicts, same_place.tree["hosts"]) == ([], ours + theirs)
    assert time.process_time() - started < 2

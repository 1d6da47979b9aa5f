"""Diffs of lists whose items are known by a member: moved, renamed, changed in themselves."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine import diff, patching, values
from tests.engine import strategies
from tests.engine.keyed import keyed
from tests.limits import CPU_SECONDS, examples

KEYS = keyed({"l": "name", "a": "name"})
NAMES = st.sampled_from("abcdefghijkl") | st.integers(0, 2) | st.booleans()


FEW = st.integers(0, 2)


def items():
    return st.fixed_dictionaries(
        {"name": NAMES, "port": FEW}, optional={"x": strategies.plain, "y": FEW}
    )


def lists():
    """Items by names, most of them once each, some without."""
    unique = st.lists(items(), max_size=9, unique_by=lambda each: repr(each["name"]))
    return unique | st.lists(items() | strategies.plain, max_size=4)


@st.composite
def pairs(draw):
    """Two lists of which the second is the first with its items in another order, some of them
    gone, new, changed or under another name.
    """
    old = draw(lists())
    kept = [item for item in draw(st.permutations(old)) if draw(st.integers(0, 4))]
    changed = [
        {**item, **draw(items() if not draw(st.integers(0, 3)) else st.just({}))}
        if isinstance(item, dict)
        else item
        for item in kept
    ]
    renamed = [
        {**item, "name": draw(NAMES)}
        if isinstance(item, dict) and not draw(st.integers(0, 3))
        else item
        for item in changed
    ]
    return {"l": old, "z": 1}, {"l": renamed + draw(st.lists(items(), max_size=2))}


def remade(old, changes):
    """What the docstring of ``changes`` says comes of them."""
    listed = list(old["l"])
    order = [each for each in changes if each.steps[0] == "l" and len(each.steps) == 2]
    moved = [each for each in order if each.kind == "moved"]
    gone = [each.steps[1] for each in order if each.kind == "removed"]
    for index in sorted([*gone, *(each.origin for each in moved)], reverse=True):
        del listed[index]
    for each in sorted(
        [each for each in order if each.kind in ("added", "moved")], key=lambda each: each.steps[1]
    ):
        item = old["l"][each.origin] if each.kind == "moved" else each.new
        listed.insert(each.steps[1], item)
    document = {**old, "l": listed}
    operations = {"added": "add", "removed": "remove", "changed": "replace", "renamed": "replace"}
    for each in changes:
        if each not in order or each.kind == "changed":
            operation = {"op": operations[each.kind], "path": each.pointer, "value": each.new}
            document = patching.json_patch(document, [operation])
    return document


@given(pairs())
@settings(max_examples=examples(400), deadline=None)
def test_patch__named_items__applied_to_the_old__gives_the_new(documents):
    old, new = documents

    patch = diff.patch(old, new, KEYS)

    assert values.same(patching.json_patch(old, patch), new)


@given(pairs())
@settings(max_examples=examples(300), deadline=None)
def test_changes__named_items__say_what_makes_the_new_of_the_old(documents):
    old, new = documents

    found = diff.changes(old, new, KEYS)

    assert values.same(remade(old, found), new)
    assert diff.keys_of(found) == diff.changed_keys(old, new)


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 9), min_size=1).flatmap(
        lambda ports: st.tuples(*[st.permutations([*ports.items()])] * 2)
    )
)
def test_changes__same_items_in_another_order__are_moves_of_as_few_as_can_be(orders):
    old, new = ([{"name": name, "port": port} for name, port in order] for order in orders)

    found = diff.changes({"l": old}, {"l": new}, KEYS)

    places = [old.index(item) for item in new]
    longest = [1] * len(places)
    for i, place in enumerate(places):
        longest[i] += max((longest[j] for j in range(i) if places[j] < place), default=0)
    assert {each.kind for each in found} <= {"moved"}
    assert len(found) == len(new) - max(longest)
    assert len(diff.patch({"l": old}, {"l": new}, KEYS)) <= len(found)


WEB, API, JOB = (
    {"name": name, "port": 1, "host": name[0], "tls": True} for name in ("web", "api", "job")
)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ([WEB, API, JOB], [JOB, WEB, API], [("l[0]", "moved", "job")]),
        (
            [WEB, API],
            [{**API, "port": 2}, WEB],
            [("l[0]", "moved", "api"), ("l[0].port", "changed", "api")],
        ),
        ([WEB, API], [{**WEB, "name": "www"}, API], [("l[0].name", "renamed", "www")]),
        (
            [WEB, API],
            [API, {**WEB, "name": "www"}],
            [("l[0]", "moved", "api"), ("l[1].name", "renamed", "www")],
        ),
        (
            [WEB, API],
            [{**WEB, "name": "www", "port": 2}, API],
            [("l[0].name", "renamed", "www"), ("l[0].port", "changed", "www")],
        ),
        (
            [WEB, API],
            [API, {**WEB, "name": "www", "port": 2}],
            [("l[0]", "removed", "web"), ("l[1]", "added", "www")],
        ),
        ([WEB], [{**API, "tls": False}], [("l[0]", "removed", "web"), ("l[0]", "added", "api")]),
        ([{"name": "a"}], [{"name": "b"}], [("l[0]", "removed", "a"), ("l[0]", "added", "b")]),
        (
            [{"name": "a", "on": 1}, {"name": "b", "on": 1}],
            [{"name": "d", "on": 1}, {"name": "c", "on": 1}],
            [("l[0].name", "renamed", "d"), ("l[1].name", "renamed", "c")],
        ),
        ([WEB, WEB], [API, WEB], [("l[0].name", "changed", None), ("l[0].host", "changed", None)]),
        ([WEB, API], [WEB], [("l[1]", "removed", "api")]),
    ],
)
def test_changes__two_lists__name_the_items(old, new, found):
    made = diff.changes({"l": old}, {"l": new}, KEYS)

    assert [(each.path, each.kind, each.item.name if each.item else None) for each in made] == found


def test_change__of_an_item__as_answer_says_which_and_from_where_to_where():
    old, new = {"l": [WEB, API, JOB]}, {"l": [JOB, {**WEB, "port": 2}]}

    assert [each.as_dict() for each in diff.changes(old, new, KEYS)] == [
        {"key": "l[1]", "pointer": "/l/1", "kind": "removed", "old": API, "item": {"name": "api"}},
        {
            "key": "l[0]",
            "pointer": "/l/0",
            "kind": "moved",
            "from": 2,
            "to": 0,
            "item": {"name": "job"},
        },
        {
            "key": "l[1].port",
            "pointer": "/l/1/port",
            "kind": "changed",
            "old": 1,
            "new": 2,
            "item": {"name": "web"},
        },
    ]
    assert diff.patch(old, new, KEYS)[1] == {"op": "move", "path": "/l/0", "from": "/l/1"}


@pytest.mark.parametrize("shape", ["reversed", "shuffled", "renamed", "replaced"])
def test_changes__many_items__take_little_time(shape):
    old = [{"name": f"n{i}", "port": i, "a": 1, "b": 2} for i in range(1_500)]
    new = {
        "reversed": old[::-1],
        "shuffled": [old[i * 7 % 1_511 % 1_500] for i in range(1_500)],
        "renamed": [{**item, "name": f"m{item['port']}", "port": 0} for item in old],
        "replaced": [{"name": f"m{i}", "port": -i, "a": 3, "b": 4} for i in range(1_500)],
    }[shape]
    if shape == "shuffled":
        new = list({item["name"]: item for item in new}.values())

    started = time.process_time()
    found = diff.changes({"l": old}, {"l": new}, KEYS)
    patch = diff.patch({"l": old}, {"l": new}, KEYS)

    assert time.process_time() - started < CPU_SECONDS
    assert found
    assert patching.json_patch({"l": old}, patch) == {"l": new}

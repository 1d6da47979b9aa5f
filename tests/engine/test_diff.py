import copy
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine import diff, patching, paths, values
from apps.engine.merging import merge_three
from tests.engine import strategies
from tests.limits import CPU_SECONDS, examples

NUMBER = values.number("1.0")


def pairs():
    """Two documents, often much alike."""
    alike = strategies.trees().flatmap(
        lambda tree: st.tuples(st.just(tree), strategies.edits(tree))
    )
    return alike | st.tuples(strategies.trees(), strategies.trees())


@given(pairs())
@settings(max_examples=examples(400), deadline=None)
def test_patch__applied_to_the_old__gives_the_new(documents):
    old, new = documents
    before = copy.deepcopy(documents)

    assert values.same(patching.json_patch(old, diff.patch(old, new)), new)
    assert values.same(list(documents), list(before))


@given(st.lists(st.integers(0, 3), max_size=8), st.lists(st.integers(0, 3), max_size=8))
def test_patch__lists__are_reached_item_by_item(old, new):
    patch = diff.patch({"l": old}, {"l": new})

    assert patching.json_patch({"l": old}, patch) == {"l": new}
    assert len(patch) <= max(len(old), len(new))


def test_patch__any_difference__is_add_remove_or_replace_alone():
    old = {"a": 1, "b": {"c": 1}, "x/y": True}
    new = {"a": NUMBER, "d": [1], "x/y": 1}

    assert diff.patch(old, new) == [
        {"op": "remove", "path": "/b"},
        {"op": "replace", "path": "/a", "value": NUMBER},
        {"op": "add", "path": "/d", "value": [1]},
        {"op": "replace", "path": "/x~1y", "value": 1},
    ]


@given(strategies.trees())
@settings(deadline=None)
def test_changes__same_document__are_none(tree):
    assert diff.changes(tree, copy.deepcopy(tree)) == []
    assert diff.patch(tree, tree) == []
    assert diff.changed_keys(tree, tree) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"a": 1}, {"a": NUMBER}, [("a", "changed")]),
        ({"a": 1}, {"a": True}, [("a", "changed")]),
        ({"a": None}, {}, [("a", "removed")]),
        ({}, {"a": {"b": 1}}, [("a", "added")]),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, [("a.b", "removed"), ("a.c", "added")]),
        ({"a": {"b": 1}}, {"a": [1]}, [("a", "changed")]),
        ({"a.b": 1}, {"a.b": 2}, [('["a.b"]', "changed")]),
        ({"l": [1, 2, 3]}, {"l": [1, 9, 3]}, [("l[1]", "changed")]),
        ({"l": [1, 2, 3]}, {"l": [1, 3]}, [("l[1]", "removed")]),
        ({"l": [1, 3]}, {"l": [1, 2, 3]}, [("l[1]", "added")]),
        (
            {"l": [{"x": 1}, 2, 3]},
            {"l": [{"x": 2}]},
            [("l[0].x", "changed"), ("l[2]", "removed"), ("l[1]", "removed")],
        ),
    ],
)
def test_changes__two_documents__name_each_key_and_kind(old, new, found):
    assert [(each.path, each.kind) for each in diff.changes(old, new)] == found


def test_change__as_answer__leaves_out_what_is_not_there():
    made = [change.as_dict() for change in diff.changes({"a": 1, "l": [0]}, {"b": None, "l": [2]})]

    assert made == [
        {"key": "a", "pointer": "/a", "kind": "removed", "old": 1},
        {"key": "b", "pointer": "/b", "kind": "added", "new": None},
        {"key": "l[0]", "pointer": "/l/0", "kind": "changed", "old": 0, "new": 2},
    ]


@pytest.mark.parametrize(
    ("old", "new", "keys", "lists"),
    [
        ({"a": 1, "b": {"c": 1}}, {"a": NUMBER, "d": True}, ["a", "b.c", "d"], []),
        ({"a": {"b": 1}}, {"a": 1}, ["a", "a.b"], []),
        ({"a": {}}, {"a": {"b": {}}}, ["a.b"], []),
        ({}, {"a": {"x": 1, "l": [{"y": 1}]}}, ["a.l", "a.x"], ["a.l"]),
        ({"l": [{"x": [1, 2]}]}, {"l": [{"x": [1]}]}, ["l"], ["l"]),
        ({"l": [1]}, {"l": {"x": 1}}, ["l", "l.x"], ["l"]),
        ({"l": 1, "m": []}, {"l": [], "m": None}, ["l", "m"], ["l", "m"]),
        ({"b": 1, "a.c": 1}, {}, ['["a.c"]', "b"], []),
    ],
)
def test_keys_and_lists__of_two_documents__are_the_leaves_sorted(old, new, keys, lists):
    assert diff.changed_keys(old, new) == keys
    assert diff.lists_of(diff.changes(old, new)) == lists


@given(pairs())
@settings(deadline=None)
def test_changed_keys__any_documents__are_paths_of_either(documents):
    old, new = documents
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return

    for key in diff.changed_keys(old, new):
        path = paths.parse_path(key)
        before, after = paths.find(old, path), paths.find(new, path)
        assert before[0] or after[0]
        assert before[0] != after[0] or not values.same(before[1], after[1])


HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@\n")


def apply_unified(old, text):
    """What `patch` would make of it."""
    lines = re.findall(r"[^\n]*\n", text)[2:]
    source, made, position = re.findall(r"[^\n]*\n|[^\n]+", old), [], 0
    for number, line in enumerate(lines):
        whole = not (number + 1 < len(lines) and lines[number + 1].startswith("\\"))
        content = line[1:] if whole else line[1:-1]
        if match := HUNK.fullmatch(line):
            start = int(match.group(1)) - (match.group(2) != "0")
            made += source[position:start]
            position = start
        elif line[0] in " -":
            assert source[position] == content
            position += 1
            made += [content] if line[0] == " " else []
        elif line[0] == "+":
            made.append(content)
    return "".join([*made, *source[position:]])


@given(*[st.text("ab\n\r\x0c", max_size=60)] * 2)
@settings(max_examples=examples(400), deadline=None)
def test_unified__applied_to_the_old_text__gives_the_new(old, new):
    assert apply_unified(old, diff.unified(old, new, "a", "b")) == new


@given(*[st.lists(st.integers(0, 60), max_size=40)] * 2)
@settings(deadline=None)
def test_unified__longer_texts__give_the_new(old, new):
    before, after = ("".join(f"{each}\n" for each in side) for side in (old, new))

    assert apply_unified(before, diff.unified(before, after, "a", "b")) == after


def test_unified__small_change__shows_three_lines_around_it():
    old = "".join(f"key{i}: {i}\n" for i in range(20)) + "end"

    text = diff.unified(old, old.replace("key9: 9", "key9: 10"), "version 1", "version 2")

    assert text == (
        "--- version 1\n+++ version 2\n@@ -7,7 +7,7 @@\n"
        " key6: 6\n key7: 7\n key8: 8\n-key9: 9\n+key9: 10\n key10: 10\n key11: 11\n key12: 12\n"
    )


def test_unified__equal_texts__is_empty():
    assert diff.unified("a", "a", "x", "y") == ""


def test_unified__last_line_without_its_end__says_so():
    assert diff.unified("a", "a\n", "x", "y").splitlines()[3:] == [
        "-a",
        "\\ No newline at end of file",
        "+a",
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (range(100_000), (i * 7 % 100_003 for i in range(100_000))),
        (range(60_000), range(60_000, 0, -1)),
        ((i % 3 for i in range(200_000)), (i % 7 for i in range(200_000))),
        ((i * i % 1_009 for i in range(100_000)), (i * i * i % 1_009 for i in range(100_000))),
    ],
    ids=["permuted", "reversed", "few lines", "repeated lines"],
)
def test_unified__large_texts_that_share_little__take_bounded_time(old, new):
    before, after = ("".join(f"{each}\n" for each in side) for side in (old, new))

    started = time.process_time()
    text = diff.unified(before, after, "a", "b")

    assert time.process_time() - started < CPU_SECONDS
    assert apply_unified(before, text) == after


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"l": list(range(19_000))}, {"l": list(range(1, 18_000))}),
        ({f"k{i}": {"a": i} for i in range(9_000)}, {f"k{i}": {"a": -i} for i in range(9_000)}),
    ],
    ids=["list", "keys"],
)
def test_changes__large_documents__take_little_time(old, new):
    started = time.process_time()
    diff.changes(old, new)
    diff.changed_keys(old, new)
    merge_three(old, new, {**old, "z": 1})
    made = patching.json_patch(old, diff.patch(old, new))

    assert time.process_time() - started < CPU_SECONDS
    assert made == new

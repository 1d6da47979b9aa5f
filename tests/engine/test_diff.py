import pytest
from hypothesis import given, settings

from apps.engine import diff, patching, values
from apps.engine.errors import DomainError, InvalidError, LimitError, MalformedError
from tests.engine import strategies


@given(strategies.trees(), strategies.trees())
@settings(max_examples=500, deadline=None)
def test_patch__applied_to_the_old__gives_the_new(old, new):
    assert values.same(patching.json_patch(old, diff.patch(old, new)), new)


@given(strategies.trees())
@settings(deadline=None)
def test_changes__same_document__are_none(tree):
    assert diff.changes(tree, tree) == []
    assert diff.changed_keys(tree, tree) == []


def test_changes__added_removed_changed__are_told_apart():
    old = {"a": 1, "b": {"c": 1}, "l": [1, 2, 3]}
    new = {"a": values.number("1.0"), "d": True, "l": [1, 3]}

    found = [(each.key, each.kind) for each in diff.changes(old, new)]

    assert found == [("b", "removed"), ("a", "changed"), ("l[1]", "removed"), ("d", "added")] or (
        sorted(found)
        == sorted([("b", "removed"), ("a", "changed"), ("l[1]", "removed"), ("d", "added")])
    )
    assert diff.changed_keys(old, new) == ["a", "b.c", "d", "l"]


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "pointers"),
    [
        ({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {"a": 2}, {"a": 2}, []),
        ({"a": 1}, {"a": 2}, {"a": 3}, ["/a"]),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 1}}, {}, ["/a"]),
        ({}, {"a": {"x": 1}}, {"a": {"y": 1}}, []),
        ({"l": [1, 2]}, {"l": [3, 2]}, {"l": [1, 4]}, []),
        ({"l": [1, 2]}, {"l": [3, 2]}, {"l": [1]}, ["/l"]),
    ],
)
def test_overlapping__both_sides__lists_what_clashes(base, ours, theirs, pointers):
    assert [each.pointer for each in diff.overlapping(base, ours, theirs)] == pointers


@pytest.mark.parametrize(
    ("operations", "error"),
    [
        ({"op": "add"}, MalformedError),
        ([{"op": "nope", "path": "/a"}], MalformedError),
        ([{"op": "add", "path": "a", "value": 1}], MalformedError),
        ([{"op": "add", "path": "/x/y", "value": 1}], InvalidError),
        ([{"op": "remove", "path": "/nope"}], InvalidError),
        ([{"op": "test", "path": "/a", "value": 1.0}], InvalidError),
        ([{"op": "move", "from": "/o", "path": "/o/x"}], InvalidError),
        ([{"op": "replace", "path": "/l/99", "value": 1}], InvalidError),
        ([{"op": "copy", "from": "", "path": "/l/-"}] * 40, LimitError),
    ],
)
def test_json_patch__bad_patch__is_a_domain_error(operations, error):
    with pytest.raises(error):
        patching.json_patch({"a": 1, "o": {}, "l": [1]}, operations)


@given(strategies.trees(), strategies.trees())
@settings(deadline=None)
def test_json_patch__arbitrary_operations__never_crash(tree, operations):
    try:
        patching.json_patch(tree, [operations])
    except DomainError:
        pass


@pytest.mark.parametrize(
    ("patch", "result"),
    [({"a": None}, {"b": 1}), ({"b": {"c": None, "d": 1}}, {"a": 1, "b": {"d": 1}})],
)
def test_merge_patch__after_rfc_7396__removes_null(patch, result):
    assert patching.merge_patch({"a": 1, "b": 1}, patch) == result

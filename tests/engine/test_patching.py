import copy
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine import merge, patching, resolving, values
from apps.engine.errors import DomainError, InvalidError, MalformedError
from apps.engine.merge import Layer
from apps.engine.merge_keys import NO_KEYS
from tests.engine import strategies
from tests.engine.keyed import keyed
from tests.limits import CPU_SECONDS, examples

BY_NAME = keyed({"hosts": "name", "a.hosts": "name"})


def compose(below, source, merge_keys=NO_KEYS):
    return resolving.compose([Layer("below", below), Layer("own", source)], merge_keys).tree


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [  # the examples of RFC 7396, appendix A, and our own
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": 1}, {"a": values.number("1.0")}, {"a": 1.0}),
    ],
)
def test_merge_patch__rfc_7396__gives_its_results(document, patch, result):
    before = copy.deepcopy(document)

    assert values.same(patching.merge_patch(document, patch), result)
    assert values.same(document, before)


@pytest.mark.parametrize(
    ("document", "operations", "result"),
    [  # after RFC 6902, appendix A
        ({"foo": "bar"}, [("add", "/baz", "qux")], {"foo": "bar", "baz": "qux"}),
        ({"foo": ["bar", "baz"]}, [("add", "/foo/1", "qux")], {"foo": ["bar", "qux", "baz"]}),
        ({"foo": ["bar"]}, [("add", "/foo/-", ["abc"])], {"foo": ["bar", ["abc"]]}),
        ({"foo": 1}, [("add", "/foo", None)], {"foo": None}),
        ({"foo": "bar"}, [("add", "", {"a": 1})], {"a": 1}),
        ({"baz": "qux", "foo": "bar"}, [("remove", "/baz")], {"foo": "bar"}),
        ({"foo": ["a", "b", "c"]}, [("remove", "/foo/1")], {"foo": ["a", "c"]}),
        ({"baz": "qux"}, [("replace", "/baz", "boo")], {"baz": "boo"}),
        ({"a": {"x": 1}, "b": {}}, [("move", "/b/y", "/a/x")], {"a": {}, "b": {"y": 1}}),
        ({"foo": [1, 2, 3]}, [("move", "/foo/2", "/foo/0")], {"foo": [2, 3, 1]}),
        ({"a": 1}, [("move", "/a", "/a")], {"a": 1}),
        ({"a": {"x": 1}}, [("copy", "/b", "/a"), ("add", "/b/y", 2)], None),
        ({"/": 9, "~1": 10}, [("test", "/~01", 10), ("remove", "/~1")], {"~1": 10}),
        ({"": {"": 1}}, [("replace", "//", 2)], {"": {"": 2}}),
        ({"a": {"0": 1}}, [("remove", "/a/0")], {"a": {}}),
    ],
)
def test_json_patch__rfc_6902__gives_its_results(document, operations, result):
    expected = {"a": {"x": 1}, "b": {"x": 1, "y": 2}} if result is None else result
    patch = [
        {
            "op": kind,
            "path": path,
            **{"from" if kind in ("move", "copy") else "value": each for each in rest},
        }
        for kind, path, *rest in operations
    ]
    before = copy.deepcopy([document, patch])

    assert values.same(patching.json_patch(document, patch), expected)
    assert values.same([document, patch], before)


@pytest.mark.parametrize(
    ("operation", "error", "code", "pointer"),
    [
        ("add", MalformedError, "patch", ""),
        ({"op": "nope", "path": "/a"}, MalformedError, "patch", ""),
        ({"op": ["add"], "path": "/a"}, MalformedError, "patch", ""),
        ({"op": "add", "value": 1}, MalformedError, "patch", ""),
        ({"op": "add", "path": "/a"}, MalformedError, "patch", ""),
        ({"op": "copy", "path": "/a"}, MalformedError, "patch", ""),
        ({"op": "add", "path": "a", "value": 1}, MalformedError, "patch", "/path"),
        ({"op": "move", "path": "/a", "from": "~"}, MalformedError, "patch", "/from"),
        ({"op": "add", "path": "/x/y", "value": 1}, InvalidError, "path", "/path"),
        ({"op": "add", "path": "/a/y", "value": 1}, InvalidError, "path", "/path"),
        ({"op": "add", "path": "/l/2", "value": 1}, InvalidError, "path", "/path"),
        ({"op": "add", "path": "/l/01", "value": 1}, InvalidError, "path", "/path"),
        ({"op": "replace", "path": "/l/-", "value": 1}, InvalidError, "path", "/path"),
        ({"op": "replace", "path": "/l/²", "value": 1}, InvalidError, "path", "/path"),
        ({"op": "replace", "path": "/new", "value": 1}, InvalidError, "path", "/path"),
        ({"op": "remove", "path": "/nope"}, InvalidError, "path", "/path"),
        ({"op": "remove", "path": "/nothing/0"}, InvalidError, "path", "/path"),
        ({"op": "copy", "path": "/a", "from": "/nope"}, InvalidError, "path", "/from"),
        ({"op": "move", "path": "/a", "from": "/nope"}, InvalidError, "path", "/from"),
        ({"op": "move", "path": "/o/x", "from": "/o"}, InvalidError, "path", "/path"),
        ({"op": "test", "path": "/a", "value": 1.0}, InvalidError, "test_failed", ""),
        ({"op": "test", "path": "/a", "value": True}, InvalidError, "test_failed", ""),
    ],
)
def test_json_patch__wrong_operation__is_named_with_its_place(operation, error, code, pointer):
    fine = {"op": "test", "path": "/a", "value": 1}

    with pytest.raises(error) as caught:
        patching.json_patch({"a": 1, "o": {}, "l": [1], "nothing": None}, [fine, operation])

    assert [(p.code, p.pointer) for p in caught.value.problems] == [(code, f"/1{pointer}")]


def test_json_patch__no_list__is_refused():
    with pytest.raises(MalformedError):
        patching.json_patch({}, {"op": "add"})


def _deeper(times):
    """Operations that nest one object in another without copying anything."""
    return [
        {"op": "move", "from": "/a", "path": "/b/a"},
        {"op": "move", "from": "/b", "path": "/a"},
        {"op": "add", "path": "/b", "value": {}},
    ] * times


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "copy", "from": "", "path": "/l/-"}] * 40,
        [{"op": "copy", "from": "/text", "path": "/l/-"}] * 20_000,
        [{"op": "add", "path": "/l/0", "value": 1}] * 25_000,
        _deeper(8_000),
        [*_deeper(2_000), {"op": "copy", "from": "/a", "path": "/c"}],
        [{"op": "add", "path": "/a" * depth, "value": {"a": {}}} for depth in range(1, 700)],
        [{"op": "test", "path": "/a" * 500_000, "value": 1}],
        [{"op": "test", "path": "/l/0", "value": 0}] * 25_000,
        [{"op": "move", "from": "/l/0", "path": "/l/-"}] * 20_000 + [{"op": "copy"}],
    ],
    ids=["copies", "text", "nodes", "depth", "deep copy", "deep adds", "path", "test", "moves"],
)
def test_json_patch__hostile_operations__are_refused_in_time(operations):
    started = time.process_time()

    with pytest.raises(DomainError):
        patching.json_patch(
            {"a": {}, "b": {}, "text": "x" * 500_000, "l": list(range(1, 10_000))}, operations
        )

    assert time.process_time() - started < CPU_SECONDS


def test_json_patch__small_copies__are_allowed():
    operations = [{"op": "copy", "from": "/a", "path": "/l/-"}] * 1_000

    assert len(patching.json_patch({"a": {"b": "x"}, "l": []}, operations)["l"]) == 1_000


_pointers = st.sampled_from(["", "/a", "/b", "/a/0", "/a/-", "/a/b", "/hosts/0/name", "/~", "x"])
_operations = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "?"])},
    optional={"path": _pointers, "from": _pointers, "value": strategies.plain},
)


@given(strategies.trees(), st.lists(_operations | strategies.trees(), max_size=6))
@settings(max_examples=examples(300), deadline=None)
def test_json_patch__arbitrary_operations__never_crash_nor_change_their_input(tree, operations):
    before = copy.deepcopy([tree, operations])

    try:
        patching.json_patch(tree, operations)
    except DomainError:
        pass

    assert values.same([tree, operations], before)


@given(st.data(), *[strategies.sources] * 3, st.sampled_from([NO_KEYS, BY_NAME]))
@settings(max_examples=examples(300), deadline=None)
def test_override__edited_document__composes_to_it(data, lowest, lower, source, merge_keys):
    try:
        below = merge.merge_layers([Layer("0", lowest), Layer("1", lower)], merge_keys)
        effective = compose(below, source, merge_keys)
    except InvalidError:
        return
    wanted = data.draw(strategies.edits(effective))
    given_trees = copy.deepcopy([source, below, wanted])

    edited = patching.override(source, below, wanted, merge_keys)

    assert values.same(compose(below, edited, merge_keys), wanted)
    assert values.same([source, below, wanted], given_trees)
    for key in source:
        there = key in effective and key in wanted and "$literal" not in edited
        kept = there and values.same(effective[key], wanted[key])
        assert not kept or values.same(edited.get(key), source[key])
    assert patching.override(source, below, effective, merge_keys) is source


@given(strategies.trees(), strategies.trees(), strategies.trees())
@settings(max_examples=examples(300), deadline=None)
def test_override__source_that_is_not_valid__is_mended(source, below, wanted):
    try:
        lower = merge.merge_layers([Layer("below", below)])
    except InvalidError:
        lower = {}

    edited = patching.override(source, lower, wanted)

    assert values.same(compose(lower, edited), wanted)


@pytest.mark.parametrize(
    ("source", "below", "wanted", "edited"),
    [
        (
            {"name": "shop"},
            {"db": {"pool": 5, "host": "db"}, "log": "info"},
            {"db": {"pool": 9, "host": "db"}, "log": "info", "name": "shop"},
            {"name": "shop", "db": {"pool": 9}},
        ),
        ({"a": 1, "b": 2}, {}, {"b": 2}, {"b": 2}),
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 1}, {"a": 1, "b": {"$remove": True}}),
        ({"a": 1}, {"a": 2}, {}, {"a": {"$remove": True}}),
        ({"a": {"$remove": True}}, {"a": 2}, {"a": 2}, {}),
        ({"a": {"$remove": True}, "b": 1}, {}, {"b": 2}, {"a": {"$remove": True}, "b": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}),
        ({}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}, {"a": {"y": {"$remove": True}}}),
        ({}, {"a": {"x": 1}}, {"a": [1]}, {"a": [1]}),
        ({"a": "$${x}"}, {}, {"a": "${x}", "b": "${y}"}, {"a": "$${x}", "b": "$${y}"}),
        ({}, {}, {"a": {"$remove": True}}, {"a": {"$literal": {"$remove": True}}}),
        ({}, {}, {"a.b": 1, "$id": 2}, {"a.b": 1, "$id": 2}),
        ({"a": {"$literal": {"x": 1}}}, {}, {"a": {"x": 2}}, {"a": {"$literal": {"x": 2}}}),
        (
            {"a": {"$replace": {"x": 1, "t": "$${"}}},
            {"a": {"y": 1}},
            {"a": {"x": 2, "t": "${"}},
            {"a": {"$replace": {"x": 2, "t": "$${"}}},
        ),
        ({"a": {"$append": [2]}}, {"a": [1]}, {"a": [1, 2, 3]}, {"a": {"$append": [2, 3]}}),
        ({"a": {"$prepend": [2]}}, {"a": [1]}, {"a": [3, 1]}, {"a": {"$prepend": [3]}}),
        ({"a": {"$append": [2]}}, {"a": [1]}, {"a": [2]}, {"a": [2]}),
        ({"a": [{"x": "$${"}, 1, 2]}, {}, {"a": [{"x": "${"}, 2]}, {"a": [{"x": "$${"}, 2]}),
        ({"a": 1}, {"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}, {"a": {"y": 2}}),
        ({"a": 1.0}, {}, {"a": 1}, {"a": 1}),
        (
            {"hosts": [{"name": "b", "port": 3}]},
            {"hosts": [{"name": "a", "port": 1}, {"name": "b", "port": 2}, {"name": "c"}]},
            {"hosts": [{"name": "a", "port": 9}, {"name": "b", "port": 3}, {"name": "d"}]},
            {
                "hosts": [
                    {"name": "b", "port": 3},
                    {"name": "a", "port": 9},
                    {"name": "c", "$remove": True},
                    {"name": "d"},
                ]
            },
        ),
        (
            {},
            {"hosts": [{"name": "a"}, {"name": "b"}]},
            {"hosts": [{"name": "b"}, {"name": "a"}]},
            {"hosts": {"$replace": [{"name": "b"}, {"name": "a"}]}},
        ),
    ],
)
def test_override__wanted_document__is_reached_by_the_smallest_edit(source, below, wanted, edited):
    found = patching.override(source, below, wanted, BY_NAME)

    assert values.same(found, edited)
    assert values.same(compose(below, found, BY_NAME), wanted)


@pytest.mark.parametrize("depth", [1, 58])
def test_override__large_documents__take_little_time(depth):
    def document(value):
        tree = {f"key{i}": [i, {"x": value}] for i in range(4_000)}
        for _level in range(depth):
            tree = {"inner": tree}
        return tree

    started = time.process_time()
    edited = patching.override(document(1), document(2), document(3))

    assert values.same(edited, document(3))
    assert time.process_time() - started < CPU_SECONDS

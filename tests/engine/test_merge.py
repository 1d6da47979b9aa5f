import pytest
from hypothesis import given, settings

from apps.engine import merge, patching, values
from apps.engine.errors import InvalidError
from apps.engine.merge import Layer
from tests.engine import strategies


def compose(*trees, merge_keys=None):
    return merge.compose([Layer(str(i), tree) for i, tree in enumerate(trees)], merge_keys or {})


@pytest.mark.parametrize(
    ("below", "above", "result"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [1]}, {"a": {"$append": [2]}}, {"a": [1, 2]}),
        ({"a": [1]}, {"a": {"$prepend": [0]}}, {"a": [0, 1]}),
        ({}, {"a": {"$append": [2]}}, {"a": [2]}),
        ({"a": {"b": 1}}, {"a": {"$replace": {"c": 2}}}, {"a": {"c": 2}}),
        ({"a": 1, "b": 2}, {"a": {"$remove": True}}, {"b": 2}),
        ({}, {"a": {"$remove": True}}, {}),
        ({"a": {"b": 1}}, {"a": {"$literal": {"$remove": True}}}, {"a": {"$remove": True}}),
        ({"a": {"$literal": {"x": 1}}}, {"a": {"y": 2}}, {"a": {"y": 2}}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({}, {"a": "$${x} and $${y}"}, {"a": "${x} and ${y}"}),
        ({"a": {"$literal": "${x}"}}, {}, {"a": "${x}"}),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": 2}}, {"a": {"b": 2}}),
    ],
)
def test_compose__two_layers__give_the_documented_result(below, above, result):
    assert values.same(compose(below, above), result)


def test_compose__list_with_merge_key__merges_items_by_that_member():
    below = {"hosts": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]}
    above = {"hosts": [{"name": "b", "port": 3}, {"name": "c"}, {"name": "a", "$remove": True}]}

    result = compose(below, above, merge_keys={"hosts": "name"})

    assert result == {"hosts": [{"name": "b", "port": 3}, {"name": "c"}]}


@pytest.mark.parametrize(
    ("tree", "code", "pointer"),
    [
        ({"a": {"$append": [1], "b": 2}}, "marker", "/a"),
        ({"a": {"$append": 1}}, "marker", "/a"),
        ({"a": {"$if": "x", "then": 1}}, "marker", "/a"),
        ({"a": {"$remove": 1}}, "marker", "/a"),
        ({"a": ["${other:key}"]}, "reference", "/a/0"),
        ({"a": {"$secret": "x"}}, "secret", "/a"),
    ],
)
def test_compose__what_is_not_understood__names_its_place(tree, code, pointer):
    with pytest.raises(InvalidError) as caught:
        compose({}, tree)

    assert [(each.pointer, each.code) for each in caught.value.problems] == [(pointer, code)]


@given(strategies.trees(), strategies.trees(), strategies.trees())
@settings(max_examples=500, deadline=None)
def test_override__any_wanted_document__composes_to_it(source, below, wanted):
    try:
        lower = merge.merge_layers([Layer("below", below)], {})
    except InvalidError:
        lower = {}

    edited = patching.override(source, lower, wanted, {})

    assert values.same(compose(lower, edited), wanted)


@given(strategies.trees(), strategies.trees())
@settings(max_examples=300, deadline=None)
def test_override__wanted_is_what_there_is__leaves_the_source_alone(source, below):
    try:
        lower = merge.merge_layers([Layer("below", below)], {})
        effective = compose(lower, source)
    except InvalidError:
        return

    assert values.same(patching.override(source, lower, effective, {}), source)


def test_override__one_key_of_many__is_the_only_thing_written():
    below = {"db": {"pool": 5, "host": "db"}, "log": "info"}
    source = {"name": "shop"}

    edited = patching.override(
        source, below, {"db": {"pool": 9, "host": "db"}, "log": "info", "name": "shop"}, {}
    )

    assert edited == {"name": "shop", "db": {"pool": 9}}

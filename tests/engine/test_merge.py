import copy

import pytest
from hypothesis import given, settings

from apps.engine import diff, merge, resolving, values
from apps.engine.errors import InvalidError
from apps.engine.merge import Layer
from apps.engine.merge_keys import NO_KEYS
from apps.engine.overriding import resolve_alone
from tests.engine import strategies
from tests.engine.keyed import keyed
from tests.limits import examples

BY_NAME = keyed({"hosts": "name"})


def layers(*trees):
    return [Layer(str(number), tree) for number, tree in enumerate(trees)]


def compose(*trees, merge_keys=NO_KEYS):
    return resolving.compose(layers(*trees), merge_keys).tree


@pytest.mark.parametrize(
    ("below", "above", "result"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": 1}, {"a": values.number("1.0")}, {"a": 1.0}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({"a": 1}, {"a": {}}, {"a": {}}),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": 2}}, {"a": {"b": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [1]}, {"a": {"$append": [2]}}, {"a": [1, 2]}),
        ({"a": [1]}, {"a": {"$prepend": [0]}}, {"a": [0, 1]}),
        ({}, {"a": {"$append": [2]}}, {"a": [2]}),
        ({"a": {"b": 1}}, {"a": {"$replace": {"c": 2}}}, {"a": {"c": 2}}),
        ({}, {"a": {"$replace": {"c": 2}}}, {"a": {"c": 2}}),
        ({"a": 1}, {"a": {"$replace": {"b": {"$append": [1]}}}}, {"a": {"b": [1]}}),
        ({"a": 1}, {"$replace": {"b": 2}}, {"b": 2}),
        ({"a": 1, "b": 2}, {"a": {"$remove": True}}, {"b": 2}),
        ({}, {"a": {"$remove": True}}, {}),
        ({"a": 1}, {"a": [{"$remove": True}, 1]}, {"a": [1]}),
        ({"a": 1}, {"$remove": True}, {}),
    ],
)
def test_compose__two_layers__give_the_documented_result(below, above, result):
    assert values.same(compose(below, above), result)


@pytest.mark.parametrize(
    ("below", "above", "result"),
    [
        ({"a": {"b": 1}}, {"a": {"$literal": {"$remove": True}}}, {"a": {"$remove": True}}),
        ({"a": {"$literal": {"x": 1}}}, {"a": {"y": 2}}, {"a": {"y": 2}}),
        ({"a": {"$literal": [1]}}, {"b": 1}, {"a": [1], "b": 1}),
        ({"a": {"$literal": {"$if": 1, "x": "${y}"}}}, {}, {"a": {"$if": 1, "x": "${y}"}}),
        ({"a": {"$literal": {"$literal": 1}}}, {}, {"a": {"$literal": 1}}),
        ({}, {"a": "$${x} and $${y}"}, {"a": "${x} and ${y}"}),
        ({}, {"a": "$$${x}", "b": "$x {y} $"}, {"a": "$${x}", "b": "$x {y} $"}),
        ({}, {"$schema": "s", "$id": {"$ref": "r"}}, {"$schema": "s", "$id": {"$ref": "r"}}),
    ],
)
def test_compose__what_only_looks_like_syntax__is_data(below, above, result):
    assert values.same(compose(below, above), result)


@pytest.mark.parametrize(
    ("below", "above", "result"),
    [
        (
            [{"name": "a", "port": 1}, {"name": "b", "port": 2}],
            [{"name": "b", "port": 3}, {"name": "c"}, {"name": "a", "$remove": True}],
            [{"name": "b", "port": 3}, {"name": "c"}],
        ),
        ([{"name": 1}], [{"name": True}], [{"name": 1}, {"name": True}]),
        ([1], [2], [1, 2]),
        ([{"name": "a", "x": 1}], [{"name": "a", "$remove": True}, {"name": "a"}], [{"name": "a"}]),
        ([], [{"name": "a", "$remove": True}], []),
        (5, [{"name": "a", "$remove": True}, {"name": "b"}], [{"name": "b"}]),
        ([{"name": "a"}], {"$replace": [{"name": "b"}]}, [{"name": "b"}]),
        ([{"name": "a"}], {"$append": [{"name": "a"}]}, [{"name": "a"}, {"name": "a"}]),
        ([{"name": "a", "x": {"y": 1}}], [{"name": "a", "x": {"z": 1}}], None),
    ],
)
def test_compose__list_with_merge_key__merges_items_by_that_member(below, above, result):
    expected = [{"name": "a", "x": {"y": 1, "z": 1}}] if result is None else result

    found = compose({"hosts": below}, {"hosts": above}, merge_keys=BY_NAME)

    assert values.same(found, {"hosts": expected})


@pytest.mark.parametrize(
    ("tree", "code", "pointer"),
    [
        ({"a": {"$append": [1], "b": 2}}, "marker", "/a"),
        ({"a": {"$append": 1}}, "marker", "/a"),
        ({"n": {"$append": [1]}}, "marker", "/n"),
        ({"a": {"$replace": {"b/c": {"$append": 1}}}}, "marker", "/a/$replace/b~1c"),
        ({"a": {"$append": [1, {"$remove": 1}]}}, "marker", "/a/$append/1"),
        ({"a": {"$if": "x", "then": 1}}, "marker", "/a"),
        ({"a": [{"$param": "x"}]}, "marker", "/a/0"),
        ({"a": [{"name": "x", "$remove": True}]}, "marker", "/a/0"),
        ({"a": {"$remove": 1}}, "marker", "/a"),
        ({"a": ["${other:key}"]}, "reference", "/a/0"),
        ({"a": "$${x} ${other:x}"}, "reference", "/a"),
        ({"a": {"$secret": 1}}, "secret", "/a"),
        ({"$literal": [1]}, "type", ""),
        ({"$replace": 1}, "type", ""),
    ],
)
def test_compose__what_is_not_understood__names_its_place(tree, code, pointer):
    with pytest.raises(InvalidError) as caught:
        compose({"n": 1}, tree)

    assert [(each.pointer, each.code) for each in caught.value.problems] == [(pointer, code)]


def test_resolve__many_references__names_only_so_many():
    with pytest.raises(InvalidError) as caught:
        resolve_alone(["${x}"] * 1_000)

    assert len(caught.value.problems) == resolving.MAX_PROBLEMS


def test_merge_layers__secrets_and_literals__stay_for_resolving():
    below = {"s": {"$secret": "a"}, "l": {"$literal": {"x": 1}}, "t": "$${x}"}

    assert merge.merge_layers(layers(below, {})) == below
    assert merge.merge_layers(layers(below, {"s": {"$secret": "b"}})) == {
        **below,
        "s": {"$secret": "b"},
    }


@given(strategies.sources, strategies.sources, strategies.sources)
@settings(max_examples=examples(300), deadline=None)
def test_merge_layers__part_of_the_layers_merged_before__makes_no_difference(low, middle, high):
    given = copy.deepcopy([low, middle, high])
    try:
        merged = merge.merge_layers(layers(low, middle))
        at_once = merge.merge_layers(layers(low, middle, high))
    except InvalidError:
        return

    assert values.same(merge.merge_layers(layers(merged, high)), at_once)
    assert values.same([low, middle, high], given)


@given(strategies.trees())
def test_escape_text__any_text__resolves_to_itself(tree):
    for text in (str(tree), "$${", "$$${x}${", "${${"):
        assert resolve_alone(merge.escape_text(text)) == text


@pytest.mark.parametrize(
    ("trees", "expected"),
    [
        (({"a": 1}, {"a": 2}), {"a": ("1",)}),
        (({"a": {"b": 1}}, {"a": {"c": 2}}), {"a.b": ("0",), "a.c": ("1",)}),
        (({"a": [1]}, {"a": {"$append": [2]}}), {"a": ("0", "1")}),
        (({"a": [1]}, {"a": [2]}), {"a": ("1",)}),
        (({"hosts": [{"name": "a"}]}, {"hosts": [{"name": "b"}]}), {"hosts": ("0", "1")}),
        (({"a": {"b": 1}}, {"a": {"$replace": {"b": 1}}}), {"a.b": ("1",)}),
        (({"a": {"b": 1}}, {"a": {"b": {"$remove": True}}}), {"a": ("0", "1")}),
        (({"a": 1, "b": 1}, {"a": {"$remove": True}}), {"b": ("0",)}),
        (({"a": {"$literal": {"x.y": {"z": 1}}}}, {}), {'a["x.y"].z': ("0",)}),
        (({"a": {"$literal": {"x": 1}}}, {"a": {"y": 1}}), {"a.y": ("1",)}),
    ],
)
def test_origins__two_layers__name_who_gave_each_key(trees, expected):
    found = merge.origins(layers(*trees), compose(*trees, merge_keys=BY_NAME), BY_NAME)

    assert {key: origin.gives for key, origin in found.items()} == expected


@pytest.mark.parametrize(
    ("trees", "expected"),
    [
        (({"a": 1}, {"a": 2}, {"a": 3}), {"a": ("0", "1")}),
        (({"a": 1}, {"b": 1}, {"a": 3}), {"a": ("0",), "b": ()}),
        (({"a": 1}, {"a": {"b": {"c": 2}}}, {"a": {"d": 3}}), {"a.b.c": ("0",), "a.d": ("0",)}),
        (({"a": {"b": 1}}, {"a": 2}, {"a": {"b": 3}}), {"a.b": ("0", "1")}),
        (({"a": {"b": 1}}, {"a": {"b": 2}}, {"a": 3}), {"a": ("0", "1")}),
        (({"a": {"$literal": {"b": 1}}}, {"a": {"b": 2}}), {"a.b": ("0",)}),
        (({"a": {"b": 2}}, {"a": {"$literal": {"b": 1, "c": 1}}}), {"a.b": ("0",), "a.c": ("0",)}),
        (({"a": {"$secret": "x"}}, {"a": {"$secret": "y"}}), {"a.$secret": ("0",)}),
        (({"a": {"b": 1}}, {"a": {"$replace": {"c": 1}}}), {"a.c": ("0",)}),
        (({"a": {"$replace": {"b": 1}}}, {"a": {"b": 2}}), {"a.b": ("0",)}),
        (({"a": 1}, {"a": {"$remove": True}}, {"a": 3}), {"a": ("0",)}),
        (({"a": {"b": 1}}, {"a": {"$remove": True}}, {"a": {"b": 3}}), {"a.b": ("0",)}),
        (({"a": [1]}, {"a": {"$append": [2]}}, {"a": [3]}), {"a": ("0", "1")}),
        (({"a": [1]}, {"a": [2]}, {"a": {"$append": [3]}}), {"a": ("0",)}),
        (({"hosts": [{"name": "a"}]}, {"hosts": [{"name": "b"}]}), {"hosts": ()}),
        (({"hosts": "x"}, {"hosts": [{"name": "b"}]}), {"hosts": ("0",)}),
        (({"a": 1}, {"$replace": {"a": 2}}, {"b": 1}), {"a": ("0",), "b": ("0",)}),
    ],
)
def test_origins__of_what_is_replaced__name_each_layer_that_is_hidden(trees, expected):
    found = merge.origins(layers(*trees), compose(*trees, merge_keys=BY_NAME), BY_NAME)

    assert {key: origin.hides for key, origin in found.items()} == expected


@given(strategies.sources, strategies.sources)
@settings(max_examples=examples(300), deadline=None)
def test_origins__any_layers__name_one_for_every_key(low, high):
    try:
        effective = resolving.compose(layers(low, high)).tree
    except InvalidError:
        return

    found = merge.origins(layers(low, high), effective)

    assert found.keys() == set(diff.changed_keys({}, effective))
    assert all(each.gives in (("0",), ("1",), ("0", "1")) for each in found.values())
    assert all(each.hides in ((), ("0",)) for each in found.values())

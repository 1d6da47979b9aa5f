"""By which member the items of a list merge, wherever a schema says so."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine import diff, merge, merging, patching, resolving, values
from apps.engine.merge import Layer
from apps.engine.merge_keys import NO_KEYS, MergeKeys

BY_NAME = {"x-merge-key": "name"}
SCHEMA = {
    "$defs": {
        "named": BY_NAME,
        "port": {"$anchor": "port", "properties": {"tags": {"x-merge-key": "id"}}},
        "tree": {"properties": {"children": BY_NAME | {"items": {"$ref": "#/$defs/tree"}}}},
        "ring": {"$ref": "#/$defs/gnir"},
        "gnir": {"allOf": [{"$ref": "#/$defs/ring"}, {"$ref": "#/$defs/named"}]},
    },
    "allOf": [{"properties": {"all": BY_NAME}}, {"anyOf": [{"properties": {"any": BY_NAME}}]}],
    "properties": {
        "plain": {"type": "array"},
        "direct": BY_NAME,
        "by.dot": {"properties": {"c": BY_NAME}},
        "ref": {"$ref": "#/$defs/named"},
        "sibling": {"x-merge-key": "id", "$ref": "#/$defs/named"},
        "items": {"items": {"properties": {"ports": BY_NAME}}},
        "deep": BY_NAME | {"items": {"properties": {"ports": {"items": {"$ref": "#port"}}}}},
        "tuple": {"prefixItems": [{}, {"properties": {"x": BY_NAME}}]},
        "tree": {"$ref": "#/$defs/tree"},
        "ring": {"$ref": "#/$defs/ring"},
        "open": {
            "properties": {"shut": {}},
            "patternProperties": {"^h": {"x-merge-key": "id"}},
            "additionalProperties": BY_NAME,
        },
        "when": {"if": {}, "then": {"properties": {"x": BY_NAME}}},
        "number": {"x-merge-key": 5},
    },
}


@pytest.mark.parametrize(
    ("path", "member"),
    [
        ((), None),
        (("other",), None),
        (("s",), None),
        (("s", "plain"), None),
        (("s", "direct"), "name"),
        (("s", "direct", 3), None),
        (("s", "by.dot", "c"), "name"),
        (("s", "all"), "name"),
        (("s", "any"), "name"),
        (("s", "ref"), "name"),
        (("s", "sibling"), "id"),
        (("s", "items", 7, "ports"), "name"),
        (("s", "items", "ports"), None),
        (("s", "deep", 1, "ports", 2, "tags"), "id"),
        (("s", "tuple", 1, "x"), "name"),
        (("s", "tree", "children"), "name"),
        (("s", "tree", "children", 0, "children", 9, "children"), "name"),
        (("s", "ring"), "name"),
        (("s", "open", "shut"), None),
        (("s", "open", "hosts"), "id"),
        (("s", "open", "else"), "name"),
        (("s", "when", "x"), "name"),
        (("s", "number"), None),
    ],
)
def test_merge_key__of_a_schema__is_found_wherever_it_holds(path, member):
    keys = MergeKeys({"s": SCHEMA, "other": {"type": "array"}})

    assert keys.of(path) == member


def test_merge_keys__of_schemas_that_name_none__are_equal():
    assert MergeKeys({"a": {"type": "array"}, "b": True}) == NO_KEYS
    assert MergeKeys({"a": BY_NAME}) == MergeKeys({"a": BY_NAME, "b": {}}) != NO_KEYS


def test_merge_key__behind_references_that_double__is_found_in_linear_time():
    doubled = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}
    keys = MergeKeys({"s": {"$ref": "#/$defs/d0", "$defs": doubled | {"d40": BY_NAME}}})

    began = time.process_time()
    found = keys.of(("s",))

    assert found == "name"
    assert time.process_time() - began < 1


TREE = MergeKeys(
    {
        "s": {
            "$ref": "#/$defs/list",
            "$defs": {
                "list": {"allOf": [BY_NAME], "items": {"$ref": "#/$defs/item"}},
                "item": {"properties": {"in": {"$ref": "#/$defs/list"}}},
            },
        }
    }
)


def test_merge__lists_in_items__merge_by_name_on_every_level():
    below = {"s": [{"name": "a", "in": [{"name": "x", "p": 1}, {"name": "y", "p": 2}]}]}
    above = {"s": [{"name": "a", "in": [{"name": "y", "p": 3}, {"name": "x", "$remove": True}]}]}

    assert merge.merge(below, above, TREE) == {"s": [{"name": "a", "in": [{"name": "y", "p": 3}]}]}


def test_diff__lists_in_items__go_by_name():
    old = {"s": [{"name": "a", "in": [{"name": "x"}, {"name": "y"}, {"name": "z"}]}]}
    new = {"s": [{"name": "a", "in": [{"name": "z"}, {"name": "x"}, {"name": "y"}]}]}

    found = [each.as_dict() for each in diff.changes(old, new, TREE)]

    assert [(each["kind"], each["key"], each["item"]) for each in found] == [
        ("moved", "s[0].in[0]", {"name": "z"})
    ]


def test_merge_three__lists_in_items__keep_what_each_side_added():
    def side(*names):
        return {"s": [{"name": "a", "in": [{"name": each} for each in names]}]}

    made = merging.merge_three(side("x"), side("x", "y"), side("w", "x"), TREE)

    assert (made.tree, made.conflicts) == (side("w", "x", "y"), [])


def _lists(depth=2):
    names = st.lists(st.sampled_from("abcd"), unique=True, max_size=3)
    inner = _lists(depth - 1) if depth else st.just([])

    def items(chosen):
        each = st.fixed_dictionaries({"p": st.integers(0, 2), "in": inner})
        return st.tuples(*[each.map(lambda rest, n=name: {"name": n, **rest}) for name in chosen])

    return names.flatmap(items).map(list)


@given(_lists(), _lists(), _lists())
@settings(deadline=None)
def test_edit__of_lists_in_items__composes_to_what_is_wanted(below, source, wanted):
    below, source, wanted = ({"s": side} for side in (below, source, wanted))

    edited = patching.override(source, below, wanted, TREE)
    patch = diff.patch(below, wanted, TREE)

    layers = [Layer("below", below), Layer("own", edited)]
    assert values.same(resolving.compose(layers, TREE).tree, wanted)
    assert values.same(patching.json_patch(below, patch), wanted)

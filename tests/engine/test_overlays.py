import pytest
from hypothesis import given

from apps.engine import overlays, patching, spots, values
from apps.engine.errors import InvalidError
from apps.engine.spots import Spot
from tests.engine import strategies


def lay(below, patch, secrets=()):
    return overlays.lay(below, secrets, patch)


@pytest.mark.parametrize(
    ("below", "patch", "result"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 9}}, {"a": {"b": 9, "c": 2}}),
        ({"a": {"b": 1}}, {"a": None, "d": [1]}, {"d": [1]}),
        ({"a": "x"}, {"a": "cost: $${price}"}, {"a": "cost: ${price}"}),
        ({"a": 1}, {"a": {"$literal": {"$secret": "x"}}}, {"a": {"$secret": "x"}}),
    ],
)
def test_lay__values__gives_the_merge_patch_of_them(below, patch, result):
    overlays.check_patch(patch)
    assert lay(below, patch) == (result, ())


def test_lay__secrets__stand_where_the_patch_puts_them_and_go_where_it_takes_their_place():
    below = {"a": {"$secret": "old"}, "b": {"$secret": "kept"}, "t": "x${secret:old}"}
    secrets = (Spot(("a",), ("old",)), Spot(("b",), ("kept",)), Spot(("t",), ("old",), ("x", "")))

    tree, found = lay(below, {"a": {"host": "h"}, "t": {"$secret": "new"}}, secrets)

    assert tree == {"a": {"host": "h"}, "b": {"$secret": "kept"}, "t": {"$secret": "new"}}
    assert [(spot.path, spot.names) for spot in found] == [(("b",), ("kept",)), (("t",), ("new",))]


def test_lay__a_secret_over_a_secret__names_the_new_one_alone():
    tree, found = lay(
        {"a": {"$secret": "old"}}, {"a": {"$secret": "new"}}, [Spot(("a",), ("old",))]
    )

    assert (tree, spots.names_of(found)) == ({"a": {"$secret": "new"}}, ["new"])


@given(strategies.trees(), strategies.trees())
def test_lay__any_two_documents__is_rfc_7396_where_nothing_is_syntax(below, patch):
    try:
        overlays.check_patch(patch)
    except InvalidError:
        return
    if "$" in values.canonical(patch) or "$" in values.canonical(below):
        return
    tree, found = lay(below, patch)

    assert found == ()
    assert values.same(tree, patching.merge_patch(below, patch))


@pytest.mark.parametrize(
    ("patch", "pointer", "code"),
    [
        ([1], "", "type"),
        ({"a": {"b": "${other:key}"}}, "/a/b", "reference"),
        ({"a": ["x ${self:k:-1}"]}, "/a/0", "reference"),
        ({"a": "${param:p}"}, "/a", "reference"),
        ({"a": "${"}, "/a", "reference"),
        ({"a": {"$replace": 1}}, "/a/$replace", "marker"),
        ({"a": {"$remove": True}}, "/a/$remove", "marker"),
        ({"a": {"$secret": ""}}, "/a/$secret", "marker"),
    ],
)
def test_check__of_what_composing_is_for__names_its_place(patch, pointer, code):
    with pytest.raises(InvalidError) as refused:
        overlays.check_patch(patch)

    assert [(each.pointer, each.code) for each in refused.value.problems] == [(pointer, code)]


def test_lay__beyond_the_limits__is_refused():
    wide = {f"k{index}": index for index in range(15_000)}
    other = {f"j{index}": index for index in range(15_000)}

    with pytest.raises(InvalidError) as refused:
        lay(wide, other)

    assert [each.code for each in refused.value.problems] == ["limit"]


def test_changed_paths__of_a_patch__are_what_it_sets_and_removes():
    patch = {"a": {"b": 1, "c": None}, "d": {"$secret": "s"}, "e": [1], "f": {}}

    assert overlays.changed_paths(patch) == [("a", "b"), ("a", "c"), ("d",), ("e",), ("f",)]

"""Taking chosen keys of one document into another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.choosing import EVERYTHING, with_chosen
from apps.engine.paths import Glob, find
from apps.engine.values import same
from tests.engine import strategies

NOW = {"a": {"x": 1, "y": 2}, "b": 1, "list": [1]}
OTHER = {"a": {"x": 9, "z": 3}, "c": 5, "list": [2, 3]}


@pytest.mark.parametrize(
    ("chosen", "kept", "wanted"),
    [
        (["**"], [], OTHER),
        (["nothing"], [], NOW),
        (["a.x"], [], {**NOW, "a": {"x": 9, "y": 2}}),
        (["a.y"], [], {**NOW, "a": {"x": 1}}),
        (["a.*"], [], {**NOW, "a": {"x": 9, "z": 3}}),
        (["c"], [], {**NOW, "c": 5}),
        (["b"], [], {"a": NOW["a"], "list": [1]}),
        (["list[0]"], [], NOW),
        (["list"], [], {**NOW, "list": [2, 3]}),
        (["**"], ["a.x"], {**OTHER, "a": {"x": 1, "z": 3}}),
        (["**"], ["b"], {**OTHER, "b": 1}),
        (["**"], ["c"], {"a": OTHER["a"], "list": [2, 3]}),
        (["**"], ["**"], NOW),
        (["a.**"], ["**.y"], {**NOW, "a": {"x": 9, "y": 2, "z": 3}}),
    ],
)
def test_chosen__keys__are_as_in_the_other_and_the_rest_stays(chosen, kept, wanted):
    found = with_chosen(NOW, OTHER, [Glob(each) for each in chosen], [Glob(each) for each in kept])

    assert found == wanted


@pytest.mark.parametrize(
    ("now", "other", "chosen", "kept", "wanted"),
    [
        ({}, {"a": {"x": 1}}, ["a.x"], [], {"a": {"x": 1}}),
        ({}, {"a": {"x": 1}}, ["a.y"], [], {}),
        ({"a": 1}, {"a": {"x": 1}}, ["a.x"], [], {"a": 1}),
        ({"a": {"x": 1}}, {"a": 1}, ["a.x"], [], {"a": {}}),
        ({"a": {"x": 1}}, {}, ["a"], ["a.x"], {"a": {"x": 1}}),
        ({"a": {"x": 1}}, {"a": 2}, ["a"], ["a.x"], {"a": 2}),
        ({"a": 2}, {"a": {"x": 1}}, ["a"], ["a.x"], {"a": {}}),
        ({"a": {"$secret": "s"}}, {"a": {"$secret": "t"}}, ["a"], [], {"a": {"$secret": "t"}}),
        ({"a": {"$secret": "s"}}, {"a": {"$secret": "t"}}, ["a.*"], [], {"a": {"$secret": "s"}}),
    ],
)
def test_chosen__keys_of_other_shapes__follow_the_side_that_is_taken(
    now, other, chosen, kept, wanted
):
    globs = [[Glob(each) for each in texts] for texts in (chosen, kept)]

    assert with_chosen(now, other, *globs) == wanted


few = st.sampled_from("abc")
globs = st.lists(st.sampled_from(["a", "a.b", "*.c", "**.a", "b.*", "c.**"]).map(Glob), max_size=3)


@given(strategies.trees(key=few), strategies.trees(key=few), globs, globs)
def test_chosen__property__each_key_is_of_the_side_that_the_globs_say(now, other, chosen, kept):
    found = with_chosen(now, other, chosen, kept)

    assert same(with_chosen(now, now, chosen, kept), now)
    assert same(with_chosen(now, other, EVERYTHING), other)
    for key in "abc":
        if any(glob.covers((key,)) for glob in kept):
            side = now
        elif any(glob.reaches((key,)) for glob in (*chosen, *kept)):
            continue
        else:
            side = now
        assert find(found, (key,)) == find(side, (key,))

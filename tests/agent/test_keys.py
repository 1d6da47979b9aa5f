"""Key paths, patterns over them, and what counts as a change."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configsvc_client.keys import Pattern, changes, find, own, parse

DOCUMENT = {"a": {"b": [10, {"c.d": 1}], "db_host": None}, 'x"y\\z': 0, "0": "text"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 0.1, "", "x"]),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from("abc"), each),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("key", "found", "value"),
    [
        ("", True, DOCUMENT),
        ("a.b[0]", True, 10),
        ('a.b[1]["c.d"]', True, 1),
        ('a["b"][0]', True, 10),
        ('["x\\"y\\\\z"]', True, 0),
        ("a.db_host", True, None),
        ("0", True, "text"),
        ("a.b[2]", False, None),
        ("a[0]", False, None),
        ("a.b.0", False, None),
        ("a.b[0].deeper", False, None),
    ],
)
def test_find__path__gives_what_is_there(key, found, value):
    assert find(DOCUMENT, parse(key)) == (found, value)


@pytest.mark.parametrize("key", ["a..b", ".a", "a.", "a[", "a[x]", "a]b", 'a["b', "a[0]b", "a[*]"])
def test_parse__no_key__is_refused(key):
    with pytest.raises(ValueError, match=r"no key|A pattern"):
        parse(key)


@pytest.mark.parametrize(
    ("pattern", "path", "covers"),
    [
        ("settings", ("settings", "timeout"), True),
        ("settings.**", ("settings", "db", "pool"), True),
        ("settings.**", ("settingsx",), False),
        ("**.pool", ("a", "b", "pool"), True),
        ("**.pool", ("pool",), True),
        ("*.timeout", ("a", "timeout"), True),
        ("*.timeout", ("a", "b", "timeout"), False),
        ("db_*", ("db_host",), True),
        ("hosts[*].port", ("hosts", 3, "port"), True),
        ("hosts[1]", ("hosts", 2), False),
        ('["a*"]', ("ab",), False),
        ('["a*"]', ("a*",), True),
        ("**", (), True),
        ("a.b", ("a",), False),
    ],
)
def test_covers__pattern_and_path__as_the_contract_says(pattern, path, covers):
    assert Pattern(pattern).covers(path) is covers


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ({"a": 1}, {"a": True}, {("a",)}),
        ({"a": 1}, {"a": 1.0}, {("a",)}),
        ({"a": {}}, {"a": {"b": 1}}, {("a", "b")}),
        ({"a": [1, 2]}, {"a": [1]}, {("a", 1)}),
        ({"a": {"b": 1}}, {"a": None}, {("a",), ("a", "b")}),
        ({"a": 1}, {"a": 1}, set()),
        ({"a": {}}, {}, {("a",)}),
    ],
)
def test_changes__two_documents__names_the_leaves(old, new, paths):
    assert set(changes(old, new)) == paths


@given(JSON, JSON)
def test_changes__any_two_values__are_none_only_for_the_same(old, new):
    texts = [json.dumps(each, sort_keys=True) for each in (old, new)]

    assert bool(list(changes(old, new))) == (texts[0] != texts[1])
    assert not list(changes(old, own(old)))

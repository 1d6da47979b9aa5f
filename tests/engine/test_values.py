import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine import values
from apps.engine.errors import LimitError, MalformedError


@pytest.mark.parametrize(
    "literal", ["0", "-0", "0.1", "1.10", "9007199254740993", "1e3", "1E+3", "-0.0", "1e-400"]
)
def test_number__literal__is_written_back_digit_by_digit(literal):
    assert values.canonical(values.number(literal)) == literal


@pytest.mark.parametrize("literal", ["1e400", "NaN", "01", "1.", ".5", "+1", "0x1"])
def test_number__not_a_finite_json_number__is_refused(literal):
    with pytest.raises(MalformedError):
        values.number(literal)


def test_canonical__members_with_numbers__are_sorted_by_code_point():
    tree = {"é": 1, "z": values.number("1.10"), "a": {}, "😀": [], "\ufffd": [None, True, "x"]}

    text = values.canonical(tree)

    assert text == '{"a":{},"z":1.10,"é":1,"\ufffd":[null,true,"x"],"😀":[]}'


numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
literals = st.sampled_from(["1.10", "-0", "1e3", "2.50"]).map(values.number)
trees = st.recursive(
    st.none() | st.booleans() | numbers | literals | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(trees)
def test_canonical__any_tree__reads_back_the_same(tree):
    again = values.parse_canonical(values.canonical(tree))

    assert values.same(again, tree)
    assert values.canonical(again) == values.canonical(tree)


@pytest.mark.parametrize(("left", "right"), [(1, 1.0), (True, 1), (0.0, -0.0), ([1], [True])])
def test_same__different_bytes__differ(left, right):
    assert not values.same(left, right)
    assert values.canonical(left) != values.canonical(right)


def test_check__too_deep__names_the_limit():
    tree: object = 1
    for _ in range(values.MAX_DEPTH + 1):
        tree = [tree]

    with pytest.raises(LimitError, match="64"):
        values.check(tree)


@pytest.mark.parametrize(
    ("tree", "pointer"),
    [
        ({"a": {"b/c": "x\x00"}}, "/a/b~1c"),
        ({"a": ["\ud800"]}, "/a/0"),
        ({"a": float("inf")}, "/a"),
    ],
)
def test_check__unstorable_value__names_its_place(tree, pointer):
    with pytest.raises(MalformedError) as caught:
        values.check(tree)

    assert caught.value.problems[0].pointer == pointer

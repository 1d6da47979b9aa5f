"""Splits: as documented, even, independent, and as still as they can be."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.bucketing import SLOT_VECTORS, SLOTS, VECTORS, Split, slot

UNITS = 1_000_000
TOLERANCE = 0.002


@pytest.mark.parametrize(("seed", "unit", "weights", "wanted"), VECTORS)
def test_choose__published_vectors__hold(seed, unit, weights, wanted):
    assert Split(seed, weights).choose(unit) == wanted


@pytest.mark.parametrize(("seed", "unit", "wanted"), SLOT_VECTORS)
def test_slot__published_vectors__hold(seed, unit, wanted):
    assert slot(seed, unit) == wanted


def test_choose__a_million_units__every_share_within_a_fifth_of_a_point():
    weights = {"a": 50, "b": 30, "c": 19, "d": 1}
    split = Split("a-million", weights)

    counts = Counter(split.choose(f"user-{n}") for n in range(UNITS))

    assert counts.keys() == weights.keys()
    for name, weight in weights.items():
        assert abs(counts[name] / UNITS - weight / 100) < TOLERANCE, name


def test_choose__two_flags__are_independent():
    """Pearson's chi-squared of the table of both choices; 4 degrees of freedom, 23.5 is p = 0.0001."""
    weights = {"a": 50, "b": 30, "c": 20}
    one, other = Split("flag-one", weights), Split("flag-two", weights)
    number = 100_000
    units = [f"{n}" for n in range(number)]

    table = Counter((one.choose(unit), other.choose(unit)) for unit in units)

    expected = {
        pair: number * weights[pair[0]] * weights[pair[1]] / 10_000
        for pair in itertools.product(weights, repeat=2)
    }
    chi = sum((table[pair] - wanted) ** 2 / wanted for pair, wanted in expected.items())
    assert chi < 23.5
    same = Counter((one.choose(unit), one.choose(unit)) for unit in units[:1000])
    assert all(left == right for left, right in same)


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        ({"on": 25, "off": 75}, {"on": 40, "off": 60}, 0.15),
        ({"on": 0, "off": 100}, {"on": 1, "off": 99}, 0.01),
        ({"a": 50, "b": 50}, {"a": 45, "b": 45, "new": 10}, 0.10),
        ({"a": 50, "b": 30, "c": 20}, {"a": 62.5, "b": 37.5}, 0.20),
    ],
)
def test_choose__one_weight_moved__moves_the_fewest_units_that_it_must(before, after, moved):
    first, then = Split("moving", before), Split("moving", after)
    number = 200_000

    moves = Counter((first.choose(f"{n}"), then.choose(f"{n}")) for n in range(number))

    count = sum(size for (old, new), size in moves.items() if old != new)
    assert abs(count / number - moved) < TOLERANCE
    grown = {name for name in after if after[name] > before.get(name, 0)}
    if len(grown) == 1:
        assert {new for old, new in moves if old != new} == grown


@given(
    st.dictionaries(st.text(max_size=8), st.floats(0.01, 100), min_size=2, max_size=6),
    st.text(max_size=20),
    st.text(max_size=20),
    st.floats(1.0, 50.0),
)
def test_choose__a_weight_that_grows__takes_units_and_moves_no_others(weights, seed, unit, factor):
    name = min(weights)
    before, after = Split(seed, weights), Split(seed, {**weights, name: weights[name] * factor})

    old, new = before.choose(unit), after.choose(unit)

    assert new in (old, name)
    assert Split(seed, dict(reversed(weights.items()))).choose(unit) == old


def test_slot__many_units__are_spread_evenly():
    number = 500_000

    tenths = Counter(slot("space", f"{n}") * 10 // SLOTS for n in range(number))

    assert all(abs(tenths[n] / number - 0.1) < TOLERANCE for n in range(10))


def test_split__no_weight_above_zero__is_refused():
    with pytest.raises(ValueError, match="No weight"):
        Split("s", {"a": 0})


def test_choose__weights_whose_scores_no_double_holds__is_a_choice_still():
    split = Split("seed", {"b": 1e-320, "a": 1e-320})

    assert {split.choose(f"{n}") for n in range(100)} == {"a"}

"""What holds of the statistics of experiments for any aggregates."""

import math
from dataclasses import astuple

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from apps.engine.experiments import always_valid, fixed_horizon
from apps.engine.experiments.aggregates import Conversions, Values
from apps.engine.experiments.corrections import correct_by_holm
from apps.engine.experiments.statistics import ConversionMetric, ValueMetric, compare_variants

WAYS = pytest.mark.parametrize("way", [fixed_horizon, always_valid])
alphas = st.sampled_from([0.001, 0.01, 0.05, 0.2])
magnitudes = st.integers(0, 40).flatmap(lambda bits: st.integers(2**bits - 1, 2**bits))


@st.composite
def conversions(draw, most=10**12):
    units = draw(magnitudes.filter(lambda count: count <= most))
    few = draw(st.integers(0, min(units, 300)))
    hits = draw(st.one_of(st.just(few), st.just(units - few), st.integers(0, units)))
    return Conversions(units, hits)


@st.composite
def values(draw, fewest=1, spread=0.0):
    """Aggregates of units with any mean and a spread, of at least ``spread``, that a float can tell
    apart.
    """
    units = fewest + draw(magnitudes)
    mean = draw(st.floats(-1e6, 1e6))
    deviation = draw(st.floats(spread, 1e6))
    zeros = draw(st.sampled_from([0, units // 1_000, units // 2]))
    skew = draw(st.none() | st.floats(-30, 30))
    squares = mean * mean + deviation * deviation
    cubes = None if skew is None else mean * (squares + 2 * deviation**2) + skew * deviation**3
    return Values(
        units, units * mean, units * squares, zeros, None if cubes is None else units * cubes
    )


def compare(way, control, treatment, alpha=0.05):
    name = "compare_conversions" if isinstance(control, Conversions) else "compare_values"
    return getattr(way, name)(control, treatment, alpha)


pairs = st.tuples(conversions(), conversions()) | st.tuples(values(), values())


@given(pairs, alphas)
def test_compare_variants__any__contains_its_estimate_and_is_a_number(pair, alpha):
    control, treatment = pair
    metric = ConversionMetric if isinstance(control, Conversions) else ValueMetric

    (found,) = compare_variants([metric("m", control, {"t": treatment})], alpha=alpha)

    for said in (found.fixed_horizon, found.always_valid):
        assert 0 <= said.p_value <= 1
        ends = (*(said.absolute or ()), *(said.relative or ()))
        assert all(map(math.isfinite, ends))
        if said.absolute is not None:
            assert said.absolute.low <= found.absolute_lift <= said.absolute.high
        if said.relative is not None:
            near = pytest.approx(found.relative_lift, rel=1e-9, abs=1e-9)
            assert said.relative.low <= found.relative_lift or said.relative.low == near
            assert found.relative_lift <= said.relative.high or said.relative.high == near
    if metric is ConversionMetric and found.fixed_horizon.absolute:
        assert all(-1 <= end <= 1 for end in found.fixed_horizon.absolute)


@WAYS
@given(pair=pairs, alpha=alphas)
def test_compare__control_and_treatment_swapped__flips_the_signs(way, pair, alpha):
    one, other = compare(way, *pair, alpha), compare(way, *reversed(pair), alpha)

    assert one.p_value == pytest.approx(other.p_value, rel=1e-9)
    assert (one.absolute is None) == (other.absolute is None)
    if one.absolute is not None:
        size = max(abs(one.absolute.low), abs(one.absolute.high))
        flipped = (-other.absolute.high, -other.absolute.low)
        assert one.absolute == pytest.approx(flipped, rel=1e-9, abs=size * 1e-9)


@WAYS
@given(pair=st.tuples(conversions(), conversions()), alpha=alphas)
def test_compare_conversions__conversions_and_the_rest_swapped__flips_the_signs(way, pair, alpha):
    rest = [Conversions(counts.units, counts.units - counts.conversions) for counts in pair]

    one, other = compare(way, *pair, alpha), compare(way, *rest, alpha)

    assert one.p_value == pytest.approx(other.p_value, rel=1e-4, abs=1e-9)
    if one.absolute is not None:
        assert one.absolute == pytest.approx(
            (-other.absolute.high, -other.absolute.low), rel=1e-6, abs=1e-12
        )


@WAYS
@given(pair=st.tuples(values(), values()), power=st.integers(-30, 30))
@example(pair=(Values(127, 0.0, 0.0), Values(127, 0.0, 1.255e-321)), power=0)
def test_compare_values__values_scaled__scales_the_interval_alone(way, pair, power):
    factor = 2.0**power  # exact, but for what is too small for a float to hold all its digits
    scaled = [
        Values(
            arm.units,
            arm.total * factor,
            arm.total_of_squares * factor**2,
            arm.zeros,
            None if arm.total_of_cubes is None else arm.total_of_cubes * factor**3,
        )
        for arm in pair
    ]

    one, other = compare(way, *pair), compare(way, *scaled)
    assume(all(arm.total_of_squares == 0 or arm.total_of_squares > 1e-250 for arm in scaled))

    assert other.p_value == pytest.approx(one.p_value, rel=1e-6, abs=0)
    assert near(other.relative, one.relative, 1)
    assert near(other.absolute, one.absolute, factor)


def near(found, given, factor):
    """Whether an interval is another times ``factor``, or both are none."""
    if found is None or given is None:
        return found is given
    return found == pytest.approx([end * factor for end in given], rel=1e-6, abs=0)


@WAYS
@given(pair=pairs, times=st.integers(2, 1_000), alpha=alphas)
def test_compare__more_units_at_equal_rates__is_never_wider(way, pair, times, alpha):
    def more(arm):
        if isinstance(arm, Conversions):
            return Conversions(arm.units * times, arm.conversions * times)
        return Values(*(None if each is None else each * times for each in astuple(arm)))

    before, after = (
        compare(way, *pair, alpha).absolute,
        compare(way, *map(more, pair), alpha).absolute,
    )
    assume(before is not None)

    size = max(abs(before.low), abs(before.high))
    assert after.high - after.low <= (before.high - before.low) * (1 + 1e-6) + size * 1e-12


@given(pair=pairs, alpha=alphas)
def test_always_valid__p_value__agrees_with_its_interval(pair, alpha):
    said = compare(always_valid, *pair, alpha)
    assume(said.absolute is not None and abs(said.p_value - alpha) > alpha * 1e-6)

    assert (said.p_value < alpha) == (not said.absolute.low <= 0 <= said.absolute.high)


@given(pair=st.tuples(values(), values()), alpha=alphas)
def test_welch__p_value__agrees_with_its_interval(pair, alpha):
    said = compare(fixed_horizon, *pair, alpha)
    assume(said.absolute is not None and abs(said.p_value - alpha) > alpha * 1e-6)

    assert (said.p_value < alpha) == (not said.absolute.low <= 0 <= said.absolute.high)


@WAYS
@given(pair=pairs)
def test_compare__more_confidence__is_never_narrower(way, pair):
    sure, surer = compare(way, *pair, 0.05), compare(way, *pair, 0.01)
    assume(sure.absolute is not None)

    slack = 1e-12 * max(map(abs, surer.absolute))
    assert surer.absolute.low <= sure.absolute.low + slack
    assert surer.absolute.high >= sure.absolute.high - slack
    if surer.relative is not None:
        slack = 1e-9 * (1 + max(map(abs, surer.relative)))
        assert surer.relative.low <= sure.relative.low + slack
        assert surer.relative.high >= sure.relative.high - slack


KNOWN = values(fewest=always_valid.MINIMUM_UNITS, spread=10.0)
"""Values of which something is said at every look."""


@given(pair=st.tuples(KNOWN, KNOWN))
def test_always_valid__at_any_time__is_wider_than_a_single_look(pair):
    once, always = compare(fixed_horizon, *pair), compare(always_valid, *pair)

    assert always.absolute.low <= once.absolute.low
    assert always.absolute.high >= once.absolute.high


@given(st.lists(st.floats(0, 1), max_size=12))
def test_correct_by_holm__any_p_values__are_not_smaller_and_keep_their_order(p_values):
    corrected = correct_by_holm(p_values)

    assert all(raw <= found <= 1 for raw, found in zip(p_values, corrected, strict=True))
    assert all(found <= raw * len(p_values) for raw, found in zip(p_values, corrected, strict=True))
    ranked = [found for _, found in sorted(zip(p_values, corrected, strict=True))]
    assert ranked == sorted(corrected)
    assert not any(math.isnan(found) for found in corrected)

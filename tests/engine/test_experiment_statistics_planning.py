"""How many units an experiment needs, and whether they were split as intended."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from apps.engine.experiments.power import (
    RequiredUnits,
    power_of_conversions,
    power_of_values,
    required_units_of_conversions,
    required_units_of_values,
)
from apps.engine.experiments.sample_ratio import compare_shares


def test_compare_shares__example_of_kohavi_tang_and_xu__is_a_mismatch():
    """ "Trustworthy Online Controlled Experiments" (2020), chapter 21: 821,588 users of the control,
    815,482 of the treatment, half and half intended: p = 1.8e-6.
    """
    found = compare_shares(
        {"control": 821_588, "treatment": 815_482}, {"control": 1, "treatment": 1}
    )

    assert found.p_value == pytest.approx(1.8e-6, abs=5e-8)
    assert found.mismatch
    assert found.expected == {"control": 818_535, "treatment": 818_535}


def test_compare_shares__peas_of_mendel__are_as_intended():
    """Mendel (1866), round or wrinkled and yellow or green, 9:3:3:1; chi-squared 0.470 as in R's manual
    of ``chisq.test`` and many a textbook.
    """
    observed = {
        "round yellow": 315,
        "wrinkled yellow": 101,
        "round green": 108,
        "wrinkled green": 32,
    }
    shares = dict(zip(observed, (9, 3, 3, 1), strict=True))

    found = compare_shares(observed, shares)

    assert found.p_value == pytest.approx(stats.chi2.sf(0.470024, 3), abs=1e-6)
    assert not found.mismatch


@pytest.mark.parametrize(
    ("units", "shares", "p_value"),
    [
        ({"a": 10}, {"a": 1}, 1),
        ({"a": 0, "b": 0}, {"a": 1, "b": 1}, 1),
        ({"a": 3, "b": 0}, {"a": 1, "b": 1}, 1),
        ({"a": 1_000, "b": 1}, {"a": 1, "b": 1e-9}, 1),
        ({"a": 500, "b": 500, "c": 1}, {"a": 1, "b": 1, "c": 1e-9}, 1),
        ({"a": 1_000, "b": 0}, {"a": 1, "b": 0}, 1),
        ({"a": 1_000, "b": 1}, {"a": 1, "b": 0}, 0),
        ({"a": 10**12, "b": 10**12}, {"a": 0.5, "b": 0.5}, 1),
        ({"a": 10**12, "b": 10**12 + 10**8}, {"a": 0.5, "b": 0.5}, 0),
        ({"a": 2, "b": 2, "c": 2, "d": 2}, {"a": 1, "b": 1, "c": 1, "d": 1}, 1),
    ],
)
def test_compare_shares__degenerate_units_or_shares__is_defined(units, shares, p_value):
    found = compare_shares(units, shares)

    assert found.p_value == pytest.approx(p_value, abs=0.1 if "c" in units else 1e-9)
    assert found.mismatch == (p_value == 0)


def test_compare_shares__variants_of_few_units__are_taken_together():
    units, shares = {"a": 900, "b": 60, "c": 14, "d": 0}, {"a": 95, "b": 4.6, "c": 0.2, "d": 0.2}

    found = compare_shares(units, shares)

    assert list(found.expected.values()) == pytest.approx([925.3, 44.804, 1.948, 1.948])
    reference = stats.chisquare([900, 74], [925.3, 48.7])
    assert found.p_value == pytest.approx(reference.pvalue)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**12), st.just(0.0) | st.floats(1e-12, 1e3)),
        min_size=1,
        max_size=6,
    ).filter(lambda variants: any(share for _, share in variants)),
    st.sampled_from([2.0, 0.25]),
)
def test_compare_shares__any__depends_on_neither_order_nor_scale(variants, factor):
    units = {str(at): count for at, (count, _) in enumerate(variants)}
    shares = {str(at): share for at, (_, share) in enumerate(variants)}

    found = compare_shares(units, shares)
    other = compare_shares(
        dict(reversed(units.items())), {name: share * factor for name, share in shares.items()}
    )

    assert 0 <= found.p_value <= 1
    assert found.p_value == pytest.approx(other.p_value, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("units", "shares"),
    [
        ({}, {}),
        ({"a": 1}, {"b": 1}),
        ({"a": -1}, {"a": 1}),
        ({"a": 1}, {"a": 0}),
        ({"a": 1, "b": 1}, {"a": 2, "b": -1}),
        ({"a": 1}, {"a": math.nan}),
        ({"a": 1}, {"a": math.inf}),
    ],
)
def test_compare_shares__impossible_numbers__are_refused(units, shares):
    with pytest.raises(ValueError, match=r"[Ss]hare"):
        compare_shares(units, shares)


def test_power__examples_of_r__are_repeated():
    """The manuals of ``power.prop.test`` (power 0.740; n = 76.7) and ``power.t.test`` (power 0.8689528;
    n = 22.02110).
    """
    assert power_of_conversions(
        baseline=0.5, effect=0.25, control=50, treatment=50
    ) == pytest.approx(0.7401659, abs=5e-8)
    assert required_units_of_conversions(baseline=0.5, effect=0.25, power=0.9) == RequiredUnits(
        77, 77
    )
    assert power_of_values(deviation=1, effect=1, control=20, treatment=20) == pytest.approx(
        0.8689528, abs=5e-8
    )
    assert required_units_of_values(deviation=1, effect=1, power=0.9) == RequiredUnits(23, 23)


def test_power_of_values__any_number_of_units__is_the_one_of_the_noncentral_t():
    for control, treatment in ((2, 2), (30, 70), (400_000, 500_000), (600_000, 700_000)):
        shift = 3 / math.sqrt(1 / 30 + 1 / 70)
        effect = shift * math.sqrt(1 / control + 1 / treatment) / 5
        degrees = control + treatment - 2

        found = power_of_values(deviation=1, effect=effect, control=control, treatment=treatment)

        critical = stats.t.isf(0.025, degrees)
        assert found == pytest.approx(stats.nct.sf(critical, degrees, shift / 5), abs=1e-6)


@given(
    baseline=st.floats(0, 1),
    rate=st.floats(0, 1),
    alpha=st.sampled_from([0.001, 0.05]),
    power=st.sampled_from([0.5, 0.8, 0.99]),
    ratio=st.sampled_from([0.01, 0.5, 1, 3, 99]),
)
def test_required_units_of_conversions__any__are_the_fewest(baseline, rate, alpha, power, ratio):
    effect = rate - baseline
    rate = baseline + effect  # as the product sees it
    if not 0 <= rate <= 1:
        return
    asked = {"baseline": baseline, "effect": effect, "alpha": alpha}

    units = required_units_of_conversions(**asked, power=power, treatment_per_control=ratio)

    if units is None:
        assert abs(effect) < 1e-5
        return
    smaller, larger = sorted([units.control, units.treatment])
    assert larger == math.ceil(smaller * max(ratio, 1 / ratio))
    assert power_of_conversions(**asked, control=units.control, treatment=units.treatment) >= power
    if smaller > 1:
        sizes = sorted([smaller - 1, math.ceil((smaller - 1) * max(ratio, 1 / ratio))])
        control, treatment = sizes if ratio >= 1 else reversed(sizes)
        assert power_of_conversions(**asked, control=control, treatment=treatment) < power


@pytest.mark.parametrize("units", [0, 1, 2, 10**12])
@pytest.mark.parametrize("effect", [0.0, 1e-9, 0.5, -0.5])
def test_power__degenerate__is_a_probability(units, effect):
    found = [
        power_of_conversions(baseline=0.5, effect=effect, control=units, treatment=units),
        power_of_conversions(baseline=0.5, effect=effect, control=0, treatment=units),
        power_of_values(deviation=1e-9, effect=effect, control=units, treatment=units),
        power_of_values(deviation=1e9, effect=effect, control=1, treatment=units),
    ]

    assert all(0 <= power <= 1 for power in found)


def test_power__everybody_or_nobody_converts__is_certain_once_there_are_enough():
    assert power_of_conversions(baseline=0, effect=1, control=1, treatment=1) == 0
    assert power_of_conversions(baseline=0, effect=1, control=9, treatment=9) == 1
    assert power_of_conversions(baseline=0, effect=0, control=9, treatment=9) == 0


def test_required_units__no_effect_or_out_of_reach__are_none():
    assert required_units_of_conversions(baseline=0.1, effect=0) is None
    assert required_units_of_values(deviation=1, effect=0) is None
    assert required_units_of_values(deviation=1, effect=1e-12) is None


@pytest.mark.parametrize(
    "ask",
    [
        lambda: power_of_conversions(baseline=0.9, effect=0.2, control=9, treatment=9),
        lambda: required_units_of_conversions(baseline=-0.1, effect=0.2),
        lambda: required_units_of_conversions(baseline=0.1, effect=0.2, alpha=0),
        lambda: required_units_of_conversions(baseline=0.1, effect=0.2, power=1),
        lambda: required_units_of_values(deviation=0, effect=1),
        lambda: required_units_of_values(deviation=math.nan, effect=1),
        lambda: required_units_of_values(deviation=1, effect=1, treatment_per_control=0),
    ],
)
def test_power__impossible_numbers__are_refused(ask):
    with pytest.raises(ValueError, match=r"\.$"):
        ask()

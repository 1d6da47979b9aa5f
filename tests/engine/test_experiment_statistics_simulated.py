"""Experiments repeated many times: how often the statistics are wrong, how often they find a lift.

Every count goes through the product's own functions. The seeds are fixed, so a failure is a change of
the code. A share of errors may be above its nominal value by what chance alone explains 999 times
of 1,000.
"""

import math
from functools import partial

import numpy as np
import pytest
from scipy import stats

from apps.engine.experiments import always_valid, fixed_horizon
from apps.engine.experiments.aggregates import Conversions, Values
from apps.engine.experiments.corrections import correct_by_holm
from apps.engine.experiments.power import (
    required_units_of_conversions,
    required_units_of_values,
)

REPEATED = 2_000 if pytest.long_form else 500
ALPHA = 0.05
EARLY = 500
"""Tuned for fewer units than by default the interval is bolder at the first looks, where it errs."""
MOST_WRONG = stats.binom.ppf(0.999, REPEATED, ALPHA)
POWER = 0.8
FEWEST_FOUND, MOST_FOUND = stats.binom.ppf([0.001, 0.999], REPEATED, POWER)


def look_times(share, last):
    """Totals of units at each look: from 100 in the smaller variant on, ever further apart."""
    first = 100 / min(share, 1 - share)
    return np.unique(np.geomspace(first, last, 50).astype(int))


def experiments_of_rates(rates, share, last, seed):
    """For each experiment the looks, each with both variants' counts so far."""
    random = np.random.default_rng(seed)
    arriving = np.diff(look_times(share, last), prepend=0)
    treated = random.binomial(arriving, share, (REPEATED, arriving.size))
    arms = [(arriving - treated, rates[0]), (treated, rates[1])]
    units = [np.cumsum(new, axis=1).tolist() for new, _ in arms]
    hits = [np.cumsum(random.binomial(new, rate), axis=1).tolist() for new, rate in arms]
    for counts in zip(units[0], hits[0], units[1], hits[1], strict=True):
        yield [
            (Conversions(at, hit), Conversions(of, of_hit))
            for at, hit, of, of_hit in zip(*counts, strict=True)
        ]


def experiments_of_values(draw, share, last, seed):
    """The same with ``draw(random, treated)`` as the values of units."""
    random = np.random.default_rng(seed)
    looks = look_times(share, last) - 1
    for _ in range(REPEATED // 50):
        treated = random.random((50, last)) < share
        values = draw(random, treated)
        sums = [
            np.cumsum(column, axis=1)[:, looks].tolist()
            for arm in (~treated, treated)
            for column in (arm, arm * values, arm * values**2, arm & (values == 0), arm * values**3)
        ]
        for columns in zip(*sums, strict=True):
            yield [(Values(*look[:5]), Values(*look[5:])) for look in zip(*columns, strict=True)]


def experiments_of_few_values(rates, tail, share, last, seed):
    """The same where ``rates`` of the units have a value, of a long ``tail``, and the others none."""
    random = np.random.default_rng(seed)
    arriving = np.diff(look_times(share, last), prepend=0)
    treated = random.binomial(arriving, share, (REPEATED, arriving.size))
    columns = []
    for new, rate in ((arriving - treated, rates[0]), (treated, rates[1])):
        having = random.binomial(new, rate)
        sizes = np.exp(tail * random.standard_normal(having.sum()))
        ends = np.cumsum(having)
        sums = [
            np.diff(np.cumsum(each, dtype=float)[ends - 1] * (ends > 0), prepend=0)
            for each in (sizes, sizes * sizes, sizes**3)
        ]
        total, squares, cubes = (each.reshape(new.shape) for each in sums)
        parts = [new, total, squares, new - having, cubes]
        columns += [np.cumsum(each, axis=1).tolist() for each in parts]
    for looks in zip(*columns, strict=True):
        yield [(Values(*look[:5]), Values(*look[5:])) for look in zip(*looks, strict=True)]


def leaves(interval, truth):
    return interval is not None and not interval.low <= truth <= interval.high


@pytest.mark.parametrize(
    ("rate", "share", "tuned_for"),
    [
        (0.005, 0.5, always_valid.TUNED_FOR),
        (0.005, 0.5, 500),
        (0.005, 0.1, 500),
        (0.05, 0.5, always_valid.TUNED_FOR),
        (0.05, 0.03, 500),
        (0.5, 0.5, always_valid.TUNED_FOR),
        (0.5, 0.5, 200),
    ],
)
def test_always_valid__null_of_rates_and_fifty_looks__keeps_its_error(rate, share, tuned_for):
    wrong = late = 0
    for looks in experiments_of_rates((rate, rate), share, 40_000, seed=1):
        wrong += any(
            always_valid.compare_conversions(*look, ALPHA, tuned_for).p_value <= ALPHA
            for look in looks
        )
        late += fixed_horizon.compare_conversions(*looks[-1], ALPHA).p_value <= ALPHA

    print(f"always valid {wrong / REPEATED:.4f}, fixed at the end {late / REPEATED:.4f}")
    assert wrong <= MOST_WRONG
    assert late <= MOST_WRONG


def test_always_valid__null_whose_outcomes_arrive_late__keeps_its_error():
    """Units come at an even pace until time 1, and convert after as long again in the mean."""
    random = np.random.default_rng(8)
    units, rate, looks = 10_000, 0.05, np.geomspace(0.02, 5, 50)
    exposed = (units * np.minimum(looks, 1)).astype(int).tolist()

    wrong = 0
    for _ in range(REPEATED):
        arms = []
        for _ in ("control", "treatment"):
            converting = random.binomial(units, rate)
            moments = random.random(converting) + random.exponential(1, converting)
            arms.append(np.searchsorted(np.sort(moments), looks).tolist())
        wrong += any(
            always_valid.compare_conversions(
                Conversions(count, control), Conversions(count, treatment), ALPHA
            ).p_value
            <= ALPHA
            for count, control, treatment in zip(exposed, *arms, strict=True)
        )

    print(f"with late outcomes {wrong / REPEATED:.4f}")
    assert wrong <= MOST_WRONG


def test_fixed_horizon__null_and_fifty_looks__does_not_keep_its_error():
    """What the always valid result is for, and that the simulation would see its absence."""
    wrong = sum(
        any(fixed_horizon.compare_conversions(*look, ALPHA).p_value <= ALPHA for look in looks)
        for looks in experiments_of_rates((0.05, 0.05), 0.5, 40_000, seed=1)
    )

    print(f"fixed, peeked at {wrong / REPEATED:.4f}")
    assert wrong > 4 * ALPHA * REPEATED


@pytest.mark.parametrize(
    ("rates", "share"),
    [
        ((0.005, 0.01), 0.5),
        ((0.005, 0.01), 0.1),
        ((0.005, 0.02), 0.1),
        ((0.05, 0.0), 0.9),
        ((0.02, 0.0), 0.9),
        ((0.001, 0.05), 0.1),
        ((0.5, 0.6), 0.5),
    ],
)
def test_always_valid__true_lift_and_fifty_looks__is_in_every_interval(rates, share):
    absolute = relative = 0
    for looks in experiments_of_rates(rates, share, 40_000, seed=2):
        said = [always_valid.compare_conversions(*look, ALPHA, EARLY) for look in looks]
        absolute += any(leaves(each.absolute, rates[1] - rates[0]) for each in said)
        relative += any(leaves(each.relative, rates[1] / rates[0] - 1) for each in said)

    print(f"absolute left {absolute / REPEATED:.4f}, relative {relative / REPEATED:.4f}")
    assert absolute <= MOST_WRONG
    assert relative <= MOST_WRONG


def normal(random, treated):
    return random.standard_normal(treated.shape) + 3


def spending(random, treated, lifted=1):
    """Nothing for most units, and a long tail for the others, who are more in the treatment."""
    spends = random.random(treated.shape) < np.where(treated, 0.05 * lifted, 0.05)
    return spends * np.exp(random.standard_normal(treated.shape))


def skewed(random, treated):
    return np.exp(1.5 * random.standard_normal(treated.shape))


@pytest.mark.parametrize(
    ("draw", "share"),
    [(normal, 0.5), (spending, 0.5), (spending, 0.1), (skewed, 0.5), (skewed, 0.1)],
)
def test_always_valid__null_of_values_and_fifty_looks__keeps_its_error(draw, share):
    wrong = late = 0
    for looks in experiments_of_values(draw, share, 6_000, seed=3):
        wrong += any(
            always_valid.compare_values(*look, ALPHA, EARLY).p_value <= ALPHA for look in looks
        )
        late += fixed_horizon.compare_values(*looks[-1], ALPHA).p_value <= ALPHA

    print(f"always valid {wrong / REPEATED:.4f}, fixed at the end {late / REPEATED:.4f}")
    assert wrong <= MOST_WRONG
    assert late <= MOST_WRONG


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_always_valid__twice_as_many_spending_and_fifty_looks__is_in_every_interval(share):
    lift = 0.05 * math.exp(0.5)

    absolute = relative = 0
    for looks in experiments_of_values(partial(spending, lifted=2), share, 6_000, seed=9):
        said = [always_valid.compare_values(*look, ALPHA, EARLY) for look in looks]
        absolute += any(leaves(each.absolute, lift) for each in said)
        relative += any(leaves(each.relative, 1) for each in said)

    print(f"absolute left {absolute / REPEATED:.4f}, relative {relative / REPEATED:.4f}")
    assert absolute <= MOST_WRONG
    assert relative <= MOST_WRONG


@pytest.mark.parametrize(
    ("rates", "tail", "share", "tuned_for"),
    [
        ((0.02, 0.002), 1, 0.5, EARLY),
        ((0.02, 0.002), 1, 0.9, EARLY),
        ((0.02, 0.002), 1.5, 0.9, always_valid.TUNED_FOR),
        ((0.2, 0.05), 1, 0.9, EARLY),
        ((0.005, 0.02), 1, 0.5, always_valid.TUNED_FOR),
        ((0.004, 0.004), 1, 0.5, EARLY),
    ],
)
def test_always_valid__values_that_hardly_a_unit_has_and_fifty_looks__is_in_every_interval(
    rates, tail, share, tuned_for
):
    lift = (rates[1] - rates[0]) * math.exp(tail * tail / 2)

    absolute = relative = told = 0
    for looks in experiments_of_few_values(rates, tail, share, 60_000, seed=10):
        said = [always_valid.compare_values(*look, ALPHA, tuned_for) for look in looks]
        absolute += any(leaves(each.absolute, lift) for each in said)
        relative += any(leaves(each.relative, rates[1] / rates[0] - 1) for each in said)
        told += said[-1].absolute is not None

    print(f"absolute left {absolute / REPEATED:.4f}, relative {relative / REPEATED:.4f}")
    assert absolute <= MOST_WRONG
    assert relative <= MOST_WRONG
    assert told > 0.9 * REPEATED


def test_correct_by_holm__null_of_six_comparisons__has_one_error_for_all():
    """Three metrics, two treatments and one control that they share, at the last look."""
    random = np.random.default_rng(4)
    hits = random.binomial(5_000, [[0.005], [0.05], [0.5]], (REPEATED, 3, 3))
    raw = corrected = 0
    for metrics in hits.tolist():
        p_values = [
            fixed_horizon.compare_conversions(
                Conversions(5_000, control), Conversions(5_000, treatment), ALPHA
            ).p_value
            for control, *treatments in metrics
            for treatment in treatments
        ]
        raw += min(p_values) <= ALPHA
        corrected += min(correct_by_holm(p_values)) <= ALPHA

    print(f"any of six: raw {raw / REPEATED:.4f}, corrected {corrected / REPEATED:.4f}")
    assert corrected <= MOST_WRONG < raw


@pytest.mark.parametrize(
    ("baseline", "effect", "ratio"), [(0.1, 0.02, 1), (0.005, 0.0025, 1), (0.2, -0.03, 3)]
)
def test_required_units__true_lift_of_rates__is_found_with_the_stated_power(
    baseline, effect, ratio
):
    units = required_units_of_conversions(
        baseline=baseline, effect=effect, power=POWER, treatment_per_control=ratio
    )
    random = np.random.default_rng(5)
    controls = random.binomial(units.control, baseline, REPEATED).tolist()
    treatments = random.binomial(units.treatment, baseline + effect, REPEATED).tolist()

    found = sum(
        fixed_horizon.compare_conversions(
            Conversions(units.control, control), Conversions(units.treatment, treatment), ALPHA
        ).p_value
        <= ALPHA
        for control, treatment in zip(controls, treatments, strict=True)
    )

    print(f"{units}: found {found / REPEATED:.4f}")
    assert FEWEST_FOUND <= found <= MOST_FOUND


@pytest.mark.parametrize("effect", [0.1, -0.8])
def test_required_units__true_lift_of_values__is_found_with_the_stated_power(effect):
    units = required_units_of_values(deviation=2, effect=2 * effect, power=POWER)
    random = np.random.default_rng(6)

    found = 0
    for _ in range(REPEATED):
        arms = [
            random.normal(mean, 2, count)
            for mean, count in ((5, units.control), (5 + 2 * effect, units.treatment))
        ]
        control, treatment = (
            Values(arm.size, arm.sum(), (arm**2).sum(), 0, (arm**3).sum()) for arm in arms
        )
        found += fixed_horizon.compare_values(control, treatment, ALPHA).p_value <= ALPHA

    print(f"{units}: found {found / REPEATED:.4f}")
    assert FEWEST_FOUND <= found <= MOST_FOUND


def test_always_valid__true_lift_and_twice_the_required_units__finds_it_while_peeking():
    units = required_units_of_conversions(baseline=0.1, effect=0.02, power=POWER)

    found, seen = 0, []
    for looks in experiments_of_rates((0.1, 0.12), 0.5, 4 * units.control, seed=7):
        for control, treatment in looks:
            if always_valid.compare_conversions(control, treatment, ALPHA).p_value <= ALPHA:
                found += 1
                seen.append(control.units / units.control)
                break

    print(f"found {found / REPEATED:.4f}, at {np.median(seen):.2f} of the units in the median")
    assert found >= FEWEST_FOUND
    assert np.median(seen) < 1.2

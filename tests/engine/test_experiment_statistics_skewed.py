"""Means of skewed values and few conversions: worked examples, and how often they are wrong."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from apps.engine.experiments import always_valid, fixed_horizon
from apps.engine.experiments.aggregates import Conversions, Values
from apps.engine.experiments.inference import Lack
from apps.engine.experiments.scatter import Scatter, measure, quantile_of, reach_of
from tests.benchmarks import judging

ALPHA = judging.ALPHA
REPEATED = 2_000
MOST_WRONG = stats.binom.ppf(0.999, REPEATED, ALPHA) / REPEATED
"""A share of false alarms that chance alone explains 999 times of 1,000."""
TIMES = REPEATED if pytest.long_form else 1_000
SPENT = (
    (0, 0, 1.5, 2, 2.5, 3, 4, 4.5, 5, 7, 9, 40),
    (0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 8, 8, 9, 12, 30),
)
"""What the units of a control and of a treatment spent."""


def aggregates(values):
    values = np.asarray(values, dtype=float)
    return Values(
        values.size,
        float(values.sum()),
        float((values**2).sum()),
        int((values == 0).sum()),
        float((values**3).sum()),
    )


@pytest.mark.parametrize("values", SPENT)
def test_skewness__of_sums__is_the_one_of_the_values(values):
    moment = stats.moment(values, 3) / np.var(values, ddof=1) ** 1.5

    assert aggregates(values).skewness == pytest.approx(moment, rel=1e-12)


def test_skewness__lost_in_the_rounding_of_the_sums__is_none():
    pattern = np.tile([0.0, 0.0, 0.0, 3.0], 2_500)

    assert aggregates(1e3 + pattern).skewness == pytest.approx(1.1547, abs=1e-3)
    assert aggregates(1e6 + pattern).variance == pytest.approx(1.6877, abs=0.1)
    assert aggregates(1e6 + pattern).skewness == 0
    assert aggregates(np.full(1_000, 0.1)).skewness == 0
    assert Values(500, 50, 500).skewness == 0
    assert Values(4, 1e150, 1e150, 0, 1e225).skewness == 0


def test_compare_values__of_skewed_ones__is_the_worked_example():
    """By the numbers of the docstring of ``scatter``, from the values themselves."""
    control, treatment = (np.asarray(each, dtype=float) for each in SPENT)
    counts = len(control), len(treatment)
    errors = [each.std(ddof=1) / math.sqrt(each.size) for each in (control, treatment)]
    own = math.hypot(*errors)
    cubes = [stats.moment(each, 3) for each in (control, treatment)]
    by_each = (cubes[1] / counts[1] ** 2 - cubes[0] / counts[0] ** 2) / own**3
    variance = np.average([each.var(ddof=1) for each in (control, treatment)], weights=counts)
    pooled = np.average(cubes, weights=counts) * (1 / counts[1] ** 2 - 1 / counts[0] ** 2)
    pooled /= (variance * (1 / counts[0] + 1 / counts[1])) ** 1.5
    k = max(by_each, pooled, key=abs)
    welch = stats.ttest_ind(treatment, control, equal_var=False)
    q = stats.t.isf(ALPHA / 2, welch.df)
    bend = k * (2 * q * q + 1) / 6

    found = fixed_horizon.compare_values(aggregates(control), aggregates(treatment), ALPHA)

    lift = treatment.mean() - control.mean()
    assert k < -0.2
    low = lift - own * max(q, q - bend)
    assert found.absolute == pytest.approx((low, lift + own * max(q, q + bend)))
    assert found.absolute.high == pytest.approx(welch.confidence_interval(0.95).high)
    assert found.absolute.low < welch.confidence_interval(0.95).low - 0.4
    assert found.absolute == pytest.approx((-10.26, 7.18), abs=0.005)
    assert found.p_value == pytest.approx(welch.pvalue, rel=1e-9)


@pytest.mark.parametrize("skewness", [-5.0, -0.4, -1e-9, 0.0, 0.15, 0.9, 30.0])
@pytest.mark.parametrize("lift", [-8.0, -0.7, -0.01, 0.01, 0.7, 8.0, 300.0])
def test_quantile_of__any_lift__is_that_of_the_interval_that_ends_at_zero(skewness, lift):
    scatter = Scatter(0.6, 0.9, 1.0, skewness)

    found = quantile_of(scatter, lift)

    reach = reach_of(scatter, found)
    end = (reach.below if lift > 0 else reach.above) * scatter.plain
    assert end == pytest.approx(abs(lift)) or (found == 0 and end > abs(lift))


@pytest.mark.parametrize("way", [fixed_horizon, always_valid])
def test_p_value__of_skewed_values__is_the_alpha_whose_interval_ends_at_zero(way):
    random = np.random.default_rng(3)
    control = aggregates(np.exp(1.5 * random.standard_normal(400)))
    treatment = aggregates(0.3 * np.exp(1.5 * random.standard_normal(150)))

    p_value = way.compare_values(control, treatment, ALPHA).p_value

    assert measure(control, treatment).skewness > 0.1

    def end(alpha):
        return way.compare_values(control, treatment, alpha).absolute.high

    if way is fixed_horizon:
        assert optimize.brentq(end, 1e-12, 0.999) == pytest.approx(p_value, rel=1e-6)
    else:  # whose boundary itself follows alpha, by what it is tuned for and what it adds
        assert (end(ALPHA) < 0) == (p_value < ALPHA)
    swapped = way.compare_values(treatment, control, ALPHA)
    assert swapped.p_value == pytest.approx(p_value)
    assert swapped.absolute.low == pytest.approx(-end(ALPHA))


def test_compare_values__without_cubes_or_with_symmetric_ones__is_welchs():
    values = np.asarray([-9, -4, -2, -1, -0.5, 0.5, 1, 2, 4, 9])
    lean, full = Values(10, 0.0, float((values**2).sum())), aggregates(values)

    assert fixed_horizon.compare_values(lean, lean, ALPHA) == fixed_horizon.compare_values(
        full, full, ALPHA
    )


@pytest.mark.parametrize(("few", "lacks"), [(9, Lack.VALUES), (10, None)])
def test_compare_values__of_fewer_than_ten_units_with_one__says_what_it_lacks(few, lacks):
    values = [0.0] * 500 + [1.0, 2.5] * (few // 2) + [1.0] * (few % 2)
    small, large = aggregates(values), aggregates([0.0, 1.0, 2.0] * 50)

    for pair in ((small, large), (large, small)):
        said = fixed_horizon.compare_values(*pair, ALPHA)
        assert said.lacks == lacks
        assert (said.absolute is None, said.p_value == 1) == (lacks is not None,) * 2


def test_compare_values__all_alike__lack_a_spread():
    same = Values(500, 2_500, 12_500, 0, 62_500)

    assert fixed_horizon.compare_values(same, same, ALPHA).lacks == Lack.SPREAD


@pytest.mark.parametrize(
    ("control", "treatment"),
    [((50, 1), (50, 6)), ((9_000, 45), (1_000, 9)), ((90, 88), (10, 7)), ((30, 0), (30, 0))],
)
def test_compare_conversions__few_expected__has_the_conditional_mid_p_value(control, treatment):
    units, hits = control[0] + treatment[0], control[1] + treatment[1]
    drawn = stats.hypergeom(units, hits, treatment[0])
    here = drawn.pmf(treatment[1])
    smaller = min(drawn.cdf(treatment[1]), drawn.sf(treatment[1] - 1)) - here / 2

    found = fixed_horizon.compare_conversions(Conversions(*control), Conversions(*treatment), ALPHA)

    assert found.p_value == pytest.approx(min(1, 2 * smaller), rel=1e-9)


@pytest.mark.parametrize("hits", [0, 3, 400, 10**6])
def test_compare_conversions__few_expected_of_very_many_units__is_a_probability(hits):
    few, many = Conversions(10**6, hits), Conversions(10**12, 4 * 10**6)

    found = fixed_horizon.compare_conversions(few, many, ALPHA)

    assert 0 <= found.p_value <= 1
    assert (found.p_value < 1e-6) == (hits >= 400)


FEW = ("exponential", "log-normal 1.5", "revenue of 20 %")


@pytest.mark.parametrize("share", judging.SHARES)
@pytest.mark.parametrize("name", judging.SHAPES if pytest.long_form else FEW)
def test_compare_values__nulls__are_wrong_as_often_as_stated_at_most(name, share):
    shape, treated = judging.SHAPES[name], judging.SHARES[share]

    for units in judging.SIZES if pytest.long_form else judging.SIZES[:2]:
        wrong = judging.false_alarms(shape, treated, units, REPEATED)

        print(f"{name}, {share}, {units}: {100 * wrong:.2f} %")
        assert wrong <= MOST_WRONG


@pytest.mark.parametrize("name", ["normal", "exponential", "log-normal 1", "log-normal 2"])
@pytest.mark.parametrize(("share", "units"), [(0.5, 20), (0.2, 50), (0.01, 1_000)])
def test_compare_values__nulls_of_ten_units_in_a_variant__are_wrong_no_more(name, share, units):
    wrong = judging.false_alarms(judging.SHAPES[name], share, units, REPEATED)

    print(f"{name}, {share}, {units}: {100 * wrong:.2f} %")
    assert wrong <= MOST_WRONG


@pytest.mark.parametrize("share", judging.SHARES)
@pytest.mark.parametrize("rate", judging.RATES)
def test_compare_conversions__nulls__are_wrong_as_often_as_stated_at_most(rate, share):
    for units in judging.SIZES:
        wrong = judging.false_alarms_of_rates(
            judging.RATES[rate], judging.SHARES[share], units, REPEATED
        )

        print(f"{rate}, {share}, {units}: {100 * wrong:.2f} %")
        assert wrong <= MOST_WRONG


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_compare_values__a_true_lift_of_skewed_ones__is_in_its_intervals(share, factor):
    shape = judging.SHAPES["log-normal 1"]
    lift = shape.of_units[0] * (factor - 1)

    absolute = relative = 0
    for pair in judging.experiments(shape, share, 1_000, REPEATED, 5, factor):
        said = fixed_horizon.compare_values(*pair, ALPHA)
        absolute += not said.absolute.low <= lift <= said.absolute.high
        relative += not said.relative.low <= factor - 1 <= said.relative.high

    print(f"left {absolute / REPEATED:.4f}, relative {relative / REPEATED:.4f}")
    assert absolute / REPEATED <= MOST_WRONG
    assert relative / REPEATED <= MOST_WRONG


@pytest.mark.parametrize("share", judging.SHARES)
@pytest.mark.parametrize(
    "name",
    ["exponential", pytest.param("log-normal 1", marks=pytest.mark.long_form)],
)
def test_required_units__of_skewed_values__find_a_lift_with_the_stated_power(name, share):
    stated, units, found = judging.found_lifts(judging.SHAPES[name], judging.SHARES[share], TIMES)

    larger = (
        1 + judging.LIFT
    ) ** 2  # the variance of the treatment, which was planned as the control's
    errors = (1 / units.control + larger / units.treatment) / (
        1 / units.control + 1 / units.treatment
    )
    quantile = stats.norm.isf(ALPHA / 2)
    possible = stats.norm.cdf((stats.norm.ppf(stated) + quantile) / errors**0.5 - quantile)
    print(f"{units}: stated {stated:.3f}, possible {possible:.3f}, found {found:.3f}")
    assert 0.76 < possible < stated
    fewest, most = stats.binom.ppf([0.001, 0.999], TIMES, [possible, stated]) / TIMES
    assert fewest <= found <= most


def test_judging__in_small__tells_of_every_shape_and_share(capsys):
    told = judging.run(5, {"normal": judging.SHAPES["normal"]}, {"2 %": 0.02}, (100,))

    assert told["false alarms"]["normal"].keys() == {"50/50 100", "80/20 100", "90/10 100"}
    assert told["false alarms of rates"].keys() == {"2 %"}
    powers = told["power, stated and found, and units"]["normal"]
    assert all(
        0.8 <= stated < 0.82 and 0 <= found <= 1 and units > 500
        for stated, found, units in powers.values()
    )
    assert "stated, found" in capsys.readouterr().out

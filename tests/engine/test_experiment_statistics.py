"""What the statistics of experiments say, against published worked examples and at the edges."""

import math
import subprocess
import sys

import pytest
from scipy import integrate, stats

from apps.engine.experiments import always_valid, fixed_horizon
from apps.engine.experiments.aggregates import Conversions, Values
from apps.engine.experiments.corrections import correct_by_holm
from apps.engine.experiments.inference import Lack, nothing_for
from apps.engine.experiments.statistics import ConversionMetric, ValueMetric, compare_variants

HUGE = 10**12
SLEEP = (
    (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0),
    (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4),
)
"""Student (1908), "The probable error of a mean": hours of sleep gained with two drugs."""


def totals(values):
    return Values(len(values), sum(values), sum(value * value for value in values))


@pytest.mark.parametrize(
    ("conversions", "units", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval__table_of_newcombe_1998__is_repeated(conversions, units, low, high):
    """Newcombe, "Two-sided confidence intervals for the single proportion", table I, method 3."""
    found = fixed_horizon.wilson_interval(Conversions(units, conversions), 1.959964)

    assert found == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("treatment", "control", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_compare_conversions__table_of_newcombe_1998__is_repeated(treatment, control, low, high):
    """Newcombe, "Interval estimation for the difference between independent proportions", table II,
    method 10, all eight examples.
    """
    found = fixed_horizon.compare_conversions(
        Conversions(control[1], control[0]), Conversions(treatment[1], treatment[0]), 0.05
    )

    assert found.absolute == pytest.approx((low, high), abs=5e-5)


def test_compare_conversions__epinephrine_trial__has_the_published_ratio():
    """Perondi et al. (2004), 7 of 34 against 1 of 34, by MOVER-R with Wilson's intervals as the
    package ``contingencytables`` of Fagerland, Lydersen and Laake (2017) gives it.
    """
    found = fixed_horizon.compare_conversions(Conversions(34, 1), Conversions(34, 7), 0.05)

    assert found.relative == pytest.approx((1.1537 - 1, 41.9763 - 1), abs=5e-5)


@pytest.mark.parametrize(
    ("control", "treatment"), [((80, 48), (70, 56)), ((9000, 450), (1000, 90))]
)
def test_compare_conversions__any_table__has_the_p_value_of_its_chi_squared_test(
    control, treatment
):
    found = fixed_horizon.compare_conversions(Conversions(*control), Conversions(*treatment), 0.05)

    table = [[hits, units - hits] for units, hits in (control, treatment)]
    assert found.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)


def test_compare_values__sleep_of_student_1908__has_the_published_welch_test():
    """R's manual, ``t.test(extra ~ group, data = sleep)``, which subtracts the other way."""
    found = fixed_horizon.compare_values(totals(SLEEP[0]), totals(SLEEP[1]), 0.05)

    assert found.absolute == pytest.approx((-0.2054832, 3.3654832), abs=1e-7)
    assert found.p_value == pytest.approx(0.07939, abs=5e-6)


def test_compare_values__mileage_of_the_nist_handbook__has_the_test_of_scipy():
    """NIST/SEMATECH e-Handbook, section 1.3.5.3: 249 cars of the USA and 79 of Japan."""
    usa, japan = (249, 20.14458, 6.41470), (79, 30.48101, 6.10771)
    aggregates = [
        Values(count, count * mean, (count - 1) * deviation**2 + count * mean**2)
        for count, mean, deviation in (usa, japan)
    ]

    found = fixed_horizon.compare_values(*aggregates, 0.05)

    reference = stats.ttest_ind_from_stats(
        *[figure for count, mean, deviation in (japan, usa) for figure in (mean, deviation, count)],
        equal_var=False,
    )
    assert reference.statistic == pytest.approx(12.9463, abs=5e-5)
    assert found.p_value == pytest.approx(reference.pvalue, rel=1e-9)


def test_compare_values__relative_interval__is_the_one_of_fieller():
    control, treatment = Values(400, 4_000, 44_000), Values(300, 3_300, 39_000)

    found = fixed_horizon.compare_values(control, treatment, 0.05)

    of_base, of_mean = control.variance / control.units, treatment.variance / treatment.units
    absolute = found.absolute
    quantile = (absolute.high - absolute.low) / 2 / math.sqrt(of_base + of_mean)
    for end in found.relative:
        ratio = 1 + end
        distance = treatment.mean - ratio * control.mean
        assert abs(distance) == pytest.approx(quantile * math.sqrt(of_mean + ratio**2 * of_base))


def test_compare_values__control_below_zero__is_told_by_its_size():
    control, treatment = Values(400, -4_000, 44_000), Values(400, -2_000, 14_000)

    (found,) = compare_variants([ValueMetric("profit", control, {"new": treatment})])

    assert found.absolute_lift == 5
    assert found.relative_lift == 0.5
    low, high = found.fixed_horizon.relative
    assert 0 < low < 0.5 < high


def test_correct_by_holm__four_p_values__are_adjusted_as_published():
    """The example of the article "Holm-Bonferroni method" in Wikipedia, and R's ``p.adjust``."""
    assert correct_by_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert correct_by_holm([0.6, 0.9]) == (1.0, 1.0)
    assert correct_by_holm([]) == ()


@pytest.mark.parametrize("units", [100, 1_000, 1_000_000])
def test_always_valid__p_value__is_one_over_the_mixed_likelihood_ratio(units):
    """Johari et al. (2022), section 5, by quadrature instead of the closed form."""
    control, treatment = Values(units, 0, 2 * units), Values(units, 0.2 * units, 2 * units)

    found = always_valid.compare_values(control, treatment, 0.05)

    variance = sum(
        max(arm.variance, (control.variance + treatment.variance) / 2) / units
        for arm in (control, treatment)
    )
    error, lift = math.sqrt(variance), 0.2
    spread = error * math.sqrt(
        units / 2 * always_valid.mixing_precision(0.05, always_valid.TUNED_FOR)
    )

    def integrand(effect):
        return math.exp(
            stats.norm.logpdf(lift, effect, error)
            - stats.norm.logpdf(lift, 0, error)
            + stats.norm.logpdf(effect, 0, spread)
            - lift**2 / (2 * variance)  # keeps a million units within floats
        )

    middle, width = (lift, error) if error < spread else (0, spread)
    scaled, _ = integrate.quad(integrand, middle - 40 * width, middle + 40 * width)
    log_ratio = math.log(scaled) + lift**2 / (2 * variance)
    assert found.p_value == pytest.approx(min(1, math.exp(-log_ratio)), rel=1e-6)


def test_always_valid__tuned_for_some_units__is_narrowest_there():
    def width(units, tuned_for):
        precision = always_valid.mixing_precision(0.05, tuned_for)
        return always_valid.boundary(units / 2 * precision, 0.05)

    for units in (200, 1_000, 50_000):
        at_its_units = width(units, units)
        assert at_its_units == min(width(units, tuned) for tuned in (units // 4, units, 4 * units))


def test_always_valid__fewer_than_its_minimum__says_nothing():
    few, enough = Conversions(99, 50), Conversions(100, 99)

    assert always_valid.compare_conversions(few, enough, 0.05) == nothing_for(Lack.UNITS)
    assert always_valid.compare_conversions(enough, few, 0.05) == nothing_for(Lack.UNITS)
    assert always_valid.compare_conversions(enough, enough, 0.05).absolute is not None


def test_compare_variants__two_metrics_and_two_treatments__are_one_family():
    bought = ConversionMetric(
        "bought",
        Conversions(5_000, 500),
        {"small": Conversions(5_000, 540), "large": Conversions(5_000, 650)},
    )
    spent = ValueMetric(
        "spent",
        Values(5_000, 5e4, 2e6),
        {"small": Values(5_000, 5.4e4, 2e6), "large": Values(0, 0, 0)},
    )

    found = compare_variants([bought, spent])

    assert [(each.metric, each.treatment) for each in found] == [
        ("bought", "small"),
        ("bought", "large"),
        ("spent", "small"),
        ("spent", "large"),
    ]
    for way in ("fixed_horizon", "always_valid"):
        raw = [getattr(each, way).p_value for each in found]
        corrected = [getattr(each, way).corrected_p_value for each in found]
        assert corrected == list(correct_by_holm(raw))
    assert found[1].fixed_horizon.corrected_p_value == 4 * found[1].fixed_horizon.p_value < 0.001
    assert found[1].absolute_lift == pytest.approx(0.03)
    assert found[1].relative_lift == pytest.approx(0.3)


NONE = Conversions(0, 0)
NO_VALUES = Values(0, 0, 0)


@pytest.mark.parametrize(
    ("control", "treatment"),
    [
        (NONE, NONE),
        (NONE, Conversions(10, 5)),
        (Conversions(10, 5), NONE),
        (Conversions(1, 0), Conversions(1, 1)),
        (Conversions(500, 0), Conversions(500, 0)),
        (Conversions(500, 500), Conversions(500, 500)),
        (Conversions(500, 0), Conversions(500, 500)),
        (Conversions(HUGE, HUGE), Conversions(HUGE, HUGE - 1)),
        (Conversions(HUGE, 1), Conversions(HUGE, 0)),
        (Conversions(HUGE, HUGE // 2), Conversions(100, 100)),
        (NO_VALUES, NO_VALUES),
        (Values(1, 5, 25), Values(1, 6, 36)),
        (Values(500, 0, 0), Values(500, 0, 0)),
        (Values(500, 2_500, 12_500), Values(500, 3_000, 18_000)),
        (Values(500, 0, 0), Values(500, 500, 5_000)),
        (Values(500, 50, 5), Values(500, 0, 1e150)),
        (Values(HUGE, 1e150, 1e150), Values(HUGE, -1e150, 1e150)),
        (Values(HUGE, 3e12, 1e13), Values(HUGE, 3.0001e12, 1e13)),
        (Values(2, 1e-200, 5e-324), Values(2, 0, 5e-324)),
        (Values(3, 1e-305, 0), Values(3, 1_134, 474_039)),
    ],
)
@pytest.mark.parametrize("alpha", [1e-12, 0.05, 0.999])
def test_compare_variants__degenerate_aggregates__are_defined(control, treatment, alpha):
    metric = ConversionMetric if isinstance(control, Conversions) else ValueMetric

    (found,) = compare_variants([metric("m", control, {"t": treatment})], alpha=alpha)

    for said in (found.fixed_horizon, found.always_valid):
        assert 0 <= said.p_value <= said.corrected_p_value <= 1
        for interval in (said.absolute, said.relative):
            assert interval is None or -math.inf < interval.low <= interval.high < math.inf
    lifts = (found.absolute_lift, found.relative_lift)
    assert all(lift is None or math.isfinite(lift) for lift in lifts)


def test_compare_variants__no_treatment_or_no_metric__compares_nothing():
    assert compare_variants([]) == ()
    assert compare_variants([ConversionMetric("m", Conversions(9, 1), {})]) == ()


def test_compare_variants__nobody_converted__is_still_an_interval():
    nobody = Conversions(1_000, 0)

    (found,) = compare_variants([ConversionMetric("m", nobody, {"t": nobody})])

    assert found.absolute_lift == 0
    assert found.relative_lift is None
    for said in (found.fixed_horizon, found.always_valid):
        assert said.p_value == 1
        assert said.absolute.low == pytest.approx(-said.absolute.high)
        assert 0.003 < said.absolute.high < 0.03
        assert said.relative is None


def test_always_valid__of_a_variant_without_any_variance__says_nothing():
    """Whoever pays first in one variant would be the only one who is known of the difference."""
    nobody, some = Values(1_000, 0, 0), Values(1_000, 20, 30)

    for pair in ((nobody, some), (some, nobody), (nobody, nobody)):
        assert always_valid.compare_values(*pair, 0.05) == nothing_for(Lack.SPREAD)
    assert always_valid.compare_values(some, some, 0.05).absolute is not None


def test_always_valid__of_fewer_values_than_it_takes__says_nothing():
    fewest = always_valid.MINIMUM_VALUES
    few, some = (Values(1_000, count, 2 * count, 1_000 - count) for count in (fewest - 1, fewest))

    for pair in ((few, some), (some, few)):
        assert always_valid.compare_values(*pair, 0.05) == nothing_for(Lack.VALUES)
    assert always_valid.compare_values(some, some, 0.05).absolute is not None


def test_compare_variants__constant_values__say_nothing_of_their_error():
    metric = ValueMetric("m", Values(500, 2_500, 12_500), {"t": Values(500, 3_000, 18_000)})

    (found,) = compare_variants([metric])

    assert found.absolute_lift == 1
    assert (found.fixed_horizon.absolute, found.fixed_horizon.p_value) == (None, 1)
    assert (found.always_valid.absolute, found.always_valid.p_value) == (None, 1)


def test_values__variance_within_rounding_of_the_sums__is_none():
    value, units = 0.1, 1_000_000
    total, squares = math.fsum([value] * units), math.fsum([value * value] * units)

    assert Values(units, total, math.nextafter(squares, 1e9)).variance == 0
    assert Values(units, total, squares * (1 + 1e-9)).variance == pytest.approx(1e-11, rel=1e-3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Conversions(5, 6),
        lambda: Conversions(-1, -1),
        lambda: Values(-1, 0, 0),
        lambda: Values(1, math.nan, 1),
        lambda: Values(1, 1, math.inf),
        lambda: Values(0, 1, 1),
        lambda: Values(5, 1, -1),
        lambda: Values(5, 1, 1, 6),
        lambda: compare_variants([], alpha=0),
        lambda: compare_variants([], alpha=1),
        lambda: compare_variants([], tuned_for=0),
    ],
)
def test_aggregates__impossible_numbers__are_refused(make):
    with pytest.raises(ValueError, match=r"\.$"):
        make()


def test_experiments__imported_whole__load_neither_scipy_nor_numpy():
    program = (
        "import importlib, pkgutil, sys\n"
        "import apps.engine.experiments as package\n"
        "for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "    importlib.import_module(module.name)\n"
        "assert 'apps.engine.experiments.distributions' in sys.modules\n"
        "print({'scipy', 'numpy'} & {name.partition('.')[0] for name in sys.modules})\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )

    assert (done.stdout.strip(), done.stderr, done.returncode) == ("set()", "", 0)

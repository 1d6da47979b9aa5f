"""How often experiments are wrong, and find a lift: ``python -m tests.benchmarks.judging``.

For many shapes of values, shares and numbers of units, experiments without any difference are judged
by the product's own functions at one look: the share of p-values of at most 5 % is that of false
alarms. Then experiments whose treatment has 5 % more, with the units that the planning asks for
to find it with a chance of 80 %: the share of those that are found. Where all values are 5 % larger,
so is their deviation in the treatment, of which the planning does not know: a test that lost nothing
would find 76 to 78 %. No clock is read, so the machine
does not matter; the seeds are fixed. ``BENCHMARK_NULLS`` is the number of experiments in each cell.
"""

import json
import os
from dataclasses import dataclass
from functools import partial

import numpy as np

from apps.engine.experiments import fixed_horizon
from apps.engine.experiments.aggregates import Conversions, Values
from apps.engine.experiments.power import power_of_values, required_units_of_values

NULLS = int(os.environ.get("BENCHMARK_NULLS", "10000"))
ALPHA, POWER, LIFT = 0.05, 0.8, 0.05
SHARES = {"50/50": 0.5, "80/20": 0.2, "90/10": 0.1}
"""Of the treatment."""
SIZES = (200, 1_000, 5_000)
"""Units of both variants together."""
AT_ONCE = 2_000_000
"""Values in memory."""
MOST_VALUES = 500_000_000
"""Of a cell of the power: what needs very many units is repeated less often."""


@dataclass(frozen=True)
class Shape:
    """Values of units: a share ``having`` of them has one that is drawn, the others have none. ``mean``
    and ``square`` are what a drawn one and its square are in the mean.
    """

    draw: object
    mean: float
    square: float
    having: float = 1.0

    @property
    def of_units(self):
        """The mean and the deviation of a unit's value."""
        mean = self.having * self.mean
        return mean, (self.having * self.square - mean * mean) ** 0.5


def log_normal(sigma, having=1.0):
    """Its logarithm is normal with the deviation ``sigma``."""
    mean, square = np.exp(sigma * sigma / 2), np.exp(2 * sigma * sigma)
    return Shape(partial(_log_normal, sigma), float(mean), float(square), having)


def _log_normal(sigma, random, count):
    return np.exp(sigma * random.standard_normal(count))


SHAPES = {
    "normal": Shape(lambda random, count: 3 + random.standard_normal(count), 3, 10),
    "exponential": Shape(lambda random, count: random.standard_exponential(count), 1, 2),
    "log-normal 0.5": log_normal(0.5),
    "log-normal 1": log_normal(1),
    "log-normal 1.5": log_normal(1.5),
    "log-normal 2": log_normal(2),
    "revenue of 5 %": log_normal(1, 0.05),
    "revenue of 20 %": log_normal(1, 0.2),
}
RATES = {"0.5 %": 0.005, "2 %": 0.02, "10 %": 0.1, "50 %": 0.5}


def variants(shape, random, times, units, factor=1.0):
    """So many variants of that many units each, as their aggregates, values times ``factor``."""
    having = random.binomial(units, shape.having, times)
    at_once = max(1, int(AT_ONCE / (units * shape.having)))
    for start in range(0, times, at_once):
        counts = having[start : start + at_once]
        values = factor * shape.draw(random, counts.sum())
        places = np.append(0, np.cumsum(counts)[:-1])
        sums = [
            np.add.reduceat(np.append(each, 0.0), places) * (counts > 0)
            for each in (values, values * values, values * values * values)
        ]
        for count, total, squares, cubes in zip(counts, *sums, strict=True):
            yield Values(units, float(total), float(squares), units - int(count), float(cubes))


def experiments(shape, share, units, times, seed, factor=1.0):
    """Pairs of a control and a treatment that has ``share`` of the units."""
    random = np.random.default_rng(seed)
    treated = round(units * share)
    controls = variants(shape, random, times, units - treated)
    return zip(controls, variants(shape, random, times, treated, factor), strict=True)


def false_alarms(shape, share, units, times, seed=1):
    """The share of experiments without a difference that seem to have one."""
    pairs = experiments(shape, share, units, times, seed)
    return (
        sum(fixed_horizon.compare_values(*pair, ALPHA).p_value <= ALPHA for pair in pairs) / times
    )


def false_alarms_of_rates(rate, share, units, times, seed=1):
    """The same of conversions."""
    random = np.random.default_rng(seed)
    treated = round(units * share)
    counts = [random.binomial(each, rate, times).tolist() for each in (units - treated, treated)]
    return (
        sum(
            fixed_horizon.compare_conversions(
                Conversions(units - treated, control), Conversions(treated, treatment), ALPHA
            ).p_value
            <= ALPHA
            for control, treatment in zip(*counts, strict=True)
        )
        / times
    )


def found_lifts(shape, share, times, seed=2, lift=LIFT):
    """The power that is stated, the units of control and treatment, and the share of lifts that are
    found.
    """
    mean, deviation = shape.of_units
    asked = {"deviation": deviation, "effect": lift * mean}
    needed = required_units_of_values(
        **asked, power=POWER, treatment_per_control=share / (1 - share)
    )
    stated = power_of_values(**asked, control=needed.control, treatment=needed.treatment)
    values = shape.having * (needed.control + needed.treatment)
    times = max(1, min(times, int(MOST_VALUES / values)))
    random = np.random.default_rng(seed)
    pairs = zip(
        variants(shape, random, times, needed.control),
        variants(shape, random, times, needed.treatment, 1 + lift),
        strict=True,
    )
    found = sum(
        said.p_value <= ALPHA and said.absolute.low > 0
        for said in (fixed_horizon.compare_values(*pair, ALPHA) for pair in pairs)
    )
    return stated, needed, found / times


def show(title, heads, rows):
    """A table of shares in percent; gives it as one mapping."""
    print(f"{title:<18}" + "".join(f"{head:>15}" for head in heads), flush=True)
    found = {}
    for name, cells in rows:
        found[name] = {}
        print(f"{name:<18}", end="")
        for head, (told, figures) in zip(heads, cells, strict=True):
            found[name][head] = figures
            print(f"{told:>15}", end="", flush=True)
        print()
    print()
    return found


def nulls(measured, of, sizes, times):
    """Rows of false alarms by shape or rate, for each share and size."""
    for name, each in of.items():
        yield (
            name,
            (
                (f"{100 * share:.2f}", round(share, 5))
                for share in (
                    measured(each, treated, units, times)
                    for treated in SHARES.values()
                    for units in sizes
                )
            ),
        )


def powers(shapes, times):
    """Rows of the stated power, the one found, and the units, for each share."""
    for name, shape in shapes.items():
        yield name, (found_cell(*found_lifts(shape, each, times)) for each in SHARES.values())


def found_cell(stated, needed, found):
    """As the table and as the JSON tell it."""
    told = f"{100 * stated:.1f} {100 * found:.1f}"
    return told, [round(stated, 4), round(found, 4), needed.control + needed.treatment]


def run(times, shapes=SHAPES, rates=RATES, sizes=SIZES):
    """All tables, printed and given."""
    heads = [f"{share} {units}" for share in SHARES for units in sizes]
    print(f"{times} experiments in each cell; percent; nominal {100 * ALPHA:g} % of false alarms\n")
    return {
        "experiments": times,
        "false alarms": show("values", heads, nulls(false_alarms, shapes, sizes, times)),
        "false alarms of rates": show(
            "conversions", heads, nulls(false_alarms_of_rates, rates, sizes, times)
        ),
        "power, stated and found, and units": show(
            "stated, found", list(SHARES), powers(shapes, max(1, times // 5))
        ),
    }


def main():
    print(json.dumps(run(NULLS)))


if __name__ == "__main__":
    main()

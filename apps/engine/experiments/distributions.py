"""Tails and quantiles of the distributions that the tests need, as plain numbers.

The one module that knows SciPy. It is imported inside of the functions on purpose: loading it takes
a third of a second and some 40 MB, which no process should pay that never looks at an experiment.
``scipy.special`` holds the same functions that ``scipy.stats`` wraps, at a fraction of its weight.
"""

from typing import Final

NEGLIGIBLE: Final = 1e-17
"""The share of a sum that a further term does not change."""


def normal_p_value(z: float) -> float:
    """The probability that a standard normal is at least as far from 0 as ``z``, on either side."""
    from scipy import special

    return min(1.0, 2.0 * float(special.ndtr(-abs(z))))


def normal_critical(alpha: float) -> float:
    """The distance from 0 that a standard normal exceeds, on either side, with chance ``alpha``."""
    from scipy import special

    return -float(special.ndtri(alpha / 2))


def normal_cumulative(z: float) -> float:
    """The probability that a standard normal is at most ``z``."""
    from scipy import special

    return float(special.ndtr(z))


def student_p_value(t: float, degrees: float) -> float:
    """As :func:`normal_p_value`, for Student's t of ``degrees`` of freedom, which may be broken."""
    from scipy import special

    return min(1.0, 2.0 * float(special.stdtr(degrees, -abs(t))))


def student_critical(alpha: float, degrees: float) -> float:
    """As :func:`normal_critical`, for Student's t of ``degrees`` of freedom."""
    from scipy import special

    return -float(special.stdtrit(degrees, alpha / 2))


def noncentral_student_cumulative(t: float, degrees: float, shift: float) -> float:
    """The probability that a noncentral t with the noncentrality ``shift`` is at most ``t``."""
    from scipy import special

    return float(special.nctdtr(degrees, shift, t))


def chi_squared_p_value(statistic: float, degrees: int) -> float:
    """The probability that a chi-squared of ``degrees`` of freedom is at least ``statistic``."""
    from scipy import special

    return float(special.chdtrc(degrees, statistic))


def hypergeometric_p_value(hits: int, drawn: int, marked: int, units: int) -> float:
    """Twice the smaller mid-p-value, at most 1, of ``hits`` marked ones among ``drawn`` of ``units``, of
    which ``marked`` are: what is as far counts, and ``hits`` itself by half.

    At most half of the units are marked and drawn, and the mean of the hits is small: weights are
    summed from 0 hits on, each by the one before it, until no more is to come.
    """
    below = equal = above = 0.0
    weight = 1.0
    for count in range(min(drawn, marked) + 1):
        if count < hits:
            below += weight
        elif count == hits:
            equal = weight
        else:
            above += weight
        if weight <= NEGLIGIBLE * (equal + above):
            break
        weight *= (drawn - count) / (count + 1) * (marked - count)
        weight /= units - drawn - marked + count + 1
    smaller = min(below, above) + equal / 2
    return min(1.0, 2 * smaller / (below + equal + above))

"""Tails and quantiles of the distributions that the tests need, as plain numbers.

The one module that knows SciPy. It is imported inside of the functions on purpose: loading it takes
a third of a second and some 40 MB, which no process should pay that never looks at an experiment.
``scipy.special`` holds the same functions that ``scipy.stats`` wraps, at a fraction of its weight.
"""


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

"""What one way of judging says about a treatment against its control."""

from dataclasses import dataclass
from enum import StrEnum

from apps.engine.experiments.aggregates import Interval, ratio_interval


class Lack(StrEnum):
    """Why nothing is said: too few ``UNITS`` in a variant, too few of them with a value other than 0
    (``VALUES``), or no ``SPREAD`` of the values, by which chance could be told from a lift.
    """

    UNITS = "units"
    VALUES = "values"
    SPREAD = "spread"


@dataclass(frozen=True, slots=True)
class Inference:
    """How sure a lift is.

    ``absolute`` is the interval of treatment minus control, in the metric's unit (of rates: 0.01 is
    one percentage point); ``relative`` that of the same divided by the size of the control's mean
    (0.01 is one percent). Either is ``None`` where no bounded interval is supported. ``p_value`` is
    two-sided, for no difference; 1 where nothing is known, and then ``lacks`` says why.
    ``corrected_p_value`` is the one to decide by when several comparisons are made; 1 until
    ``compare_variants`` knows them all.
    """

    absolute: Interval | None
    relative: Interval | None
    p_value: float
    corrected_p_value: float = 1.0
    lacks: Lack | None = None


def nothing_for(lacks: Lack) -> Inference:
    """Nothing is known, for lack of it."""
    return Inference(absolute=None, relative=None, p_value=1.0, lacks=lacks)


def relative_to(base: float, beside: Interval, mean: float, around: Interval) -> Interval | None:
    """The interval of ``(mean - base) / abs(base)``, from those of the two means, ``beside`` and
    ``around``.
    """
    if base < 0:
        ratio = ratio_interval(-mean, _opposite(around), -base, _opposite(beside))
        return ratio and _opposite(Interval(ratio.low - 1, ratio.high - 1))
    ratio = ratio_interval(mean, around, base, beside)
    return ratio and Interval(ratio.low - 1, ratio.high - 1)


def _opposite(found: Interval) -> Interval:
    return Interval(-found.high, -found.low)

"""What one way of judging says about a treatment against its control."""

from dataclasses import dataclass
from typing import Final

from apps.engine.experiments.aggregates import Interval, ratio_interval


@dataclass(frozen=True, slots=True)
class Inference:
    """How sure a lift is.

    ``absolute`` is the interval of treatment minus control, in the metric's unit (of rates: 0.01 is
    one percentage point); ``relative`` that of the same divided by the size of the control's mean
    (0.01 is one percent). Either is ``None`` where no bounded interval is supported. ``p_value`` is
    two-sided, for no difference; 1 where nothing is known. ``corrected_p_value`` is the one
    to decide by when several comparisons are made; 1 until ``compare_variants`` knows them all.
    """

    absolute: Interval | None
    relative: Interval | None
    p_value: float
    corrected_p_value: float = 1.0


NOTHING_KNOWN: Final = Inference(absolute=None, relative=None, p_value=1.0)


def relative_to(base: float, base_reach: float, mean: float, reach: float) -> Interval | None:
    """The interval of ``(mean - base) / abs(base)``, with symmetric intervals that reach
    ``base_reach`` and ``reach`` to each side of the two means.
    """
    sign = -1.0 if base < 0 else 1.0
    base, mean = sign * base, sign * mean
    ratio = ratio_interval(
        mean,
        Interval(mean - reach, mean + reach),
        base,
        Interval(base - base_reach, base + base_reach),
    )
    if ratio is None:
        return None
    low, high = ratio.low - 1, ratio.high - 1
    return Interval(low, high) if sign > 0 else Interval(-high, -low)

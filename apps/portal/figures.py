"""Numbers of experiments as people read them."""

from typing import Final

from apps.engine.experiments.aggregates import Conversions, Interval, Values
from apps.engine.experiments.inference import Inference
from apps.engine.experiments.statistics import Comparison

MINUS: Final = "\N{MINUS SIGN}"
SMALLEST_P: Final = 0.001
WHOLE_FROM, ONE_DIGIT_FROM, TWO_DIGITS_FROM = 1000, 10, 0.1
HUGE_FROM, TINY_BELOW = 1e15, 0.01
"""From the one on, and below the other, two digits and the place of the point say more."""


def lift_of(each: Comparison, said: Inference, *, is_rate: bool) -> tuple[str, str]:
    """A lift and its interval: in percent of the control where there is one to compare with, else
    as a difference.
    """
    if each.relative_lift is not None and (said.relative is not None or said.absolute is None):
        found = said.relative
        bounds = f"{_signed(100 * found.low)} to {signed_percent(found.high)}" if found else ""
        return signed_percent(each.relative_lift), bounds
    if each.absolute_lift is None:
        return "", ""
    return _difference(each.absolute_lift, is_rate=is_rate), _range(said.absolute, is_rate=is_rate)


def _range(found: Interval | None, *, is_rate: bool) -> str:
    if found is None:
        return ""
    low, high = (_difference(each, is_rate=is_rate) for each in found)
    return f"{low} to {high}"


def _difference(value: float, *, is_rate: bool) -> str:
    if is_rate:
        return f"{_signed(100 * value)} points"
    if 0 < abs(value) < TINY_BELOW:
        return f"{MINUS if value < 0 else '+'}{abs(value):.2g}"
    return _signed(value)


def percent(share: float) -> str:
    """A share, 0.125, as ``12.5 %``."""
    return f"{number(100 * share)} %"


def signed_percent(share: float) -> str:
    """A lift, 0.125, as ``+12.5 %``."""
    return f"{_signed(100 * share)} %"


def mean(value: float | None, *, is_rate: bool) -> str:
    """A rate in percent, or a mean in the metric's unit; empty for none."""
    if value is None:
        return ""
    return percent(value) if is_rate else number(value)


def number(value: float) -> str:
    """With as many digits as tell something."""
    size = abs(value)
    if size >= HUGE_FROM or 0 < size < TINY_BELOW:
        return f"{value:.2g}"
    if size >= WHOLE_FROM:
        return f"{value:,.0f}"
    digits = 1 if size >= ONE_DIGIT_FROM else 2 if size >= TWO_DIGITS_FROM else 3
    text = f"{value:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _signed(value: float) -> str:
    """A change: one digit, two for the smallest."""
    size = abs(value)
    digits = 0 if size >= WHOLE_FROM else 1 if size >= TWO_DIGITS_FROM else 2
    text = f"{size:.2g}" if size >= HUGE_FROM else f"{size:,.{digits}f}"
    if not text.strip("0.,"):
        return "0"
    text = text.removesuffix(".0")
    return f"{MINUS}{text}" if value < 0 else f"+{text}"


def p_value(value: float) -> str:
    """As it is written in a report."""
    return "< 0.001" if value < SMALLEST_P else f"{value:.3f}"


def counted(sample: Conversions | Values) -> str:
    """Of how many units."""
    units = f"{sample.units:,}"
    if isinstance(sample, Conversions):
        return f"{sample.conversions:,} of {units}"
    return f"of {units} units"

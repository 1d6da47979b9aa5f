"""What may be claimed of a comparison: never a winner while no difference is possible."""

from collections.abc import Sequence
from enum import StrEnum

from apps.engine.experiments.inference import Inference


class Verdict(StrEnum):
    """What a treatment is against its control, by one metric."""

    UNKNOWN = "unknown"
    UNCLEAR = "unclear"
    BETTER = "better"
    WORSE = "worse"


def judge(said: Sequence[Inference], *, increases: bool, alpha: float) -> Verdict:
    """The verdict that every one of ``said`` supports, of a metric that ``increases`` when all is
    well.

    ``BETTER`` and ``WORSE`` only where the interval is beside 0 and the corrected p-value below
    ``alpha``; ``UNKNOWN`` where there is no interval yet.
    """
    if any(each.absolute is None for each in said):
        return Verdict.UNKNOWN
    sides = {_side(each, alpha) for each in said}
    if sides not in ({1}, {-1}):
        return Verdict.UNCLEAR
    return Verdict.BETTER if sides == {1 if increases else -1} else Verdict.WORSE


def _side(said: Inference, alpha: float) -> int:
    """On which side of 0 the lift is; 0 where that is not known."""
    if said.absolute is None or said.corrected_p_value >= alpha:
        return 0
    return (said.absolute.low > 0) - (said.absolute.high < 0)

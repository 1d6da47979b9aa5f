"""P-values of several comparisons, so that all of them together keep their error."""

from collections.abc import Sequence


def correct_by_holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The adjusted p-values, in the order given: those at most ``alpha`` may be called significant,
    and the chance that any of them is so wrongly is at most ``alpha``.

    Holm (1979), "A simple sequentially rejective multiple test procedure": the smallest of ``m`` times
    ``m``, the next times ``m - 1``, and so on, none below one before it. No assumption on how
    the comparisons depend on each other, as metrics of the same units do.
    """
    count = len(p_values)
    adjusted = [1.0] * count
    largest = 0.0
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = largest
    return tuple(adjusted)

"""Random passwords of a given shape. Randomness comes from the caller."""

import string
from collections.abc import Callable, Sequence
from typing import Final

from apps.engine.errors import invalid

CLASSES: Final[dict[str, str]] = {
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "digits": string.digits,
    "symbols": "!#$%&*+,-./:;<=>?@[]^_{|}~()",
}
SHORTEST: Final = 8
LONGEST: Final = 1024


def alphabets(classes: Sequence[str], excluded: str) -> list[str]:
    """The characters of each class without the excluded ones.

    Raises :class:`InvalidError` when nothing, or nothing of a class, is left.
    """
    found = [
        "".join(each for each in CLASSES[name] if each not in excluded)
        for name in CLASSES
        if name in classes
    ]
    if not found or not all(found):
        raise invalid("/exclude", "shape", "No character of one of the classes is left.")
    return found


def password(
    *, length: int, classes: Sequence[str], excluded: str, below: Callable[[int], int]
) -> str:
    """``length`` characters, at least one of each class, all others evenly from all classes.

    ``below(n)`` gives an even random number from 0 to n-1. The places of the classes are as random
    as the rest: the whole is shuffled (Fisher and Yates, as by Durstenfeld).
    """
    parts = alphabets(classes, excluded)
    if not max(SHORTEST, len(parts)) <= length <= LONGEST:
        raise invalid("/length", "shape", f"A length is {SHORTEST} to {LONGEST}.")
    every = "".join(parts)
    chosen = [part[below(len(part))] for part in parts]
    chosen += [every[below(len(every))] for _ in range(length - len(parts))]
    for last in range(length - 1, 0, -1):
        other = below(last + 1)
        chosen[last], chosen[other] = chosen[other], chosen[last]
    return "".join(chosen)

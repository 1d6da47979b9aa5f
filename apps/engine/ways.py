"""Telling over which keys a reference comes to what is wrong, as far as somebody may read them."""

from collections.abc import Callable, Sequence

from apps.engine.paths import Path
from apps.engine.resolved import Unresolved
from apps.engine.uses import Name, Target, Use

MAX_WAY, MAX_NAMED, ENDS = 10_000, 300, 4
"""In how many characters a way is told, those of a key, and the ends of a longer one."""

May = Callable[[Name, Path, Target], bool]
"""Whether a key of a document that is being composed may refer to a target. Where it may not, the
target is as good as missing, whatever is there, and whatever default is given. Asked of a key and
itself, which is never a reference that is there already, it says whether that may be read."""


def everything(_document: Name, _path: Path, _target: Target) -> bool:
    """No reference is refused."""
    return True


def told(error: Unresolved, start: Target, may: May) -> str:
    """What is wrong, with the keys that lead there from ``start``, unless the message names the one."""
    if error.ring:
        ring = f"{error.message}: {way_of(error.ring, may)}."
        return f"{ring} The way there: {way_of((start, *error.way), may)}." if error.way else ring
    if len(error.way) > 1 or (error.way and str(error.way[0]) not in error.message):
        return f"{error.message} The way there: {way_of((start, *error.way), may)}."
    return error.message


def way_of(targets: Sequence[Target], may: May) -> str:
    """Keys that lead from one to the next. Where one leads that may not be read is not told, the
    last one aside.
    """
    hidden = (
        at
        for at, target in enumerate(targets[1:-1], 1)
        if not may(target.document, target.path, target)
    )
    end = next(hidden, len(targets))
    names = [str(target)[:MAX_NAMED] for target in targets]
    if end < len(targets):
        names = [*names[: end + 1], "…", names[-1]]
    elif sum(map(len, names)) > MAX_WAY:
        names = [*names[:ENDS], "…", *names[-ENDS:]]
    return " → ".join(names)


def chain_to(
    goal: Use, uses: Sequence[Use], uses_of: Callable[[Target], Sequence[Use]]
) -> list[Target]:
    """The keys over which ``goal``, one of ``uses``, is come to; ``uses_of`` gives those of a key."""
    way: list[Target] = []
    while goal.hops > 1:
        for use in uses:
            length = len(use.path)
            if use.hops == 1 and use.path == goal.path[:length]:
                further = Use(goal.path[length:], goal.target, goal.hops - 1)
                inner = uses_of(use.target)
                if further in inner:
                    break
        else:
            break
        way.append(use.target)
        uses, goal = inner, further
    return [*way, goal.target]

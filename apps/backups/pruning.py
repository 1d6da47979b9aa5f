"""What pruning keeps and why, and what it takes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from apps.backups.catalogue import Archive, is_named_after
from apps.engine.retention import Retention

MINUTES = "segments of the last two"
"""Why segments are kept: with the full archive that they stand on, while it is one of these."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the archives, each list the newest first. ``kept`` says why."""

    kept: Mapping[str, list[str]] = field(default_factory=dict)
    gone: Sequence[Archive] = ()

    @property
    def size(self) -> int:
        """How many bytes pruning frees."""
        return sum(each.size for each in self.gone)


def plan_pruning(
    archives: Sequence[Archive], keep: str, broken: Collection[str] = frozenset()
) -> Plan:
    """Full archives are kept by ``keep``; segments with the full one that they stand on, while it is
    one of the last two and kept itself: earlier days need no minutes.

    What cannot be read, what people gave another name, and what was found ``broken`` (names) with all
    that stands on the same full archive takes nobody's place, and is left to people.
    """
    doubted = {each.header.base for each in archives if each.header and each.name in broken}
    every = [each for each in archives if each.header and each.header.kind == "full"]
    full = [each for each in every if is_named_after(each) and _base(each) not in doubted]
    times = [each.created_at for each in full if each.created_at is not None]
    reasons = Retention.parse(keep).reasons(times)
    why = {full[place].name: words for place, words in reasons.items()}
    last = {_base(each) for each in full[:2] if each.name in why}
    left = {_base(each) for each in every} - {_base(each) for each in full}
    kept: dict[str, list[str]] = {}
    gone = []
    for each in archives:
        if each.header is None or _base(each) in left or not is_named_after(each):
            continue
        if each.header.kind == "segment" and each.header.base in last:
            kept[each.name] = [MINUTES]
        elif each.name in why:
            kept[each.name] = why[each.name]
        else:
            gone.append(each)
    return Plan(kept, gone)


def _base(each: Archive) -> str:
    """The id of the full archive that it stands on, or is."""
    return each.header.base if each.header else ""

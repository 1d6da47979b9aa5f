"""What pruning keeps and why, and what it takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from apps.backups.catalogue import Archive
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


def plan_pruning(archives: Sequence[Archive], keep: str) -> Plan:
    """Full archives are kept by ``keep``; segments with the full one that they stand on, while it is
    one of the last two and kept itself: earlier days need no minutes. What cannot be read is left to people.
    """
    full = [each for each in archives if each.header and each.header.kind == "full"]
    times = [each.created_at for each in full if each.created_at is not None]
    reasons = Retention.parse(keep).reasons(times)
    why = {full[place].name: words for place, words in reasons.items()}
    last = {each.header.id for each in full[:2] if each.header and each.name in why}
    kept: dict[str, list[str]] = {}
    gone = []
    for each in archives:
        if each.header is None:
            continue
        if each.header.kind == "segment" and each.header.base in last:
            kept[each.name] = [MINUTES]
        elif each.name in why:
            kept[each.name] = why[each.name]
        else:
            gone.append(each)
    return Plan(kept, gone)

"""Which backups are kept: the newest of each of the last hours, days, weeks and months."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from apps.engine.errors import invalid

_PART: Final = re.compile(r"(\d{1,4})([hdwm])")
_SPANS: Final[dict[str, Callable[[datetime], object]]] = {
    "h": lambda at: (at.date(), at.hour),
    "d": lambda at: at.date(),
    "w": lambda at: at.isocalendar()[:2],
    "m": lambda at: (at.year, at.month),
}
NEWEST: Final = "newest"
WORDS: Final = ("hourly", "daily", "weekly", "monthly")


@dataclass(frozen=True, slots=True)
class Retention:
    """How many hours, days, weeks and months keep their newest backup. Only those with one count."""

    hours: int
    days: int
    weeks: int
    months: int

    @classmethod
    def parse(cls, text: str) -> "Retention":
        """From ``24h 7d 5w 12m``, in any order; what is not named is 0.

        Raises :class:`InvalidError` for another text, and for one that keeps nothing.
        """
        given = dict.fromkeys(_SPANS, 0)
        for part in text.split():
            match = _PART.fullmatch(part)
            if match is None:
                raise invalid("", "retention", "Write retention as 24h 7d 5w 12m.")
            given[match.group(2)] = int(match.group(1))
        if not any(given.values()):
            raise invalid("", "retention", "This retention would keep nothing.")
        return cls(*given.values())

    def reasons(self, times: Sequence[datetime]) -> dict[int, list[str]]:
        """The places in ``times`` (UTC) of those that are kept, each with why: ``newest``, ``hourly``,
        ``daily``, ``weekly``, ``monthly``. The newest is one of them.
        """
        newest_first = sorted(range(len(times)), key=times.__getitem__, reverse=True)
        found = {place: [NEWEST] for place in newest_first[:1]}
        counts = (self.hours, self.days, self.weeks, self.months)
        for span, word, count in zip(_SPANS.values(), WORDS, counts, strict=True):
            seen: set[object] = set()
            for place in newest_first:
                key = span(times[place])
                if key not in seen and len(seen) < count:
                    seen.add(key)
                    found.setdefault(place, []).append(word)
        return found

    def kept(self, times: Sequence[datetime]) -> set[int]:
        """The places in ``times`` (UTC) of those that are kept."""
        return set(self.reasons(times))

"""Spans of time as text: ``300ms``, ``1h30m``, ``1.5s``.

The grammar is that of Go's ``time.ParseDuration`` without signs, and ``d`` for days of 24 hours
beside it: numbers, each with its unit, added up. Nothing is finer than a nanosecond.
"""

import re
from typing import Final

MAX_TEXT: Final = 64
LONGEST: Final = 2**63 - 1
"""Nanoseconds: about 292 years, as in Go."""
_PART: Final = re.compile(r"(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))(ns|us|µs|μs|ms|s|m|h|d)")
_UNITS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86_400 * 10**9,
}


def find_duration(text: str) -> int | None:
    """The nanoseconds that ``text`` says; ``None`` when it is no span of time."""
    if text == "0":
        return 0
    total, end = 0, 0
    while end < len(text) <= MAX_TEXT:
        match = _PART.match(text, end)
        if match is None:
            return None
        end = match.end()
        whole, fraction, alone, unit = match.groups()
        digits = fraction or alone or ""
        nanos, left = divmod(int((whole or "0") + digits) * _UNITS[unit], 10 ** len(digits))
        if left:
            return None
        total += nanos
    return total if text and end == len(text) and total <= LONGEST else None

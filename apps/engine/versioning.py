"""Versions after Semantic Versioning 2.0.0 (semver.org), and ranges of them.

A range is comparators with blanks between them, all of which hold; ``||`` stands between ranges of
which one holds: ``>=1.4.0 <2``, ``^2.1 || ~3.0.4``. A comparator is one of ``= > >= < <= ^ ~`` (none:
``=``) and a version whose minor and patch may be left out. ``^`` and ``~`` as in node-semver.
"""

import re
from typing import Final

MAX_TEXT: Final = 256
_NUMBER: Final = r"(?:0|[1-9][0-9]{0,8})"
_IDENTIFIER: Final = r"[0-9A-Za-z-]+"
_COMPARATOR: Final = re.compile(
    rf"(?:>=|<=|[=><^~])?{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}"
    rf"(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?(?:\+{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?)?)?"
)


def is_version_range(text: str) -> bool:
    """Whether ``text`` is a range of versions."""
    if len(text) > MAX_TEXT:
        return False
    alternatives = [each.split() for each in text.split("||")]
    return all(
        parts and all(_COMPARATOR.fullmatch(part) for part in parts) for parts in alternatives
    )

"""Content codings of answers (RFC 9110, 8.4): made once for each body, and never of a revealed secret.

What a secret and an attacker's text are compressed together with tells of the secret by its length, so
answers with revealed values are sent as they are.
"""

import gzip
import hashlib
from collections.abc import Callable
from typing import Final

import brotli
from django.conf import settings

from apps.delivery.memory import Memory, Text

SMALLEST: Final = 512
"""Fewer bytes than this are not worth it."""
BROTLI_QUALITY: Final = 5
GZIP_LEVEL: Final = 6

Encode = Callable[[bytes], bytes]
CODINGS: Final[dict[str, Encode]] = {
    "br": lambda body: bytes(brotli.compress(body, quality=BROTLI_QUALITY)),
    "gzip": lambda body: gzip.compress(body, GZIP_LEVEL, mtime=0),
}
"""The best first, where a client likes several as much."""

_made: Memory[tuple[str, bytes], Text] = Memory(settings.MEMORY_BYTES // 4)


def choose_coding(accept_encoding: str) -> str:
    """The coding that ``Accept-Encoding`` likes best of those there are; empty: none.

    A server may always send a body as it is, so nothing is refused (RFC 9110, 12.5.3).
    """
    weights = dict(map(_weight, accept_encoding.lower().split(",")))
    best = max(CODINGS, key=lambda each: weights.get(each, weights.get("*", 0.0)))
    weight = weights.get(best, weights.get("*", 0.0))
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else ""


def _weight(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip() for piece in part.split(";"))
    for parameter in parameters:
        key, _equals, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return name, float(value)
            except ValueError:
                return name, 0.0
    return name, 1.0


def encode(body: bytes, coding: str) -> bytes | None:
    """The body in a coding; ``None`` where that is no smaller."""
    if len(body) < SMALLEST:
        return None
    key = coding, hashlib.sha256(body).digest()
    made = _made.find(key)
    if made is None:
        made = Text(CODINGS[coding](body))
        _made.keep(key, made)
    return made.data if len(made.data) < len(body) else None

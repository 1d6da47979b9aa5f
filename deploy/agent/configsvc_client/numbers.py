"""Numbers that keep the digits they were sent with, and JSON that writes them so."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

_ESCAPED: Final = re.compile("[\u007f-\u009f\u2028\u2029\ufeff]")


class Number(float):
    """A number with a fraction or an exponent; ``repr`` and ``str`` give the digits that were sent."""

    __slots__ = ("literal",)
    literal: str

    def __new__(cls, literal: str) -> "Number":
        """The number that ``literal`` writes."""
        made = super().__new__(cls, literal)
        made.literal = literal
        return made

    def __repr__(self) -> str:
        return self.literal

    def __str__(self) -> str:
        return self.literal

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override] # made of its digits
        return (self.literal,)


def loads(text: str | bytes) -> Any:
    """JSON with :class:`Number` for what ``int`` would not write back. Raises :class:`ValueError`."""
    return json.loads(text, parse_float=Number, parse_int=_whole)


def _whole(literal: str) -> int | Number:
    return Number(literal) if literal == "-0" else int(literal)


def quoted(text: str) -> str:
    """A JSON string; readers of YAML take it for the same text."""
    return _ESCAPED.sub(lambda each: f"\\u{ord(each[0]):04x}", json.dumps(text, ensure_ascii=False))


def dumps(value: Any, indent: str = "") -> str:
    """JSON with the digits of each :class:`Number`, on one line or, with ``indent``, on many."""
    pieces: list[str] = []
    _write(value, pieces.append, indent, "\n" if indent else "")
    return "".join(pieces)


def _write(value: Any, put: Callable[[str], object], indent: str, line: str) -> None:
    if isinstance(value, (dict, list)) and value:
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        inner = line + indent
        separator = opening + inner
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            put(separator)
            if isinstance(key, str):
                put(f"{json.dumps(key, ensure_ascii=False)}:{' ' if indent else ''}")
            _write(value[key], put, indent, inner)
            separator = f",{inner}"
        put(line + closing)
    elif isinstance(value, Number):
        put(value.literal)
    else:
        put(json.dumps(value, ensure_ascii=False))

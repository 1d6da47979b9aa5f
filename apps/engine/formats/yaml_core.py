"""Scalars of the YAML 1.2 core schema (section 10.3.2 of the specification)."""

import re
from typing import Any, Final

from apps.engine.errors import LimitError, MalformedError
from apps.engine.formats.parsed import Place, refuse, refuse_as, shown
from apps.engine.values import MAX_DIGITS, Number, Tree, number

TAG: Final = "tag:yaml.org,2002:"
NULL: Final = re.compile(r"(?:null|Null|NULL|~|)")
BOOL: Final = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
INT: Final = re.compile(r"[-+]?[0-9]++")
OCTAL: Final = re.compile(r"0o[0-7]++")
HEX: Final = re.compile(r"0x[0-9a-fA-F]++")
FLOAT: Final = re.compile(r"([-+]?)(\.[0-9]++|[0-9]++(?:\.[0-9]*+)?)([eE][-+]?[0-9]++)?")
NOT_FINITE: Final = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))")

_MAX_BITS: Final = MAX_DIGITS * 3  # fewer decimal digits than MAX_DIGITS, whatever they are
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "null": (type(None),),
    "bool": (bool,),
    "int": (int, Number),
    "float": (int, float, Number),
}


def place(event: Any) -> Place:
    """Where an event of the parser begins."""
    return event.start_mark.line + 1, event.start_mark.column + 1


def resolve(event: Any) -> Tree:
    """A scalar event's value. Raises :class:`MalformedError` for other tags, NaN and infinity."""
    text, tag = event.value, event.tag
    if tag in ("!", f"{TAG}str") or (tag is None and event.style):
        return text
    kinds = _TYPES.get(tag.removeprefix(TAG)) if tag and tag.startswith(TAG) else None
    if tag is not None and kinds is None:
        refuse_tag(event)
    try:
        value = _plain(text)
    except MalformedError as error:
        refuse_as(error, place(event))
    if kinds is not None and (not isinstance(value, kinds) or _is_odd_bool(value, kinds)):
        refuse(f"This is not of the type that its tag {tag} says.", place(event))
    return value


def refuse_tag(event: Any) -> None:
    """Raise :class:`MalformedError`: the tag is not one of the core schema."""
    message = f"The tag {shown(event.tag)} is not known: only YAML's core types are."
    refuse(message, place(event))


def is_plain_text(text: str) -> bool:
    """Whether a plain scalar of this text is text after the core schema."""
    patterns = (NULL, BOOL, INT, OCTAL, HEX, FLOAT, NOT_FINITE)
    return not any(pattern.fullmatch(text) for pattern in patterns)


def _is_odd_bool(value: Tree, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, bool) and bool not in kinds


def _plain(text: str) -> Tree:
    if NULL.fullmatch(text):
        return None
    if BOOL.fullmatch(text):
        return text[0] in "tT"
    if NOT_FINITE.fullmatch(text):
        raise MalformedError("NaN and infinity are not JSON numbers.")
    if INT.fullmatch(text):
        return number(_sign(text) + _without_zeros(text.lstrip("+-")))
    if OCTAL.fullmatch(text) or HEX.fullmatch(text):
        return _based(text)
    match = FLOAT.fullmatch(text)
    return text if match is None else _float(match)


def _based(text: str) -> int:
    value = int(text, 8 if text[1] == "o" else 16)
    if value.bit_length() > _MAX_BITS:
        raise LimitError(f"A number may have at most {MAX_DIGITS} characters.")
    return value


def _float(match: re.Match[str]) -> Tree:
    _sign_text, digits, exponent = match.groups()
    whole, dot, fraction = digits.partition(".")
    literal = _without_zeros(whole) + (f".{fraction or '0'}" if dot else "")
    return number(_sign(match.group()) + literal + (exponent or ""))


def _sign(text: str) -> str:
    return "-" if text.startswith("-") else ""


def _without_zeros(digits: str) -> str:
    return digits.lstrip("0") or "0"

"""References in texts: ``${service:key}``, ``${self:key}``, ``${param:name}``, ``${secret:name}``.

``service@environment`` names another environment; ``:-`` gives a default, as JSON or as text;
``$${`` is a literal ``${``. The notation is that of the contract, after the parameter expansion of
the POSIX shell (IEEE 1003.1, section 2.6.2).
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from apps.engine.errors import DomainError, invalid
from apps.engine.paths import Path, format_path, parse_path
from apps.engine.values import Tree, check, number

_SLUG: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?"
_TARGET: Final = re.compile(rf"({_SLUG})(?:@({_SLUG}))?:")
_SECRET: Final = re.compile(rf"secret:((?:{_SLUG}/)?{_SLUG})\}}")
_PARAMETER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_OPENING: Final = re.compile(r"\$?\$\{")
_JSON: Final = json.JSONDecoder(parse_float=number, parse_int=number)

MAX_IN_TEXT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Default:
    """What stands for a missing value: JSON where it reads as a scalar of it, else the text."""

    value: Tree


@dataclass(frozen=True, slots=True)
class Reference:
    """A key of a configuration. ``service`` ``None`` is the one that the text stands in,
    ``environment`` ``None`` the one that is being composed.
    """

    service: str | None
    environment: str | None
    path: Path
    default: Default | None = None

    def __str__(self) -> str:
        at = f"@{self.environment}" if self.environment else ""
        return f"{self.service or 'self'}{at}:{format_path(self.path)}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a template, or something inside it: ``${param:database.host}``."""

    path: Path
    default: Default | None = None

    def __str__(self) -> str:
        return format_path(self.path)


@dataclass(frozen=True, slots=True)
class SecretName:
    """A secret inside a text."""

    name: str


Part = str | Reference | Parameter | SecretName


def parse(text: str) -> list[Part]:
    """The parts of ``text``, in order; neighbouring literal text is one part.

    In linear time. Raises :class:`InvalidError` with an empty pointer for what opens with ``${``
    and is none of these.
    """
    parts: list[Part] = []
    literal: list[str] = []
    start = 0
    while (opening := _OPENING.search(text, start)) is not None:
        literal.append(text[start : opening.start()])
        if len(opening.group()) == len("$${"):
            literal.append("${")
            start = opening.end()
            continue
        part, start = _part(text, opening.end())
        _close(parts, literal)
        parts.append(part)
        if len(parts) > MAX_IN_TEXT:
            raise invalid("", "reference", f"A text may hold at most {MAX_IN_TEXT} references.")
    literal.append(text[start:])
    _close(parts, literal)
    return parts


def substitute(text: str, spelled: Callable[[Parameter], str]) -> str:
    """``text`` with its parameters spelled out, and all else as it is written."""
    pieces: list[str] = []
    start = 0
    while (opening := _OPENING.search(text, start)) is not None:
        end = opening.end()
        pieces.append(text[start : opening.start()])
        if len(opening.group()) == len("$${"):
            pieces.append(opening.group())
        else:
            part, end = _part(text, end)
            written = text[opening.start() : end]
            if "${" in written[2:]:
                raise invalid("", "reference", "A reference cannot stand inside another one.")
            pieces.append(spelled(part) if isinstance(part, Parameter) else written)
        start = end
    return "".join([*pieces, text[start:]])


def is_whole(parts: list[Part]) -> bool:
    """Whether the text is one reference and nothing else: the value then keeps its type."""
    return len(parts) == 1 and not isinstance(parts[0], (str, SecretName))


def _close(parts: list[Part], literal: list[str]) -> None:
    """Move the literal text that was read so far into the parts."""
    text = "".join(literal)
    literal.clear()
    if text:
        parts.append(text)


def _part(text: str, start: int) -> tuple[Part, int]:
    """The part that begins after ``${`` at ``start``, and where the text goes on."""
    secret = _SECRET.match(text, start)
    if secret:
        return SecretName(secret.group(1)), secret.end()
    target = _TARGET.match(text, start)
    service = target.group(1).lower() if target else ""
    if target is None or service == "secret":
        raise _unreadable()
    key, end, has_default = _key(text, target.end())
    default = None
    if has_default:
        default, end = _default(text, end)
    if service == "param":
        path = _path(key)
        if target.group() != "param:" or not _PARAMETER.fullmatch(str(path[0])):
            raise _unreadable()
        return Parameter(path, default), end
    return Reference(*_place(target.group(1), target.group(2)), _path(key), default), end


def _place(service: str, environment: str | None) -> tuple[str | None, str | None]:
    if service.lower() != "self":
        return service, environment
    if environment is not None:
        raise invalid("", "reference", "'self' takes no environment: name the service.")
    return None, None


def _key(text: str, start: int) -> tuple[str, int, bool]:
    """The key from ``start``, where what follows it begins, and whether that is a default."""
    quoted = False
    position = start
    while position < len(text):
        character = text[position]
        if quoted:
            position += 2 if character == "\\" else 1
            quoted = character != '"'
            continue
        if character == "}":
            return text[start:position], position + 1, False
        if text.startswith(":-", position):
            return text[start:position], position + 2, True
        quoted = character == '"' and text[position - 1] == "["
        position += 1
    raise _unreadable()


def _default(text: str, start: int) -> tuple[Default, int]:
    if text.startswith('"', start):
        try:
            value, end = _JSON.raw_decode(text, start)
        except ValueError:
            value, end = None, len(text)
        if text.startswith("}", end):
            return Default(value), end + 1
    end = text.find("}", start)
    if end < 0:
        raise _unreadable()
    return Default(_scalar(text[start:end])), end + 1


def _scalar(text: str) -> Tree:
    try:
        value, end = _JSON.raw_decode(text)
        if end != len(text) or isinstance(value, (dict, list)):
            return text
        check(value)
    except (ValueError, DomainError, RecursionError):
        return text
    return value


def _path(key: str) -> Path:
    try:
        path = parse_path(key)
    except DomainError as error:
        raise invalid("", "reference", f"The key of a reference cannot be read: {error}") from error
    if not path:
        raise invalid("", "reference", "A reference names a key: ${service:key}.")
    return path


def _unreadable() -> DomainError:
    message = (
        "This is no reference: write ${service:key}, ${self:key} or ${secret:name}, "
        "or $${ for a literal ${."
    )
    return invalid("", "reference", message)

"""Reading and writing documents: JSON, YAML, TOML, XML, dotenv and Java properties.

Each format has a module with ``parse(text) -> Parsed`` and ``render(tree) -> str``. Reading
refuses hostile input early and in linear time; writing refuses what a format cannot hold and
never drops anything.
"""

from types import ModuleType
from typing import Final

from apps.engine import values
from apps.engine.errors import MalformedError, Problem
from apps.engine.formats import env, json, properties, toml, xml, yaml
from apps.engine.formats.flat import flatten
from apps.engine.formats.parsed import NO_POSITIONS, Parsed, Positions, decode
from apps.engine.values import Tree

_MODULES: Final[dict[str, ModuleType]] = {
    "json": json,
    "yaml": yaml,
    "toml": toml,
    "xml": xml,
    "env": env,
    "properties": properties,
}
FORMATS: Final = tuple(_MODULES)
MEDIA_TYPES: Final = {
    "json": "application/json",
    "yaml": "application/yaml",
    "toml": "application/toml",
    "xml": "application/xml",
    "env": "text/x-dotenv",
    "properties": "text/x-java-properties",
}

__all__ = [
    "FORMATS",
    "MEDIA_TYPES",
    "NO_POSITIONS",
    "Parsed",
    "Positions",
    "flatten",
    "parse",
    "parse_sent",
    "render",
    "split_suffix",
]


def parse(content: str | bytes, format: str) -> Parsed:  # noqa: A002 - the field's own word
    """The document in ``content``, with the positions of its keys.

    Raises :class:`MalformedError` (or its :class:`LimitError`) with line and column for whatever
    is not one document of that format, for duplicate keys and for text that cannot be stored.
    An empty YAML, TOML, dotenv or properties text is an empty object. Takes linear time.
    """
    parsed: Parsed = _MODULES[format].parse(decode(content))
    try:
        values.check(parsed.tree)
    except MalformedError as error:
        problems = error.problems or [Problem("", error.code, error.detail)]
        raise type(error)(error.detail, [_located(each, parsed) for each in problems]) from None
    return parsed


def parse_sent(content: str | bytes, format: str) -> Parsed:  # noqa: A002 - as above
    """The same of what somebody sends in: what it declares of itself must hold, too."""
    parsed = parse(content, format)
    if format == "xml":
        xml.check_declaration(decode(content))
    return parsed


def render(tree: Tree, format: str) -> str:  # noqa: A002 - the field's own word
    """``tree`` as text of that format; reading it back gives the same document.

    Raises :class:`UnrepresentableError` naming the keys that the format cannot hold. The flat
    formats (env, properties) give back the flattened document.
    """
    text: str = _MODULES[format].render(tree)
    return text


def split_suffix(name: str) -> tuple[str, str]:
    """A file's name without its format's suffix, and that format (``""`` without one)."""
    stem, dot, suffix = name.rpartition(".")
    if dot and suffix.lower() in FORMATS:
        return stem, suffix.lower()
    return name, ""


def _located(problem: Problem, parsed: Parsed) -> Problem:
    line, column = parsed.positions.find(problem.pointer) or (None, None)
    return Problem(problem.pointer, problem.code, problem.message, line, column)

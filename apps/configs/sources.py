"""What an author hands in: a text in a format, or a document, with what it extends."""

from dataclasses import dataclass, replace
from typing import Any, Final

from apps.configs.laying import check_extends
from apps.engine import editing, formats
from apps.engine.errors import InvalidConfigurationError, MalformedError, Problem
from apps.engine.values import Tree, canonical, same

_COMMENTS_LOST: Final = (
    "The text could not be changed in its place: it was written anew, and its comments are gone."
)


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed source. ``tree`` is an object; ``given_as_tree`` when no text was written;
    ``comments_lost`` when the text was written anew in the place of one with comments.
    """

    content: str
    format: str
    extends: list[dict[str, Any]] | None
    parsed: formats.Parsed
    given_as_tree: bool = False
    comments_lost: bool = False

    @property
    def tree(self) -> Tree:
        """The document that was written, before composing."""
        return self.parsed.tree

    def told(self) -> list[Problem]:
        """What the author is warned of."""
        return [Problem("", "comments", _COMMENTS_LOST)] if self.comments_lost else []


def from_text(content: str | bytes, format_name: str, extends: object = None) -> Source:
    """Read a source text. Raises :class:`MalformedError` with the position.

    ``extends`` absent (``None``) means as it was; an empty list means none.
    """
    if format_name not in formats.FORMATS:
        known = ", ".join(formats.FORMATS)
        message = f"There is no format '{format_name}': use one of {known}."
        raise MalformedError(message, [Problem("/format", "format", message)])
    return _source(content, format_name, extends, formats.parse_sent(content, format_name))


def _source(
    content: str | bytes, format_name: str, extends: object, parsed: formats.Parsed
) -> Source:
    _require_object(parsed.tree)
    text = content if isinstance(content, str) else content.decode("utf-8-sig")
    return Source(text, format_name, _extends(extends), parsed)


def kept(content: str, format_name: str, extends: object = None) -> Source:
    """Read a text that is kept here, or made of one. Of its lines nothing is told: no author sent them,
    and keys stand between them that he may not read.
    """
    tree = formats.parse(content, format_name).tree
    return _source(content, format_name, extends, formats.Parsed(tree, formats.NO_POSITIONS))


def from_tree(tree: Tree, extends: object = None) -> Source:
    """Take a document that was read from a JSON body; it is kept as JSON text of two spaces' indent."""
    parsed = formats.Parsed(tree, formats.NO_POSITIONS)
    _require_object(tree)
    return Source(pretty(tree), "json", _extends(extends), parsed, given_as_tree=True)


def rewritten(source: Source, tree: Tree, extends: list[dict[str, Any]] | None) -> Source:
    """``source`` with another document, its text edited as little as possible."""
    if source.given_as_tree:
        return from_tree(tree, extends)
    if same(tree, source.tree):
        return replace(source, extends=extends)
    return edited(source.content, source.format, tree, extends)


def edited(content: str, format_name: str, tree: Tree, extends: object = None) -> Source:
    """A text that is kept here, edited as little as possible to hold another document."""
    text, lost = editing.edit(content, format_name, tree)
    return replace(kept(text, format_name, extends), comments_lost=lost)


def pretty(tree: Tree) -> str:
    """JSON text for people: members in the order that was sent, digits kept."""
    return formats.render(tree, "json")


def dump_extends(extends: list[dict[str, Any]]) -> str:
    """``extends`` as it is stored."""
    return canonical(extends)


def _require_object(tree: Tree) -> None:
    if not isinstance(tree, dict):
        message = "A configuration is an object: its top level needs keys."
        raise InvalidConfigurationError(message, [Problem("", "type", message, 1, 1)])


def _extends(extends: object) -> list[dict[str, Any]] | None:
    return None if extends is None else check_extends(extends)

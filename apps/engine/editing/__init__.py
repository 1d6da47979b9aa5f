"""Editing a source text: only what differs changes; comments, order and quoting stay."""

import re
from typing import Final, NamedTuple

from apps.engine import formats
from apps.engine.editing import toml, yaml
from apps.engine.errors import DomainError
from apps.engine.formats import json as json_format
from apps.engine.values import Tree, same

_JSON_INDENT: Final = re.compile(r"^[ \t]*[{\[]\s*?\n([ \t]+)")
_EDITORS: Final = {"yaml": yaml.edit, "toml": toml.edit}


_HASH: Final = r"(?:^|[ \t])#"
_COMMENTS: Final = {
    "yaml": re.compile(_HASH, re.MULTILINE),
    "toml": re.compile(_HASH, re.MULTILINE),
    "env": re.compile(_HASH, re.MULTILINE),
    "properties": re.compile(r"^[ \t]*[#!]", re.MULTILINE),
    "xml": re.compile("<!--"),
}


class Edited(NamedTuple):
    """A source text; ``comments_lost``: it, or a part of it, was written anew, and that had comments."""

    text: str
    comments_lost: bool = False


def edit(content: str, format: str, wanted: Tree) -> Edited:  # noqa: A002 - the field's own word
    """``content`` changed so that it parses to ``wanted``, with as much as possible as it was.

    YAML by the positions of its nodes, TOML by tomlkit; JSON keeps its indent; the others are
    written anew. Raises :class:`UnrepresentableError` when the format cannot hold ``wanted``.
    """
    current = formats.parse(content, format).tree
    if same(current, wanted):
        return Edited(content)
    editor = _EDITORS.get(format)
    if editor is not None:
        formats.render(wanted, format)  # says at once what the format cannot hold
        for text, lost in editor(content, current, wanted):
            if _reads_as(text, format, wanted):
                return Edited(text, lost)
    comments = _COMMENTS.get(format)
    return Edited(_anew(content, format, wanted), bool(comments and comments.search(content)))


def _anew(content: str, format_name: str, wanted: Tree) -> str:
    if format_name == "json":
        indent = _JSON_INDENT.match(content)
        return json_format.render(wanted, indent.group(1) if indent else "  ")
    return formats.render(wanted, format_name)


def _reads_as(content: str, format_name: str, wanted: Tree) -> bool:
    try:
        return same(formats.parse(content, format_name).tree, wanted)
    except DomainError:
        return False

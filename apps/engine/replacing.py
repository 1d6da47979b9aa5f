"""Putting the name of a secret in the place of one value of a source text, and leaving the rest."""

from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

from apps.engine import editing, formats
from apps.engine.errors import DomainError, NotFoundError, invalid
from apps.engine.guarding import TRANSPARENT
from apps.engine.values import Tree, canonical, same

Steps = tuple[str, ...]

MOST_TRIES: Final = 50
NAMES: Final = {
    "yaml": '{{"$secret": "{}"}}',
    "json": '{{"$secret": "{}"}}',
    "toml": '{{"$secret" = "{}"}}',
    "xml": '<_ name="$secret">{}</_>',
    "properties": "${{secret:{}}}",
    "env": "${{secret:{}}}",
}
FLAT: Final = ("properties", "env")


def value_at(tree: Tree, steps: Steps) -> str:
    """The text at a JSON Pointer's steps in a source, whose markers stand between them.

    Raises :class:`NotFoundError` where there is none: it comes from a template or a parent, or
    is no text. Nothing of a value is in the error.
    """
    _path, value = _walk(tree, steps)
    if not isinstance(value, str) or not value:
        raise _missing()
    return value


def name_in_place(content: str, format_name: str, steps: Steps, name: str) -> str:
    """``content`` with the secret's name where the value at ``steps`` stood, nothing else changed.

    Where the value is written plainly only its own characters change; else the text is edited as
    :func:`apps.engine.editing.edit` does it.
    """
    tree = formats.parse(content, format_name).tree
    path, value = _walk(tree, steps)
    marker: Tree = f"${{secret:{name}}}" if format_name in FLAT else {"$secret": name}
    wanted = _with(tree, path, marker)
    for candidate in _candidates(content, format_name, str(value), name):
        if _reads_as(candidate, format_name, wanted):
            return candidate
    return editing.edit(content, format_name, wanted).text


def _missing() -> DomainError:
    return NotFoundError(
        "There is no such text in what you wrote: it comes from a template or a parent."
    )


def _walk(tree: Tree, steps: Steps) -> tuple[list[str | int], Tree]:
    """The path in the source, through markers, and what is there."""
    path: list[str | int] = []
    node = tree
    for step in steps:
        node = _through(node, path)
        key: str | int = int(step) if isinstance(node, list) and step.isdecimal() else step
        try:
            node = node[key]
        except (KeyError, IndexError, TypeError):
            raise _missing() from None
        path.append(key)
    return path, _through(node, path)


def _through(node: Tree, path: list[str | int]) -> Tree:
    while isinstance(node, dict) and len(node) == 1:
        (key,) = node
        if key not in TRANSPARENT or key in ("$append", "$prepend"):
            break
        node = node[key]
        path.append(key)
    return node


def _with(tree: Tree, path: list[str | int], value: Tree) -> Tree:
    if not path:
        return value
    step, *rest = path
    if isinstance(tree, list):
        return [_with(c, rest, value) if i == step else c for i, c in enumerate(tree)]
    if isinstance(tree, dict):
        return {key: _with(c, rest, value) if key == step else c for key, c in tree.items()}
    raise invalid("/pointer", "pointer", "There is no such place.")


def _candidates(content: str, format_name: str, value: str, name: str) -> Iterator[str]:
    """The text with the name in place of each plain writing of the value."""
    written = NAMES[format_name].format(name)
    ways = [canonical(value), f"'{value}'", value, canonical(value)[1:-1], escape(value)]
    if format_name in ("xml", *FLAT):
        ways = [value, escape(value), canonical(value), f"'{value}'"]
    for way in dict.fromkeys(ways):
        at, tries = content.find(way), 0
        while at >= 0 and tries < MOST_TRIES:
            yield content[:at] + written + content[at + len(way) :]
            at, tries = content.find(way, at + 1), tries + 1


def _reads_as(content: str, format_name: str, wanted: Tree) -> bool:
    try:
        return same(formats.parse(content, format_name).tree, wanted)
    except DomainError:
        return False

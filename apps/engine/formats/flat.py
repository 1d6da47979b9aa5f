"""Flattening a document for formats that know names and texts alone."""

from collections.abc import Callable, Iterator
from typing import Any

from apps.engine.formats.parsed import refuse_unrepresentable
from apps.engine.paths import Path, leaves, pointer
from apps.engine.values import Number, Tree


def flatten(tree: Tree, join: Callable[[Path], str], format_name: str) -> dict[str, str]:
    """Names and texts of every leaf. Empty objects and lists hold nothing and name nothing.

    Raises :class:`UnrepresentableError` for null, for empty containers and for two keys that
    would get the same name.
    """
    found: dict[str, str] = {}
    bad: dict[str, str] = {}
    for path, leaf in _named_leaves(tree):
        name = join(path)
        if leaf is None:
            bad[pointer(path)] = "There is no null in this format."
        elif isinstance(leaf, (dict, list)):
            bad[pointer(path)] = "There is nothing empty in this format."
        elif name in found:
            bad[pointer(path)] = f"Another key has the name {name} as well."
        else:
            found[name] = text_of(leaf)
    if bad:
        refuse_unrepresentable(format_name, bad)
    return found


def _named_leaves(tree: Tree) -> Iterator[tuple[Path, Any]]:
    if tree != {}:
        yield from leaves(tree)


def text_of(leaf: Tree) -> str:
    """A scalar as text: digits kept, booleans as ``true`` and ``false``."""
    if isinstance(leaf, bool):
        return "true" if leaf else "false"
    return leaf.literal if isinstance(leaf, Number) else str(leaf)

"""Flattening a document for formats that know names and texts alone."""

from collections.abc import Callable
from typing import Any

from apps.engine.formats.parsed import refuse_unrepresentable, shown
from apps.engine.paths import Path, leaves, pointer
from apps.engine.values import Number, Tree

WhyNot = Callable[[str, str], str | None]
"""Of a name and its text: why the format cannot hold it, or None when it can."""


def flatten(
    tree: Tree,
    join: Callable[[Path], str],
    format_name: str,
    why_not: WhyNot = lambda _name, _text: None,
) -> dict[str, str]:
    """Names and texts of every leaf, in the document's order.

    Raises :class:`UnrepresentableError` naming the keys: null, empty objects and lists, two keys
    that would get the same name, and what ``why_not`` refuses.
    """
    if not isinstance(tree, dict):
        refuse_unrepresentable(format_name, {"": "The document is an object in this format."})
    found: dict[str, str] = {}
    bad: dict[str, str] = {}
    for path, leaf in leaves(tree) if tree else ():
        name = join(path)
        why = _why_not_leaf(leaf) or (
            f"Another key has the name {shown(name)} as well."
            if name in found
            else why_not(name, text_of(leaf))
        )
        if why is None:
            found[name] = text_of(leaf)
        else:
            bad[pointer(path)] = why
    if bad:
        refuse_unrepresentable(format_name, bad)
    return found


def text_of(leaf: Any) -> str:
    """A scalar as text: digits kept, booleans as ``true`` and ``false``."""
    if isinstance(leaf, bool):
        return "true" if leaf else "false"
    return leaf.literal if isinstance(leaf, Number) else str(leaf)


def _why_not_leaf(leaf: Any) -> str | None:
    if leaf is None:
        return "There is no null in this format."
    empty = isinstance(leaf, (dict, list))
    return "There is nothing empty in this format." if empty else None

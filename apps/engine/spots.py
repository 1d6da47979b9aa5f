"""Where secrets stand in a document, and putting their values there.

A secret stands as ``{"$secret": "name"}``, in place of a value, or as ``${secret:name}`` inside a
text. An effective document shows both as they are written, and so it shows text that only looks
like them: which is which is known from composing, and kept beside the document as its spots.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from apps.engine.paths import Path, pointer
from apps.engine.values import Tree, canonical

_SLUG: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?"
_NAME: Final = re.compile(rf"(?:{_SLUG}/)?{_SLUG}")
_IN_TEXT: Final = re.compile(rf"\$\{{secret:({_NAME.pattern})\}}")


@dataclass(frozen=True, slots=True)
class Spot:
    """One place. ``texts`` are the parts around the ``names``, one more; none: the whole value."""

    path: Path
    names: tuple[str, ...]
    texts: tuple[str, ...] = ()

    @property
    def pointer(self) -> str:
        """The JSON Pointer of the value."""
        return pointer(self.path)

    @property
    def shown(self) -> Tree:
        """The value as everyone reads it."""
        if not self.texts:
            return {"$secret": self.names[0]}
        pairs = zip(self.texts, [*map(shown, self.names), ""], strict=True)
        return "".join(part for pair in pairs for part in pair)


def is_name(value: object) -> bool:
    """Whether ``value`` names a secret: ``db-password``, or ``billing/db-password``."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def is_secret(tree: Tree) -> bool:
    """Whether ``tree`` is the form that stands for a whole value."""
    return isinstance(tree, dict) and len(tree) == 1 and is_name(tree.get("$secret"))


def split(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The parts of ``text`` around secrets, and the secrets' names; ``$${`` stays as it is."""
    texts, names, start = [], [], 0
    for match in _IN_TEXT.finditer(text):
        if match.start() and text[match.start() - 1] == "$":
            continue  # an escaped one
        texts.append(text[start : match.start()])
        names.append(match.group(1))
        start = match.end()
    return (*texts, text[start:]), tuple(names)


def literal_names(value: Tree) -> set[str]:
    """The names that a value of an unresolved document holds itself, and does not take from elsewhere."""
    if isinstance(value, str):
        return set(split(value)[1])
    return {str(value["$secret"])} if isinstance(value, dict) and is_secret(value) else set()


def shown(name: str) -> str:
    """A secret inside a text, as it is read by everyone."""
    return f"${{secret:{name}}}"


def names_of(spots: Iterable[Spot]) -> list[str]:
    """The names of the secrets, each once, sorted."""
    return sorted({name for spot in spots for name in spot.names})


def fill(tree: Tree, spots: Iterable[Spot], values: Mapping[str, Tree]) -> Tree:
    """``tree`` with the values of the secrets in their spots. ``tree`` itself is not changed.

    Inside a text a value is put as text: itself, or its canonical JSON. A spot that is not in
    ``tree`` (a narrowed view) is passed over.
    """
    for spot in spots:
        value: Tree = values[spot.names[0]]
        if spot.texts:
            middle = [_as_text(values[name]) for name in spot.names]
            pairs = zip(spot.texts, [*middle, ""], strict=True)
            value = "".join(part for pair in pairs for part in pair)
        tree = _put(tree, spot.path, value)
    return tree


def show(tree: Tree, spots: Iterable[Spot]) -> Tree:
    """``tree`` with the spots written as everyone reads them. ``tree`` itself is not changed."""
    for spot in spots:
        tree = _put(tree, spot.path, spot.shown)
    return tree


def blank(tree: Tree, spots: Iterable[Spot], mark: object) -> Tree:
    """``tree`` with ``mark`` in the spots. ``tree`` itself is not changed."""
    for spot in spots:
        tree = _put(tree, spot.path, mark)
    return tree


def _as_text(value: Tree) -> str:
    return value if isinstance(value, str) else canonical(value)


def _put(tree: Tree, path: Path, value: Tree) -> Tree:
    if not path:
        return value
    step, *rest = path
    if isinstance(tree, dict) and step in tree:
        return {**tree, step: _put(tree[step], tuple(rest), value)}
    if isinstance(tree, list) and isinstance(step, int) and step < len(tree):
        return [*tree[:step], _put(tree[step], tuple(rest), value), *tree[step + 1 :]]
    return tree


def dump(spots: Sequence[Spot]) -> str:
    """Spots as they are stored: canonical JSON."""
    return canonical(
        [{"at": list(s.path), "names": list(s.names), "texts": list(s.texts)} for s in spots]
    )


def load(stored: Tree) -> list[Spot]:
    """Spots from what was stored, parsed."""
    return [Spot(tuple(each["at"]), tuple(each["names"]), tuple(each["texts"])) for each in stored]

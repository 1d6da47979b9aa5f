"""What references come to: values with their secrets and with what they use, and why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from apps.engine.paths import Path
from apps.engine.spots import Spot
from apps.engine.uses import Target, Use
from apps.engine.values import Tree, canonical

MAX_TEXT: Final = 1_048_576
"""The characters of all texts of a resolved document."""


@dataclass(frozen=True, slots=True)
class Value:
    """A resolved value: its tree, spots and uses from its own root, and how much it holds."""

    tree: Tree
    secrets: tuple[Spot, ...] = ()
    uses: tuple[Use, ...] = ()
    nodes: int = 1
    height: int = 1
    characters: int = 0
    brought: frozenset[str] = frozenset()


class Unresolved(Exception):  # noqa: N818 - it never leaves resolving
    """A reference that cannot be followed, why, and the keys that lead there: for keys that refer
    to each other (``ring``) to the first of them.
    """

    def __init__(
        self, code: str, message: str, way: Sequence[Target] = (), ring: Sequence[Target] = ()
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.way, self.ring = code, message, way, ring

    def by_way_of(self, target: Target) -> "Unresolved":
        """The same for who comes by ``target``."""
        if target in self.ring:
            return self
        return type(self)(self.code, self.message, (target, *self.way), self.ring)


class Grown(Unresolved):
    """It holds too much: nothing further is resolved. ``place`` is where in the document that is walked."""

    place: Path = ()


def missing(target: Target) -> str:
    """The message where nothing is that may be read, whichever of both it is."""
    return f"There is no {target} that you may read."


def plain(tree: Tree) -> Value:
    """A value that holds nothing to resolve."""
    if isinstance(tree, str):
        return Value(tree, characters=len(tree))
    if not isinstance(tree, (dict, list)) or not tree:
        return Value(tree)
    nodes, height, characters = 1, 0, 0
    for child in tree.values() if isinstance(tree, dict) else tree:
        inner = plain(child)
        nodes += inner.nodes
        height = max(height, inner.height)
        characters += inner.characters
    return Value(tree, nodes=nodes, height=height + 1, characters=characters)


def joined(values: list[Value]) -> Value:
    """A text made of parts: scalars as text, secrets kept apart."""
    if sum(each.characters for each in values) > MAX_TEXT:
        raise Grown("limit", f"With its references the text has more than {MAX_TEXT} characters.")
    texts: list[str] = [""]
    names: list[str] = []
    for each in values:
        if each.secrets and each.secrets[0].path == ():
            spot = each.secrets[0]
            before, *after = spot.texts or ("", "")
            texts[-1] += before
            names += spot.names
            texts += after
        elif isinstance(each.tree, (dict, list)):
            raise Unresolved("reference", "Only a single value can stand inside of a text.")
        else:
            texts[-1] += each.tree if isinstance(each.tree, str) else canonical(each.tree)
    uses = tuple(dict.fromkeys(use for each in values for use in each.uses))
    spot = Spot((), tuple(names), tuple(texts))
    shown = spot.shown if names else texts[0]
    brought = frozenset().union(*(each.brought for each in values))
    return Value(shown, (spot,) if names else (), uses, characters=len(shown), brought=brought)


def with_service(spot: Spot, service: str) -> Spot:
    """``spot`` with the names of its secrets as they are called outside of ``service``."""
    names = tuple(name if "/" in name else f"{service}/{name}" for name in spot.names)
    return Spot(spot.path, names, spot.texts)

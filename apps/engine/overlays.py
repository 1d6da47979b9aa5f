"""Laying a variant over a composed document: a JSON Merge Patch (RFC 7396) of values and secrets.

The patch is made over what composing gave, so nothing in it is composed any more: references,
parameters and markers are refused. ``{"$secret": name}`` and ``${secret:name}`` name secrets as
everywhere, ``{"$literal": v}`` and ``$${`` keep what only looks like syntax.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from apps.engine import patching, references, resolving, spots, values
from apps.engine.errors import DomainError, InvalidError, MalformedError, Problem
from apps.engine.merge import OPAQUE, RESERVED
from apps.engine.paths import Path, find, pointer
from apps.engine.resolving import Resolver
from apps.engine.spots import Spot
from apps.engine.uses import Name
from apps.engine.values import Tree

_NOWHERE: Final = Name("", "")
_MARK: Final = object()
"""Stands where a secret is while documents are laid over each other: no value of a document."""


def check_patch(patch: Tree) -> None:
    """Raise :class:`InvalidError`, with the places in the patch, for what cannot be laid."""
    if not isinstance(patch, dict):
        message = "A patch is an object: it is laid over a configuration."
        raise InvalidError(message, [Problem("", "type", message)])
    values.check(patch)
    problems = list(_find_syntax((), patch))
    if problems:
        raise InvalidError("A variant holds values alone.", problems)


def lay(below: Tree, secrets: Sequence[Spot], patch: Tree) -> tuple[Tree, tuple[Spot, ...]]:
    """``patch`` over the composed document ``below``, in which ``secrets`` stand.

    Gives the document and where secrets stand in it. ``patch`` has passed :func:`check_patch`.
    Raises :class:`InvalidError` for a result beyond the limits of documents.
    """
    made = Resolver(resolving.nothing_else).resolve(_NOWHERE, patch)
    base = spots.blank(below, secrets, _MARK)
    laid = patching.merge_patch(base, spots.blank(made.tree, made.secrets, _MARK))
    own = {spot.path for spot in made.secrets}
    kept = [spot for spot in secrets if spot.path not in own and _is_marked(laid, spot.path)]
    found = tuple(sorted((*kept, *made.secrets), key=lambda spot: spot.pointer))
    tree = spots.show(laid, found)
    try:
        values.check(tree)
    except MalformedError as error:
        problems = error.problems or [Problem("", error.code, error.detail)]
        raise InvalidError(error.detail, problems) from error
    return tree, found


def changed_paths(patch: Tree, path: Path = ()) -> list[Path]:
    """The key paths that a patch sets or removes, in its order."""
    if not isinstance(patch, dict) or any(name in patch for name in OPAQUE) or (path and not patch):
        return [path]
    return [found for key, value in patch.items() for found in changed_paths(value, (*path, key))]


def _is_marked(tree: Tree, path: Path) -> bool:
    there, value = find(tree, path)
    return there and value is _MARK


def _find_syntax(path: Path, tree: Tree) -> Iterable[Problem]:
    if isinstance(tree, str):
        yield from _find_references(path, tree)
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _find_syntax((*path, index), item)
    elif isinstance(tree, dict) and "$literal" not in tree and not spots.is_secret(tree):
        for key, value in tree.items():
            if key in RESERVED:
                message = f"'{key}' is for composing, which is over when a variant is laid."
                yield Problem(pointer((*path, key)), "marker", message)
            else:
                yield from _find_syntax((*path, key), value)


def _find_references(path: Path, text: str) -> Iterable[Problem]:
    try:
        parts = references.parse(text)
    except DomainError as error:
        yield Problem(pointer(path), "reference", error.detail)
        return
    if any(isinstance(part, references.Reference | references.Parameter) for part in parts):
        message = "A variant's patch holds values: write what the reference would give."
        yield Problem(pointer(path), "reference", message)

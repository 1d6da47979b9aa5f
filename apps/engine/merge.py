"""Composing, in two phases: merge the unresolved layers, then resolve the result.

Objects merge deeply; a list whose schema names a merge key merges its items by that member;
everything else replaces. Markers change that: ``{"$replace": v}``, ``{"$append": […]}``,
``{"$prepend": […]}`` and ``{"$remove": true}`` apply to the layers below them and are gone after
merging; ``{"$literal": v}`` keeps ``v`` as it is, whatever it looks like, until resolving.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from apps.engine.errors import InvalidError, Problem, invalid
from apps.engine.paths import Path, format_path, pointer
from apps.engine.values import Tree

ABSENT: Final = object()
LIST_MARKERS = ("$append", "$prepend")
MERGE_MARKERS = ("$replace", "$remove", *LIST_MARKERS)
RESERVED = (*MERGE_MARKERS, "$literal", "$secret", "$if", "$for", "$param")
OPAQUE = ("$literal", "$secret")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: ``environment:base``, ``template:postgres@3`` or ``own``, and its tree."""

    name: str
    tree: Tree


def compose(layers: Sequence[Layer], merge_keys: Mapping[str, str]) -> Tree:
    """Merge the layers, lowest first, and resolve the result.

    ``merge_keys`` gives, by the path of a list, the member by which its items merge. Raises
    :class:`InvalidError` with the JSON Pointer of what is wrong.
    """
    return resolve(merge_layers(layers, merge_keys))


def merge_layers(layers: Sequence[Layer], merge_keys: Mapping[str, str]) -> Tree:
    """The merged, unresolved tree: no markers are left in it but ``$literal`` and ``$secret``."""
    merged: Any = {}
    for layer in layers:
        merged = merge(merged, layer.tree, merge_keys)
    return merged


def merge(below: Tree, above: Tree, merge_keys: Mapping[str, str]) -> Tree:
    """``above`` over ``below``; neither is changed."""
    result = _merge(below, above, (), merge_keys)
    return {} if result is ABSENT else result


def marker_of(tree: Tree, path: Path = ()) -> str | None:
    """The marker that an object is, or ``None`` for ordinary data.

    Raises :class:`InvalidError` when a marker stands beside other members.
    """
    if not isinstance(tree, dict):
        return None
    names = [name for name in RESERVED if name in tree]
    if not names:
        return None
    if len(tree) > 1:
        raise invalid(
            pointer(path),
            "marker",
            f"'{names[0]}' must be the only member of its object; to keep it as data, wrap the "
            'object in {"$literal": …}.',
        )
    return names[0]


def _merge(below: Any, above: Tree, path: Path, keys: Mapping[str, str]) -> Any:
    if isinstance(above, list):
        return _merge_list(below, above, path, keys)
    if not isinstance(above, dict):
        return above
    marker = marker_of(above, path)
    if marker is None:
        return _merge_object(below, above, path, keys)
    return _merge_marker(marker, below, above, path, keys)


def _merge_marker(
    marker: str, below: Any, above: dict[str, Tree], path: Path, keys: Mapping[str, str]
) -> Any:
    if marker == "$remove":
        if above["$remove"] is not True:
            raise invalid(pointer(path), "marker", '{"$remove": true} is the only form.')
        return ABSENT
    if marker == "$replace":
        return _merge(ABSENT, above["$replace"], path, keys)
    if marker in LIST_MARKERS:
        return _extended(below, above[marker], marker, path, keys)
    if marker in OPAQUE:
        return above
    raise invalid(
        pointer(path), "marker", f"'{marker}' is for templates with parameters, not for documents."
    )


def _merge_object(below: Any, above: Tree, path: Path, keys: Mapping[str, str]) -> Tree:
    mergeable = isinstance(below, dict) and not any(name in below for name in OPAQUE)
    result = dict(below) if mergeable else {}
    for key, value in above.items():
        merged = _merge(result.get(key, ABSENT), value, (*path, key), keys)
        if merged is ABSENT:
            result.pop(key, None)
        else:
            result[key] = merged
    return result


def _merge_list(below: Any, above: list[Tree], path: Path, keys: Mapping[str, str]) -> Tree:
    member = keys.get(format_path(path)) if keys else None
    if member is None or not isinstance(below, list):
        return _items(above, path, keys)
    result = list(below)
    places = {_identity(item, member): index for index, item in enumerate(result)}
    places.pop(None, None)
    removed: set[int] = set()
    for index, item in enumerate(above):
        identity = _identity(item, member)
        place = places.get(identity) if identity is not None else None
        if isinstance(item, dict) and item.get("$remove") is True and len(item) > 1:
            removed.update(() if place is None else (place,))
        elif place is None:
            result += _items([item], (*path, index), keys)
        else:
            result[place] = _merge(result[place], item, (*path, index), keys)
    return [item for index, item in enumerate(result) if index not in removed]


def _identity(item: Tree, member: str) -> object:
    value = item.get(member) if isinstance(item, dict) else None
    return value if isinstance(value, (str, int)) else None


def _items(items: list[Tree], path: Path, keys: Mapping[str, str]) -> list[Tree]:
    merged = (_merge(ABSENT, item, (*path, index), keys) for index, item in enumerate(items))
    return [item for item in merged if item is not ABSENT]


def _extended(below: Any, given: Tree, marker: str, path: Path, keys: Mapping[str, str]) -> Tree:
    if not isinstance(given, list):
        raise invalid(pointer(path), "marker", f"'{marker}' takes a list.")
    if below is not ABSENT and not isinstance(below, list):
        raise invalid(pointer(path), "marker", f"'{marker}' needs a list below it.")
    items = _items(given, path, keys)
    existing = below if isinstance(below, list) else []
    return existing + items if marker == "$append" else items + existing


def resolve(tree: Tree) -> Tree:
    """The effective document of a merged tree: literals unwrapped, ``$${`` read as ``${``.

    Raises :class:`InvalidError` naming every reference and every secret: those come with later
    parts of the product.
    """
    problems: list[Problem] = []
    resolved = _resolve(tree, (), problems)
    if problems:
        raise InvalidError("The document holds what cannot be resolved.", problems)
    return resolved


def _resolve(tree: Tree, path: Path, problems: list[Problem]) -> Tree:
    if isinstance(tree, str):
        return _unescape(tree, path, problems) if "${" in tree else tree
    if isinstance(tree, list):
        return [_resolve(item, (*path, i), problems) for i, item in enumerate(tree)]
    if not isinstance(tree, dict):
        return tree
    if "$literal" in tree:
        return tree["$literal"]
    if "$secret" in tree:
        message = "Secrets are not available yet."
        problems.append(Problem(pointer(path), "secret", message))
        return tree
    return {key: _resolve(child, (*path, key), problems) for key, child in tree.items()}


def _unescape(text: str, path: Path, problems: list[Problem]) -> str:
    parts = text.split("$${")
    if any("${" in part for part in parts):
        message = "References are not available yet; write $${ for a literal ${."
        problems.append(Problem(pointer(path), "reference", message))
    return "${".join(parts)


def escape_text(text: str) -> str:
    """``text`` so that resolving gives it back."""
    return text.replace("${", "$${")

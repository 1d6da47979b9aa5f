"""Composing, in two phases: merge the unresolved layers, then resolve the result.

Objects merge deeply; a list whose schema names a merge key merges its items by that member;
everything else replaces. Markers change that: ``{"$replace": v}``, ``{"$append": […]}``,
``{"$prepend": […]}`` and ``{"$remove": true}`` apply to the layers below them and are gone after
merging; ``{"$literal": v}`` keeps ``v`` as it is, whatever it looks like, until resolving.

No function here changes its arguments, and what it gives may share parts with them: treat trees
as values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from apps.engine.errors import invalid
from apps.engine.merge_keys import NO_KEYS, MergeKeys
from apps.engine.paths import Path, format_path, pointer
from apps.engine.values import Tree

ABSENT: Final = object()
"""Nothing stands there; no value of a document is it."""

LIST_MARKERS: Final = ("$append", "$prepend")
OPAQUE: Final = ("$literal", "$secret")
TEMPLATE_MARKERS: Final = ("$if", "$for", "$param")
RESERVED: Final = frozenset(("$replace", "$remove", *LIST_MARKERS, *OPAQUE, *TEMPLATE_MARKERS))


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: ``environment:base``, ``template:postgres@3`` or ``own``, and its tree."""

    name: str
    tree: Tree


class _Place(NamedTuple):
    """The key path, which merge keys go by, and where it stands in the layer's document."""

    path: Path = ()
    written: Path = ()

    def at(self, step: str | int) -> "_Place":
        return _Place((*self.path, step), (*self.written, step))

    def inside(self, marker: str) -> "_Place":
        return _Place(self.path, (*self.written, marker))


def merge_layers(layers: Sequence[Layer], merge_keys: MergeKeys = NO_KEYS) -> Tree:
    """The merged, unresolved tree: no markers are left in it but ``$literal`` and ``$secret``.

    Raises :class:`InvalidError` with the JSON Pointer in the layer's document.
    """
    merged: Any = {}
    for layer in layers:
        merged = merge(merged, layer.tree, merge_keys)
    return merged


def merge(below: Tree, above: Tree, merge_keys: MergeKeys = NO_KEYS) -> Tree:
    """``above`` over ``below``, whole documents both."""
    merged = merge_at((), below, above, merge_keys)
    return {} if merged is ABSENT else merged


def merge_at(path: Path, below: Any, above: Tree, merge_keys: MergeKeys = NO_KEYS) -> Any:
    """``above`` over ``below`` at one place of a document; ``below`` and the answer may be
    ``ABSENT``.
    """
    return _merge(below, above, _Place(path, path), merge_keys)


def is_object(tree: Any) -> bool:
    """Whether ``tree`` is an object that layers above merge into, not an opaque value."""
    return isinstance(tree, dict) and not any(name in tree for name in OPAQUE)


def marker_of(tree: Tree, path: Path = ()) -> str | None:
    """The marker that an object is, or ``None`` for ordinary data.

    Raises :class:`InvalidError` when a marker stands beside other members, and for the markers
    of parameterised templates.
    """
    if not isinstance(tree, dict) or tree.keys().isdisjoint(RESERVED):
        return None
    name: str = min(tree.keys() & RESERVED)
    if not tree.keys().isdisjoint(TEMPLATE_MARKERS):
        message = f"'{name}' is for templates with parameters, not for documents."
    elif len(tree) > 1:
        message = (
            f"'{name}' must be the only member of its object; to keep it as data, wrap the "
            'object in {"$literal": …}.'
        )
    else:
        return name
    raise invalid(pointer(path), "marker", message)


def _merge(below: Any, above: Tree, place: _Place, keys: MergeKeys) -> Any:
    if isinstance(above, list):
        return _merge_list(below, above, place, keys)
    if not isinstance(above, dict):
        return above
    marker = marker_of(above, place.written)
    if marker is None:
        return _merge_object(below, above, place, keys)
    return _merge_marker(marker, below, above[marker], place, keys)


def _merge_marker(marker: str, below: Any, given: Tree, place: _Place, keys: MergeKeys) -> Any:
    if marker in OPAQUE:
        return {marker: given}
    if marker == "$replace":
        return _merge(ABSENT, given, place.inside(marker), keys)
    if marker in LIST_MARKERS:
        return _extended(below, given, marker, place, keys)
    if given is not True:
        raise invalid(pointer(place.written), "marker", '{"$remove": true} is the only form.')
    return ABSENT


def _merge_object(below: Any, above: dict[str, Tree], place: _Place, keys: MergeKeys) -> Tree:
    result = dict(below) if is_object(below) else {}
    for key, value in above.items():
        merged = _merge(result.get(key, ABSENT), value, place.at(key), keys)
        if merged is ABSENT:
            result.pop(key, None)
        else:
            result[key] = merged
    return result


def _merge_list(below: Any, above: list[Tree], place: _Place, keys: MergeKeys) -> Tree:
    member = keys.of(place.path)
    if member is None:
        return _items(above, place, keys)
    result = list(below) if isinstance(below, list) else []
    known: dict[object, int] = {}
    for index, item in enumerate(result):
        known.setdefault(identity(item, member), index)
    for index, item in enumerate(above):
        named = identity(item, member)
        if named is None or named not in known:
            if not removes_item(item, member):
                result.append(_merge(ABSENT, item, place.at(index), keys))
        elif removes_item(item, member):
            result[known.pop(named)] = ABSENT
        else:
            result[known[named]] = _merge(result[known[named]], item, place.at(index), keys)
    return [item for item in result if item is not ABSENT]


def identity(item: Tree, member: str) -> tuple[type, object] | None:
    """What an item of a list is known by, by its merge key; ``None``: nothing."""
    value = item.get(member) if isinstance(item, dict) else None
    return (type(value), value) if isinstance(value, (str, int)) else None


def removes_item(item: Tree, member: str) -> bool:
    """Whether it is ``{member: …, "$remove": true}``, which removes the item below."""
    return identity(item, member) is not None and (
        len(item) == 2 and item.get("$remove") is True  # noqa: PLR2004 - these two members
    )


def _items(items: list[Tree], place: _Place, keys: MergeKeys) -> list[Tree]:
    merged = (_merge(ABSENT, item, place.at(index), keys) for index, item in enumerate(items))
    return [item for item in merged if item is not ABSENT]


def _extended(below: Any, given: Tree, marker: str, place: _Place, keys: MergeKeys) -> list[Tree]:
    if not isinstance(given, list):
        raise invalid(pointer(place.written), "marker", f"'{marker}' takes a list.")
    if below is not ABSENT and not isinstance(below, list):
        raise invalid(pointer(place.written), "marker", f"'{marker}' needs a list below it.")
    items = _items(given, place.inside(marker), keys)
    existing = below if isinstance(below, list) else []
    return existing + items if marker == "$append" else items + existing


def escape_text(text: str) -> str:
    """``text`` so that resolving gives it back."""
    return text.replace("${", "$${")


@dataclass(slots=True)
class _Origin:
    """Which layers gave one place, lowest first, which it hides there, and what is known of the keys
    in it. Its ``kind`` is ``type(ABSENT)`` where something was removed.
    """

    names: tuple[str, ...]
    kind: type
    hides: tuple[str, ...] = ()
    members: dict[str, "_Origin"] = field(default_factory=dict)


class Origin(NamedTuple):
    """The names of the layers that a key comes from, and of those whose value there, or around it,
    was replaced or removed from above; lowest first both.
    """

    gives: tuple[str, ...]
    hides: tuple[str, ...]


def origins(
    layers: Sequence[Layer], effective: Tree, merge_keys: MergeKeys = NO_KEYS
) -> dict[str, Origin]:
    """Where each key of the effective document comes from.

    By the dotted path of each leaf key; a list is one leaf, and so is an empty object. ``effective``
    is what the layers compose to.
    """
    root = _Origin((), dict)
    for layer in layers:
        root = _trace(root, layer.tree, (layer.name, merge_keys), ())
    return dict(_leaf_origins(root, effective, (), ())) if effective else {}


def _trace(below: _Origin | None, above: Tree, by: tuple[str, MergeKeys], path: Path) -> _Origin:
    """The origins at one place after merging ``above`` there."""
    name, keys = by
    kept, hidden = (below.names, below.hides) if below else ((), ())
    marker = marker_of(above, path)
    if marker == "$remove":
        return _Origin((), type(ABSENT), (*hidden, *kept))
    if marker == "$replace":
        made = _trace(None, above[marker], by, path)
        made.hides = (*hidden, *kept)
        return made
    if marker in LIST_MARKERS:
        return _Origin((*kept, name), list, hidden)
    kind = type(above) if marker is None and isinstance(above, (dict, list)) else type(None)
    merges = below is not None and below.kind is kind
    merges = merges and (kind is dict or (kind is list and keys.of(path) is not None))
    if not merges:
        kept, hidden = (), (*hidden, *kept)
    result = _Origin((*kept, name), kind, hidden)
    if kind is dict:
        result.members = dict(below.members) if below is not None and merges else {}
        for key, value in above.items():
            result.members[key] = _trace(result.members.pop(key, None), value, by, (*path, key))
    return result


def _leaf_origins(
    origin: _Origin, tree: Tree, path: Path, hidden: tuple[str, ...]
) -> Iterator[tuple[str, Origin]]:
    hidden = tuple(dict.fromkeys((*hidden, *origin.hides)))
    if not isinstance(tree, dict) or not tree:
        hides = tuple(each for each in hidden if each not in origin.names)
        yield format_path(path), Origin(origin.names, hides)
        return
    for key, child in tree.items():  # the keys of a literal have the origin of the whole
        yield from _leaf_origins(origin.members.get(key, origin), child, (*path, key), hidden)

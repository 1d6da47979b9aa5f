"""Where each key of a live configuration comes from, and what it hides."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from apps.access import policy
from apps.access.policy import Place
from apps.audit.selectors import Point
from apps.configs.selectors.configurations import Published, get_served
from apps.configs.world import World, layers_of
from apps.core.actor import Actor
from apps.engine import merge, overlays, paths, spots
from apps.engine.guarding import Guard, visible
from apps.engine.merge_keys import MergeKeys
from apps.engine.paths import Glob, Path
from apps.engine.uses import Use, load_uses
from apps.engine.values import Tree, parse_canonical

Chosen = Callable[[Path], bool]
"""Whether a key is asked for, by its path."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One key: the layers that give it, lowest first, those that it hides, the keys that its value
    is taken from, and the secrets in it.

    A layer is named ``environment:base``, ``template:postgres@3``, ``own``, or, above all of them,
    ``experiment:ID/variant``.
    """

    key: str
    layers: tuple[str, ...]
    hides: tuple[str, ...]
    uses: tuple[Use, ...]
    secrets: tuple[str, ...]


def explain(
    *,
    actor: Actor,
    place: Place,
    globs: Sequence[Glob],
    served: Callable[[Published], Published] = lambda live: live,
    point: Point | None = None,
) -> tuple[Published, list[Origin]]:
    """The live version (or what was, as of ``point``), and the origins of its keys that the globs
    cover (none: all), in its order.

    In the actor's view, and in the variant of an experiment that ``served`` gives of it. Needs
    ``read``. Raises :class:`NotFoundError` before the first publish and :class:`GoneError` for what
    is retired.
    """
    live = served(get_served(actor=actor, place=place, point=point))
    return live, trace(actor=actor, place=place, live=live, chosen=covered_by(globs))


def anything(_path: Path) -> bool:
    """Every key is asked for."""
    return True


def covered_by(globs: Sequence[Glob]) -> Chosen:
    """Those keys that one of the globs covers; without any: all."""
    return lambda path: not globs or any(glob.covers(path) for glob in globs)


def trace(*, actor: Actor, place: Place, live: Published, chosen: Chosen) -> list[Origin]:
    """The origins of the ``chosen`` keys in the version that is live at ``place``, in its order.

    In the actor's view, as :func:`explain`.
    """
    assert place.service is not None  # noqa: S101 - a configuration has one
    keys = World().merge_keys(place.service)
    layers = layers_of(live.row, keys)
    row = live.overlaid or live.row
    effective = parse_canonical(row.effective.content)
    merged = merge.merge_layers(layers, keys)
    given = _by_path(merge.origins(layers, merged, keys))
    reads = policy.guard(actor, "read", place)
    hiding = given if reads.is_open else _by_path(_seen(layers, merged, keys, reads))
    uses = [each for each in load_uses(parse_canonical(live.row.uses)) if each.hops == 1]
    secrets = spots.load(parse_canonical(row.secrets))
    laid = _Meeting([_Laid(path) for path in _laid_paths(live)])
    taken, sealed = _Meeting(uses), _Meeting(secrets)
    opaque = {spot.path for spot in secrets}
    ends = (_end(path, opaque) for path, _leaf in paths.leaves(effective) if path)
    leaves = {paths.format_path(path): path for path in ends}
    seen = reads.allowed_keys(list(leaves), effective)
    found = []
    for key in (each for each in seen if chosen(leaves[each])):
        path = leaves[key]
        names = _origin(given, path).gives
        hides = tuple(each for each in _origin(hiding, path).hides if each not in names)
        named = tuple(spots.names_of(sealed.at(path)))
        if laid.at(path):
            variant = (f"experiment:{live.variant}",)
            found.append(Origin(key, variant, (*hides, *names), (), named))
        else:
            found.append(Origin(key, names, hides, tuple(taken.at(path)), named))
    return found


@dataclass(frozen=True, slots=True)
class _Laid:
    """A key that a variant sets or removes."""

    path: Path


def _laid_paths(live: Published) -> list[Path]:
    if live.overlaid is None:
        return []
    return overlays.changed_paths(parse_canonical(live.overlaid.overlay.patch.content))


class _Placed(Protocol):
    @property
    def path(self) -> Path: ...


PlacedT = TypeVar("PlacedT", bound=_Placed)


class _Meeting(Generic[PlacedT]):
    """Things with a place in a document, by the keys that lead to them or that they lead to."""

    def __init__(self, things: Sequence[PlacedT]) -> None:
        self._at: defaultdict[Path, list[int]] = defaultdict(list)
        self._inside: defaultdict[Path, list[int]] = defaultdict(list)
        self._things = things
        for index, thing in enumerate(things):
            self._at[thing.path].append(index)
            for length in range(len(thing.path)):
                self._inside[thing.path[:length]].append(index)

    def at(self, path: Path) -> list[PlacedT]:
        """Those at ``path``, around it and inside of it, in their order."""
        found = list(self._inside.get(path, ()))
        for length in range(len(path) + 1):
            found += self._at.get(path[:length], ())
        return [self._things[index] for index in sorted(found)]


def _end(path: Path, opaque: Collection[Path]) -> Path:
    """Where the key ends that a leaf lies in: lists and secrets come from where they were written."""
    for index, step in enumerate(path):
        if isinstance(step, int) or path[:index] in opaque:
            return path[:index]
    return path


def _whole(path: Path) -> Path:
    """The key that a literal or a secret stands at, which is one value."""
    marker = next((index for index, step in enumerate(path) if step in merge.OPAQUE), None)
    return path[:marker]


def _by_path(found: dict[str, merge.Origin]) -> dict[Path, merge.Origin]:
    return {_whole(paths.parse_path(key)): origin for key, origin in found.items()}


def _seen(
    layers: Sequence[merge.Layer], merged: Tree, keys: MergeKeys, reads: Guard
) -> dict[str, merge.Origin]:
    """The origins as far as the layers are seen: a key that is hidden says nothing of its layer."""
    seen = [replace(each, tree=visible(each.tree, reads, source=True)) for each in layers]
    return merge.origins(seen, visible(merged, reads, source=True), keys)


def _origin(found: dict[Path, merge.Origin], path: Path) -> merge.Origin:
    """The origin of a key, or of what it lies in: a reference may bring a whole object."""
    for length in range(len(path), 0, -1):
        if path[:length] in found:
            return found[path[:length]]
    return merge.Origin((), ())

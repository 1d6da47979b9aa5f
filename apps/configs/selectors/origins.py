"""Where each key of a live configuration comes from, and what it hides."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from apps.access import policy
from apps.access.policy import Place
from apps.configs.selectors.configurations import get_live
from apps.configs.world import World, layers_of
from apps.core.actor import Actor
from apps.engine import merge, paths, resolving, spots
from apps.engine.paths import Glob, Path
from apps.engine.resolving import Use
from apps.engine.values import parse_canonical


@dataclass(frozen=True, slots=True)
class Origin:
    """One key: the layers that give it, lowest first, those that it hides, the keys that its value
    is taken from, and the secrets in it.

    A layer is named ``environment:base``, ``template:postgres@3`` or ``own``.
    """

    key: str
    layers: tuple[str, ...]
    hides: tuple[str, ...]
    uses: tuple[Use, ...]
    secrets: tuple[str, ...]


def explain(*, actor: Actor, place: Place, globs: Sequence[Glob]) -> list[Origin]:
    """The origins of the keys that the globs cover (none: all) in the live version, in its order.

    In the actor's view. Needs ``read``. Raises :class:`NotFoundError` before the first publish and
    :class:`GoneError` for what is retired.
    """
    live = get_live(actor=actor, place=place)
    assert place.service is not None  # noqa: S101 - a configuration has one
    keys = World().merge_keys(place.service)
    layers = layers_of(live.row, keys)
    effective = parse_canonical(live.row.effective.content)
    found = merge.origins(layers, merge.merge_layers(layers, keys), keys)
    given = {paths.parse_path(key): names for key, names in found.items()}
    uses = resolving.load(parse_canonical(live.row.uses))
    secrets = spots.load(parse_canonical(live.row.secrets))
    opaque = {spot.path for spot in secrets}
    ends = (_end(path, opaque) for path, _leaf in paths.leaves(effective) if path)
    leaves = {paths.format_path(path): path for path in ends}
    seen = policy.guard(actor, "read", place).allowed_keys(list(leaves), effective)
    return [
        Origin(
            key,
            (names := _giving(given, leaves[key])),
            tuple(
                layer.name
                for layer in layers
                if layer.name not in names and paths.find(layer.tree, leaves[key])[0]
            ),
            tuple(use for use in uses if use.hops == 1 and resolving.meet(use.path, leaves[key])),
            tuple(
                spots.names_of(each for each in secrets if resolving.meet(each.path, leaves[key]))
            ),
        )
        for key in seen
        if not globs or any(glob.covers(leaves[key]) for glob in globs)
    ]


def _end(path: Path, opaque: Collection[Path]) -> Path:
    """Where the key ends that a leaf lies in: lists and secrets come from where they were written."""
    for index, step in enumerate(path):
        if isinstance(step, int) or path[:index] in opaque:
            return path[:index]
    return path


def _giving(given: dict[Path, tuple[str, ...]], path: Path) -> tuple[str, ...]:
    """The layers that gave a key, or what it lies in: a reference may bring a whole object."""
    for length in range(len(path), 0, -1):
        if path[:length] in given:
            return given[path[:length]]
    return ()

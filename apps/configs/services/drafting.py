"""What a text that somebody is writing would be, and changing one key of it; nothing is stored."""

from collections.abc import Callable
from typing import NamedTuple

from apps.access import policy
from apps.access.policy import Place
from apps.configs import composing
from apps.configs.restricted import extends_with_hidden, source_with_hidden
from apps.configs.services.kernel import State, load_state
from apps.configs.services.planning import live_source, plan_written
from apps.configs.sources import Source
from apps.configs.world import World
from apps.core.actor import Actor
from apps.engine import editing, patching
from apps.engine.errors import invalid
from apps.engine.guarding import visible
from apps.engine.merge import ABSENT, RESERVED
from apps.engine.paths import find, format_path
from apps.engine.values import Tree

Key = tuple[str, str]
"""A section and a key in it."""


class Composed(NamedTuple):
    """A document as its author would ``see`` it, and ``whole``: to be judged by, and never shown."""

    seen: Tree
    whole: Tree


def compose_draft(*, actor: Actor, place: Place, source: Source) -> Composed:
    """The document that ``source`` would be. Needs ``read``.

    Raises :class:`InvalidError` for what cannot be composed; what is composed may be invalid.
    """
    policy.require(actor, "read", place)
    return _compose(actor, place, load_state(place), source)


def change_draft(
    *, actor: Actor, place: Place, source: Source, key: Key, change: Callable[[Tree], Tree]
) -> str:
    """The text of ``source``, edited as little as possible, so that ``change`` holds for the value
    of ``key``.

    ``change`` gets the value as it is composed, ``ABSENT`` where there is none, and gives the one
    that is wanted, or ``ABSENT``. What a lower layer gives is not copied. Needs ``read``. Raises what
    :func:`compose_draft` raises.
    """
    policy.require(actor, "read", place)
    state = load_state(place)
    composed = _compose(actor, place, state, source).seen
    section, name = key
    _refuse_markers(source.tree.get(section), key)
    wanted = change(_at(composed, key))
    extends = state.extends if source.extends is None else source.extends
    layers = composing.load_layers(state.service, state.environment, extends, World())
    below = visible(layers.below, policy.guard(actor, "read", place))
    edited = patching.override(
        _part(_at(source.tree, key), key),
        _part(_at(below, key), key),
        _part(wanted, key),
        layers.merge_keys,
        composing.resolver(layers, source.tree),
    )
    rest = {n: v for n, v in source.tree.get(section, {}).items() if n != name}
    left = {**rest, **edited.get(section, {})}
    others = {n: v for n, v in source.tree.items() if n != section}
    tree = {**source.tree, section: left} if left or section in source.tree else others
    return editing.edit(source.content, source.format, tree).text


def _compose(actor: Actor, place: Place, state: State, source: Source) -> Composed:
    whole = extends_with_hidden(actor, place, source, state.extends)
    whole = source_with_hidden(actor, place, whole, lambda: live_source(state))
    plan, _problems = plan_written(actor, state, whole, "publish", "")
    seen = visible(plan.effective, policy.guard(actor, "read", place))
    return Composed(seen, plan.effective)


def _refuse_markers(section: Tree, key: Key) -> None:
    written = section.keys() if isinstance(section, dict) else ()
    if not RESERVED.isdisjoint(written) or not isinstance(section, (dict, type(None))):
        message = f"'{format_path(key[:1])}' is written with markers here: change it in the text."
        raise invalid(f"/{key[0]}", "marker", message)


def _at(tree: Tree, key: Key) -> Tree:
    found, value = find(tree, key)
    return value if found else ABSENT


def _part(value: Tree, key: Key) -> Tree:
    return {} if value is ABSENT else {key[0]: {key[1]: value}}

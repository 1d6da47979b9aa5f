"""Loading the layers of a configuration and composing them with the engine.

Layers, lowest first: the nearest ancestor environment's merged tree, the templates in the order
of ``extends``, the document itself. Then references are resolved to what is live where they lead.
A version's lock names the exact version of each layer and of each document that went in, so what a
version was made from can always be composed again from rows that never change.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from apps.configs.models import Section
from apps.configs.referring import new_references_of
from apps.configs.world import Member, World, name_of
from apps.core.actor import Actor
from apps.engine import merge, resolving, values
from apps.engine.merge_keys import MergeKeys
from apps.engine.resolving import Resolver
from apps.engine.served import Document
from apps.engine.spots import Spot
from apps.engine.uses import Name, Use
from apps.engine.values import Tree, canonical
from apps.engine.ways import May, everything
from apps.registry.models import Environment, Service

Lock = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Composed:
    """What composing gave: the merged tree, what it resolves to and its text, the lock, where
    secrets stand, what is taken from other keys, and the names of secrets that came with it.
    """

    merged: Tree
    effective: Tree
    text: str
    lock: Lock
    secrets: tuple[Spot, ...]
    uses: tuple[Use, ...]
    brought: frozenset[str]


@dataclass(frozen=True, slots=True)
class Layers:
    """The lower layers of one configuration in a world, with the service's merge keys."""

    name: Name
    world: World
    trees: tuple[merge.Layer, ...]
    lock: Lock
    merge_keys: MergeKeys
    sections: tuple[Section, ...]

    @property
    def below(self) -> Tree:
        """The merged, unresolved tree under the document."""
        return merge.merge_layers(self.trees, self.merge_keys) if self.trees else {}

    def with_own(self, source: Tree) -> Tree:
        """The merged, unresolved tree of the document ``source`` over them."""
        return merge.merge_layers([*self.trees, merge.Layer("own", source)], self.merge_keys)


def load_layers(
    service: Service,
    environment: Environment,
    extends: Sequence[Mapping[str, Any]],
    world: World,
) -> Layers:
    """The layers below a document of ``service`` in ``environment``, at their newest versions."""
    declared = world.sections(service)
    merge_keys = world.merge_keys(service)
    trees: list[merge.Layer] = []
    lock: Lock = []
    inherited = world.inherited(service, environment)
    if inherited is not None:
        trees.append(inherited.layer(merge_keys))
        lock.append(inherited.entry)
    for laid in world.lay(extends):
        trees.append(laid.layer)
        lock.append(laid.entry)
    return Layers(name_of(service, environment), world, tuple(trees), lock, merge_keys, declared)


def compose(layers: Layers, source: Tree, may: May = everything) -> Composed:
    """Compose ``source`` over its layers, and resolve those of its references that it ``may`` have
    in their world.

    Raises :class:`InvalidError` for composition syntax and for references that lead nowhere.
    """
    merged = layers.with_own(source)
    reading = Reading(layers.world)
    around = resolving.around(layers.name, merged, reading.find)
    made = Resolver(around, may).resolve(layers.name, merged)
    lock = [*layers.lock, *reading.lock()]
    text = canonical(made.tree)
    return Composed(merged, made.tree, text, lock, made.secrets, made.uses, made.brought)


def resolve_for(actor: Actor, name: Name, merged: Tree, world: World) -> Tree:
    """What a merged tree would be as the whole document ``name``, as far as ``actor`` may read what
    it refers to. Raises :class:`InvalidError` for references that lead nowhere.
    """
    around = resolving.around(name, merged, Reading(world).find)
    made = Resolver(around, new_references_of(actor)).resolve(name, merged).tree
    values.check(made)
    return made


def resolver(layers: Layers, source: Tree) -> Callable[[Tree], Tree]:
    """Gives the value that a merged part of the document ``source`` has as references stand now."""
    lookup = resolving.around(layers.name, layers.with_own(source), Reading(layers.world).find)
    return partial(Resolver(lookup).part, layers.name)


class Reading:
    """The documents of a world that references of one document lead to."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._read: dict[Name, Member] = {}

    def find(self, service: str, environment: str) -> tuple[Name, Document | None]:
        """See :data:`apps.engine.resolving.Lookup`."""
        name = Name(service.lower(), environment.lower())
        member = self._world.find(name)
        if member is None:
            return name, None
        self._read[name] = member
        return name, member.document

    def lock(self) -> Lock:
        """The versions that were read, by name."""
        return [
            {"reference": str(name), "version": member.number, "id": member.key}
            for name, member in sorted(self._read.items(), key=lambda each: each[0])
        ]


def expect(
    world: World,
    service: Service,
    environment: Environment,
    number: int,
    source: Tree,
    extends: Sequence[Mapping[str, Any]],
) -> None:
    """Put a document into ``world`` that is about to be planned, unresolved, after version ``number``:
    others that are composed in the same act see through it. Its parents come before it.
    """
    merged = load_layers(service, environment, extends, world).with_own(source)
    document = Document(merged)
    member = Member(number + 1, uuid.uuid4().hex, document, lambda _keys: merged)
    world.planned[name_of(service, environment)] = member

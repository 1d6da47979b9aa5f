"""What a configuration is made of and what is made of it, over several steps."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from apps.access import policy
from apps.access.policy import Place
from apps.audit.selectors import Point
from apps.configs.selectors.dependencies import (
    Dependencies,
    Link,
    find_dependents,
    list_dependencies,
)
from apps.configs.selectors.places import known_places
from apps.core.actor import Actor
from apps.engine import graphs
from apps.engine.graphs import Edge, Graph, dot, mermaid

STEPS = (1, 2, 3)
"""How many steps away one may look."""

TEXTS: Final[Mapping[str, Callable[[Graph], str]]] = MappingProxyType(
    {"mermaid": mermaid, "dot": dot}
)
"""The languages that a graph is written in."""

MOST_OPENED = 60
"""How many configurations are looked into on each side; what lies behind the others is left out."""


@dataclass(frozen=True, slots=True)
class Node:
    """A configuration, with its ``place`` where the actor may know of it, or a ``template``."""

    name: str
    place: Place | None = None
    template: str = ""


@dataclass(frozen=True, slots=True)
class Tie:
    """``target`` is made of ``source``: by ``how`` (template, parent, reference) and by the keys of
    references, there (``key``) and in the source (``target``).
    """

    source: Node
    target: Node
    how: str
    links: tuple[Link, ...] = ()

    @property
    def label(self) -> str:
        """How they are tied, in a few words."""
        count = len(self.links)
        return f"{count} key{'' if count == 1 else 's'}" if count else self.how


@dataclass(slots=True)
class Side:
    """One direction: nodes by their distance, from 1 on, the ties between them, how many there are
    that the actor may not list, and how many were not looked into.
    """

    columns: list[list[Node]] = field(default_factory=list)
    ties: list[Tie] = field(default_factory=list)
    hidden: int = 0
    unopened: int = 0


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """A configuration with what it is made of, and what is made of it."""

    own: Node
    below: Side
    above: Side

    @property
    def nodes(self) -> list[Node]:
        """Each once, from what is below to what is above."""
        columns = [*reversed(self.below.columns), [self.own], *self.above.columns]
        return list(dict.fromkeys(node for column in columns for node in column))

    @property
    def ties(self) -> list[Tie]:
        """Each once: what lies on both sides is found from both."""
        return list(dict.fromkeys([*self.below.ties, *self.above.ties]))

    @property
    def hidden(self) -> int:
        """How many are made of it that the actor may not list."""
        return self.above.hidden

    @property
    def unopened(self) -> int:
        """How many were not looked into."""
        return self.below.unopened + self.above.unopened

    def graph(self) -> Graph:
        """It as nodes by name and edges."""
        names = dict.fromkeys(node.name for node in self.nodes)
        edges = [Edge(tie.source.name, tie.target.name, tie.label) for tie in self.ties]
        return Graph([graphs.Node(each) for each in names], list(dict.fromkeys(edges)))


Find = Callable[[str, str], Place | None]


def look_around(
    *, actor: Actor, place: Place, steps: int, point: Point | None = None
) -> Neighbourhood:
    """Both sides of what is live at ``place`` (or was, as of ``point``), ``steps`` far (:data:`STEPS`).
    Needs ``read`` there.
    """
    return Neighbourhood(
        Node(str(place), place),
        look_below(actor=actor, place=place, depth=steps, point=point),
        look_above(actor=actor, place=place, depth=steps, point=point),
    )


def look_below(*, actor: Actor, place: Place, depth: int, point: Point | None = None) -> Side:
    """What the live version at ``place`` is made of, ``depth`` steps far. Needs ``read`` there; what
    the actor may not ``read`` further away is not looked into.
    """
    walk = _Walk(actor, place)
    for _ in range(depth):
        found = [
            (node, list_dependencies(actor=actor, place=at, point=point))
            for node, at in walk.open_front()
        ]
        services = {str(node.place.service) for node, _each in found if node.place}
        services |= {there for _node, each in found for there, _env, _link in each.references}
        find = known_places(actor=actor, services=services)
        ties = [tie for node, each in found for tie in _ties_below(node, each, find)]
        walk.take([(tie.source, tie) for tie in ties if tie.source != tie.target])
    return walk.side


def look_above(*, actor: Actor, place: Place, depth: int, point: Point | None = None) -> Side:
    """What is made of it, likewise."""
    walk = _Walk(actor, place)
    hidden: set[Place] = set()
    for _ in range(depth):
        ties = []
        for node, at in walk.open_front():
            found, uncounted = find_dependents(actor=actor, place=at, point=point)
            hidden |= uncounted
            for each in found:
                how = "inherits" if each.inherits else "reference"
                ties.append(Tie(node, _configuration(each.place), how, tuple(each.links)))
        walk.take([(tie.target, tie) for tie in ties if tie.source != tie.target])
    walk.side.hidden = len(hidden - walk.places)
    return walk.side


def _ties_below(node: Node, found: Dependencies, find: Find) -> Iterator[Tie]:
    """Layers as they lie, then configurations that it refers to, by name."""
    for layer in found.layers:
        if "template" in layer:
            name = f"template {layer['template']} v{layer['version']}"
            yield Tie(Node(name, template=str(layer["template"])), node, "template")
        elif node.place is not None:
            there = (str(node.place.service), str(layer["environment"]))
            yield Tie(_configuration(find(*there), there), node, "parent")
    links: dict[tuple[str, str], list[Link]] = {}
    for service, environment, link in found.references:
        links.setdefault((service, environment), []).append(link)
    for there, taken in sorted(links.items()):
        yield Tie(_configuration(find(*there), there), node, "reference", tuple(taken))


def _configuration(place: Place | None, names: tuple[str, str] = ("", "")) -> Node:
    """A configuration by its place, or by the names that a document calls it."""
    return Node(str(place), place) if place else Node("@".join(names))


class _Walk:
    """Goes away from a configuration, step by step, each one once."""

    def __init__(self, actor: Actor, place: Place) -> None:
        self.side = Side()
        self._actor = actor
        self._front = [Node(str(place), place)]
        self._seen = dict.fromkeys(self._front)
        self._opened = 0

    @property
    def places(self) -> set[Place]:
        """What was reached."""
        return {node.place for node in self._seen if node.place}

    def open_front(self) -> Iterator[tuple[Node, Place]]:
        """The farthest nodes that the actor may look into."""
        for node in self._front:
            if node.place is None or not policy.allowed(self._actor, "read", node.place):
                continue
            if self._opened < MOST_OPENED:
                self._opened += 1
                yield node, node.place
            else:
                self.side.unopened += 1

    def take(self, found: list[tuple[Node, Tie]]) -> None:
        """Go one step on, to the far ends of the ties."""
        self.side.ties += [tie for _end, tie in found]
        self._front = [
            end for end in dict.fromkeys(end for end, _tie in found) if end not in self._seen
        ]
        self._seen |= dict.fromkeys(self._front)
        if self._front:
            self.side.columns.append(self._front)

"""What a configuration is made of, and what is made of it: a picture, and the same as text."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse

from apps.access import policy
from apps.access.policy import Place
from apps.configs.selectors.dependencies import list_dependencies, list_dependents
from apps.core.actor import Actor
from apps.engine.graphs import Edge, Graph, Node, dot, mermaid
from apps.portal.shared import actor_of, address, place_of, render, tabs
from apps.portal.shared import page as guarded_page
from apps.registry.selectors import find_environment, find_service

TEXTS: Final[dict[str, Callable[[Graph], str]]] = {"mermaid": mermaid, "dot": dot}
MOST_DRAWN: Final = 12
WIDTH, HEIGHT, STEP = 250, 44, 60
LEFT, MIDDLE, RIGHT = 10, 345, 680


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One node beside the configuration: its name, how they are tied, by which keys, its page."""

    name: str
    how: str
    keys: tuple[tuple[str, str], ...] = ()
    url: str = ""

    @property
    def label(self) -> str:
        """How they are tied, in a few words."""
        count = len(self.keys)
        return f"{count} key{'' if count == 1 else 's'}" if self.keys else self.how


@dataclass(frozen=True, slots=True)
class Box:
    """A node of the picture, and its line to the middle."""

    neighbour: Neighbour
    x: int
    y: int
    line: str


@guarded_page
def page(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The picture; ``?as=mermaid`` and ``?as=dot`` give it as text. Needs ``read``."""
    place = place_of(request, service, environment, "read")
    actor = actor_of(request)
    below = _below(actor, place)
    above, hidden = _above(actor, place)
    written = TEXTS.get(request.GET.get("as", ""))
    if written is not None:
        text = written(_graph(str(place), below, above))
        return HttpResponse(text, content_type="text/plain; charset=utf-8")
    rows = max(len(below[:MOST_DRAWN]), len(above[:MOST_DRAWN]), 1)
    height = rows * STEP
    return render(
        request,
        "portal/graph.html",
        title=f"{service} · {environment}",
        place=place,
        below=below,
        above=above,
        hidden=hidden,
        boxes=[*_boxes(below, LEFT, height), *_boxes(above, RIGHT, height)],
        more=max(0, len(below) - MOST_DRAWN) + max(0, len(above) - MOST_DRAWN),
        height=height,
        middle={"x": MIDDLE, "y": (height - HEIGHT) // 2},
        size={"width": WIDTH, "height": HEIGHT, "all": RIGHT + WIDTH + 10},
        tabs=tabs(place, "config-graph"),
    )


def _below(actor: Actor, place: Place) -> list[Neighbour]:
    """What it is made of: layers as they lie, then configurations that it refers to, by name."""
    found = list_dependencies(actor=actor, place=place)
    layers = []
    for each in found.layers:
        if "template" in each:
            layers.append(Neighbour(f"template {each['template']} v{each['version']}", "template"))
        else:
            name = f"{place.service}@{each['environment']}"
            url = _url(actor, str(place.service), str(each["environment"]))
            layers.append(Neighbour(name, "parent", url=url))
    keys: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for service, environment, link in found.references:
        keys[service, environment].append((link.key, link.target))
    return layers + [
        Neighbour("@".join(there), "reference", tuple(taken), _url(actor, *there))
        for there, taken in sorted(keys.items())
        if "@".join(there) != str(place).lower()
    ]


def _above(actor: Actor, place: Place) -> tuple[list[Neighbour], int]:
    """What is made of it, and how many more there are that the person may not know of."""
    found, hidden = list_dependents(actor=actor, place=place)
    return [
        Neighbour(
            str(each.place),
            "inherits" if each.inherits else "reference",
            tuple((link.key, link.target) for link in each.links),
            address("config", each.place),
        )
        for each in found
    ], hidden


def _url(actor: Actor, service: str, environment: str) -> str:
    """The page of a configuration that the person may know of."""
    there = Place(find_service(service), find_environment(environment))
    known = there.service is not None and there.environment is not None
    return address("config", there) if known and policy.sees(actor, there) else ""


def _graph(name: str, below: list[Neighbour], above: list[Neighbour]) -> Graph:
    names = dict.fromkeys([*(each.name for each in below), name, *(each.name for each in above)])
    edges = [Edge(each.name, name, each.label) for each in below]
    edges += [Edge(name, each.name, each.label) for each in above]
    return Graph([Node(each) for each in names], edges)


def _boxes(neighbours: list[Neighbour], x: int, height: int) -> list[Box]:
    drawn = neighbours[:MOST_DRAWN]
    top = (height - len(drawn) * STEP) // 2
    middle = height // 2
    boxes = []
    for index, each in enumerate(drawn):
        y = top + index * STEP + (STEP - HEIGHT) // 2
        own = y + HEIGHT // 2
        start, end = (x + WIDTH, MIDDLE) if x == LEFT else (MIDDLE + WIDTH, x)
        begins, ends = (own, middle) if x == LEFT else (middle, own)
        half = (start + end) // 2
        line = f"M{start} {begins} C{half} {begins} {half} {ends} {end - 6} {ends}"
        boxes.append(Box(each, x, y, line))
    return boxes

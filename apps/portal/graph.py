"""What a configuration is made of, and what is made of it: a picture, and the same as text."""

from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.utils.http import urlencode

from apps.configs.selectors.neighbourhood import Node, Side, Tie, look_above, look_below
from apps.engine import graphs
from apps.engine.graphs import Edge, Graph, dot, mermaid
from apps.portal import picture
from apps.portal.links import Links
from apps.portal.shared import address, place_of, reader_of, render, tabs
from apps.portal.shared import page as guarded_page

TEXTS: Final[dict[str, Callable[[Graph], str]]] = {"mermaid": mermaid, "dot": dot}
DEPTHS: Final = (1, 2, 3)


@guarded_page
def page(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The picture, ``?depth=`` steps far; ``?as=mermaid`` and ``?as=dot`` give it as text. Needs
    ``read``.
    """
    place = place_of(request, service, environment, "read")
    actor = reader_of(request)
    asked = request.GET.get("depth", "")
    depth = next((each for each in DEPTHS if str(each) == asked), DEPTHS[0])
    own = Node(str(place), place)
    below = look_below(actor=actor, place=place, depth=depth)
    above = look_above(actor=actor, place=place, depth=depth)
    written = TEXTS.get(request.GET.get("as", ""))
    if written is not None:
        text = written(_graph(own, below, above))
        return HttpResponse(text, content_type="text/plain; charset=utf-8")
    drawn = picture.draw(own, below, above)
    templates = [each.node.template for each in drawn.boxes if each.node.template]
    links = Links(actor, templates=templates)
    return render(
        request,
        "portal/graph.html",
        title=f"{service} · {environment}",
        place=place,
        depth=depth,
        depths=DEPTHS,
        below=[tie for tie in below.ties if tie.target == own],
        above=[tie for tie in above.ties if tie.source == own],
        far=[tie for tie in _ties(below, above) if own not in (tie.source, tie.target)],
        hidden=above.hidden,
        unopened=below.unopened + above.unopened,
        picture=drawn,
        boxes=[{"box": each, "url": _url(links, each.node, depth)} for each in drawn.boxes],
        size={"width": picture.WIDTH, "height": picture.HEIGHT},
        tabs=tabs(request, place, "config-graph"),
    )


def _url(links: Links, node: Node, depth: int) -> str:
    """The picture of another configuration, as far, or the page of a template."""
    if node.place is None:
        return links.template(node.template) if node.template else ""
    asked: dict[str, Any] = {"depth": depth} if depth != DEPTHS[0] else {}
    query = f"?{urlencode(asked)}" if asked else ""
    return f"{address('config-graph', node.place)}{query}"


def _ties(below: Side, above: Side) -> list[Tie]:
    """Each tie once: what lies on both sides is found from both."""
    return list(dict.fromkeys([*below.ties, *above.ties]))


def _graph(own: Node, below: Side, above: Side) -> Graph:
    columns = [*reversed(below.columns), [own], *above.columns]
    names = dict.fromkeys(node.name for column in columns for node in column)
    edges = [
        Edge(tie.source.name, tie.target.name, picture.label(tie)) for tie in _ties(below, above)
    ]
    return Graph([graphs.Node(each) for each in names], list(dict.fromkeys(edges)))

"""What a configuration is made of, and what is made of it: a picture, and the same as text."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.http import urlencode

from apps.configs.selectors.neighbourhood import STEPS, TEXTS, Node, look_around
from apps.portal import picture
from apps.portal.links import Links
from apps.portal.shared import address, place_of, reader_of, render, tabs
from apps.portal.shared import page as guarded_page


@guarded_page
def page(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The picture, ``?depth=`` steps far; ``?as=mermaid`` and ``?as=dot`` give it as text. Needs
    ``read``.
    """
    place = place_of(request, service, environment, "read")
    actor = reader_of(request)
    asked = request.GET.get("depth", "")
    depth = next((each for each in STEPS if str(each) == asked), STEPS[0])
    around = look_around(actor=actor, place=place, steps=depth)
    own, below, above = around.own, around.below, around.above
    written = TEXTS.get(request.GET.get("as", ""))
    if written is not None:
        text = written(around.graph())
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
        depths=STEPS,
        below=[tie for tie in below.ties if tie.target == own],
        above=[tie for tie in above.ties if tie.source == own],
        far=[tie for tie in around.ties if own not in (tie.source, tie.target)],
        hidden=around.hidden,
        unopened=around.unopened,
        picture=drawn,
        boxes=[{"box": each, "url": _url(links, each.node, depth)} for each in drawn.boxes],
        size={"width": picture.WIDTH, "height": picture.HEIGHT},
        tabs=tabs(request, place, "config-graph"),
    )


def _url(links: Links, node: Node, depth: int) -> str:
    """The picture of another configuration, as far, or the page of a template."""
    if node.place is None:
        return links.template(node.template) if node.template else ""
    asked: dict[str, Any] = {"depth": depth} if depth != STEPS[0] else {}
    query = f"?{urlencode(asked)}" if asked else ""
    return f"{address('config-graph', node.place)}{query}"

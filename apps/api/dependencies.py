"""What a configuration refers to, and who refers to it; what uses a template."""

from typing import Any

from django.http import HttpResponse

from apps.api.base import ApiView, answer_json, bad_member, paged, read_number
from apps.api.documentation import DEPENDENCIES, DEPENDENTS, GRAPH, LIST_AT, documented
from apps.api.points import point_of
from apps.api.versions import PlaceView
from apps.configs.selectors.dependencies import Dependent, list_dependencies, list_dependents
from apps.configs.selectors.neighbourhood import STEPS, TEXTS, Node, Tie, look_around
from apps.configs.selectors.templates import get_template, list_users, list_users_at, used_version
from apps.engine.values import Tree


class DependenciesView(PlaceView):
    """What the live version is made of."""

    @documented("List what it refers to: templates, the parent, keys of others", DEPENDENCIES)
    def get(self, request: Any, service: str) -> HttpResponse:
        """Layers as the version's lock names them, then references by key."""
        found = list_dependencies(
            actor=self.actor, place=self.place(service, "read"), point=point_of(request)
        )
        results: list[Tree] = [{**each} for each in found.layers]
        results += [
            {"key": link.key, "service": there, "environment": environment, "target": link.target}
            for there, environment, link in found.references
        ]
        return answer_json({"results": results})


class DependentsView(PlaceView):
    """Who would change with it."""

    @documented("List who inherits from it or refers to its keys", DEPENDENTS)
    def get(self, request: Any, service: str) -> HttpResponse:
        """Those that the caller may list, and a count of the others; with ``at=`` as it was then."""
        found, hidden = list_dependents(
            actor=self.actor, place=self.place(service, "read"), point=point_of(request)
        )
        results: list[Tree] = [present_dependent(each) for each in found]
        return answer_json({"results": [*results, {"hidden": hidden}] if hidden else results})


class GraphView(PlaceView):
    """What it is made of and what is made of it, over several steps."""

    @documented("Draw what it is made of, and what is made of it", GRAPH)
    def get(self, request: Any, service: str) -> HttpResponse:
        """``steps`` (1 to 3) far; as JSON, or as text in Mermaid or DOT; with ``at=`` as it was then."""
        wanted = request.GET.get("format", "json")
        if wanted not in ("json", *TEXTS):
            raise bad_member("format", f"'format' is one of json, {', '.join(TEXTS)}.")
        steps = read_number(request.GET.get("steps", "1"), "steps")
        if steps not in STEPS:
            raise bad_member("steps", f"'steps' is {STEPS[0]} to {STEPS[-1]}.")
        place = self.place(service, "read")
        found = look_around(actor=self.actor, place=place, steps=steps, point=point_of(request))
        if wanted != "json":
            text = TEXTS[wanted](found.graph())
            return HttpResponse(text.encode(), content_type="text/plain; charset=utf-8")
        data: dict[str, Tree] = {
            "nodes": [_node(each) for each in found.nodes],
            "edges": [_edge(each) for each in found.ties],
            "hidden": found.hidden,
            "unopened": found.unopened,
        }
        return answer_json(data)


class TemplateUsersView(ApiView):
    """Which configurations use a template."""

    @documented("List the live configurations that use a template, at which version", LIST_AT)
    def get(self, request: Any, slug: str) -> HttpResponse:
        """A page of those that the caller may list; ``hidden`` counts the others. With ``at=`` those
        that used it then.
        """
        template = get_template(actor=self.actor, slug=slug)
        point = point_of(request)
        rows, hidden = (
            list_users(actor=self.actor, template=template)
            if point is None
            else list_users_at(actor=self.actor, template=template, point=point)
        )
        more: dict[str, Tree] = {"hidden": hidden} if hidden else {}
        return paged(request, rows, lambda row: _user(row, template), more)


def _user(live: Any, template: Any) -> dict[str, Tree]:
    members: dict[str, Tree] = {
        "service": str(live.configuration.service),
        "environment": str(live.configuration.environment),
        "version": used_version(live, template),
    }
    return {**members, "outdated": True} if live.outdated else members


def _node(node: Node) -> dict[str, Tree]:
    if node.template:
        return {"name": node.name, "template": node.template}
    if node.place is None:
        return {"name": node.name}
    names = {"service": str(node.place.service), "environment": str(node.place.environment)}
    return {"name": node.name, **names}


def _edge(tie: Tie) -> dict[str, Tree]:
    keys: list[Tree] = [{"key": each.key, "target": each.target} for each in tie.links]
    return {"from": tie.source.name, "to": tie.target.name, "how": tie.how, "keys": keys}


def present_dependent(dependent: Dependent) -> dict[str, Tree]:
    """One that would change with it, and by which keys."""
    place = dependent.place
    keys: list[Tree] = [{"key": each.key, "target": each.target} for each in dependent.links]
    return {
        "service": str(place.service),
        "environment": str(place.environment),
        "inherits": dependent.inherits,
        "keys": keys,
    }

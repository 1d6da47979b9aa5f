"""What a configuration refers to, and who refers to it."""

from typing import Any

from django.http import HttpResponse

from apps.api.base import answer_json
from apps.api.documentation import DEPENDENCIES, documented
from apps.api.versions import PlaceView
from apps.configs.selectors.dependencies import Dependent, list_dependencies, list_dependents
from apps.engine.values import Tree


class DependenciesView(PlaceView):
    """What the live version is made of."""

    @documented("List what it refers to: templates, the parent, keys of others", DEPENDENCIES)
    def get(self, request: Any, service: str) -> HttpResponse:
        """Layers as the version's lock names them, then references by key."""
        found = list_dependencies(actor=self.actor, place=self.place(service, "read"))
        results: list[Tree] = [{**each} for each in found.layers]
        results += [
            {"key": link.key, "service": there, "environment": environment, "target": link.target}
            for there, environment, link in found.references
        ]
        return answer_json({"results": results})


class DependentsView(PlaceView):
    """Who would change with it."""

    @documented("List who inherits from it or refers to its keys", DEPENDENCIES)
    def get(self, request: Any, service: str) -> HttpResponse:
        """Those that the caller may list, and a count of the others."""
        found, hidden = list_dependents(actor=self.actor, place=self.place(service, "read"))
        results: list[Tree] = [present_dependent(each) for each in found]
        return answer_json({"results": [*results, {"hidden": hidden}] if hidden else results})


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

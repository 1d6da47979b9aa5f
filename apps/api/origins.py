"""Where each key comes from."""

from typing import Any

from django.http import HttpResponse

from apps.api.base import answer_json
from apps.api.config import assigned
from apps.api.documentation import EXPLAIN, documented
from apps.api.points import point_of
from apps.api.versions import PlaceView
from apps.configs.selectors.origins import Origin, explain
from apps.delivery.reads import note_given
from apps.engine import paths
from apps.engine.values import Tree


class ExplainView(PlaceView):
    """The origin of every key, or of some."""

    @documented("Say for each key which layer gave it", EXPLAIN)
    def get(self, request: Any, service: str) -> HttpResponse:
        """``?key=`` (repeat) narrows by globs; a list is one key. With ``unit=`` it is about the variant
        that the unit is served; with ``at=`` about what was live then.
        """
        place = self.place(service, "read")
        keys = request.GET.getlist("key")
        live, found = explain(
            actor=self.actor,
            place=place,
            globs=paths.parse_globs(keys),
            served=lambda published: assigned(self, published),
            point=point_of(request),
        )
        note_given(actor=self.actor, given=[live], keys=keys)
        return answer_json({"results": [present_origin(each) for each in found]})


def present_origin(origin: Origin) -> dict[str, Tree]:
    """One key: its layers, what it hides, the references and the secrets in it."""
    shown: dict[str, Tree] = {
        "key": origin.key,
        "layers": [_layer(name) for name in origin.layers],
        "hides": [_layer(name) for name in origin.hides],
    }
    if origin.uses:
        shown["references"] = [
            {
                "service": use.target.document.service,
                "environment": use.target.document.environment,
                "key": paths.format_path(use.target.path),
            }
            for use in origin.uses
        ]
    if origin.secrets:
        shown["secrets"] = list(origin.secrets)
    return shown


def _layer(name: str) -> dict[str, Tree]:
    """``{"kind":"own"}``, ``{"kind":"environment","name"}`` or ``{"kind":"template","name","version"}``."""
    kind, _colon, rest = name.partition(":")
    if kind == "experiment":
        experiment, _slash, variant = rest.partition("/")
        return {"kind": kind, "id": experiment, "variant": variant}
    if kind != "template":
        return {"kind": kind, "name": rest} if rest else {"kind": kind}
    slug, _at, number = rest.rpartition("@")
    return {"kind": kind, "name": slug, "version": int(number)}

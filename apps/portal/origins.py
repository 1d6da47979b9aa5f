"""Where keys come from: each key of a configuration, and a key across all environments."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse

from apps.access.policy import Place
from apps.configs.selectors.across import Across, Column, Value, get_across
from apps.configs.selectors.configurations import find_live
from apps.configs.selectors.origins import Origin, anything, trace
from apps.core.actor import Actor
from apps.engine import paths
from apps.engine.errors import MalformedError
from apps.engine.paths import Glob
from apps.engine.values import canonical
from apps.portal.links import Links
from apps.portal.shared import page as guarded_page
from apps.portal.shared import place_of, reader_of, render, tabs

PAGE = 100

HIDING = "hides"
"""What of the page is asked for, beside the names of layers: keys that hide something."""


@guarded_page
def explain(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """Each key with its layer and what it hides: ``?key=`` finds, ``?from=`` names a layer."""
    place = place_of(request, service, environment, "read")
    actor = reader_of(request)
    asked = {name: request.GET.get(name, "").strip() for name in ("key", "from")}
    live = find_live(actor=actor, place=place)
    found: dict[str, Origin] = {}
    if live is not None and not live.row.retired:
        origins = trace(actor=actor, place=place, live=live, chosen=anything)
        found = {each.key: each for each in origins}
    names = [key for key in matching(found, asked["key"]) if _is_from(found[key], asked["from"])]
    page = Paginator(names, PAGE).get_page(request.GET.get("page"))
    layers = Layers(actor, place, list(found.values()))
    tree = live.tree if live else {}
    return render(
        request,
        "portal/explain.html",
        title=f"{service} · {environment}",
        place=place,
        rows=[
            {
                "key": key,
                "value": canonical(paths.find(tree, paths.parse_path(key))[1]),
                **layers.shown(found[key], str(place.environment)),
            }
            for key in page
        ],
        page=page,
        asked=asked,
        choices=layers.choices(found.values()),
        tabs=tabs(request, place, "config-explain"),
    )


def _is_from(origin: Origin, layer: str) -> bool:
    return not layer or (bool(origin.hides) if layer == HIDING else layer in origin.layers)


@guarded_page
def across(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The keys of a service, each in all environments: ``?key=`` finds, ``?differ=1`` narrows."""
    place = place_of(request, service, environment)
    actor = reader_of(request)
    assert place.service is not None  # noqa: S101 - a configuration has one
    asked = {name: request.GET.get(name, "").strip() for name in ("key", "differ")}
    found = get_across(actor=actor, service=place.service, chosen=anything)
    names = matching(found.keys, asked["key"])
    if asked["differ"]:
        names = [key for key in names if _differs(found, key)]
    page = Paginator(names, PAGE).get_page(request.GET.get("page"))
    origins = [each.origin for key in page for each in found.keys[key] if each]
    layers = Layers(actor, place, origins)
    return render(
        request,
        "portal/across.html",
        title=f"{service} · {environment}",
        place=place,
        columns=[each for each in found.columns if each.live],
        empty=[each for each in found.columns if not each.live],
        rows=[
            {"key": key, "differs": _differs(found, key), "cells": layers.cells(found, key)}
            for key in page
        ],
        page=page,
        asked=asked,
        tabs=tabs(request, place, "config-across"),
    )


def matching(keys: Iterable[str], text: str) -> list[str]:
    """The keys that ``text`` covers as a glob, then those that have it in them; without it all."""
    if not text:
        return list(keys)
    try:
        glob = Glob(text)
        covered = [key for key in keys if glob.covers(paths.parse_path(key))]
    except MalformedError:
        covered = []
    found = set(covered)
    return covered + [key for key in keys if text.lower() in key.lower() and key not in found]


def _differs(found: Across, key: str) -> bool:
    """Whether the environments that have something live do not all have the same there."""
    row = zip(found.columns, found.keys[key], strict=True)
    values = {canonical(each.tree) if each else None for column, each in row if column.live}
    return len(values) > 1


class Layers:
    """How layers, references and secrets are shown on a page of a configuration, with links."""

    def __init__(self, actor: Actor, place: Place, origins: Sequence[Origin]) -> None:
        named = {name for each in origins for name in (*each.layers, *each.hides)}
        targets = {use.target.document.service for each in origins for use in each.uses}
        targets |= {name.rpartition("/")[0] for each in origins for name in each.secrets} - {""}
        self._service = str(place.service)
        self._links = Links(
            actor,
            services=[self._service, *targets],
            templates=[_template(each)[0] for each in named if each.startswith("template:")],
        )

    def cells(self, found: Across, key: str) -> list[dict[str, Any]]:
        """What each environment has at a key."""
        row = zip(found.columns, found.keys[key], strict=True)
        return [self._cell(column, value) for column, value in row if column.live]

    def choices(self, origins: Iterable[Origin]) -> list[dict[str, str]]:
        """The layers that keys come from, each ``{"name","text"}``, the lowest first."""
        named = dict.fromkeys(name for each in origins for name in each.layers)
        shown = {name: self._layer(name, "")["text"] for name in sorted(named)}
        return [{"name": name, "text": text} for name, text in shown.items()]

    def _cell(self, column: Column, value: Value | None) -> dict[str, Any]:
        environment = str(column.place.environment)
        shown: dict[str, Any] = {"environment": environment, "value": None}
        if value is None:
            return shown
        return shown | {"value": canonical(value.tree), **self.shown(value.origin, environment)}

    def shown(self, origin: Origin, environment: str) -> dict[str, Any]:
        """``{"layers","hides","uses","secrets"}``: lists of ``{"text","url"}``, highest layer first."""
        return {
            "layers": [self._layer(each, environment) for each in reversed(origin.layers)],
            "hides": [self._layer(each, environment) for each in reversed(origin.hides)],
            "uses": [
                {
                    "text": str(each.target),
                    "url": self._links.configuration(*each.target.document),
                }
                for each in origin.uses
            ],
            "secrets": [self._secret(each, environment) for each in origin.secrets],
        }

    def _layer(self, name: str, environment: str) -> dict[str, str]:
        kind, _colon, rest = name.partition(":")
        if kind == "template":
            slug, number = _template(name)
            return {"text": f"template {slug} v{number}", "url": self._links.template(slug)}
        if kind == "environment":
            url = self._links.configuration(self._service, rest)
            return {"text": f"parent {rest}", "url": url}
        url = self._links.configuration(self._service, environment)
        return {"text": "own", "url": url}

    def _secret(self, name: str, environment: str) -> dict[str, str]:
        service, _slash, _slug = name.rpartition("/")
        url = self._links.configuration(service or self._service, environment, "config-secrets")
        return {"text": name, "url": url}


def _template(layer: str) -> tuple[str, str]:
    """The slug and the version that ``template:postgres@3`` names."""
    slug, _at, number = layer.partition(":")[2].rpartition("@")
    return slug, number

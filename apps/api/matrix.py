"""Services by environments, and a service's keys in all of them."""

from typing import Any

from django.http import HttpResponse

from apps.api.base import ApiView, answer_json, bad_member, paged_together
from apps.api.documentation import ACROSS, MATRIX, documented
from apps.api.origins import present_origin
from apps.api.points import point_of
from apps.configs.selectors.across import Column, Value, get_across
from apps.configs.selectors.matrix import Cell, Row, Wanted, find_services, list_rows
from apps.configs.selectors.origins import covered_by
from apps.configs.selectors.places import list_environments
from apps.core import clock
from apps.delivery.reads import note_given
from apps.engine import paths
from apps.engine.values import Tree
from apps.registry.selectors import get_service


class MatrixView(ApiView):
    """Which version is live where."""

    @documented("List which version is live where, and how far apart they are", MATRIX)
    def get(self, request: Any) -> HttpResponse:
        """A page of services by name, each with its environments by rank; with ``at=`` as it was."""
        asked = request.GET
        wanted = Wanted(asked.get("q", ""), asked.get("owner", ""), asked.get("label", ""))
        environments = list(list_environments(actor=self.actor))
        point = point_of(request)
        return paged_together(
            request,
            find_services(actor=self.actor, wanted=wanted),
            lambda services: [
                _row(each)
                for each in list_rows(
                    actor=self.actor, services=services, environments=environments, point=point
                )
            ],
        )


class AcrossView(ApiView):
    """Keys in every environment."""

    @documented("Compare keys across all environments", ACROSS)
    def get(self, request: Any, service: str) -> HttpResponse:
        """``?key=`` (repeat) narrows by globs; a list is one key; with ``at=`` what was live then."""
        globs = request.GET.getlist("key")
        if not all(globs):
            raise bad_member("key", "Name a key: ?key=settings.timeout, or ?key=settings.*.")
        found = get_across(
            actor=self.actor,
            service=get_service(service),
            chosen=covered_by(paths.parse_globs(globs)),
            point=point_of(request),
        )
        given = [column.live for column in found.columns if column.live]
        note_given(actor=self.actor, given=given, keys=globs)
        return answer_json(
            {
                "environments": [present_column(each) for each in found.columns],
                "results": [
                    {
                        "key": key,
                        "values": [
                            present_value(column, value)
                            for column, value in zip(found.columns, row, strict=True)
                            if value is not None
                        ],
                    }
                    for key, row in found.keys.items()
                ],
            }
        )


def _row(row: Row) -> Tree:
    return {
        "service": row.service.slug,
        "name": row.service.name,
        "owner": row.service.owner.name if row.service.owner else None,
        "labels": row.service.labels,
        "environments": [present_cell(each) for each in row.cells if each.is_seen],
    }


def present_cell(cell: Cell) -> dict[str, Tree]:
    """What is live in one environment."""
    shown: dict[str, Tree] = {"environment": str(cell.place.environment), "version": None}
    if cell.live is None:
        return shown
    version = cell.live.version
    shown |= {
        "version": version.number,
        "revision": version.revision,
        "published_at": clock.rfc3339(version.published_at),
        "retired": version.retired,
    }
    if not cell.is_past:
        shown |= {"pinned": cell.live.pinned, "outdated": cell.live.outdated}
    if cell.left is not None and cell.is_compared:
        shown["apart"] = {"from": cell.left.slug, "keys": cell.apart}
    return shown


def present_column(column: Column) -> dict[str, Tree]:
    """One environment, and what is live there."""
    live = column.live
    return {
        "environment": str(column.place.environment),
        "version": live.version if live else None,
        "checksum": live.checksum if live else None,
    }


def present_value(column: Column, value: Value) -> dict[str, Tree]:
    """What one environment has at a key, and where it comes from."""
    origin = present_origin(value.origin)
    del origin["key"]
    return {"environment": str(column.place.environment), "value": value.tree, **origin}

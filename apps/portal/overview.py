"""The home page: services by environments, which version is live where and how far apart."""

from collections.abc import Mapping
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.http import urlencode

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.backups.selectors import last_drills, may_see_backups
from apps.configs.selectors.matrix import Cell, Row, Wanted, find_services, list_rows
from apps.configs.selectors.places import list_environments, list_services
from apps.core.actor import Actor
from apps.portal.shared import address, reader_of
from apps.portal.waiting import waiting

PAGE = 25


def context(request: HttpRequest) -> dict[str, Any]:
    """What the overview shows: a page of services, the environments, each cell."""
    actor = reader_of(request)
    asked = {name: request.GET.get(name, "").strip() for name in ("q", "owner", "label")}
    found = find_services(actor=actor, wanted=Wanted(asked["q"], asked["owner"], asked["label"]))
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    environments = list(list_environments(actor=actor))
    drafts = waiting(actor)
    rows = list_rows(actor=actor, services=list(page), environments=environments)
    owners = list_services(actor=actor).exclude(owner=None).values_list("owner__name", flat=True)
    return {
        "title": "Configurations",
        "rows": [_row(actor, row, drafts["at"]) for row in rows],
        "page": page,
        "environments": environments,
        "asked": asked,
        "owners": sorted(set(owners)),
        "waiting": drafts,
        "may_manage": policy.allowed(actor, "manage", EVERYWHERE),
        "drills": last_drills() if may_see_backups(actor) else None,
    }


def _row(actor: Actor, row: Row, drafts: Mapping[tuple[int, int], int]) -> dict[str, Any]:
    readable = [each.place for each in row.cells if policy.allowed(actor, "read", each.place)]
    return {
        "service": row.service,
        "cells": [
            {**_cell(actor, each), "drafts": drafts.get(_key(each), 0)} for each in row.cells
        ],
        "across": address("config-across", readable[0]) if readable else "",
    }


def _key(cell: Cell) -> tuple[int, int]:
    service, environment = cell.place.service, cell.place.environment
    return (service.pk, environment.pk) if service and environment else (0, 0)


def _cell(actor: Actor, cell: Cell) -> dict[str, Any]:
    """A cell with its links: to the page, and to what differs from the environment to its left."""
    shown = {"cell": cell, "live": cell.live, "url": "", "diff": "", "promote": ""}
    if not cell.is_seen:
        return shown
    shown["url"] = address("config", cell.place)
    if cell.left is None:
        return shown
    if cell.is_compared:
        sides = urlencode({"from": cell.left.slug, "to": str(cell.place.environment)})
        shown["diff"] = f"{address('config-diff', cell.place)}?{sides}"
    if cell.apart != 0 and policy.allowed(actor, "publish", cell.place):
        origin = urlencode({"from": cell.left.slug})
        shown["promote"] = f"{address('config-promote', cell.place)}?{origin}"
    return shown

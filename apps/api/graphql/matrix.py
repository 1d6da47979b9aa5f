"""Services by environments, and a service's keys in all of them."""

from typing import Any, Self

import strawberry

from apps.api.graphql import configurations, services
from apps.api.graphql.context import Info, Peers
from apps.api.graphql.edges import ConfigurationRef
from apps.api.graphql.fields import HEAVY, field, node
from apps.api.graphql.origins import Origin
from apps.api.graphql.paging import Connection, Page, connected
from apps.api.graphql.scalars import Json, Long, Time
from apps.api.matrix import present_cell, present_column
from apps.api.points import read_point
from apps.configs.selectors.across import Value, get_across
from apps.configs.selectors.matrix import Cell as FoundCell
from apps.configs.selectors.matrix import Row, Wanted, find_services, list_rows
from apps.configs.selectors.origins import covered_by
from apps.delivery.reads import note_given
from apps.engine import paths
from apps.registry.selectors import get_service


@node
class Apart:
    """How far apart two environments are."""

    from_: str = strawberry.field(name="from")
    keys: int | None = strawberry.field(description="Null where there is too much to compare.")


@node
class Cell:
    """What is live of a service in an environment."""

    owner: strawberry.Private[Any]
    environment: str
    version: int | None = None
    revision: Long | None = None
    published_at: Time | None = None
    retired: bool | None = None
    pinned: bool | None = None
    outdated: bool | None = None
    apart: Apart | None = None

    @classmethod
    def of(cls, found: FoundCell, owner: Any) -> Self:
        """A cell that the caller may know of, with its configuration."""
        shown = present_cell(found)
        apart = shown.pop("apart", None)
        told = Apart(from_=apart["from"], keys=apart["keys"]) if apart else None
        return cls(owner=owner, apart=told, **shown)

    @field()
    def configuration(self) -> ConfigurationRef:
        """The configuration itself. One that the caller may list."""
        owner: configurations.Configuration = self.owner
        return owner


@node
class MatrixRow:
    """A service in all environments."""

    service: services.Service
    cells: list[Cell]


@node
class AcrossValue:
    """What one environment has at a key, and where it comes from."""

    environment: str
    value: Json | None
    origin: Origin


@node
class AcrossKey:
    """A key in all environments."""

    key: str
    values: list[AcrossValue]


@node
class AcrossColumn:
    """An environment, and what is live there."""

    environment: str
    version: int | None
    checksum: str | None


@node
class Across:
    """A service's keys in all environments where the caller may read it."""

    environments: list[AcrossColumn]
    results: list[AcrossKey]


def _rows(info: Info, found: list[Any], at: str | None) -> list[Row]:
    return list_rows(
        actor=info.context.actor,
        services=found,
        environments=list(info.context.environments.values()),
        point=read_point(at),
    )


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True, cost=HEAVY)
    def matrix(
        self,
        info: Info,
        page: Page,
        *,
        q: str = "",
        owner: str = "",
        label: str = "",
        at: str | None = None,
    ) -> Connection[MatrixRow] | None:
        """Which version is live where, and how far apart they are.

        A page of services by name, each with its environments by rank; with ``at`` as it was.
        """
        start, stop = page.bounds
        wanted = Wanted(q, owner, label)
        found = list(find_services(actor=info.context.actor, wanted=wanted)[start : stop + 1])
        shown = found[: stop - start]
        rows = _rows(info, shown, at)
        cells = [cell for row in rows for cell in row.cells if cell.is_seen]
        owners = dict(zip(cells, configurations.several([c.place for c in cells]), strict=True))
        peers = Peers(shown)
        made = [
            MatrixRow(
                service=services.Service.of(row.service, peers),
                cells=[Cell.of(each, owners[each]) for each in row.cells if each.is_seen],
            )
            for row in rows
        ]
        return connected(made + found[len(shown) :], page, lambda row, _peers: row)

    @field(cost=HEAVY)
    def across(
        self, info: Info, service: str, keys: list[str] | None = None, at: str | None = None
    ) -> Across | None:
        """Keys of a service in all environments.

        The keys that the globs cover, without any: all; a list is one key. With ``at`` as they were.
        """
        found = get_across(
            actor=info.context.actor,
            service=get_service(service),
            chosen=covered_by(paths.parse_globs(keys or [])),
            point=read_point(at),
        )
        given = [column.live for column in found.columns if column.live]
        note_given(actor=info.context.actor, given=given, keys=keys or [])
        columns = [AcrossColumn(**present_column(each)) for each in found.columns]

        def values(row: list[Value | None]) -> list[AcrossValue]:
            return [
                AcrossValue(
                    environment=column.environment,
                    value=value.tree,
                    origin=Origin.of(value.origin),
                )
                for column, value in zip(columns, row, strict=True)
                if value is not None
            ]

        results = [AcrossKey(key=key, values=values(row)) for key, row in found.keys.items()]
        return Across(environments=columns, results=results)

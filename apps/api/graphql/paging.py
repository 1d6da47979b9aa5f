"""Connections with cursors, after Relay's specification; in a nested one no statement is per row.

A cursor is the position in the list (or the number that it goes on from, in histories and the
ledger), as REST's cursors are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

import strawberry
from django.conf import settings
from strawberry.annotation import StrawberryAnnotation
from strawberry.extensions.field_extension import FieldExtension, SyncExtensionResolver
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from apps.api.base import bad_member, read_number
from apps.api.graphql.context import Peers
from apps.core.windows import first_of_each

Node = TypeVar("Node")


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Where a page stands in its list."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type(description="One thing of a page, and where it stands.")
class Edge(Generic[Node]):
    """One thing of a page."""

    cursor: str
    node: Node


@strawberry.type(description="A page of a list.")
class Connection(Generic[Node]):
    """A page of a list."""

    edges: list[Edge[Node]]
    page_info: PageInfo


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for: ``size`` rows after a cursor, or before one."""

    size: int
    cursor: int | None
    backwards: bool

    @property
    def bounds(self) -> tuple[int, int]:
        """The offsets, in a list that goes on from an offset."""
        if self.backwards:
            stop = max(0, (self.cursor or 0) - 1)
            return max(0, stop - self.size), stop
        start = self.cursor or 0
        return start, start + self.size


def read_page(first: int | None, after: str | None, last: int | None, before: str | None) -> Page:
    """``first`` with ``after``, or ``last`` with ``before``. Raises :class:`MalformedError`."""
    backwards = last is not None or before is not None
    if backwards and (first is not None or after is not None):
        raise bad_member("last", "Give 'first' with 'after', or 'last' with 'before'.")
    if backwards and before is None:
        raise bad_member("before", "'last' needs 'before': the cursor to go back from.")
    size = last if backwards else first
    name, cursor = ("before", before) if backwards else ("after", after)
    if size is None:
        size = settings.PAGE_SIZE
    if not 1 <= size <= settings.MAX_PAGE_SIZE:
        name = "last" if backwards else "first"
        raise bad_member(name, f"'{name}' is 1 to {settings.MAX_PAGE_SIZE}.")
    return Page(size, read_number(cursor, name), backwards)


class Paged(FieldExtension):
    """Gives a field the arguments of a page, and its resolver ``page`` in place of them."""

    ARGUMENTS = {"first": int, "after": str, "last": int, "before": str}

    def apply(self, field: StrawberryField) -> None:
        """Add the arguments."""
        own = [each for each in field.arguments if each.python_name != "page"]
        paging = [
            StrawberryArgument(
                python_name=name,
                graphql_name=None,
                type_annotation=StrawberryAnnotation(kind | None),
                default=None,
            )
            for name, kind in self.ARGUMENTS.items()
        ]
        field.arguments = [*own, *paging]

    def resolve(
        self, next_: SyncExtensionResolver, source: Any, info: strawberry.Info, **given: Any
    ) -> Any:
        """Read the arguments."""
        page = read_page(*(given.pop(name, None) for name in self.ARGUMENTS))
        return next_(source, info, page=page, **given)


def as_it_is(row: Any) -> Any:
    """The row itself."""
    return row


def connect(
    rows: Any,
    page: Page,
    build: Callable[[Any, Peers], Node],
    shape: Callable[[Any], Any] = as_it_is,
) -> Connection[Node]:
    """The page of ``rows``, which can be sliced; its nodes are each other's peers."""
    start, stop = page.bounds
    return connected([shape(each) for each in rows[start : stop + 1]], page, build)


def connected(
    found: Sequence[Any],
    page: Page,
    build: Callable[[Any, Peers], Node],
    peers: Peers | None = None,
) -> Connection[Node]:
    """A page of what was ``found`` from its first offset on, and at most one row beyond it."""
    start, stop = page.bounds
    shown = found[: stop - start]
    together = peers or Peers(shown)
    edges = [
        Edge(cursor=str(start + index), node=build(row, together))
        for index, row in enumerate(shown, 1)
    ]
    goes_on = page.backwards or len(found) > len(shown)
    return page_of(edges, has_next=goes_on, has_previous=start > 0)


def page_of(
    edges: list[Edge[Node]],
    *,
    has_next: bool,
    has_previous: bool,
    cursors: tuple[object, object] = (None, None),
) -> Connection[Node]:
    """A connection of these edges; without any, one goes on from ``cursors`` (start and end)."""
    start, end = (edges[0].cursor, edges[-1].cursor) if edges else cursors
    info = PageInfo(
        has_next_page=has_next,
        has_previous_page=has_previous,
        start_cursor=None if start is None else str(start),
        end_cursor=None if end is None else str(end),
    )
    return Connection(edges=edges, page_info=info)


@dataclass(frozen=True, slots=True)
class Nested(Generic[Node]):
    """A list that each of some peers has: how its rows are found for all of them at once.

    ``rows`` gives those of all the parents, ``by`` are the attributes that lead a row to its
    parent, ``order`` sorts the rows of one parent. ``shape`` makes of a row what is shown.
    """

    what: str
    by: Sequence[str]
    order: Sequence[str]
    rows: Callable[[Sequence[Any]], Any]
    build: Callable[[Any, Peers], Node]
    shape: Callable[[Any], Any] = as_it_is

    def page(self, peers: Peers, parent: Sequence[Any], page: Page) -> Connection[Node]:
        """The page of the list that the parent has whose rows have these values in ``by``."""
        start, stop = page.bounds

        def fetch(parents: Sequence[Any]) -> Mapping[Any, tuple[list[Any], Peers]]:
            lists: dict[Any, list[Any]] = {}
            rows = self.rows(parents)
            found = first_of_each(rows, by=self.by, order=self.order, after=start, until=stop + 1)
            for row in found:
                key = tuple(attrgetter(name.replace("__", "."))(row) for name in self.by)
                lists.setdefault(key, []).append(self.shape(row))
            shown = Peers([row for each in lists.values() for row in each[: stop - start]])
            return {key: (each, shown) for key, each in lists.items()}

        found, together = peers.get((self.what, page), tuple(parent), fetch) or ([], None)
        return connected(found, page, self.build, together)

"""What a query is resolved with: who asks, and what was listed together."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

import strawberry

from apps.access.rights import generation
from apps.access.selectors import still_valid
from apps.configs.selectors.places import list_environments, list_services
from apps.core import clock
from apps.core.actor import Actor
from apps.engine.errors import DomainError, NotFoundError, UnauthenticatedError

Found = TypeVar("Found")


@dataclass(slots=True)
class Context:
    """One request.

    Reads are judged by the rights as they were when it began, or after its last write; every write
    asks about the present. ``flag_fields`` counts what was asked of flags. ``refused`` are the refusals
    by field, for whoever records them. ``give_up`` is called when a subscription is read too slowly.
    """

    caller: Actor
    idempotency_key: str | None = None
    subscribes: bool = False
    give_up: Callable[[], object] | None = None
    instance: str | None = None
    unit: str = ""
    flag_fields: int = 0
    refused: list[tuple[str, DomainError]] = field(default_factory=list)
    _reader: Actor | None = None
    _environments: dict[int, Any] | None = None
    _writes: int = 0

    @property
    def writes(self) -> bool:
        """Whether it has tried to change something."""
        return self._writes > 0

    @property
    def actor(self) -> Actor:
        """Who reads, with the rights of one moment."""
        if self._reader is None:
            known = None if self._writes else self.caller.generation
            self._reader = replace(self.caller, generation=generation() if known is None else known)
        return self._reader

    @property
    def environments(self) -> dict[int, Any]:
        """The environments that the caller may know of, by their keys."""
        if self._environments is None:
            rows = list_environments(actor=self.actor)
            self._environments = {each.pk: each for each in rows}
        return self._environments

    def write(self, act: Callable[[Actor], Found]) -> Found:
        """Do one act with the rights of the present; what was read before it is read again.

        Raises :class:`UnauthenticatedError` when an act before it has ended the caller's login.
        """
        self._writes += 1
        if self._writes > 1 and still_valid(self.caller, now=clock.now()) is None:
            raise UnauthenticatedError("The login or token has ended.")
        try:
            return act(replace(self.caller, generation=generation()))
        finally:
            self._reader = self._environments = None


Info: TypeAlias = strawberry.Info[Context, None]


def find(info: Info, look: Callable[[], Found]) -> Found | None:
    """What ``look`` gives; ``None`` where it does not exist or may not be known of."""
    try:
        return look()
    except NotFoundError as error:
        info.context.refused.append((info.field_name, error))
        return None


class Peers:
    """Rows that were listed together: what is asked of one of them is fetched for all, once."""

    __slots__ = ("_found", "rows")

    def __init__(self, rows: Sequence[Any]) -> None:
        self.rows = rows
        self._found: dict[Hashable, Mapping[Any, Any]] = {}

    def get(
        self,
        what: Hashable,
        key: Hashable,
        fetch: Callable[[Sequence[Any]], Mapping[Any, Found | DomainError]],
    ) -> Found | None:
        """What ``fetch`` gives for ``key``. An error in its place is raised."""
        if what not in self._found:
            self._found[what] = fetch(self.rows)
        found = self._found[what].get(key)
        if isinstance(found, DomainError):
            raise found
        return found


def service_row(info: Info, peers: Peers, pk: int | None) -> Any:
    """A service with all that is shown of it, fetched for all that ``peers`` are about."""

    def fetch(rows: Sequence[Any]) -> dict[int, Any]:
        wanted = {each.service_id for each in rows if each.service_id is not None}
        found = list_services(actor=info.context.actor).filter(pk__in=wanted)
        return {each.pk: each for each in found}

    return peers.get("service", pk, fetch)

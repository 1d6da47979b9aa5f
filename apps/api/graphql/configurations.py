"""Configurations: one service in one environment."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import strawberry

from apps.access import policy
from apps.access.policy import Place
from apps.api.config import check_names, list_as_of
from apps.api.graphql import environments, secrets, services
from apps.api.graphql.comparisons import Diff
from apps.api.graphql.context import Info, Peers, find, service_row
from apps.api.graphql.edges import EnvironmentRef, SecretRef, ServiceRef
from apps.api.graphql.fields import HEAVY, field, node
from apps.api.graphql.flags import Flag, flags_of
from apps.api.graphql.histories import HistoryEntry, history_of
from apps.api.graphql.origins import Dependencies, Dependents, Origin, Reader
from apps.api.graphql.paging import Connection, Nested, Page, connect
from apps.api.graphql.scalars import Long, Time
from apps.api.graphql.versions import Version
from apps.api.points import read_point
from apps.api.versions import UNREAD_DAYS, check_days, read_filters
from apps.audit.selectors import Point, head
from apps.configs.selectors import configurations as selected
from apps.configs.selectors.comparing import compare
from apps.configs.selectors.dependencies import list_dependencies, list_dependents
from apps.configs.selectors.origins import explain
from apps.configs.selectors.several import list_numbered, list_published
from apps.delivery.reads import list_readers, list_unread, note_given
from apps.engine import paths

From = Annotated[str, strawberry.argument(name="from")]
HISTORY_COST = dict.fromkeys(("key", "author", "since", "until", "after", "before"), HEAVY)


@dataclass(frozen=True, slots=True)
class At:
    """A configuration among others: its place, with the keys of both."""

    place: Place

    @property
    def service_id(self) -> int | None:
        """The service's key."""
        return self.place.service.pk if self.place.service else None


@node
class Configuration:
    """One service in one environment."""

    here: strawberry.Private[At]
    peers: strawberry.Private[Peers]

    @classmethod
    def of(cls, here: At, peers: Peers) -> Self:
        """One of several that were listed together."""
        return cls(here=here, peers=peers)

    @classmethod
    def at(cls, place: Place) -> Self:
        """The one at a place."""
        here = At(place)
        return cls(here=here, peers=Peers([here]))

    @field()
    def service(self, info: Info) -> ServiceRef | None:
        """Who is configured. The service."""
        row = service_row(info, self.peers, self.here.service_id)
        return None if row is None else services.Service.of(row)

    @field()
    def environment(self, info: Info) -> EnvironmentRef | None:
        """Where. The environment."""
        where = self.here.place.environment
        return environments.find_environment(info, where.pk if where else None)

    @field()
    def live(self, info: Info) -> Version | None:
        """What is served; an error 'retired' for what was retired.

        ``None`` before the first publish.
        """
        actor = info.context.actor
        found = self.peers.get(
            "live",
            self.here.place,
            lambda rows: list_published(actor=actor, places=[each.place for each in rows]),
        )
        if found is None:
            return None
        return Version.of(selected.refuse_retired(found), self)

    @field()
    def version(self, info: Info, number: int) -> Version | None:
        """One version by its number, also of a retirement.

        ``None`` where there is none of that number.
        """
        actor = info.context.actor
        found = self.peers.get(
            ("version", number),
            self.here.place,
            lambda rows: list_numbered(
                actor=actor, places=[each.place for each in rows], number=number
            ),
        )
        return None if found is None else Version.of(found, self)

    @field(cost=HEAVY)
    def at_time(self, info: Info, at: str) -> Version | None:
        """What was live after the last act by a time, or by a revision.

        ``None`` before the first publish.
        """
        place, actor = self.here.place, info.context.actor
        found = find(
            info, lambda: selected.get_served(actor=actor, place=place, point=read_point(at))
        )
        return None if found is None else Version.of(found, self)

    @field(paged=True, cost_with=HISTORY_COST)
    def history(
        self,
        info: Info,
        page: Page,
        *,
        key: str = "",
        author: str = "",
        since: Time | None = None,
        until: Time | None = None,
    ) -> Connection[HistoryEntry] | None:
        """Its versions, newest first.

        A page of them; ``key`` is a glob over the keys that a version changed.
        """
        asked = {"key": key, "author": author, "since": since, "until": until}
        return history_of(info, self, page, read_filters(asked))

    @field(cost=HEAVY)
    def diff(self, info: Info, from_: From, to: str = "live") -> Diff | None:
        """What differs between two states: N, live, ENV, ENV@N or a time.

        The changes from the old side to the new.
        """
        found = compare(actor=info.context.actor, place=self.here.place, sides=(from_, to))
        note_given(actor=info.context.actor, given=[found.old, found.new])
        return Diff.of(found, self.here.place)

    @field(cost=HEAVY)
    def explain(
        self, info: Info, keys: list[str] | None = None, at: str | None = None
    ) -> list[Origin] | None:
        """For each key which layer gave it; with ``at`` as it was.

        The keys that the globs cover; without any: all.
        """
        place, actor = self.here.place, info.context.actor
        policy.require_seen(actor, "read", place)
        globs = paths.parse_globs(keys or [])
        live, found = explain(actor=actor, place=place, globs=globs, point=read_point(at))
        note_given(actor=actor, given=[live], keys=keys or [])
        return [Origin.of(each) for each in found]

    @field(cost=HEAVY)
    def dependencies(self, info: Info, at: str | None = None) -> Dependencies | None:
        """What it is made of beside its own document; with ``at`` as it was.

        Layers, and keys of others.
        """
        found = list_dependencies(
            actor=info.context.actor, place=self.here.place, point=read_point(at)
        )
        return Dependencies.of(found)

    @field(cost=HEAVY)
    def dependents(self, info: Info, at: str | None = None) -> Dependents | None:
        """Who inherits from it or takes its keys; with ``at`` who did.

        Those that the caller may list, and a count of the others.
        """
        found, hidden = list_dependents(
            actor=info.context.actor, place=self.here.place, point=read_point(at)
        )
        return Dependents.of(found, hidden)

    @field(cost=HEAVY)
    def readers(self, info: Info, key: str = "") -> list[Reader] | None:
        """Who has read it, or one key of it. From the counters."""
        found = list_readers(actor=info.context.actor, place=self.here.place, key=key)
        return [Reader.of(each) for each in found]

    @field(cost=HEAVY)
    def unread(self, info: Info, days: int = UNREAD_DAYS) -> list[str] | None:
        """The live keys that nobody has read. For so many days."""
        place, actor = self.here.place, info.context.actor
        policy.require_seen(actor, "audit", place)
        return list_unread(actor=actor, place=place, days=check_days(days))

    @field(cost=HEAVY)
    def flags(
        self, info: Info, *, keys: list[str] | None = None, stale: bool = False
    ) -> list[Flag] | None:
        """Its flags by key: those named, and those that could go alone where 'stale'.

        ``None`` where nothing is live.
        """
        return flags_of(info, self.peers, self.here, keys=keys, stale=stale)

    @field(paged=True)
    def secrets(self, info: Info, page: Page) -> Connection[SecretRef] | None:
        """Its own secrets, without values. A page of them, by name."""
        return secrets.of_configuration(info, self.peers, self.here, page)


def several(places: Iterable[Place]) -> list[Configuration]:
    """The configurations at some places, as each other's peers."""
    rows = [At(each) for each in places]
    peers = Peers(rows)
    return [Configuration.of(each, peers) for each in rows]


def of_service(
    info: Info, peers: Peers, pk: int, page: Page, point: Point | None
) -> Connection[Configuration]:
    """The page of a service's configurations that are live, or were, found for all its peers at once."""
    order = ("configuration__environment__rank", "configuration__environment__slug")
    return _nested(info, "service", order, point).page(peers, (pk,), page)


def of_environment(
    info: Info, peers: Peers, pk: int, page: Page, point: Point | None
) -> Connection[Configuration]:
    """The page of an environment's configurations, likewise."""
    order = ("configuration__service__slug",)
    return _nested(info, "environment", order, point).page(peers, (pk,), page)


def of_lives(rows: Any, page: Page) -> Connection[Configuration]:
    """A page of configurations by their live pointers."""
    return connect(rows, page, Configuration.of, _at)


def _nested(
    info: Info, parent: str, order: tuple[str, ...], point: Point | None
) -> Nested[Configuration]:
    actor = info.context.actor

    def find_rows(parents: Sequence[Any]) -> Any:
        keys = [each.pk for each in parents]
        if point is None:
            within = {f"configuration__{parent}__in": keys}
            return selected.list_live(actor=actor).filter(**within)
        return selected.list_live_at(actor=actor, point=point, within={f"{parent}__in": keys})

    return Nested(
        what=f"configurations of {parent}",
        by=(f"configuration__{parent}_id",),
        order=order,
        rows=find_rows,
        build=Configuration.of,
        shape=_at,
    )


def _at(live: Any) -> At:
    return At(Place(live.configuration.service, live.configuration.environment))


@node
class Snapshot:
    """Several configurations as of one revision."""

    epoch: str
    revision: Long
    results: list[Version]


@node
class Queries:
    """What can be asked of them."""

    @field()
    def configuration(
        self, info: Info, service: str, environment: str | None = None
    ) -> Configuration | None:
        """One configuration; the environment as in REST.

        ``None`` for one that is missing or hidden.
        """
        actor = info.context.actor

        def look() -> Place:
            return selected.resolve_place(
                actor=actor, service=service, environment=environment, verb="list"
            )

        place = find(info, look)
        return None if place is None else Configuration.at(place)

    @field(paged=True)
    def configurations(self, info: Info, page: Page) -> Connection[Configuration] | None:
        """What is live, by service and environment.

        A page of those that the caller may list.
        """
        rows = selected.list_live(actor=info.context.actor)
        return of_lives(rows, page)

    @field(cost=HEAVY)
    def snapshot(
        self,
        info: Info,
        services: list[str],
        environment: str | None = None,
        at: str | None = None,
    ) -> Snapshot | None:
        """Several configurations as of one revision, that of ``at`` where it is given.

        An error where one is missing or hidden, as in REST.
        """
        reached, point = head(), read_point(at)
        revision = point.revision if point else reached.revision
        found = list_as_of(
            actor=info.context.actor,
            services=check_names(services),
            environment=environment,
            revision=revision,
        )
        results = [Version.of(each, Configuration.at(place)) for place, each in found]
        return Snapshot(epoch=reached.epoch, revision=revision, results=results)

"""Reading what is published: live, by number, by time, or as of a revision."""

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery

from apps.access import policy
from apps.access.policy import Place
from apps.access.rights import find_pair_as_of
from apps.audit.selectors import Point, find_point
from apps.configs.models import Live, OverlaidDocument, Version
from apps.configs.restricted import shown_extends
from apps.core import clock
from apps.core.actor import Actor
from apps.engine import formats, paths, spots, values
from apps.engine.errors import NOTHING_HERE, GoneError, NotFoundError, invalid
from apps.engine.guarding import Guard, split, visible
from apps.engine.merge import ABSENT
from apps.engine.spots import Spot
from apps.engine.uses import load_uses
from apps.engine.values import Tree, canonical, checksum, parse_canonical
from apps.registry.models import Configuration, Environment, Service
from apps.registry.selectors import (
    get_default_environment,
    get_environment,
    get_service,
)


@dataclass(frozen=True, slots=True)
class Published:
    """One version as one reader sees it.

    ``text`` is the canonical effective document and ``checksum`` of it, without what ``values``
    hides; ``names`` says which keys he may know of. ``variant`` names the variant of an experiment that
    he is served, ``overlaid`` what that makes of the version, where it is not the version itself.
    """

    place: Place
    service: str
    environment: str
    version: int
    version_id: str
    revision: int
    checksum: str
    published_at: datetime
    author: str
    message: str
    cause: str
    format: str
    text: str
    restores: int | None
    pinned: bool
    outdated: bool
    row: Version
    values: Guard
    names: Guard
    variant: str = ""
    overlaid: OverlaidDocument | None = None

    @property
    def is_partial(self) -> bool:
        """Whether the reader does not see the whole document."""
        return self.checksum != f"sha256:{(self.overlaid or self.row).effective_id}"

    @property
    def tree(self) -> Tree:
        """The effective document."""
        return parse_canonical(self.text)

    @property
    def stored_secrets(self) -> str:
        """Where secrets stand in the whole effective document, as it is stored: canonical JSON."""
        return (self.overlaid or self.row).secrets

    @property
    def secrets(self) -> list[Spot]:
        """Where secrets stand in the effective document, as far as the reader sees it."""
        found = spots.load(parse_canonical(self.stored_secrets))
        if not found or not self.is_partial:
            return found
        tree = self.tree
        return [spot for spot in found if paths.find(tree, spot.path)[0]]

    @property
    def keys(self) -> list[str]:
        """The keys that this version changed."""
        return self.seen_keys(json.loads(self.row.keys))

    def seen_keys(self, keys: list[str]) -> list[str]:
        """Those of its keys that the reader may know of."""
        if not self.names.needs_documents(keys):
            return self.names.allowed_keys(keys)
        number = self.row.number
        texts = texts_around(self.row.configuration_id, [number])[number]
        return self.names.allowed_keys(keys, *map(parse_canonical, texts))

    @property
    def source(self) -> str:
        """What the author wrote. Where keys are hidden it is written anew, without comments."""
        content = self.row.source.content
        if self.values.is_open or self.row.retired:
            return content
        tree = formats.parse(content, self.format).tree
        seen, hidden = split(tree, self.values, source=True)
        if hidden is ABSENT:
            return content
        return formats.render({} if seen is ABSENT else seen, self.format)

    @property
    def extends(self) -> list[dict[str, Any]]:
        """The templates that the source extends. Where keys are hidden their parameters are too,
        because a hidden key may come from one.
        """
        return shown_extends(parse_canonical(self.row.extends), self.values)

    @property
    def lock(self) -> list[dict[str, Any]]:
        """The version of every layer that went in, lowest first, and of every document that keys
        which the reader may see refer to.
        """
        lock = shown_extends(parse_canonical(self.row.lock), self.values)
        if not self.is_partial:
            return lock
        uses = load_uses(parse_canonical(self.row.uses))
        seen = {str(use.target.document) for use in uses if self.values.allows_whole(use.path)}
        return [each for each in lock if each.get("reference") in (None, *seen)]


def texts_around(configuration_id: int, numbers: Collection[int]) -> dict[int, list[str]]:
    """By the numbers of versions of a configuration: the effective texts after and before each.

    What a reader may know of a change depends on both.
    """
    if not numbers:
        return {}
    texts = dict(
        Version.objects.filter(
            configuration=configuration_id, number__in={*numbers, *(each - 1 for each in numbers)}
        ).values_list("number", "effective__content")
    )
    return {
        number: [texts[each] for each in (number, number - 1) if each in texts]
        for number in numbers
    }


def resolve_place(*, actor: Actor, service: str, environment: str | None, verb: str) -> Place:
    """The place that a request names, once the actor has ``list`` (else 404) and ``verb`` there.

    Without an environment it is the one of :func:`resolve_environment`.
    """
    pair = find_pair_as_of(actor, service, environment or actor.environment)
    if pair is None:
        named = resolve_environment(actor=actor, environment=environment)
        pair = get_service(service), named
    place = Place(*pair)
    policy.require_seen(actor, verb, place)
    return place


def resolve_scope(
    *, actor: Actor, service: str | None, environment: str | None, verb: str
) -> Place:
    """A service, an environment, one configuration or, without both, everything; the actor has
    ``list`` (else 404) and ``verb`` on all of it.
    """
    place = Place(
        get_service(service) if service else None,
        get_environment(environment) if environment else None,
    )
    policy.require_seen(actor, verb, place)
    return place


def resolve_environment(*, actor: Actor, environment: str | None) -> Environment:
    """The environment that a request names, else the service account's own, else the default one.

    Rights are not asked. Raises :class:`NotFoundError`.
    """
    slug = environment or actor.environment
    return get_environment(slug) if slug else get_default_environment()


def get_live(*, actor: Actor, place: Place) -> Published:
    """The live version. Raises :class:`NotFoundError` before the first publish,
    :class:`GoneError` when it is retired, :class:`ForbiddenError` without ``read``.
    """
    published = find_live(actor=actor, place=place)
    if published is None:
        raise NotFoundError(NOTHING_HERE)
    return refuse_retired(published)


def find_live(*, actor: Actor, place: Place) -> Published | None:
    """The live version, retired ones too; ``None`` before the first publish."""
    policy.require(actor, "read", place)
    found = Live.objects.select_related("version__effective", "version__source").filter(
        configuration__service=place.service, configuration__environment=place.environment
    )
    live = next(iter(found), None)
    return as_seen(actor, place, live.version, live) if live else None


def get_version(*, actor: Actor, place: Place, number: int) -> Published:
    """One version by its number, retired ones too. Raises :class:`NotFoundError`."""
    policy.require(actor, "read", place)
    version = _versions(place).filter(number=number).first()
    if version is None:
        raise NotFoundError("There is no such version.")
    return as_seen(actor, place, version, None)


def get_as_of(*, actor: Actor, place: Place, revision: int) -> Published:
    """The version that was live as of a revision of the ledger.

    Raises :class:`NotFoundError` before the first publish, :class:`GoneError` where it was retired.
    """
    policy.require(actor, "read", place)
    version = _versions(place).filter(revision__lte=revision).order_by("-number").first()
    if version is None:
        raise NotFoundError("Nothing was published here by then.")
    return refuse_retired(as_seen(actor, place, version, None))


def get_served(*, actor: Actor, place: Place, point: Point | None) -> Published:
    """What is live, or was as of ``point``; as :func:`get_live` and :func:`get_as_of`."""
    if point is None:
        return get_live(actor=actor, place=place)
    return get_as_of(actor=actor, place=place, revision=point.revision)


def list_served_at(point: Point, within: Q) -> QuerySet[Version]:
    """The versions that were served as of ``point``, retirements among them, of the configurations
    ``within``, whoever may know of them.
    """
    by_then = Version.objects.filter(configuration=OuterRef("pk"), revision__lte=point.revision)
    last = Subquery(by_then.order_by("-number").values("pk")[:1])
    present = Q(service__deleted_at=None, environment__deleted_at=None)
    places = Configuration.objects.filter(present, within).order_by()
    rows = Version.objects.filter(pk__in=places.annotate(last=last).values("last"))
    return rows.select_related("configuration__service", "configuration__environment")


def get_side(*, actor: Actor, place: Place, text: str) -> Published:
    """One side of a diff: ``N``, ``live``, ``ENV``, ``ENV@N`` or an RFC 3339 time."""
    if text == "live" or not text:
        return get_live(actor=actor, place=place)
    number = values.whole(text)
    if number is not None:
        return get_version(actor=actor, place=place, number=number)
    moment = _find_moment(text)
    if moment is not None:
        point = find_point(at=moment)
        if point is None:
            raise NotFoundError("Nothing had been done by then.")
        return get_as_of(actor=actor, place=place, revision=point.revision)
    other, number = read_origin(actor=actor, place=place, text=text)
    if number is None:
        return get_live(actor=actor, place=other)
    return get_version(actor=actor, place=other, number=number)


def read_origin(*, actor: Actor, place: Place, text: str) -> tuple[Place, int | None]:
    """``ENV`` or ``ENV@N``: the same service there, and the number, ``None`` for what is live.

    Raises :class:`NotFoundError` for one that the actor may not know of.
    """
    environment, at, digits = text.partition("@")
    number = values.whole(digits)
    if at and number is None:
        raise invalid("", "side", "Write the environment and a version as ENV or ENV@N.")
    other = Place(place.service, get_environment(environment))
    policy.require(actor, "list", other)
    return other, number


def refuse_retired(published: Published) -> Published:
    """``published``, unless it is a retirement: then :class:`GoneError`."""
    if published.row.retired:
        raise GoneError(
            "This configuration is retired. Publish anew, or roll back to bring it back.",
            version=published.version,
        )
    return published


def list_live(*, actor: Actor, service: Service | None = None) -> QuerySet[Live]:
    """The live pointers that the actor may list, with their versions (documents not loaded)."""
    rows = Live.objects.select_related(
        "version", "configuration__service", "configuration__environment"
    ).order_by("configuration__service__slug", "configuration__environment__rank")
    if service is not None:
        rows = rows.filter(configuration__service=service)
    return rows.filter(scope_filter(actor, "list", "configuration__"))


def list_live_at(*, actor: Actor, point: Point, within: Mapping[str, Any]) -> QuerySet[Version]:
    """The versions that were live as of ``point``, of configurations ``within`` that the actor may list."""
    return list_served_at(point, scope_filter(actor, "list") & Q(**within))


def scope_filter(actor: Actor, verb: str, prefix: str = "") -> Q:
    """The filter that keeps rows whose configuration the actor has ``verb`` on."""
    rights = policy.find_rights(actor)
    if rights is None:
        return Q()
    query = Q(pk__in=[])
    for held, service, environment in rights.triples:
        if held == verb:
            scope = {f"{prefix}service_id": service, f"{prefix}environment_id": environment}
            query |= Q(pk__isnull=False, **{k: v for k, v in scope.items() if v is not None})
    return query


def _versions(place: Place) -> QuerySet[Version]:
    return Version.objects.select_related("effective", "source").filter(
        configuration__service=place.service, configuration__environment=place.environment
    )


def as_seen(actor: Actor, place: Place, version: Version, live: Live | None) -> Published:
    """The version as the actor sees it, whose right to read it was asked; ``live`` where it is."""
    assert place.service is not None  # noqa: S101 - a published version is of one configuration
    assert place.environment is not None  # noqa: S101 - as above
    seen = policy.guard(actor, "read", place)
    text = version.effective.content
    if not seen.is_open:
        text = canonical(visible(parse_canonical(text), seen))
    return Published(
        place=place,
        service=place.service.slug,
        environment=place.environment.slug,
        version=version.number,
        version_id=version.pk.hex,
        revision=version.revision,
        checksum=version.checksum if seen.is_open else checksum(text),
        published_at=version.published_at,
        author=version.author,
        message=version.message,
        cause=version.cause,
        format=version.format,
        text=text,
        restores=version.restores,
        pinned=bool(live and live.pinned),
        outdated=bool(live and live.outdated),
        row=version,
        values=seen,
        names=policy.guard(actor, "list", place),
    )


def in_variant(published: Published, variant: str, overlay: uuid.UUID | None) -> Published:
    """The same as a reader sees it in a variant that lays ``overlay``; ``None``: nothing.

    A version that the overlay was not valid with is served as it is, and in no variant.
    """
    if overlay is None:
        return replace(published, variant=variant)
    rows = OverlaidDocument.objects.select_related("effective", "overlay__patch")
    found = rows.filter(version=published.row, overlay=overlay).first()
    if found is None:
        return published
    text = found.effective.content
    if not published.values.is_open:
        text = canonical(visible(parse_canonical(text), published.values))
    return replace(published, text=text, checksum=checksum(text), variant=variant, overlaid=found)


def _find_moment(text: str) -> datetime | None:
    try:
        return clock.read_rfc3339(text)
    except ValueError:
        return None

"""The one way in which a version comes to be: plan, write, append to the ledger, move pointers.

Publishing, patching, retiring, rolling back and refreshing each make :class:`Plan` objects
under the composition lock and hand them to :func:`commit`. Acts on many configurations are one
commit of many plans, never a loop of commits.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connection

from apps.access import policy
from apps.access.policy import Place
from apps.audit.services import Act, Event, append
from apps.configs.models import Live, OverlaidDocument, Template, Version
from apps.configs.naming_secrets import note_uses
from apps.configs.overlaying import Overlaid
from apps.configs.referring import note_references
from apps.configs.restricted import shown_problems
from apps.configs.sources import dump_extends
from apps.configs.world import Member, name_of
from apps.core.actor import Actor
from apps.core.transactions import lock_row
from apps.engine import diff, spots
from apps.engine.errors import Problem
from apps.engine.guarding import visible
from apps.engine.merge_keys import NO_KEYS, MergeKeys
from apps.engine.served import Document
from apps.engine.spots import Spot
from apps.engine.uses import Name, Use, dump_uses, load_uses
from apps.engine.values import Tree, canonical, checksum, parse_canonical
from apps.registry.models import Configuration, Environment, Service

INVALID: Final = "invalid"
"""Why a configuration was left: composing it again would give an invalid one."""


@dataclass(slots=True)
class State:
    """A configuration as it is while the composition lock is held."""

    place: Place
    configuration: Configuration | None
    live: Live | None

    @property
    def version(self) -> Version | None:
        """The live version, also when it is a retired one."""
        return self.live.version if self.live else None

    @property
    def number(self) -> int:
        """The live version's number; 0 before the first."""
        return self.live.version.number if self.live else 0

    @property
    def effective(self) -> Tree:
        """The live effective document; empty before the first publish and while retired."""
        version = self.version
        if version is None or version.retired:
            return {}
        return parse_canonical(version.effective.content)

    @property
    def secrets(self) -> list[Spot]:
        """Where secrets stand in the live document."""
        return spots.load(parse_canonical(self.version.secrets)) if self.version else []

    @property
    def uses(self) -> tuple[Use, ...]:
        """What the live document takes from elsewhere."""
        return load_uses(parse_canonical(self.version.uses)) if self.version else ()

    @property
    def extends(self) -> list[dict[str, object]]:
        """What the live version extends."""
        return parse_canonical(self.version.extends) if self.version else []

    @property
    def service(self) -> Service:
        """The configuration's service."""
        assert self.place.service is not None  # noqa: S101 - a State is of one configuration
        return self.place.service

    @property
    def environment(self) -> Environment:
        """The configuration's environment."""
        assert self.place.environment is not None  # noqa: S101 - as above
        return self.place.environment


@dataclass(slots=True)
class Plan:
    """A version to be: everything is decided, nothing is written. ``exact``: it is what an earlier
    one was, or nothing, whatever moves in the same act.
    """

    state: State
    content: str
    format: str
    extends: list[dict[str, object]]
    effective: Tree
    text: str
    lock: list[dict[str, object]]
    secrets: Sequence[Spot]
    uses: Sequence[Use]
    cause: str
    message: str
    merged: Callable[[MergeKeys], Tree]
    merge_keys: MergeKeys = NO_KEYS
    restores: int | None = None
    promotes: Mapping[str, Tree] | None = None
    drafted_by: str = ""
    pinned: bool = False
    retired: bool = False
    exact: bool = False
    unchanged: bool = False
    overlaid: Sequence[Overlaid] = ()
    warnings: list[Problem] = field(default_factory=list)
    id: uuid.UUID = field(init=False)
    _changes: list[diff.Change] | None = None

    def __post_init__(self) -> None:
        self.id = uuid.uuid4()

    @property
    def name(self) -> Name:
        """How references call the configuration."""
        return name_of(self.state.service, self.state.environment)

    def as_member(self) -> Member:
        """The version as others see it, as if it were live."""
        document = Document(self.effective, tuple(self.secrets), tuple(self.uses), served=True)
        number = self.state.number + 1
        return Member(number, self.id.hex, document, self.merged, self.retired)

    def forget_changes(self) -> None:
        """It became another document."""
        self._changes = None

    def changes(self) -> list[diff.Change]:
        """What it changes in the effective document."""
        if self._changes is None:
            self._changes = diff.changes(self.state.effective, self.effective, self.merge_keys)
        return self._changes


@dataclass(frozen=True, slots=True)
class Affected:
    """What an act on another configuration does to this one: it is composed again, with these
    changes, or stays as it is and is outdated (``left`` says why).
    """

    place: Place
    changes: list[diff.Change] = field(default_factory=list)
    left: str = ""


@dataclass(frozen=True, slots=True)
class Spread:
    """What an act does beyond what it was asked for: versions elsewhere, what is left, and what is
    up to date again as it is.
    """

    plans: list[Plan] = field(default_factory=list)
    left: dict[Place, str] = field(default_factory=dict)
    settled: list[Place] = field(default_factory=list)

    def affected(self, actor: Actor) -> list[Affected]:
        """All of it, in the order of names: in full where the actor may list it, with what he may
        read of its changes; else an anonymous one, to be counted.
        """
        found = [(plan.state.place, _changes_seen(plan, actor), "") for plan in self.plans]
        found += [(place, [], why) for place, why in self.left.items()]
        return [
            Affected(*each) if policy.sees(actor, each[0]) else Affected(Place())
            for each in sorted(found, key=lambda each: str(each[0]))
        ]


NOTHING_ELSE: Final = Spread()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an act did to one configuration, or would do (``dry_run``)."""

    service: str
    environment: str
    version: int
    version_id: str
    revision: int
    checksum: str
    published_at: datetime | None
    changes: list[diff.Change]
    affected: list[Affected]
    warnings: list[Problem]
    unchanged: bool = False
    dry_run: bool = False
    pinned: bool = False
    retired: bool = False


def lock_composition() -> None:
    """Take the one lock that orders everything which moves an input of composing."""
    lock_row("registry_composition", "id")


def load_state(place: Place) -> State:
    """The configuration at ``place`` as committed; read it under the lock before deciding."""
    found = Live.objects.select_related(
        "configuration", "version__source", "version__effective"
    ).filter(configuration__service=place.service, configuration__environment=place.environment)
    live = next(iter(found), None)
    if live is not None:
        return State(place, live.configuration, live)
    configuration = Configuration.objects.filter(
        service=place.service, environment=place.environment
    ).first()
    return State(place, configuration, None)


def _told(plan: Plan, actor: Actor) -> dict[str, Any]:
    """What the actor is told of the document: its checksum, changes and warnings in his view."""
    guard = policy.guard(actor, "read", plan.state.place)
    text = plan.text if guard.is_open else canonical(visible(plan.effective, guard))
    return {
        "checksum": checksum(text),
        "changes": _changes_seen(plan, actor),
        "warnings": shown_problems(actor, plan.state.place, plan.warnings, plan.effective),
    }


def _changes_seen(plan: Plan, actor: Actor) -> list[diff.Change]:
    guard = policy.guard(actor, "read", plan.state.place)
    if guard.is_open:
        return plan.changes()
    before, after = (visible(each, guard) for each in (plan.state.effective, plan.effective))
    return diff.changes(before, after, plan.merge_keys)


def preview(plan: Plan, actor: Actor, spread: Spread = NOTHING_ELSE) -> Outcome:
    """The outcome of ``plan`` without writing anything."""
    version = plan.state.version
    return Outcome(
        service=plan.state.service.slug,
        environment=plan.state.environment.slug,
        version=plan.state.number,
        version_id=version.pk.hex if version else "",
        revision=version.revision if version else 0,
        published_at=version.published_at if version else None,
        affected=spread.affected(actor),
        **_told(plan, actor),
        unchanged=plan.unchanged,
        dry_run=True,
        pinned=plan.pinned,
        retired=plan.retired,
    )


def commit(
    plans: Sequence[Plan],
    actor: Actor,
    spread: Spread = NOTHING_ELSE,
    also: Sequence[Event] = (),
) -> tuple[list[Outcome], Act | None]:
    """Write the versions of ``plans``, and of those that follow them, as one act, and move the
    pointers; ``also`` are events of the same act.

    The caller holds the composition lock inside a transaction. The ledger is appended before
    the version rows are inserted, because each carries its act's revision and never changes.
    Plans marked ``unchanged`` write nothing. The act is ``None`` when nothing was written.
    """
    moving = [plan for plan in (*plans, *spread.plans) if not plan.unchanged]
    if not moving and not also:
        return [_unchanged(plan, actor) for plan in plans], None
    for plan in moving:
        if plan.state.configuration is None:
            plan.state.configuration = Configuration.objects.create(
                service=plan.state.service, environment=plan.state.environment
            )
    keys = [diff.keys_of(plan.changes()) for plan in moving]
    store_texts(text for plan in moving for text in (plan.content, plan.text))
    events = [_event(plan, changed, spread) for plan, changed in zip(moving, keys, strict=True)]
    act = append([*also, *events], actor=actor)
    versions = [
        _version(plan, changed, act, actor) for plan, changed in zip(moving, keys, strict=True)
    ]
    Version.objects.bulk_create(versions)
    for plan, version in zip(moving, versions, strict=True):
        store_overlaid(version, plan.overlaid)
    _point(list(zip(moving, versions, strict=True)))
    mark_outdated(spread.left)
    mark_outdated(spread.settled, outdated=False)
    affected = spread.affected(actor)
    made = {
        id(plan): _outcome(plan, version, actor, affected)
        for plan, version in zip(moving[: len(plans)], versions, strict=False)
    }
    return [made.get(id(plan)) or _unchanged(plan, actor) for plan in plans], act


def _unchanged(plan: Plan, actor: Actor) -> Outcome:
    live = plan.state.live
    if live is not None and (live.outdated or live.pinned):
        live.outdated = live.pinned = False
        live.save(update_fields=["outdated", "pinned"])
    outcome = preview(plan, actor)
    return Outcome(**{**{n: getattr(outcome, n) for n in outcome.__slots__}, "dry_run": False})


def _event(plan: Plan, keys: list[str], spread: Spread) -> Event:
    data: dict[str, Tree] = {
        "service": plan.state.service.slug,
        "environment": plan.state.environment.slug,
        "version": plan.state.number + 1,
        "checksum": checksum(plan.text),
        "source": checksum(plan.content),
        "format": plan.format,
        "keys": keys,
        "lists": [*diff.lists_of(plan.changes())],
        "cause": plan.cause,
        "message": plan.message,
    }
    if plan.restores is not None:
        data["restores"] = plan.restores
    if plan.promotes is not None:
        data["promotes"] = dict(plan.promotes)
    if plan.drafted_by:
        data["drafted_by"] = plan.drafted_by
    if spread.left and plan not in spread.plans:
        data["outdated"] = len(spread.left)
    invalid = sorted(str(place) for place, why in spread.left.items() if why == INVALID)
    if invalid and plan not in spread.plans:
        data["left_invalid"] = list(invalid)
    return Event(f"configuration.{plan.cause}", f"configuration:{plan.state.place}", data)


def store_overlaid(version: Version, overlaid: Sequence[Overlaid]) -> None:
    """Keep what overlays make of a version."""
    if not overlaid:
        return
    store_texts(each.text for each in overlaid)
    OverlaidDocument.objects.bulk_create(
        OverlaidDocument(
            version=version,
            overlay=each.overlay,
            effective_id=digest(each.text),
            secrets=spots.dump(each.secrets),
        )
        for each in overlaid
    )


def store_texts(texts: Iterable[str]) -> None:
    """Keep each text once. Bare SQL: ``bulk_create`` quotes arrays in Python, at ten times the cost."""
    rows = {digest(text): text for text in texts}
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO configs_text (digest, content) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            list(rows.items()),
        )


def digest(text: str) -> str:
    """The key of a :class:`Text` row."""
    return checksum(text).removeprefix("sha256:")


def _version(plan: Plan, keys: list[str], act: Act, actor: Actor) -> Version:
    return Version(
        id=plan.id,
        configuration=plan.state.configuration,
        number=plan.state.number + 1,
        source_id=digest(plan.content),
        format=plan.format,
        extends=dump_extends(plan.extends),
        effective_id=digest(plan.text),
        lock=canonical(plan.lock),
        keys=canonical(keys),
        secrets=spots.dump(plan.secrets),
        uses=dump_uses(plan.uses),
        cause=plan.cause,
        author=actor.name,
        message=plan.message,
        revision=act.revision,
        published_at=act.at,
        restores=plan.restores,
        promotes=canonical(dict(plan.promotes)) if plan.promotes else "",
        drafted_by=plan.drafted_by,
        retired=plan.retired,
    )


def _point(made: Sequence[tuple[Plan, Version]]) -> None:
    """Make the versions live."""
    rows = [
        Live(configuration=version.configuration, version=version, pinned=plan.pinned)
        for plan, version in made
    ]
    Live.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["configuration"],
        update_fields=["version", "pinned", "outdated"],
    )
    for (plan, version), live in zip(made, rows, strict=True):
        _note(plan, version, live)


def _note(plan: Plan, version: Version, live: Live) -> None:
    """Note what a live version uses, as far as that has changed."""
    laid = [spot for each in plan.overlaid for spot in each.secrets]
    if plan.secrets or plan.state.secrets or laid:
        note_uses(version.configuration, [*plan.secrets, *laid])
    if plan.uses or plan.state.uses:
        note_references(version.configuration, plan.uses)
    before = _locked_templates(plan.state.version.lock) if plan.state.version else []
    after = _locked_templates(version.lock)
    if before != after:
        live.templates.set(Template.objects.filter(slug__in=after))


def _locked_templates(lock: str) -> list[str]:
    """The names of the templates in a lock, as they are registered."""
    return [entry["template"] for entry in parse_canonical(lock) if "template" in entry]


def mark_outdated(places: Iterable[Place], *, outdated: bool = True) -> None:
    """Mark the live pointers at ``places``: what they are made of has moved, or is back."""
    for place in places:
        Live.objects.filter(
            configuration__service=place.service, configuration__environment=place.environment
        ).update(outdated=outdated)


def _outcome(plan: Plan, version: Version, actor: Actor, affected: list[Affected]) -> Outcome:
    return Outcome(
        service=plan.state.service.slug,
        environment=plan.state.environment.slug,
        version=version.number,
        version_id=version.pk.hex,
        revision=version.revision,
        published_at=version.published_at,
        affected=affected,
        **_told(plan, actor),
        pinned=plan.pinned,
        retired=plan.retired,
    )

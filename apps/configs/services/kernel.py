"""The one way in which a version comes to be: plan, write, append to the ledger, move pointers.

Publishing, patching, retiring, rolling back and refreshing each make :class:`Plan` objects
under the composition lock and hand them to :func:`commit`. Acts on many configurations are one
commit of many plans, never a loop of commits.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from apps.access import policy
from apps.access.policy import Place
from apps.audit.services import Act, Event, append
from apps.configs.composing import name_of
from apps.configs.models import Live, Template, Version
from apps.configs.naming_secrets import note_uses
from apps.configs.referring import list_referring, note_references
from apps.configs.restricted import shown_problems
from apps.configs.selectors.heirs import list_heirs
from apps.configs.sources import dump_extends
from apps.core.actor import Actor
from apps.core.transactions import lock_row
from apps.engine import diff, resolving, spots
from apps.engine.errors import Problem
from apps.engine.guarding import visible
from apps.engine.resolving import Use
from apps.engine.spots import Spot
from apps.engine.values import Tree, canonical, checksum, parse_canonical
from apps.registry.models import Configuration, Environment, Service


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
        return resolving.load(parse_canonical(self.version.uses)) if self.version else ()

    @property
    def extends(self) -> list[dict[str, object]]:
        """What the live version extends."""
        return json.loads(self.version.extends) if self.version else []

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
    """A version to be: everything is decided, nothing is written."""

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
    restores: int | None = None
    pinned: bool = False
    retired: bool = False
    unchanged: bool = False
    warnings: list[Problem] = field(default_factory=list)
    _changes: list[diff.Change] | None = None

    def changes(self) -> list[diff.Change]:
        """What it changes in the effective document."""
        if self._changes is None:
            self._changes = diff.changes(self.state.effective, self.effective)
        return self._changes


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
    affected: list[Place]
    warnings: list[Problem]
    unchanged: bool = False
    dry_run: bool = False
    pinned: bool = False


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
    if guard.is_open:
        told = {"checksum": checksum(plan.text), "changes": plan.changes()}
    else:
        before, after = (visible(each, guard) for each in (plan.state.effective, plan.effective))
        told = {"checksum": checksum(canonical(after)), "changes": diff.changes(before, after)}
    return told | {"warnings": shown_problems(actor, plan.state.place, plan.warnings)}


def preview(plan: Plan, actor: Actor) -> Outcome:
    """The outcome of ``plan`` without writing anything."""
    version = plan.state.version
    return Outcome(
        service=plan.state.service.slug,
        environment=plan.state.environment.slug,
        version=plan.state.number,
        version_id=version.pk.hex if version else "",
        revision=version.revision if version else 0,
        published_at=version.published_at if version else None,
        affected=_visible(actor, _users_of(plan)),
        **_told(plan, actor),
        unchanged=plan.unchanged,
        dry_run=True,
        pinned=plan.pinned,
    )


def commit(plans: Sequence[Plan], actor: Actor) -> list[Outcome]:
    """Write the versions of ``plans`` as one act, and move the pointers.

    The caller holds the composition lock inside a transaction. The ledger is appended before
    the version rows are inserted, because each carries its act's revision and never changes.
    Plans marked ``unchanged`` write nothing.
    """
    moving = [plan for plan in plans if not plan.unchanged]
    if not moving:
        return [_unchanged(plan, actor) for plan in plans]
    for plan in moving:
        if plan.state.configuration is None:
            plan.state.configuration = Configuration.objects.create(
                service=plan.state.service, environment=plan.state.environment
            )
    keys = [diff.keys_of(plan.changes()) for plan in moving]
    _store_texts(text for plan in moving for text in (plan.content, plan.text))
    act = append(
        [_event(plan, changed) for plan, changed in zip(moving, keys, strict=True)], actor=actor
    )
    versions = [
        _version(plan, changed, act, actor) for plan, changed in zip(moving, keys, strict=True)
    ]
    Version.objects.bulk_create(versions)
    affected = [_point(plan, version) for plan, version in zip(moving, versions, strict=True)]
    made = {
        id(plan): _outcome(plan, version, actor, _visible(actor, places))
        for plan, version, places in zip(moving, versions, affected, strict=True)
    }
    return [made.get(id(plan)) or _unchanged(plan, actor) for plan in plans]


def _unchanged(plan: Plan, actor: Actor) -> Outcome:
    live = plan.state.live
    if live is not None and (live.outdated or live.pinned):
        live.outdated = live.pinned = False
        live.save(update_fields=["outdated", "pinned"])
    outcome = preview(plan, actor)
    return Outcome(**{**{n: getattr(outcome, n) for n in outcome.__slots__}, "dry_run": False})


def _event(plan: Plan, keys: list[str]) -> Event:
    data: dict[str, Tree] = {
        "service": plan.state.service.slug,
        "environment": plan.state.environment.slug,
        "version": plan.state.number + 1,
        "checksum": checksum(plan.text),
        "source": checksum(plan.content),
        "format": plan.format,
        "keys": keys,
        "cause": plan.cause,
        "message": plan.message,
    }
    if plan.restores is not None:
        data["restores"] = plan.restores
    return Event(f"configuration.{plan.cause}", f"configuration:{plan.state.place}", data)


def _store_texts(texts: Iterable[str]) -> None:
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
        id=uuid.uuid4(),
        configuration=plan.state.configuration,
        number=plan.state.number + 1,
        source_id=digest(plan.content),
        format=plan.format,
        extends=dump_extends(plan.extends),
        effective_id=digest(plan.text),
        lock=canonical(plan.lock),
        keys=canonical(keys),
        secrets=spots.dump(plan.secrets),
        uses=resolving.dump(plan.uses),
        cause=plan.cause,
        author=actor.name,
        message=plan.message,
        revision=act.revision,
        published_at=act.at,
        restores=plan.restores,
        retired=plan.retired,
    )


def _point(plan: Plan, version: Version) -> list[Place]:
    """Make ``version`` live; gives back the places that composing would now change."""
    first = plan.state.live is None
    live = Live(
        configuration=plan.state.configuration, version=version, pinned=plan.pinned, outdated=False
    )
    live.save(force_insert=first, force_update=not first)
    if plan.secrets or plan.state.secrets:
        note_uses(version.configuration, plan.secrets)
    if plan.uses or plan.state.uses:
        note_references(version.configuration, plan.uses)
    before = _locked_templates(plan.state.version.lock) if plan.state.version else []
    after = _locked_templates(version.lock)
    if before != after:
        live.templates.set(Template.objects.filter(slug__in=after))
    users = _users_of(plan)
    mark_outdated(users)
    return users


def _locked_templates(lock: str) -> list[str]:
    """The names of the templates in a lock, as they are registered."""
    return [entry["template"] for entry in json.loads(lock) if "template" in entry]


def mark_outdated(places: Sequence[Place]) -> None:
    """Mark the live pointers at ``places``: a layer below them has moved."""
    for place in places:
        Live.objects.filter(
            configuration__service=place.service, configuration__environment=place.environment
        ).update(outdated=True)


def _users_of(plan: Plan) -> list[Place]:
    """Whom composing afresh may change: those who inherit, and those who refer to changed keys."""
    state = plan.state
    heirs = list_heirs(state.service, state.environment)
    changed = diff.keys_of(plan.changes())
    name = name_of(state.service, state.environment)
    referring = (Place(each.service, each.environment) for each in list_referring(name, changed))
    return [*heirs, *(each for each in referring if each not in heirs)]


def _visible(actor: Actor, places: Sequence[Place]) -> list[Place]:
    """The places in full where the actor may list them, else anonymous ones to be counted."""
    return [place if policy.sees(actor, place) else Place() for place in places]


def _outcome(plan: Plan, version: Version, actor: Actor, affected: list[Place]) -> Outcome:
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
    )

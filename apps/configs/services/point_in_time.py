"""Any point in time: configurations made again what they were as of a revision of the ledger.

Nothing is deleted and no history is rewritten: what moves gets a new version, and all of them are
one act. Revisions are the ends of acts, so no act is ever restored by half.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from django.db.models import Max, Q

from apps.access import policy
from apps.access.policy import Place
from apps.audit.selectors import Point
from apps.configs.models import Live, Version
from apps.configs.restricted import require_changes
from apps.configs.services.bases import Options
from apps.configs.services.kernel import (
    Affected,
    Outcome,
    Plan,
    State,
    load_state,
    lock_composition,
)
from apps.configs.services.propagation import conclude
from apps.configs.services.publishing import plan_retirement
from apps.configs.services.redacting import refuse_redacted
from apps.configs.services.rollback import Reason, plan_again
from apps.configs.world import World
from apps.core import clock
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import paths
from apps.engine.errors import (
    DomainError,
    ForbiddenError,
    InvalidConfigurationError,
    Problem,
    invalid,
)
from apps.registry.models import Configuration

LEAVE: Final = "leave"
RETIRE: Final = "retire"
MAX_PLACES: Final = 5_000
"""How many configurations one act restores; more are restored by service or environment."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is restored: what is in ``scope`` (a configuration, a service, an environment, or all),
    of it the ``keys`` (globs; none: all), as of ``point``. ``absent`` says what becomes of
    configurations that were not there then: ``leave`` or ``retire``.
    """

    scope: Place
    point: Point
    keys: Sequence[str] = ()
    absent: str = LEAVE

    def holds(self, place: Place) -> bool:
        """Whether all of the configuration at ``place`` is to be as it was."""
        return (
            not self.keys
            and self.scope.service in (None, place.service)
            and self.scope.environment in (None, place.environment)
        )


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of it, or would: an outcome for each configuration that moves, those that follow,
    how many are as they were, and those that were not there then and stay.
    """

    point: Point
    outcomes: list[Outcome]
    affected: list[Affected]
    unchanged: int
    absent: list[Place]

    @property
    def revision(self) -> int | None:
        """The act; ``None`` when nothing was to be done, and of a dry run."""
        made = [each.revision for each in self.outcomes if not each.dry_run]
        return max(made, default=None)


def restore(*, actor: Actor, wanted: Wanted, options: Options) -> Restored:
    """Make configurations again what they were, as one act; with ``dry_run`` say what that would be.

    It is a rollback of each, and needs the right ``rollback`` on all of the scope, and on every key
    that changes. As there, what today's schemas refuse is a warning, dependents that would be
    invalid are left outdated, and what composing afresh would not give is pinned. Raises
    :class:`InvalidError` with what keeps any of them from being restored: nothing is stored then.
    """
    policy.require_seen(actor, "rollback", wanted.scope)
    options.check()
    if wanted.absent not in (LEAVE, RETIRE):
        raise invalid("/absent", "absent", "What was not there then is to 'leave' or to 'retire'.")
    paths.parse_globs(list(wanted.keys))
    with writing():
        lock_composition()
        work = _Work(actor, wanted, options.message)
        work.plan()
        world = World(stays=wanted.holds)
        outcomes = conclude(
            work.plans, actor, dependents=LEAVE, dry_run=options.dry_run, world=world
        )
        affected = outcomes[0].affected if outcomes else []
        return Restored(wanted.point, outcomes, affected, work.unchanged, work.absent)


class _Work:
    """The plans of one restore."""

    def __init__(self, actor: Actor, wanted: Wanted, message: str) -> None:
        self._actor, self._wanted = actor, wanted
        point = wanted.point
        said = message or f"Restore revision {point.revision}, {clock.rfc3339(point.at)}"
        self._reason = Reason("restore", said)
        self.plans: list[Plan] = []
        self.absent: list[Place] = []
        self.unchanged = 0
        self._problems: list[Problem] = []

    def plan(self) -> None:
        """Find what has moved since, and plan each. Raises :class:`InvalidError`."""
        moved, self.unchanged = find_moved(self._wanted)
        if len(moved) > MAX_PLACES:
            raise invalid(
                "/service",
                "size",
                f"{len(moved)} configurations have moved since: restore by service or environment"
                f" (at most {MAX_PLACES} in one act).",
            )
        for place, target in moved:
            try:
                self._plan_one(place, target)
            except DomainError as error:
                self._refuse(place, error)
        if self._problems:
            raise InvalidConfigurationError(
                f"{len(self._problems)} problem(s) keep this from being restored.", self._problems
            )

    def _plan_one(self, place: Place, target: Version | None) -> None:
        state = load_state(place)
        if target is None or target.retired:
            self._plan_absent(state)
            return
        if _is_as_it_was(state, target):
            self.unchanged += 1
            return
        refuse_redacted(target)
        plan = plan_again(self._actor, state, target, self._wanted.keys, self._reason)
        if self._wanted.keys and not plan.changes():
            self.unchanged += 1
        else:
            self.plans.append(plan)

    def _plan_absent(self, state: State) -> None:
        version = state.version
        if version is None or version.retired:
            return
        if self._wanted.absent == LEAVE or self._wanted.keys:
            self.absent.append(state.place)
            return
        require_changes(self._actor, "rollback", state.place, state.effective, {})
        reason = self._reason
        self.plans.append(plan_retirement(state, version, reason.cause, reason.message))

    def _refuse(self, place: Place, error: DomainError) -> None:
        if isinstance(error, ForbiddenError):
            raise error
        assert place.service is not None  # noqa: S101 - configurations alone are restored
        assert place.environment is not None  # noqa: S101 - as above
        names = (place.service.slug, place.environment.slug)
        found = error.problems or [Problem("", error.code, error.detail)]
        self._problems += [replace(each, service=names[0], environment=names[1]) for each in found]


def find_moved(wanted: Wanted) -> tuple[list[tuple[Place, Version | None]], int]:
    """The configurations of the scope that are not what they were, each with the version that was
    live then, in the order of names; and how many are what they were. Rights are not asked.
    """
    chosen = _within(wanted.scope)
    then = dict(
        Version.objects.filter(chosen, revision__lte=wanted.point.revision)
        .order_by()
        .values_list("configuration")
        .annotate(last=Max("number"))
    )
    live = Live.objects.filter(chosen, configuration__service__deleted_at__isnull=True)
    moved: dict[int, int | None] = {}
    rows = live.values_list("configuration", "version__number", "version__retired")
    for configuration, number, retired in rows:
        last = then.get(configuration)
        if last != number and not (last is None and retired):
            moved[configuration] = last
    return _with_places(moved), len(rows) - len(moved)


def _is_as_it_was(state: State, target: Version) -> bool:
    """Whether a later version says the same: somebody has gone back already."""
    live = state.version
    names = ("source_id", "format", "extends", "effective_id", "secrets", "uses", "retired")
    return live is not None and all(getattr(live, n) == getattr(target, n) for n in names)


def _with_places(moved: dict[int, int | None]) -> list[tuple[Place, Version | None]]:
    configurations = Configuration.objects.select_related("service", "environment")
    targets = {
        version.configuration_id: version
        for version in Version.objects.select_related("source", "effective").filter(
            configuration__in=moved, number__in=set(moved.values())
        )
        if moved[version.configuration_id] == version.number
    }
    found = [
        (Place(each.service, each.environment), targets.get(each.pk))
        for each in configurations.filter(pk__in=moved)
    ]
    return sorted(found, key=lambda each: str(each[0]))


def _within(scope: Place) -> Q:
    chosen = Q()
    if scope.service is not None:
        chosen &= Q(configuration__service=scope.service)
    if scope.environment is not None:
        chosen &= Q(configuration__environment=scope.environment)
    return chosen

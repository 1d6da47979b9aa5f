"""What follows from an act: configurations that are made of what it moves are composed again.

One act takes the reverse closure of what it moves (heirs, users of a template, those who refer to
a key that changed) and composes it together, until nothing moves any more. Documents may refer to
each other in circles, so one may be composed more than once; keys may not, so it comes to an end.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from apps.access import policy
from apps.access.policy import Place
from apps.configs import sources
from apps.configs.judging import HIDDEN
from apps.configs.referring import list_rows_to
from apps.configs.restricted import require_changes, shown_problems
from apps.configs.selectors.heirs import list_heirs
from apps.configs.services.kernel import INVALID, Outcome, Plan, Spread, State, commit, preview
from apps.configs.services.planning import composes_the_same, live_source, plan_composed
from apps.configs.world import World, name_of
from apps.core.actor import Actor
from apps.engine import diff
from apps.engine.errors import (
    InvalidConfigurationError,
    InvalidError,
    MalformedError,
    Problem,
    invalid,
)
from apps.engine.paths import Path, parse_path
from apps.engine.resolving import MAX_CHAIN
from apps.engine.uses import Name, meet
from apps.engine.values import same

PINNED: Final = "pinned"
"""Why a configuration stays that is what an earlier version was."""
RESTORED: Final = "restored"
"""Why one stays that is, already, what it was at the point in time that is restored."""


def conclude(
    plans: Sequence[Plan],
    actor: Actor,
    *,
    dependents: str,
    dry_run: bool,
    world: World | None = None,
) -> list[Outcome]:
    """Write the plans and all that follows from them, or say what that would be.

    Raises :class:`InvalidError` when a configuration that follows would be invalid, unless
    ``dependents`` is ``leave``.
    """
    world = world or World()
    spread = follow(plans, actor, dependents=dependents, world=world)
    for plan in plans:
        if plan.exact and not plan.retired:
            plan.pinned = not composes_the_same(plan, world)
    if dry_run:
        return [preview(plan, actor, spread) for plan in plans]
    return commit(plans, actor, spread)[0]


def follow(
    plans: Sequence[Plan],
    actor: Actor,
    *,
    dependents: str,
    touched: Mapping[Place, str] = MappingProxyType({}),
    world: World | None = None,
    trial: bool = False,
) -> Spread:
    """What follows from ``plans``, and for the places in ``touched``, each with its cause, from what
    has moved below them in ``world``. A plan among ``plans`` may be made anew in place; on a ``trial`` without a question
    whether the actor might publish it.
    """
    walk = _Walk(actor, world or World(), leave=dependents == "leave", trial=trial)
    walk.begin(plans, touched)
    while walk.moved or walk.waiting:
        walk.step()
    if walk.problems:
        raise InvalidConfigurationError(_refusal(walk.broken), _told(actor, walk.problems))
    walk.settle_locks()
    mains = {id(plan) for plan in plans}
    made = [plan for plan in walk.current.values() if id(plan) not in mains]
    settled = [place for place in walk.settled if place not in walk.left]
    return Spread(made, walk.left, settled)


def _refusal(broken: set[Place]) -> str:
    return (
        f"{len(broken)} configuration(s) that follow from this would be invalid. Mend what is "
        'named, or send "dependents":"leave": they stay as they are then, outdated.'
    )


def _told(actor: Actor, problems: Sequence[tuple[Place, list[Problem]]]) -> list[Problem]:
    """The problems that the actor may know of, and how many configurations are kept from him."""
    told = []
    hidden = 0
    for place, found in problems:
        shown = shown_problems(actor, place, found) if policy.sees(actor, place) else []
        told += shown
        hidden += not shown
    if hidden:
        message = f"{hidden} configuration(s) would be invalid where you may not look."
        told.append(Problem("", "dependents", message))
    return told


@dataclass(slots=True)
class _Walk:
    """The closure, wave by wave."""

    actor: Actor
    world: World
    leave: bool
    trial: bool = False
    mains: dict[Name, Plan] = field(default_factory=dict)
    current: dict[Name, Plan] = field(default_factory=dict)
    left: dict[Place, str] = field(default_factory=dict)
    moved: list[tuple[Plan, list[Path]]] = field(default_factory=list)
    waiting: dict[Place, str] = field(default_factory=dict)
    problems: list[tuple[Place, list[Problem]]] = field(default_factory=list)
    broken: set[Place] = field(default_factory=set)
    settled: list[Place] = field(default_factory=list)
    dropped: dict[str, Plan] = field(default_factory=dict)
    tries: Counter[Name] = field(default_factory=Counter)

    def begin(self, plans: Sequence[Plan], touched: Mapping[Place, str]) -> None:
        for plan in plans:
            self.mains[plan.name] = plan
            if not plan.unchanged:
                self._put(plan, plan.changes())
        self.waiting = dict(touched)

    def step(self) -> None:
        """Compose once more whatever is made of what has just moved."""
        wave = {**self._dependents(), **self.waiting}
        self.moved, self.waiting = [], {}
        self.world.load([(p.service, p.environment) for p in wave if p.service and p.environment])
        for place in sorted(wave, key=str):
            if place not in self.left and place not in self.broken:
                self._again(place, wave[place])

    def settle_locks(self) -> None:
        """Where a lock names a version that was planned and is not made after all, name the one that
        is live: what was taken from it is the same in both.
        """
        plans = [*self.mains.values(), *self.current.values()]
        self.dropped |= {plan.id.hex: plan for plan in plans if plan.unchanged}
        for plan in plans if self.dropped else ():
            plan.lock = [self._settled_entry(entry) for entry in plan.lock]

    def _settled_entry(self, entry: dict[str, object]) -> dict[str, object]:
        plan = self.dropped.get(str(entry.get("id")))
        if plan is None or plan.state.version is None:
            return entry
        return {**entry, "version": plan.state.number, "id": plan.state.version.pk.hex}

    def _put(self, plan: Plan, changes: Sequence[diff.Change]) -> None:
        before = self.current.get(plan.name)
        if before is not None:
            plan.id = before.id  # locks name it by now
        self.current[plan.name] = plan
        self.world.planned[plan.name] = plan.as_member()
        self.moved.append((plan, [change.reach for change in changes]))

    def _dependents(self) -> dict[Place, str]:
        found: dict[Place, str] = {}
        keys = {plan.name: changed for plan, changed in self.moved if changed}
        for row in list_rows_to(keys):
            place = Place(row.configuration.service, row.configuration.environment)
            if name_of(row.configuration.service, row.configuration.environment) in self.current:
                continue  # what it refers to may be other keys by now
            if _touches(parse_path(row.target), keys[Name(row.service, row.environment)]):
                found[place] = "reference"
        for plan in self.current.values():
            targets = [use.target for use in plan.uses if use.target.document != plan.name]
            if any(_touches(each.path, keys.get(each.document, ())) for each in targets):
                found[plan.state.place] = "reference"
        above = [
            plan.state.place
            for plan, _changed in self.moved
            if self.world.has_heirs(plan.state.environment)
        ]
        return found | dict.fromkeys(list_heirs(above) if above else (), "inherited")

    def _again(self, place: Place, cause: str) -> None:
        """Compose the configuration at ``place`` once more, and see whether it moves."""
        assert place.service is not None  # noqa: S101 - dependents are configurations
        assert place.environment is not None  # noqa: S101 - as above
        name = name_of(place.service, place.environment)
        main, before = self.mains.get(name), self.current.get(name)
        live = self.world.live(place.service, place.environment)
        state = main.state if main else State(place, live.configuration if live else None, live)
        if main.exact if main else state.version is None or state.version.retired:
            return
        self.tries[name] += 1
        if self.tries[name] > MAX_CHAIN:
            raise invalid("", "cycle", "What follows from this does not come to rest.")
        stays = "" if main else _stays(state) or (RESTORED if self.world.stays(place) else "")
        plan = self._compose(state, main, before, cause, stays)
        if plan is not None:
            self._take(plan, main, before, stays)

    def _take(self, plan: Plan, main: Plan | None, before: Plan | None, stays: str) -> None:
        """Go on with ``plan``, unless it is what was there ``before``."""
        state = plan.state
        changes = diff.changes(before.effective if before else state.effective, plan.effective)
        if not changes and not self._merges_anew(plan, before):
            back = main is None and before is None and stays != PINNED
            if back and state.live is not None and state.live.outdated:
                self.settled.append(state.place)
            return
        if stays:
            self._leave(state.place, stays, before)
            return
        if main is not None:
            if not self.trial:
                require_changes(self.actor, "publish", state.place, state.effective, plan.effective)
            _renew(main, plan)
            self._put(main, changes)
            return
        guard = policy.guard(self.actor, "publish", state.place)
        if all(guard.passes_rules_in(change.reach) for change in plan.changes()):
            self._put(plan, changes)
        else:
            self._leave(state.place, "restricted", before)

    def _compose(
        self, state: State, main: Plan | None, before: Plan | None, cause: str, stays: str
    ) -> Plan | None:
        if main is not None:
            source = sources.kept(main.content, main.format, main.extends)
            cause, message = main.cause, main.message
        else:
            found = live_source(state)
            assert found is not None  # noqa: S101 - it is not retired
            source, message = found, ""
        plan = None
        try:
            plan, problems = plan_composed(self.actor, state, source, cause, message, self.world)
        except (InvalidError, MalformedError) as error:
            problems = list(error.problems)
        if plan is not None and not problems:
            return plan
        hidden = main is None and any(each.code == HIDDEN for each in problems)
        if stays or hidden or (main is None and self.leave):
            self._leave(state.place, stays or ("restricted" if hidden else INVALID), before)
        else:
            self.broken.add(state.place)
            self.problems.append((state.place, problems))
        return None

    def _leave(self, place: Place, why: str, before: Plan | None) -> None:
        """Leave it as it is live; whoever was composed of what it would have become comes again."""
        self.left[place] = why
        if before is not None:
            self.dropped[before.id.hex] = before
            del self.current[before.name]
            del self.world.planned[before.name]
            self.moved.append((before, [change.reach for change in before.changes()]))

    def _merges_anew(self, plan: Plan, before: Plan | None) -> bool:
        """Whether heirs would get another unresolved document, though this one stays the same."""
        if not self.world.has_heirs(plan.state.environment):
            return False
        keys = self.world.merge_keys(plan.state.service)
        if before is not None:
            return not same(before.merged(keys), plan.merged(keys))
        member = self.world.find(plan.name)
        return member is None or not same(member.merged(keys), plan.merged(keys))


def _stays(state: State) -> str:
    """Why a configuration stays as it is whatever moves below it; empty: it follows."""
    if state.live is not None and state.live.pinned:
        return PINNED
    return "protected" if state.environment.is_protected else ""


def _renew(main: Plan, plan: Plan) -> None:
    """Make a plan of the act what composing it again gave."""
    main.unchanged = False
    for name in ("effective", "text", "lock", "secrets", "uses", "merged", "overlaid", "warnings"):
        setattr(main, name, getattr(plan, name))
    main.forget_changes()


def _touches(target: Path, changed: Sequence[Path]) -> bool:
    return any(meet(target, each) for each in changed)

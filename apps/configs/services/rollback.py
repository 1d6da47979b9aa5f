"""Rolling back: always a new version, with exactly the effective document of the old one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from apps.access import policy
from apps.access.policy import Place
from apps.configs import validating
from apps.configs.judging import HIDDEN, judge
from apps.configs.models import Version
from apps.configs.overlaying import Base, lay_all
from apps.configs.restricted import keep_unseen, require_changes, shown_problems
from apps.configs.services.bases import Options, check_base
from apps.configs.services.kernel import (
    Outcome,
    Plan,
    State,
    load_state,
    lock_composition,
)
from apps.configs.services.planning import plan_written, rewritten_source
from apps.configs.services.propagation import conclude
from apps.configs.services.redacting import refuse_redacted
from apps.configs.world import World, merged_tree
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import paths, spots
from apps.engine.choosing import with_chosen
from apps.engine.errors import (
    InvalidConfigurationError,
    NotFoundError,
    Problem,
    invalid,
)
from apps.engine.spots import Spot, names_of
from apps.engine.uses import load_uses
from apps.engine.values import parse_canonical
from apps.vault.selectors import find_named, may_name, place_of


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an earlier document is made again: the new version's ``cause`` and ``message``."""

    cause: str
    message: str


def rollback(
    *,
    actor: Actor,
    place: Place,
    options: Options,
    to_version: int | None = None,
    at: datetime | None = None,
    keys: Sequence[str] = (),
) -> Outcome:
    """Publish again what an earlier version was, or chosen keys of it.

    The target is ``to_version``, the version that was live ``at`` a time, or the one before the
    live one. The new version holds the stored source, effective document and lock, byte for
    byte; where composing afresh would differ it is pinned. With ``keys`` (globs) those keys
    alone are brought back, as overrides in today's source; what the actor may neither see nor roll
    back stays as it is, whether a glob covers it or not. What today's schemas refuse is a
    warning: this is an emergency act. Needs the right ``rollback``.
    """
    policy.require(actor, "rollback", place)
    options.check()
    with writing():
        lock_composition()
        state = load_state(place)
        check_base(state, options, None, base_needed=False)
        target = _find_target(state, to_version, at)
        named = f"{', '.join(keys)} to" if keys else "to"
        reason = Reason("rollback", options.message or f"Roll back {named} version {target.number}")
        plan = plan_again(actor, state, target, keys, reason)
        return conclude([plan], actor, dependents="leave", dry_run=options.dry_run)[0]


def _find_target(state: State, to_version: int | None, at: datetime | None) -> Version:
    versions = Version.objects.select_related("source", "effective").filter(
        configuration=state.configuration
    )
    if state.version is None:
        raise NotFoundError("Nothing has been published here yet.")
    if to_version is not None and at is not None:
        raise invalid("/to_version", "ambiguous", "Give 'to_version' or 'at', not both.")
    if to_version is not None:
        target = versions.filter(number=to_version).first()
    elif at is not None:
        target = versions.filter(published_at__lte=at).order_by("-number").first()
    else:
        target = versions.filter(number__lt=state.number).order_by("-number").first()
    if target is None:
        raise invalid("/to_version", "version", "There is no such version to go back to.")
    refuse_redacted(target)
    if target.retired:
        raise invalid(
            "/to_version", "retired", f"Version {target.number} has no content: it is a retirement."
        )
    return target


def plan_again(
    actor: Actor, state: State, target: Version, keys: Sequence[str], reason: Reason
) -> Plan:
    """The plan that makes ``target`` again, or ``keys`` (globs) of it.

    Raises :class:`ForbiddenError` without the right ``rollback`` on each key that changes, and
    :class:`InvalidError` where a secret is gone.
    """
    if keys:
        plan = _plan_keys(actor, state, target, keys, reason)
    else:
        plan = _plan_whole(actor, state, target, reason)
    require_changes(actor, "rollback", state.place, state.effective, plan.effective)
    _require_secrets(actor, state, plan.secrets)
    return plan


def _plan_whole(actor: Actor, state: State, target: Version, reason: Reason) -> Plan:
    plan = Plan(
        state=state,
        content=target.source.content,
        format=target.format,
        extends=parse_canonical(target.extends),
        effective=parse_canonical(target.effective.content),
        text=target.effective.content,
        lock=parse_canonical(target.lock),
        secrets=spots.load(parse_canonical(target.secrets)),
        uses=load_uses(parse_canonical(target.uses)),
        cause=reason.cause,
        message=reason.message,
        merged=partial(merged_tree, target),
        merge_keys=World().merge_keys(state.service),
        restores=target.number,
        exact=True,
    )
    plan.warnings = _failures(actor, plan)
    return plan


def _failures(actor: Actor, plan: Plan) -> list[Problem]:
    """What of today's sections and rules the plan does not keep: it is restored all the same, and
    served without the overlays that it is not valid with.
    """
    state, world = plan.state, World()
    declared = world.sections(state.service)
    broken = validating.check_sections(declared, plan.effective, plan.secrets)
    rules = world.rules(state.service, state.environment)
    judged = judge(rules, state.place, plan.effective, state.effective, actor)
    told = [*broken.errors, *judged.errors, *broken.warnings, *judged.warnings]
    base = Base(
        state.service,
        state.environment,
        plan.effective,
        plan.secrets,
        state.effective,
        told,
        laid=True,
    )
    plan.overlaid, unlaid = lay_all(actor, world.overlays(state.configuration), base, world)
    told = [each for each in (*told, *unlaid) if each.code != HIDDEN]
    return validating.locate(told, state.service, state.environment, None)


def _require_secrets(actor: Actor, state: State, named: Sequence[Spot]) -> None:
    """Raise :class:`InvalidError` naming the secrets that are not there any more.

    A name that the live version does not hold may lead to another secret than it did, of another
    place: that one must be the actor's to name. Secrets in keys that he may not see stay unnamed.
    """
    names = names_of(named)
    found = find_named(state.place, names)
    known = names_of(state.secrets)
    own = {name for name in found if place_of(found[name].secret) == state.place}
    gone = {
        name
        for name in names
        if name not in found
        or not (name in known or name in own or may_name(actor, found[name].secret))
    }
    problems = [
        Problem(spot.pointer, "secret", f"The secret '{name}' is not there any more.")
        for spot in named
        for name in spot.names
        if name in gone
    ]
    if problems:
        shown = shown_problems(actor, state.place, problems)
        lost = sorted(gone) if len(shown) == len(problems) else []
        named_here = f": {', '.join(map(repr, lost))}" if lost else ""
        raise InvalidConfigurationError(
            f"Secrets that this version names are gone{named_here}.", shown
        )


def _plan_keys(
    actor: Actor, state: State, target: Version, keys: Sequence[str], reason: Reason
) -> Plan:
    version = state.version
    if version is None or version.retired:
        raise invalid("/keys", "retired", "It is retired: roll back to a whole version first.")
    old = parse_canonical(target.effective.content)
    chosen = with_chosen(state.effective, old, paths.parse_globs(keys))
    wanted = keep_unseen(actor, "rollback", state.place, chosen, state.effective)
    source = rewritten_source(state, version, wanted)
    plan, problems = plan_written(actor, state, source, reason.cause, reason.message)
    plan.restores, plan.unchanged = target.number, False
    plan.warnings = [*(each for each in problems if each.code != HIDDEN), *plan.warnings]
    return plan

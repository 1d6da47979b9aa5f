"""Publishing, patching, retiring and refreshing one configuration, or publishing many at once."""

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from apps.access import policy
from apps.access.policy import Place
from apps.configs import sources
from apps.configs.composing import expect
from apps.configs.models import Version
from apps.configs.restricted import (
    extends_with_hidden,
    keep_hidden,
    require_changes,
    source_with_hidden,
)
from apps.configs.selectors.standing import list_referring_to
from apps.configs.services.bases import Options, check_base, take_base, take_patch
from apps.configs.services.drafts import Draft, consume_draft
from apps.configs.services.kernel import (
    Outcome,
    Plan,
    State,
    load_state,
    lock_composition,
)
from apps.configs.services.planning import live_source, plan_written, rewritten_source
from apps.configs.services.propagation import conclude
from apps.configs.sources import Source
from apps.configs.world import World
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import values
from apps.engine.errors import (
    InvalidConfigurationError,
    InvalidError,
    NotFoundError,
    Problem,
    invalid,
)
from apps.engine.values import Tree


@dataclass(frozen=True, slots=True)
class Publication:
    """One configuration of an act on many."""

    place: Place
    source: Source
    options: Options = field(default_factory=Options)


def publish(
    *,
    actor: Actor,
    place: Place,
    source: Source,
    options: Options,
    draft: Draft | None = None,
) -> Outcome:
    """Publish ``source`` as the next version of the configuration at ``place``.

    Raises :class:`NotFoundError` without the right ``list``, :class:`ForbiddenError` without
    ``publish``, :class:`PreconditionRequiredError` when the configuration exists and no base was
    given, :class:`ConflictError` (or :class:`PreconditionFailedError` for an ETag) when the base
    is stale, :class:`InvalidError` for what composing, types or schemas refuse. Nothing is
    stored then, nor on a dry run.

    ``draft`` is what the author published from: it is discarded in the same transaction, or, when
    another page has saved a newer one, refused with :class:`ConflictError` (code ``draft_moved``).
    """
    items = [Publication(place, source, options)]
    if draft is None:
        return publish_many(actor=actor, items=items)[0]
    policy.require(actor, "publish", place)
    with writing():
        lock_composition()  # before any draft, as redacting does
        consume_draft(actor=actor, place=place, draft=draft, dry_run=options.dry_run)
        return publish_many(actor=actor, items=items)[0]


def publish_many(*, actor: Actor, items: Sequence[Publication]) -> list[Outcome]:
    """Publish several configurations in one act with one revision, or none of them.

    Raises what :func:`publish` raises; problems of all items are collected into one
    :class:`InvalidError`. The items' options agree on ``dry_run``.
    """
    for item in items:
        policy.require(actor, "publish", item.place)
        item.options.check()
    with writing():
        lock_composition()
        world = World()
        plans = _plan_together(items, actor, world)
        options = items[0].options
        return conclude(
            plans, actor, dependents=options.dependents, dry_run=options.dry_run, world=world
        )


def patch(
    *,
    actor: Actor,
    place: Place,
    apply: Callable[[Tree], Tree],
    options: Options,
) -> Outcome:
    """Publish what ``apply`` makes of the composed document, as the smallest change of the source.

    The rest of the source text stays as its author wrote it. A base is not needed; one that is
    given and stale is refused, or merged (:func:`take_patch`). Raises what :func:`publish` raises.
    """
    policy.require(actor, "publish", place)
    options.check()
    with writing():
        lock_composition()
        state = load_state(place)
        version = _require_content(state)
        wanted = take_patch(state, options, apply, policy.guard(actor, "read", place))
        if not isinstance(wanted, dict):
            message = "A configuration is an object: its top level needs keys."
            raise InvalidConfigurationError(message, [Problem("", "type", message)])
        values.check(wanted)
        wanted = keep_hidden(actor, place, wanted, state.effective, source=False)
        source = rewritten_source(state, version, wanted)
        plan, problems = plan_written(actor, state, source, "publish", options.message)
        require_changes(actor, "publish", place, state.effective, plan.effective)
        _refuse_invalid(problems)
        return _conclude([plan], actor, options)[0]


def retire(*, actor: Actor, place: Place, options: Options) -> Outcome:
    """Publish a version without content: reading gives 410 until a publish or rollback."""
    policy.require(actor, "publish", place)
    options.check()
    with writing():
        lock_composition()
        state = load_state(place)
        version = _require_content(state)
        check_base(state, options, None, base_needed=False)
        require_changes(actor, "publish", place, state.effective, {})
        _refuse_referred(actor, state)
        plan = plan_retirement(state, version, "retire", options.message)
        return _conclude([plan], actor, options)[0]


def plan_retirement(state: State, version: Version, cause: str, message: str) -> Plan:
    """The plan of a version without content, after the live ``version``."""
    return Plan(
        state=state,
        content="",
        format=version.format,
        extends=[],
        effective={},
        text="{}",
        lock=[],
        secrets=(),
        uses=(),
        cause=cause,
        message=message,
        merged=lambda _keys: {},
        exact=True,
        retired=True,
    )


def _refuse_referred(actor: Actor, state: State) -> None:
    """Refuse to retire what live configurations refer to, naming those that the actor may list."""
    found = list_referring_to(actor=actor, place=state.place)
    more = [f"{found.hidden} that you may not see"] if found.hidden else []
    names = ", ".join([*map(str, found.shown[:20]), *more])
    if names:
        raise invalid("", "in_use", f"Live configurations refer to it: {names}.")


def refresh(*, actor: Actor, place: Place, options: Options) -> Outcome:
    """Compose the live source afresh over today's layers; ends being pinned or outdated."""
    policy.require(actor, "publish", place)
    options.check()
    with writing():
        lock_composition()
        state = load_state(place)
        version = _require_content(state)
        check_base(state, options, None, base_needed=False)
        source = sources.kept(version.source.content, version.format)
        plan, problems = plan_written(actor, state, source, "refresh", options.message)
        require_changes(actor, "publish", place, state.effective, plan.effective)
        _refuse_invalid(problems)
        return _conclude([plan], actor, options)[0]


def _plan_together(items: Sequence[Publication], actor: Actor, world: World) -> list[Plan]:
    """The plans of all items, in their order. They may refer to each other, in circles too.

    Raises :class:`InvalidError` with the problems of all.
    """
    taken = [(load_state(item.place), item) for item in items]
    written = [(state, written_source(state, item, actor), item.options) for state, item in taken]
    if len(written) == 1:
        return [_planned(*written[0], actor, world)]
    parents_first = sorted(written, key=lambda each: world.depth(each[0].environment))
    for state, source, _options in parents_first:
        with suppress(InvalidError):  # said when it is planned
            extends = state.extends if source.extends is None else source.extends
            expect(world, state.service, state.environment, state.number, source.tree, extends)
    plans: dict[Place, Plan] = {}
    problems: list[Problem] = []
    for state, source, options in parents_first:
        try:
            plan = _planned(state, source, options, actor, world)
        except InvalidError as error:
            problems += error.problems or [Problem("", error.code, error.detail)]
        else:
            plans[state.place] = plan
    _refuse_invalid(problems)
    return [plans[item.place] for item in items]


def written_source(state: State, item: Publication, actor: Actor) -> Source:
    """What is to be published: what the actor wrote, with what was published since its base as the
    options say, and with what he may not see kept as it is live.
    """
    reads = policy.guard(actor, "read", item.place)
    given = extends_with_hidden(actor, item.place, item.source, state.extends)
    source = take_base(state, item.options, given, reads)
    return source_with_hidden(actor, item.place, source, lambda: live_source(state))


def _planned(state: State, source: Source, options: Options, actor: Actor, world: World) -> Plan:
    """The plan, which is in the world from now on. Raises :class:`InvalidError`."""
    plan, problems = plan_written(actor, state, source, "publish", options.message, world)
    plan.drafted_by = options.drafted_by
    require_changes(actor, "publish", state.place, state.effective, plan.effective)
    _refuse_invalid(problems)
    expected = world.planned.pop(plan.name, None)
    if expected is not None:
        plan.id = uuid.UUID(hex=expected.key)
    if not plan.unchanged:
        world.planned[plan.name] = plan.as_member()
    return plan


def _require_content(state: State) -> Version:
    version = state.version
    if version is None:
        raise NotFoundError("Nothing has been published here yet.")
    if version.retired:
        raise invalid("", "retired", "It is retired: publish anew, or roll back to bring it back.")
    return version


def _refuse_invalid(problems: list[Problem]) -> None:
    if problems:
        raise InvalidConfigurationError(
            f"{len(problems)} problem(s) must be solved before this can be published.", problems
        )


def _conclude(plans: Sequence[Plan], actor: Actor, options: Options) -> list[Outcome]:
    return conclude(plans, actor, dependents=options.dependents, dry_run=options.dry_run)

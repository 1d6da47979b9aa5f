"""Publishing, patching, retiring and refreshing one configuration, or publishing many at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.access import policy
from apps.access.policy import Place
from apps.configs import composing, sources, validating
from apps.configs.models import Version
from apps.configs.naming_secrets import check_names
from apps.configs.referring import check_references, list_referring, taken
from apps.configs.restricted import (
    keep_hidden,
    require_changes,
    shown_problems,
    source_with_hidden,
)
from apps.configs.services.bases import Options, check_base, source_tree
from apps.configs.services.drafts import Draft, consume_draft
from apps.configs.services.kernel import (
    Outcome,
    Plan,
    State,
    commit,
    load_state,
    lock_composition,
    preview,
)
from apps.configs.sources import Source
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import editing, formats, patching, values
from apps.engine.errors import (
    InvalidError,
    NotFoundError,
    Problem,
    invalid,
)
from apps.engine.guarding import visible
from apps.engine.spots import names_of
from apps.engine.values import Tree, same


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
        plans = [_plan_publish(item, actor) for item in items]
        _refuse_invalid([problem for _plan, found in plans for problem in found])
        if any(item.options.dry_run for item in items):
            return [preview(plan, actor) for plan, _found in plans]
        return commit([plan for plan, _found in plans], actor)


def patch(
    *,
    actor: Actor,
    place: Place,
    apply: Callable[[Tree], Tree],
    options: Options,
) -> Outcome:
    """Publish what ``apply`` makes of the composed document, as the smallest change of the source.

    The rest of the source text stays as its author wrote it. A base is not needed; one that is
    given and stale is refused. Raises what :func:`publish` raises.
    """
    policy.require(actor, "publish", place)
    options.check()
    with writing():
        lock_composition()
        state = load_state(place)
        version = _require_content(state)
        check_base(state, options, None, base_needed=False)
        seen = visible(state.effective, policy.guard(actor, "read", place))
        wanted = apply(seen)
        if not isinstance(wanted, dict):
            raise invalid("", "type", "A configuration is an object: its top level needs keys.")
        values.check(wanted)
        wanted = keep_hidden(actor, place, wanted, state.effective, source=False)
        source = rewritten_source(state, version, wanted)
        plan, problems = plan_composed(actor, state, source, "publish", options.message)
        require_changes(actor, "publish", place, state.effective, plan.effective)
        _refuse_invalid(problems)
        return preview(plan, actor) if options.dry_run else commit([plan], actor)[0]


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
        plan = Plan(
            state=state,
            content="",
            format=version.format,
            extends=[],
            effective={},
            text="{}",
            lock=[],
            secrets=(),
            uses=(),
            cause="retire",
            message=options.message,
            retired=True,
        )
        return preview(plan, actor) if options.dry_run else commit([plan], actor)[0]


def _refuse_referred(actor: Actor, state: State) -> None:
    """Refuse to retire what live configurations refer to, naming those that the actor may list."""
    found = list_referring(composing.name_of(state.service, state.environment))
    if found:
        shown = [
            str(each) for each in found if policy.sees(actor, Place(each.service, each.environment))
        ]
        hidden = len(found) - len(shown)
        names = ", ".join([*shown[:20], *([f"{hidden} that you may not see"] if hidden else [])])
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
        source = sources.from_text(version.source.content, version.format)
        plan, problems = plan_composed(actor, state, source, "refresh", options.message)
        require_changes(actor, "publish", place, state.effective, plan.effective)
        _refuse_invalid(problems)
        return preview(plan, actor) if options.dry_run else commit([plan], actor)[0]


def rewritten_source(state: State, version: Version, wanted: Tree) -> Source:
    """The live source, edited as little as possible, so that composing it gives ``wanted``."""
    tree = formats.parse(version.source.content, version.format).tree
    layers = composing.load_layers(state.service, state.environment, state.extends)
    edited = patching.override(
        tree, layers.below, wanted, layers.merge_keys, composing.resolver(layers, tree)
    )
    if same(edited, tree):
        return sources.from_text(version.source.content, version.format)
    content = editing.edit(version.source.content, version.format, edited)
    return sources.from_text(content, version.format)


def plan_composed(
    actor: Actor, state: State, source: Source, cause: str, message: str
) -> tuple[Plan, list[Problem]]:
    """Compose and validate ``source`` in the place of ``state``: the plan and what is wrong."""
    extends: list[dict[str, Any]] = state.extends if source.extends is None else source.extends
    try:
        layers = composing.load_layers(state.service, state.environment, extends)
        composed = composing.compose(layers, source.tree)
    except InvalidError as error:
        located = validating.locate(
            error.problems, state.service, state.environment, source.parsed.positions
        )
        raise InvalidError(error.detail, shown_problems(actor, state.place, located)) from error
    if layers.trees:  # a document alone was checked when it was read
        values.check(composed.effective)
    problems = validating.validate(
        state.service,
        state.environment,
        composed.effective,
        source.parsed.positions,
        layers.sections,
        composed.secrets,
    )
    errors, warnings = validating.find_credentials(
        state.service,
        state.environment,
        composed.effective,
        source.parsed.positions,
        layers.sections,
    )
    problems += errors
    missing = check_references(actor, layers.name, composed.uses, state.uses)
    if composed.secrets:
        known = {*names_of(state.secrets), *names_of(taken(composed.secrets, composed.uses))}
        missing += check_names(actor, state.place, composed.secrets, known)
    problems += validating.locate(
        missing, state.service, state.environment, source.parsed.positions
    )
    plan = Plan(
        state=state,
        content=source.content,
        format=source.format,
        extends=extends,
        effective=composed.effective,
        text=composed.text,
        lock=composed.lock,
        secrets=composed.secrets,
        uses=composed.uses,
        cause=cause,
        message=message,
        warnings=warnings,
    )
    plan.unchanged = _is_unchanged(plan, source)
    return plan, shown_problems(actor, state.place, problems)


def _plan_publish(item: Publication, actor: Actor) -> tuple[Plan, list[Problem]]:
    state, place = load_state(item.place), item.place
    reads = policy.guard(actor, "read", place)
    check_base(state, item.options, item.source.tree, reads=reads)
    source = source_with_hidden(actor, place, item.source, live_source(state))
    planned = plan_composed(actor, state, source, "publish", item.options.message)
    require_changes(actor, "publish", place, state.effective, planned[0].effective)
    return planned


def live_source(state: State) -> Source | None:
    """The source of the live version; ``None`` before the first, and while it is retired."""
    version = state.version
    if version is None or version.retired:
        return None
    return sources.from_text(version.source.content, version.format)


def _is_unchanged(plan: Plan, source: Source) -> bool:
    version = plan.state.version
    if version is None or version.retired or plan.extends != plan.state.extends:
        return False
    if version.effective.content != plan.text:
        return False
    if source.given_as_tree:
        return same(source_tree(version), source.tree)
    return version.format == plan.format and version.source.content == plan.content


def _require_content(state: State) -> Version:
    version = state.version
    if version is None:
        raise NotFoundError("Nothing has been published here yet.")
    if version.retired:
        raise invalid("", "retired", "It is retired: publish anew, or roll back to bring it back.")
    return version


def _refuse_invalid(problems: list[Problem]) -> None:
    if problems:
        raise InvalidError(
            f"{len(problems)} problem(s) must be solved before this can be published.", problems
        )

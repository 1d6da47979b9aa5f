"""Composing and validating one configuration: the plan of a version, and what is wrong with it."""

from typing import Any, Final

from apps.access import policy
from apps.configs import composing, sources, validating
from apps.configs.judging import judge
from apps.configs.models import Version
from apps.configs.naming_secrets import check_names, known_names
from apps.configs.overlaying import Base, lay_all
from apps.configs.referring import references_of
from apps.configs.restricted import shown_problems
from apps.configs.services.bases import source_tree
from apps.configs.services.in_view import also, broken_in_view
from apps.configs.services.kernel import Plan, State
from apps.configs.sources import Source
from apps.configs.world import World
from apps.core.actor import Actor
from apps.engine import formats, patching, values
from apps.engine.errors import (
    DomainError,
    InvalidConfigurationError,
    InvalidError,
    MalformedError,
    Problem,
)
from apps.engine.guarding import visible
from apps.engine.section_types.section_type import Findings
from apps.engine.values import Tree, same

FOLLOWING: Final = ("inherited", "reference", "template")
"""The causes of versions that follow from another configuration's act."""


def plan_composed(
    actor: Actor,
    state: State,
    source: Source,
    cause: str,
    message: str,
    world: World | None = None,
) -> tuple[Plan, list[Problem]]:
    """Compose and validate ``source`` in the place of ``state``: the plan and what is wrong.

    In a ``world`` of its own, or in that of an act which goes on. Raises
    :class:`InvalidConfigurationError` for what cannot be composed, and :class:`MalformedError` where
    that is too much, or no document.
    """
    extends: list[dict[str, Any]] = state.extends if source.extends is None else source.extends
    world = World() if world is None else world
    try:
        layers = composing.load_layers(state.service, state.environment, extends, world)
        composed = composing.compose(layers, source.tree, references_of(actor, world))
        if layers.trees:  # a document alone was checked when it was read
            values.check(composed.effective)
    except (InvalidError, MalformedError) as error:
        refused = error.problems or [Problem("", error.code, error.detail)]
        located = validating.locate(
            refused, state.service, state.environment, source.parsed.positions
        )
        kind = InvalidConfigurationError if isinstance(error, InvalidError) else type(error)
        raise kind(error.detail, located) from error
    found = _judged(actor, state, source, layers, composed)
    problems = found.errors
    if composed.secrets:
        known = None
        if cause not in FOLLOWING:  # of those the author wrote no name
            known = known_names(
                actor,
                state.place,
                (state.effective, state.secrets),
                composed.effective,
                composed.brought,
                composed.merged,
            )
        missing = check_names(actor, state.place, composed.secrets, known)
        problems += validating.locate(
            missing, state.service, state.environment, source.parsed.positions
        )
    base = Base(
        state.service,
        state.environment,
        composed.effective,
        composed.secrets,
        state.effective,
        problems,
        laid=True,
    )
    laid, broken = lay_all(actor, world.overlays(state.configuration), base, world)
    problems += broken
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
        merged=lambda _keys: composed.merged,
        merge_keys=layers.merge_keys,
        overlaid=laid,
        warnings=[*found.warnings, *source.told()],
    )
    plan.unchanged = _is_unchanged(plan, source)
    return plan, problems


def _judged(
    actor: Actor,
    state: State,
    source: Source,
    layers: composing.Layers,
    composed: composing.Composed,
) -> Findings:
    """What sections, their types, rules and the look for credentials say, with its place."""
    rules = layers.world.rules(state.service, state.environment)
    found = (
        validating.check_sections(layers.sections, composed.effective, composed.secrets),
        validating.find_credentials(layers.sections, composed.effective),
        judge(rules, state.place, composed.effective, state.effective, actor),
    )
    place = (state.service, state.environment, source.parsed.positions)
    errors = [problem for each in found for problem in each.errors]
    warnings = [problem for each in found for problem in each.warnings]
    return Findings(validating.locate(errors, *place), validating.locate(warnings, *place))


def plan_written(
    actor: Actor,
    state: State,
    source: Source,
    cause: str,
    message: str,
    world: World | None = None,
) -> tuple[Plan, list[Problem]]:
    """The same of what the actor wrote, with the problems that are his to know of: those of the
    document, and those of what he sees of it.
    """
    world = World() if world is None else world
    try:
        plan, problems = plan_composed(actor, state, source, cause, message, world)
    except (InvalidError, MalformedError) as error:
        seen = _merged_in_view(actor, state, source, world)
        shown = shown_problems(actor, state.place, error.problems, seen)
        raise type(error)(error.detail, shown) from error
    shown = shown_problems(actor, state.place, problems)
    seen = validating.locate(
        broken_in_view(actor, plan, world),
        state.service,
        state.environment,
        source.parsed.positions,
    )
    return plan, also(shown, seen)


def _merged_in_view(actor: Actor, state: State, source: Source, world: World) -> Tree:
    """What the actor sees of the merged tree of ``source``; nothing where it cannot be merged."""
    extends = state.extends if source.extends is None else source.extends
    try:
        layers = composing.load_layers(state.service, state.environment, extends, world)
        merged = layers.with_own(source.tree)
    except (InvalidError, MalformedError):
        return None
    return visible(merged, policy.guard(actor, "read", state.place), source=True)


def live_source(state: State) -> Source | None:
    """The source of the live version; ``None`` before the first, and while it is retired."""
    version = state.version
    if version is None or version.retired:
        return None
    return sources.kept(version.source.content, version.format)


def rewritten_source(state: State, version: Version, wanted: Tree) -> Source:
    """The live source, edited as little as possible, so that composing it gives ``wanted``."""
    tree = formats.parse(version.source.content, version.format).tree
    layers = composing.load_layers(state.service, state.environment, state.extends, World())
    edited = patching.override(
        tree, layers.below, wanted, layers.merge_keys, composing.resolver(layers, tree)
    )
    if same(edited, tree):
        return sources.kept(version.source.content, version.format)
    return sources.edited(version.source.content, version.format, edited)


def _is_unchanged(plan: Plan, source: Source) -> bool:
    version = plan.state.version
    if version is None or version.retired or plan.extends != plan.state.extends:
        return False
    if version.effective.content != plan.text:
        return False
    if source.given_as_tree:
        return same(source_tree(version), source.tree)
    return version.format == plan.format and version.source.content == plan.content


def composes_the_same(plan: Plan, world: World) -> bool:
    """Whether composing the plan's source afresh in ``world`` gives what the plan says."""
    state = plan.state
    try:
        layers = composing.load_layers(state.service, state.environment, plan.extends, world)
        source = sources.kept(plan.content, plan.format)
        return composing.compose(layers, source.tree).text == plan.text
    except DomainError:  # a template is gone, say: today's composing gives no document at all
        return False

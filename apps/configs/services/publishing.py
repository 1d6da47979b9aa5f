"""Publishing, patching, retiring and refreshing one configuration, or publishing many at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.access import policy
from apps.access.policy import Place
from apps.configs import composing, sources, validating
from apps.configs.models import Change, Version
from apps.configs.naming_secrets import check_names
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
from apps.engine import diff, editing, formats, patching, values
from apps.engine.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    PreconditionFailedError,
    PreconditionRequiredError,
    Problem,
    invalid,
)
from apps.engine.spots import names_of
from apps.engine.values import Tree, same

STALE_RULES = ("reject", "merge", "overwrite")


@dataclass(frozen=True, slots=True)
class Base:
    """What the author started from: a version number, or the ids that ``If-Match`` names."""

    version: int | None = None
    version_ids: tuple[str, ...] = ()

    @property
    def is_given(self) -> bool:
        """Whether there is one at all."""
        return self.version is not None or bool(self.version_ids)

    def matches(self, state: State) -> bool:
        """Whether the live version is this base."""
        if self.version_ids:
            version = state.version
            return version is not None and bool({"*", version.pk.hex} & set(self.version_ids))
        return self.version is None or self.version == state.number


@dataclass(frozen=True, slots=True)
class Options:
    """The members that every write has beside its document."""

    message: str = ""
    base: Base = field(default_factory=Base)
    on_stale: str = "reject"
    dependents: str = "refuse"
    dry_run: bool = False
    propose: bool = False

    def check(self) -> None:
        """Refuse what is unknown, and what later parts of the product bring."""
        values.check({"message": self.message})
        if self.on_stale not in STALE_RULES:
            raise invalid("/on_stale", "on_stale", "Use reject, merge or overwrite.")
        if self.on_stale == "merge":
            raise invalid("/on_stale", "not_available", "Three-way merge is not available yet.")
        if self.dependents not in ("refuse", "leave"):
            raise invalid("/dependents", "dependents", "Use refuse or leave.")
        if self.propose:
            raise invalid("/propose", "not_available", "Change requests are not available yet.")


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
    consume_draft: bool = False,
) -> Outcome:
    """Publish ``source`` as the next version of the configuration at ``place``.

    Raises :class:`NotFoundError` without the right ``list``, :class:`ForbiddenError` without
    ``publish``, :class:`PreconditionRequiredError` when the configuration exists and no base was
    given, :class:`ConflictError` (or :class:`PreconditionFailedError` for an ETag) when the base
    is stale, :class:`InvalidError` for what composing, types or schemas refuse. Nothing is
    stored then, nor on a dry run.
    """
    item = Publication(place, source, options)
    return publish_many(actor=actor, items=[item], consume_drafts=consume_draft)[0]


def publish_many(
    *, actor: Actor, items: Sequence[Publication], consume_drafts: bool = False
) -> list[Outcome]:
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
        outcomes = commit([plan for plan, _found in plans], actor)
        if consume_drafts:
            places = [item.place for item in items]
            _discard_drafts(actor, places)
        return outcomes


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
        wanted = apply(state.effective)
        if not isinstance(wanted, dict):
            raise invalid("", "type", "A configuration is an object: its top level needs keys.")
        values.check(wanted)
        source = rewritten_source(state, version, wanted)
        plan, problems = plan_composed(actor, state, source, "publish", options.message)
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
        plan = Plan(
            state=state,
            content="",
            format=version.format,
            extends=[],
            effective={},
            text="{}",
            lock=[],
            secrets=(),
            cause="retire",
            message=options.message,
            retired=True,
        )
        return preview(plan, actor) if options.dry_run else commit([plan], actor)[0]


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
        _refuse_invalid(problems)
        return preview(plan, actor) if options.dry_run else commit([plan], actor)[0]


def rewritten_source(state: State, version: Version, wanted: Tree) -> Source:
    """The live source, edited as little as possible, so that composing it gives ``wanted``."""
    tree = formats.parse(version.source.content, version.format).tree
    layers = composing.load_layers(state.service, state.environment, state.extends)
    edited = patching.override(tree, layers.below, wanted, layers.merge_keys)
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
        raise InvalidError(error.detail, located) from error
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
    if composed.secrets:
        known = names_of(state.secrets)
        unknown = check_names(actor, state.place, composed.secrets, known)
        problems += validating.locate(
            unknown, state.service, state.environment, source.parsed.positions
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
        cause=cause,
        message=message,
    )
    plan.unchanged = _is_unchanged(plan, source)
    return plan, problems


def check_base(
    state: State, options: Options, ours: Tree | None, *, base_needed: bool = True
) -> None:
    """Refuse a missing or stale base. ``ours`` is the document that was sent, for the conflicts."""
    base = options.base
    if options.on_stale == "overwrite":
        return
    if base_needed and state.version is not None and not base.is_given:
        raise PreconditionRequiredError(
            f'This configuration is at version {state.number}. Send "base_version":'
            f"{state.number}, or If-Match with its ETag, so that nobody's change is lost.",
            current_version=state.number,
        )
    if base.matches(state):
        return
    if base.version_ids:
        raise PreconditionFailedError(
            f"The live version is {state.number} and not the one that If-Match names. "
            "Fetch it again and repeat the change on it.",
            current_version=state.number,
        )
    raise _conflict(state, base, ours)


def _conflict(state: State, base: Base, ours: Tree | None) -> ConflictError:
    clashes: list[diff.Conflict] = []
    before = (
        Version.objects.select_related("source")
        .filter(configuration=state.configuration, number=base.version or 0)
        .first()
    )
    mergeable = before is not None or base.version == 0
    if ours is not None and mergeable:
        clashes = diff.overlapping(_source_tree(before), ours, _source_tree(state.version))
    return ConflictError(
        f"Version {state.number} was published after the base {base.version}. Fetch it, "
        'repeat the change on it, or send "on_stale":"overwrite".',
        current_version=state.number,
        mergeable=mergeable and not clashes,
        conflicts=[clash.as_dict() for clash in clashes],
    )


def _source_tree(version: Version | None) -> Tree:
    if version is None or version.retired:
        return {}
    return formats.parse(version.source.content, version.format).tree


def _plan_publish(item: Publication, actor: Actor) -> tuple[Plan, list[Problem]]:
    state = load_state(item.place)
    check_base(state, item.options, item.source.tree)
    return plan_composed(actor, state, item.source, "publish", item.options.message)


def _is_unchanged(plan: Plan, source: Source) -> bool:
    version = plan.state.version
    if version is None or version.retired or plan.extends != plan.state.extends:
        return False
    if version.effective.content != plan.text:
        return False
    if source.given_as_tree:
        return same(_source_tree(version), source.tree)
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


def _discard_drafts(actor: Actor, places: Sequence[Place]) -> None:
    for place in places:
        Change.objects.filter(
            author_id=actor.user_id,
            configuration__service=place.service,
            configuration__environment=place.environment,
        ).delete()

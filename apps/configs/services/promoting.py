"""Bringing what one environment has to another, with what belongs to each left alone.

Documents are compared merged and unresolved: a reference, or a secret's name, is brought as it is
written and binds where it arrives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from apps.access import policy
from apps.access.policy import Place
from apps.configs import sources
from apps.configs.composing import load_layers
from apps.configs.models import Version
from apps.configs.restricted import keep_hidden, require_changes
from apps.configs.services.bases import Options, check_base
from apps.configs.services.kernel import Outcome, State, load_state, lock_composition
from apps.configs.services.planning import plan_written
from apps.configs.services.propagation import conclude
from apps.configs.services.redacting import refuse_redacted
from apps.configs.sources import Source
from apps.configs.world import World, merged_tree
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import formats
from apps.engine.choosing import EVERYTHING, with_chosen
from apps.engine.errors import ConflictError, InvalidConfigurationError, NotFoundError, invalid
from apps.engine.guarding import visible, visible_to_either
from apps.engine.merging import merge_three
from apps.engine.overriding import override_merged
from apps.engine.paths import Glob, parse_globs
from apps.engine.specific import SpecificKeys
from apps.engine.values import Tree, canonical, parse_canonical, same


@dataclass(frozen=True, slots=True)
class Promotion:
    """What is brought: of which place, its live version or ``number``, which keys (globs; none:
    all).
    """

    origin: Place
    number: int | None = None
    keys: Sequence[str] = ()


def promote(*, actor: Actor, place: Place, promotion: Promotion, options: Options) -> Outcome:
    """Publish at ``place`` what another environment of the same service has.

    Keys whose schema says ``x-environment-specific`` stay as they are here, and so do those that the
    actor may not see on either side. With ``on_stale`` ``merge`` it is a merge in three ways: over
    the version that was last brought from there, what changed here since is kept, and what both
    changed is a :class:`ConflictError`. Needs ``read`` there and ``publish`` here. Raises what
    publishing raises.
    """
    policy.require(actor, "publish", place)
    policy.require_free(actor, "read", promotion.origin)
    options.check()
    if promotion.origin.environment == place.environment:
        raise invalid("/from", "same", "Name another environment than the one to promote to.")
    globs = parse_globs(list(promotion.keys)) or list(EVERYTHING)
    with writing():
        lock_composition()
        state = load_state(place)
        check_base(state, options, None, base_needed=False)
        brought = _find(promotion)
        work = _Work(actor, state, promotion, World())
        choices = options.choices if options.on_stale == "merge" else None
        source = work.source(brought, globs, choices)
        origin = work.origin(brought)
        message = options.message or f"Promote {origin['environment']}@{origin['version']}"
        plan, problems = plan_written(actor, state, source, "publish", message, work.world)
        require_changes(actor, "publish", place, state.effective, plan.effective)
        if problems:
            raise InvalidConfigurationError(
                f"{len(problems)} problem(s) must be solved before this can be published.", problems
            )
        plan.promotes = origin
        return conclude(
            [plan], actor, dependents=options.dependents, dry_run=options.dry_run, world=work.world
        )[0]


def _find(promotion: Promotion) -> Version:
    """The version that is to be brought."""
    if promotion.number is None:
        found = load_state(promotion.origin).version
    else:
        found = _versions(promotion.origin).filter(number=promotion.number).first()
    if found is None:
        raise NotFoundError("There is no such version to promote.")
    if found.retired:
        raise invalid("/from", "retired", f"{found} has no content: it is a retirement.")
    refuse_redacted(found)
    return found


def _versions(place: Place) -> QuerySet[Version]:
    return Version.objects.select_related("source", "effective").filter(
        configuration__service=place.service, configuration__environment=place.environment
    )


class _Work:
    """One promotion: trees are merged and unresolved, ``mine`` is what is here."""

    def __init__(self, actor: Actor, state: State, promotion: Promotion, world: World) -> None:
        self.world = world
        self._actor = actor
        self._state = state
        self._promotion = promotion
        self._merge_keys = world.merge_keys(state.service)
        self._reads_there = policy.guard(actor, "read", promotion.origin)
        self._reads_here = policy.guard(actor, "read", state.place)
        self._mine = self._merged(state.version)

    def origin(self, brought: Version) -> dict[str, Tree]:
        """What the new version says of where it comes from. ``keys`` and ``partial`` are there when
        it is not all of it: nothing can be merged over what was brought in part.
        """
        told: dict[str, Tree] = {
            "environment": str(self._promotion.origin.environment),
            "version": brought.number,
        }
        if self._promotion.keys:
            told["keys"] = list(self._promotion.keys)
        if not (self._reads_there.is_open and self._reads_here.is_open):
            told["partial"] = True
        return told

    def source(
        self, brought: Version, globs: Sequence[Glob], choices: Mapping[str, str] | None
    ) -> Source:
        """The source that gives what is wanted here; with ``choices``, if only empty ones, merged
        with what is here.
        """
        wanted = self._wanted(brought, globs)
        if choices is not None:
            wanted = self._joined(wanted, globs, choices)
        start = self._start(brought, whole=tuple(globs) == EVERYTHING and choices is None)
        content, format_name, extends = start
        source = sources.kept(content, format_name, extends)
        below = load_layers(self._state.service, self._state.environment, extends, self.world).below
        tree = override_merged(source.tree, below, wanted, self._merge_keys)
        if same(tree, source.tree):
            return source
        return sources.edited(content, format_name, tree, extends)

    def _start(self, brought: Version, *, whole: bool) -> tuple[str, str, list[dict[str, Any]]]:
        """The text, its format and what it extends, from which the source is made: those of
        ``brought`` when all of it is, and nothing here or there is hidden; else those that are here.
        """
        here = self._state.version
        open_here = here is None or here.retired or self._reads_here.is_open
        if whole and open_here and self._reads_there.is_open:
            return brought.source.content, brought.format, parse_canonical(brought.extends)
        if here is None or here.retired:
            return formats.render({}, brought.format), brought.format, []
        return here.source.content, here.format, parse_canonical(here.extends)

    def _wanted(self, version: Version, globs: Sequence[Glob]) -> Tree:
        """What is here, with the chosen keys as they are in ``version``."""
        there = visible(self._merged(version), self._reads_there, source=True)
        hidden = [rule.glob for rule in self._reads_there.rules if not rule.held]
        chosen = with_chosen(self._mine, there, globs, [self._specific(), *hidden])
        return self._with_hidden(chosen)

    def _with_hidden(self, chosen: Tree) -> Tree:
        """``chosen`` with what the actor may not see here, and may not write unseen, as it is."""
        place = self._state.place
        reads, writes = self._reads_here, policy.guard(self._actor, "publish", place)
        if reads.is_open:
            return chosen
        his = visible_to_either(chosen, reads, writes, source=True)
        return keep_hidden(self._actor, place, his, self._mine, source=True)

    def _joined(self, wanted: Tree, globs: Sequence[Glob], choices: Mapping[str, str]) -> Tree:
        base = self._last_brought()
        before = self._wanted(base, globs) if base is not None else {}
        merged = merge_three(before, wanted, self._mine, self._merge_keys, choices)
        if merged.conflicts:
            raise ConflictError(
                "Both sides changed the same keys: choose, or promote without merging.",
                current_version=self._state.number,
                mergeable=False,
                conflicts=[each.as_dict() for each in merged.conflicts],
            )
        return merged.tree

    def _last_brought(self) -> Version | None:
        """The version there that was last brought here as a whole."""
        origin = str(self._promotion.origin.environment)
        begins = canonical({"environment": origin}).removesuffix("}") + ',"version":'
        rows = _versions(self._state.place).filter(promotes__startswith=begins)
        last = rows.order_by("-number").first()
        if last is None:
            return None
        number = parse_canonical(last.promotes)["version"]
        return _versions(self._promotion.origin).get(number=number)

    def _merged(self, version: Version | None) -> Tree:
        if version is None or version.retired:
            return {}
        return merged_tree(version, self._merge_keys)

    def _specific(self) -> SpecificKeys:
        declared = self.world.sections(self._state.service)
        return SpecificKeys({each.key: parse_canonical(each.schema) for each in declared})

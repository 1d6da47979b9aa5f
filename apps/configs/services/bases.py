"""What a write is based on, and the options that every write has."""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.configs import sources
from apps.configs.models import Version
from apps.configs.services.kernel import State
from apps.configs.sources import Source
from apps.configs.world import World
from apps.engine import formats, values
from apps.engine.errors import (
    ConflictError,
    PreconditionFailedError,
    PreconditionRequiredError,
    invalid,
)
from apps.engine.guarding import OPEN, Guard, visible
from apps.engine.merging import Conflict, Merged, merge_three
from apps.engine.values import Tree, parse_canonical

STALE_RULES = ("reject", "merge", "overwrite")
SIDES = ("base", "ours", "theirs")


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
    """The members that every write has beside its document. ``choices`` say by pointer which side is
    taken where both changed, with ``on_stale`` ``merge``; ``drafted_by`` who wrote it, where somebody
    else publishes it.
    """

    message: str = ""
    base: Base = field(default_factory=Base)
    on_stale: str = "reject"
    dependents: str = "refuse"
    dry_run: bool = False
    propose: bool = False
    drafted_by: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what is unknown, and what later parts of the product bring."""
        values.check({"message": self.message})
        if self.on_stale not in STALE_RULES:
            raise invalid("/on_stale", "on_stale", "Use reject, merge or overwrite.")
        check_choices(self.choices)
        if self.dependents not in ("refuse", "leave"):
            raise invalid("/dependents", "dependents", "Use refuse or leave.")
        if self.propose:
            raise invalid("/propose", "not_available", "Change requests are not available yet.")


def check_choices(choices: Mapping[str, str]) -> None:
    """Refuse what names no side."""
    if any(side not in SIDES for side in choices.values()):
        raise invalid("/choices", "choice", f"A choice is one of {', '.join(SIDES)}.")


def check_base(
    state: State,
    options: Options,
    ours: Tree | None,
    *,
    base_needed: bool = True,
    reads: Guard = OPEN,
) -> None:
    """Refuse a missing or stale base. ``ours`` is the document that was sent, for the conflicts,
    which are those of the keys that its author ``reads``.
    """
    base = options.base
    if options.on_stale == "overwrite":
        return
    if base_needed and state.version is not None and not base.is_given:
        raise PreconditionRequiredError(
            f'This configuration is at version {state.number}. Send "base_version":'
            f"{state.number}, or If-Match with its ETag, so that nobody's change is lost.",
            current_version=state.number,
        )
    if not base.matches(state):
        raise _refusal(state, options, ours, reads)


def _refusal(
    state: State, options: Options, ours: Tree | None, reads: Guard
) -> PreconditionFailedError | ConflictError:
    """Of a stale base."""
    if options.base.version_ids:
        return PreconditionFailedError(
            f"The live version is {state.number} and not the one that If-Match names. "
            "Fetch it again and repeat the change on it.",
            current_version=state.number,
        )
    return _conflict(state, options, ours, reads)


def take_base(state: State, options: Options, source: Source, reads: Guard) -> Source:
    """What is to be published: ``source`` as it was sent or, with ``on_stale`` ``merge`` and a
    stale base, together with what was published since that base, as far as its author ``reads``.

    The text is the author's, edited as little as possible. The choices settle conflicts, as
    :func:`apps.engine.merging.merge_three` takes them. Raises what :func:`check_base` raises:
    :class:`ConflictError` when both changed the same.
    """
    base = options.base
    stale = base.is_given and not base.matches(state)
    before = _base_version(state, base) if stale and options.on_stale == "merge" else None
    if before is None and not (stale and options.on_stale == "merge" and base.version == 0):
        check_base(state, options, source.tree, reads=reads)
        return source
    merged = _merge(state, before, source.tree, reads, options.choices)
    if merged.conflicts:
        check_base(state, options, source.tree, reads=reads)
    extends = _merged_extends(before, source.extends, state)
    return sources.rewritten(source, merged.tree, extends)


def _base_version(state: State, base: Base) -> Version | None:
    rows = Version.objects.select_related("source").filter(configuration=state.configuration)
    if base.version_ids:
        ids = [uuid.UUID(each) for each in base.version_ids if _HEX.fullmatch(each)]
        return rows.filter(pk__in=ids).order_by("-number").first()
    return rows.filter(number=base.version or 0).first()


_HEX = re.compile(r"[0-9a-f]{32}")


def _merge(
    state: State,
    before: Version | None,
    ours: Tree,
    reads: Guard,
    choices: Mapping[str, str] | None = None,
) -> Merged:
    was, now = (visible(source_tree(each), reads, source=True) for each in (before, state.version))
    keys = World().merge_keys(state.service)
    return merge_three(was, ours, now, keys, choices)


def _merged_extends(
    before: Version | None, ours: list[dict[str, Any]] | None, state: State
) -> list[dict[str, Any]] | None:
    was: list[dict[str, Any]] = values.parse_canonical(before.extends) if before else []
    if ours is None or ours == was:
        return None
    if state.extends not in (was, ours):
        raise ConflictError(
            "Both this and what was published meanwhile change the templates that it extends: "
            "send 'extends' again on the live version.",
            current_version=state.number,
            mergeable=False,
            conflicts=[],
        )
    return ours


def _conflict(state: State, options: Options, ours: Tree | None, reads: Guard) -> ConflictError:
    if ours is None:  # an act that needs no base
        return ConflictError(
            f'{_said(state, options)} Look at it, and send this again with "base_version":'
            f"{state.number}, or without a base.",
            current_version=state.number,
            mergeable=False,
            conflicts=[],
        )
    before = _base_version(state, options.base)
    if before is None and options.base.version != 0:
        return _clash(state, options, None)
    return _clash(state, options, _merge(state, before, ours, reads, options.choices).conflicts)


def _clash(state: State, options: Options, clashes: list[Conflict] | None) -> ConflictError:
    """The refusal of a stale base; ``None``: what was to be merged is not known."""
    merge = ', send "on_stale":"merge"' if clashes is not None else ""
    choose = ' with "choices" by pointer' if clashes else ""
    return ConflictError(
        f"{_said(state, options)} Fetch it, repeat the change on it{merge}{choose}, or send "
        '"on_stale":"overwrite".',
        current_version=state.number,
        mergeable=clashes == [],
        conflicts=[clash.as_dict() for clash in clashes or ()],
    )


def _said(state: State, options: Options) -> str:
    base = options.base.version
    if base is not None and base > (state.number or 0):
        return f"There is no version {base} yet: the live one is {state.number}."
    return f"Version {state.number} was published after the base {base}."


def take_patch(state: State, options: Options, apply: Callable[[Tree], Tree], reads: Guard) -> Tree:
    """What ``apply`` makes of the live document, as far as its author ``reads``. With a stale base what it
    makes of that one, merged with what was published since where ``on_stale`` is ``merge``.

    Raises what :func:`check_base` raises: :class:`ConflictError` with what both changed.
    """
    base, live = options.base, visible(state.effective, reads)
    if options.on_stale == "overwrite" or not base.is_given or base.matches(state):
        return apply(live)
    before = _base_version(state, base)
    merges = options.on_stale == "merge"
    if before is None or before.retired or not (merges or base.version):
        raise _refusal(state, options, None, reads)
    was = visible(parse_canonical(before.effective.content), reads)
    keys = World().merge_keys(state.service)
    merged = merge_three(was, apply(was), live, keys, options.choices)
    if merged.conflicts or not merges:
        raise _clash(state, options, merged.conflicts)
    return merged.tree


def source_tree(version: Version | None) -> Tree:
    """The document that a version was written as; empty for none and for a retirement."""
    if version is None or version.retired:
        return {}
    return formats.parse(version.source.content, version.format).tree

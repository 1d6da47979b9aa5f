"""What a write is based on, and the options that every write has."""

from dataclasses import dataclass, field

from apps.configs.models import Version
from apps.configs.services.kernel import State
from apps.engine import diff, formats, values
from apps.engine.errors import (
    ConflictError,
    PreconditionFailedError,
    PreconditionRequiredError,
    invalid,
)
from apps.engine.guarding import OPEN, Guard, visible
from apps.engine.values import Tree

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
    if base.matches(state):
        return
    if base.version_ids:
        raise PreconditionFailedError(
            f"The live version is {state.number} and not the one that If-Match names. "
            "Fetch it again and repeat the change on it.",
            current_version=state.number,
        )
    raise _conflict(state, base, ours, reads)


def _conflict(state: State, base: Base, ours: Tree | None, reads: Guard) -> ConflictError:
    clashes: list[diff.Conflict] = []
    before = (
        Version.objects.select_related("source")
        .filter(configuration=state.configuration, number=base.version or 0)
        .first()
    )
    mergeable = before is not None or base.version == 0
    if ours is not None and mergeable:
        was, now = (
            visible(source_tree(each), reads, source=True) for each in (before, state.version)
        )
        clashes = diff.overlapping(was, ours, now)
    return ConflictError(
        f"Version {state.number} was published after the base {base.version}. Fetch it, "
        'repeat the change on it, or send "on_stale":"overwrite".',
        current_version=state.number,
        mergeable=mergeable and not clashes,
        conflicts=[clash.as_dict() for clash in clashes],
    )


def source_tree(version: Version | None) -> Tree:
    """The document that a version was written as; empty for none and for a retirement."""
    if version is None or version.retired:
        return {}
    return formats.parse(version.source.content, version.format).tree

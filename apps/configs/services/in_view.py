"""What is wrong with a document as its author sees it. What depends on keys that he may not read is
not told him of the whole document; of what he sees alone it tells nothing that is hidden.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from apps.access import policy
from apps.configs import validating
from apps.configs.models import Overlay, Section
from apps.configs.restricted import depends_on_visible
from apps.configs.services.kernel import Plan, State
from apps.configs.services.live_failures import MISSING
from apps.configs.world import World
from apps.core.actor import Actor
from apps.engine import overlays
from apps.engine.errors import InvalidError, Problem
from apps.engine.guarding import Guard, visible_to_either
from apps.engine.paths import find, from_pointer
from apps.engine.spots import Spot
from apps.engine.values import Tree, parse_canonical


def broken_in_view(actor: Actor, plan: Plan, world: World) -> list[Problem]:
    """What the sections and their types say of what the actor may read or write of the plan's
    document, and of the variants of it.

    Where keys may be hidden that would mend it, only what the live document, as he sees it, did not
    break alike; and nothing that may only seem to be lacking.
    """
    state = plan.state
    view = _find_view(actor, state, world)
    if view is None:
        return []
    new, old = _Document(plan.effective, plan.secrets), _live(state)
    found = view.broken(new, old)
    said = set(map(_said, found))
    for each in world.overlays(state.configuration):
        with suppress(InvalidError):  # it cannot be laid, which is said of the whole document
            broken = view.broken(new.under(each), old.under(each))
            found += _of_variant(each, [one for one in broken if _said(one) not in said])
    return found


def broken_variants_in_view(
    actor: Actor, state: State, laid: Sequence[Overlay], world: World
) -> list[Problem]:
    """The same of variants that are to be laid over what is live."""
    view = _find_view(actor, state, world)
    if view is None:
        return []
    live, found = _live(state), list[Problem]()
    for each in laid:
        with suppress(InvalidError):
            found += _of_variant(each, view.broken(live.under(each), live))
    return found


def also(told: Sequence[Problem], more: Sequence[Problem]) -> list[Problem]:
    """What is told already, and of ``more`` what says something else."""
    known = set(map(_said, told))
    return [*told, *(each for each in more if _said(each) not in known)]


def _find_view(actor: Actor, state: State, world: World) -> "_View | None":
    """What the actor sees there; ``None`` where he is told of the whole document."""
    reads, writes = (policy.guard(actor, verb, state.place) for verb in ("read", "publish"))
    if reads.is_open or writes.is_open:
        return None
    return _View((reads, writes), world.sections(state.service))


def _live(state: State) -> "_Document":
    return _Document(state.effective, state.secrets)


def _of_variant(overlay: Overlay, problems: Sequence[Problem]) -> list[Problem]:
    return [replace(each, message=f"With {overlay.label}: {each.message}") for each in problems]


class _Document(NamedTuple):
    """A composed document, and where secrets stand in it."""

    tree: Tree
    secrets: Sequence[Spot]

    def under(self, overlay: Overlay) -> "_Document":
        """The same with a variant laid over it."""
        patch = parse_canonical(overlay.patch.content)
        return _Document(*overlays.lay(self.tree, self.secrets, patch))


@dataclass(frozen=True, slots=True)
class _View:
    """What somebody sees of documents by his guards, for reading and for writing."""

    guards: tuple[Guard, Guard]
    sections: Sequence[Section]

    def broken(self, new: _Document, old: _Document) -> list[Problem]:
        """What ``new`` breaks in the view, and ``old`` did not where that is in doubt."""
        seen = visible_to_either(new.tree, *self.guards)
        certain: list[Problem] = []
        doubtful: list[Problem] = []
        for each in self._judged(seen, new.secrets):
            if depends_on_visible(each, seen, self.guards):
                certain.append(each)
            elif not self._lacks_hidden(each):
                doubtful.append(each)
        if not doubtful:
            return certain
        was = visible_to_either(old.tree, *self.guards)
        before = set(map(_said, self._judged(was, old.secrets)))
        return [*certain, *(each for each in doubtful if _said(each) not in before)]

    def _judged(self, tree: Tree, secrets: Sequence[Spot]) -> list[Problem]:
        there = [spot for spot in secrets if find(tree, spot.path)[0]]
        return [
            *validating.check_sections(self.sections, tree, there).errors,
            *validating.find_credentials(self.sections, tree).errors,
        ]

    def _lacks_hidden(self, problem: Problem) -> bool:
        """Whether what is said to be lacking may be there, hidden."""
        paths = [from_pointer(each) for each in (problem.pointer, *problem.beside)]
        return problem.code in MISSING or not all(
            any(guard.allows(path) for guard in self.guards) for path in paths
        )


def _said(problem: Problem) -> tuple[str, str, str]:
    return problem.pointer, problem.code, problem.message

"""What differs between two states of a configuration, in the view of who asks."""

from dataclasses import dataclass

from apps.access.policy import Place
from apps.configs.selectors.configurations import Published, get_side
from apps.configs.world import World
from apps.core.actor import Actor
from apps.engine import diff
from apps.engine.diff import Change
from apps.engine.merge_keys import NO_KEYS, MergeKeys
from apps.engine.values import Tree


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides of a service's configuration; ``merge_keys`` are those of its sections today."""

    old: Published
    new: Published
    merge_keys: MergeKeys

    def changes(self) -> list[Change]:
        """What differs by key, items of lists by their names."""
        return diff.changes(self.old.tree, self.new.tree, self.merge_keys)

    def patch(self) -> list[dict[str, Tree]]:
        """The JSON Patch that makes the new side of the old."""
        return diff.patch(self.old.tree, self.new.tree, self.merge_keys)


def compare(*, actor: Actor, place: Place, sides: tuple[str, str]) -> Comparison:
    """The two sides, old and new, each as :func:`get_side` takes it. Needs ``read`` on both."""
    old, new = (get_side(actor=actor, place=place, text=side) for side in sides)
    return Comparison(old, new, merge_keys_of(place))


def merge_keys_of(place: Place) -> MergeKeys:
    """By the path of a list the member that its items are known by, as the sections say today."""
    return World().merge_keys(place.service) if place.service else NO_KEYS

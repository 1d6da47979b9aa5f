"""What overlays make of a version: composed and judged as the version itself is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from apps.access.policy import Place
from apps.configs import validating
from apps.configs.judging import judge
from apps.configs.models import Overlay
from apps.configs.naming_secrets import check_names, known_names
from apps.configs.world import World
from apps.core.actor import Actor
from apps.engine import overlays
from apps.engine.errors import InvalidError, Problem
from apps.engine.spots import Spot
from apps.engine.values import Tree, canonical, parse_canonical
from apps.registry.models import Environment, Service


@dataclass(frozen=True, slots=True)
class Base:
    """A document to lay overlays over: where it is, what stands in it and what was there before.

    ``problems`` are its own, so that they are not said again of each overlay. ``laid``: the overlays
    were laid before by somebody who may name their secrets, so that nobody is asked again.
    """

    service: Service
    environment: Environment
    tree: Tree
    secrets: Sequence[Spot]
    previous: Tree
    problems: Sequence[Problem] = ()
    laid: bool = False


@dataclass(frozen=True, slots=True)
class Overlaid:
    """An overlay over a document: what it gives, as text too, and where secrets stand in it."""

    overlay: Overlay
    tree: Tree
    text: str
    secrets: tuple[Spot, ...]


def lay_all(
    actor: Actor, laid: Iterable[Overlay], base: Base, world: World
) -> tuple[list[Overlaid], list[Problem]]:
    """The overlays that are valid over the base, and what is wrong with the others."""
    made: list[Overlaid] = []
    problems: list[Problem] = []
    for each in laid:
        try:
            tree, secrets = overlays.lay(
                base.tree, base.secrets, parse_canonical(each.patch.content)
            )
        except InvalidError as error:
            broken = list(error.problems) or [Problem("", error.code, error.detail)]
        else:
            broken = _judged(actor, base, tree, secrets, world)
            if not broken:
                made.append(Overlaid(each, tree, canonical(tree), secrets))
        problems += [replace(one, message=f"With {each.label}: {one.message}") for one in broken]
    located = validating.locate(problems, base.service, base.environment, None)
    return made, located


def _judged(
    actor: Actor, base: Base, tree: Tree, secrets: Sequence[Spot], world: World
) -> list[Problem]:
    place = Place(base.service, base.environment)
    declared = world.sections(base.service)
    rules = world.rules(base.service, base.environment)
    known = None if base.laid else known_names(actor, place, (base.tree, base.secrets), tree)
    said = {(each.pointer, each.code, each.message) for each in base.problems}
    found = [
        *validating.check_sections(declared, tree, secrets).errors,
        *validating.find_credentials(declared, tree).errors,
        *judge(rules, place, tree, base.previous, actor).errors,
        *(check_names(actor, place, secrets, known) if secrets else ()),
    ]
    return [each for each in found if (each.pointer, each.code, each.message) not in said]

"""What live documents become by other merge keys, which lay their lists over each other otherwise."""

from apps.access import policy
from apps.access.policy import Place
from apps.configs.judging import HIDDEN
from apps.configs.restricted import shown_problems
from apps.configs.services.kernel import State, load_state
from apps.configs.services.live_failures import MAX_TOLD, live_in, refuse
from apps.configs.services.planning import live_source, plan_composed
from apps.configs.world import World
from apps.core.actor import Actor
from apps.engine.errors import InvalidError, MalformedError, Problem
from apps.registry.models import Service


def world_of(service: Service) -> World:
    """The world with the merge keys that the service has now, whatever becomes of its sections."""
    world = World()
    world.sections(service)
    return world


def judge_merging(
    *, actor: Actor, service: Service, before: World, acknowledge: bool = False
) -> list[Place]:
    """The live configurations of ``service`` that would compose otherwise, or not at all, by its merge
    keys of now than by those of ``before``.

    Raises :class:`InvalidError` (code ``live_failures``) naming those that would be invalid, as far
    as the actor may know, unless ``acknowledge``.
    """
    after = world_of(service)
    if before.merge_keys(service) == after.merge_keys(service):
        return []
    moved: list[Place] = []
    problems: list[Problem] = []
    failing = 0
    for live in live_in(Place(service)):
        place = Place(service, live.configuration.environment)
        state = load_state(place)
        (was, _old), (now, found) = (_compose(actor, state, each) for each in (before, after))
        if was == now:
            continue
        moved.append(place)
        shown = shown_problems(actor, place, found) if policy.sees(actor, place) else []
        failing += bool(shown)
        problems += shown[: MAX_TOLD - len(problems)]
    refuse(failing, problems, acknowledge=acknowledge)
    return moved


def _compose(actor: Actor, state: State, world: World) -> tuple[str | None, list[Problem]]:
    """The document that the live source gives in ``world``, if any, and what is wrong with it."""
    source = live_source(state)
    assert source is not None  # noqa: S101 - it is live
    try:
        plan, problems = plan_composed(actor, state, source, "inherited", "", world)
    except (InvalidError, MalformedError) as error:
        return None, list(error.problems)
    return plan.text, [each for each in problems if each.code != HIDDEN]

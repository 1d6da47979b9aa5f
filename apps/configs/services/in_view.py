"""What is wrong with a document as its author sees it. What depends on keys that he may not read is
not told him of the whole document; of what he sees alone it tells nothing that is hidden.
"""

from apps.access import policy
from apps.configs import validating
from apps.configs.restricted import depends_on_visible
from apps.configs.services.kernel import Plan
from apps.configs.services.live_failures import MISSING
from apps.configs.world import World
from apps.core.actor import Actor
from apps.engine.errors import Problem
from apps.engine.guarding import Guard, visible
from apps.engine.paths import find, from_pointer
from apps.engine.values import Tree


def broken_in_view(actor: Actor, plan: Plan, world: World) -> list[Problem]:
    """What the sections and their types say of what the actor sees of the plan's document.

    Where keys may be hidden that would mend it, only what the live document, as he sees it, did not
    break alike; and nothing that may only seem to be lacking.
    """
    place = plan.state.place
    reads, writes = (policy.guard(actor, verb, place) for verb in ("read", "publish"))
    if reads.is_open or writes.is_open:
        return []
    new, old = (visible(tree, reads) for tree in (plan.effective, plan.state.effective))
    certain: list[Problem] = []
    doubtful: list[Problem] = []
    for each in _broken(plan, new, world):
        if depends_on_visible(each, new, [reads]):
            certain.append(each)
        elif not (
            depends_on_visible(each, new, [reads, writes]) or _lacks_hidden(each, new, reads)
        ):
            doubtful.append(each)  # what he writes unseen is judged in the whole document
    before = {_said(each) for each in _broken(plan, old, world)} if doubtful else set()
    return [*certain, *(each for each in doubtful if _said(each) not in before)]


def _broken(plan: Plan, tree: Tree, world: World) -> list[Problem]:
    secrets = plan.secrets if tree else ()
    there = [spot for spot in secrets if find(tree, spot.path)[0]]
    service = plan.state.service
    return validating.check_sections(world.sections(service), tree, there).errors


def _lacks_hidden(problem: Problem, tree: Tree, reads: Guard) -> bool:
    """Whether what is said to be lacking may be there, hidden."""
    paths = [from_pointer(each) for each in (problem.pointer, *problem.beside)]
    return problem.code in MISSING or not all(map(reads.allows, paths))


def _said(problem: Problem) -> tuple[str, str, str]:
    return problem.pointer, problem.code, problem.message

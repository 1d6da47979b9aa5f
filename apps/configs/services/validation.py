"""Saying what publishing would say, storing nothing."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from apps.access import policy
from apps.access.policy import Place
from apps.configs.restricted import extends_with_hidden, source_with_hidden
from apps.configs.services.kernel import NOTHING_ELSE, Affected, load_state, preview
from apps.configs.services.planning import live_source, plan_written
from apps.configs.services.propagation import follow
from apps.configs.sources import Source
from apps.core.actor import Actor
from apps.engine import diff, schemas
from apps.engine.errors import InvalidError, LimitError, MalformedError, Problem
from apps.engine.values import Tree


@dataclass(frozen=True, slots=True)
class Report:
    """What is wrong, what would change, and whom it would affect."""

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    changes: list[diff.Change] = field(default_factory=list)
    affected: list[Affected] = field(default_factory=list)


def validate(*, actor: Actor, place: Place, read: Callable[[], Source]) -> Report:
    """Compose and validate what ``read`` gives in ``place``. Text that cannot be read is an error
    of the report, with its line; a limit of the text or a missing member is raised.
    """
    policy.require(actor, "read", place)
    try:
        source = read()
    except LimitError:
        raise
    except (MalformedError, InvalidError) as error:
        if not error.problems:
            raise
        return Report(errors=list(error.problems))
    state = load_state(place)
    source = extends_with_hidden(actor, place, source, state.extends)
    source = source_with_hidden(actor, place, source, lambda: live_source(state))
    try:
        plan, problems = plan_written(actor, state, source, "publish", "")
    except (InvalidError, MalformedError) as error:
        return Report(errors=list(error.problems))
    broken: list[Problem] = []
    spread = NOTHING_ELSE
    try:
        spread = follow([plan], actor, dependents="refuse", trial=True)
    except InvalidError as error:
        broken = list(error.problems)
        with suppress(InvalidError):  # it is the document itself that turns invalid
            spread = follow([plan], actor, dependents="leave", trial=True)
    outcome = preview(plan, actor, spread)
    return Report([*problems, *broken], outcome.warnings, outcome.changes, outcome.affected)


def check_alone(schema: Tree, config: Tree) -> Report:
    """Hold a document against a schema, without any service."""
    try:
        schemas.check_schema(schema)
    except InvalidError as error:
        return Report(errors=list(error.problems))
    return Report(errors=schemas.validate(schema, config))

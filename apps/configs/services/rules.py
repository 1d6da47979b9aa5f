"""Making, changing and ending the rules that documents must keep."""

from collections.abc import Sequence
from typing import Any, Final

from apps.access import policy
from apps.access.policy import Place
from apps.audit.services import Event, append
from apps.configs.judging import condition_of, judge
from apps.configs.models import Rule
from apps.configs.selectors.rules import knows_rule, scope_of, target_of
from apps.configs.services.kernel import lock_composition
from apps.configs.services.live_failures import refuse_failing
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.names import check_slug, check_text, refuse_unknown
from apps.core.transactions import locked, writing
from apps.engine import values
from apps.engine.errors import DomainError, ForbiddenError, InvalidError, Problem, invalid, taken
from apps.engine.expressions import MAX_EXPRESSION
from apps.engine.paths import parse_path
from apps.engine.rule_tests import check_tests, failed_tests
from apps.engine.rules import Condition
from apps.engine.spots import Spot
from apps.engine.values import Tree, canonical, parse_canonical

MAX_RULES: Final = 1_000
"""How many rules there may be of one service, and as many of none: those are judged at a publish."""
MEMBERS: Final = (
    "severity",
    "expression",
    "key",
    "equals",
    "message",
    "description",
    "tests",
)


def create_rule(
    *, actor: Actor, name: str, place: Place, acknowledge: bool = False, **members: Any
) -> Rule:
    """Make a rule for a service, an environment, both or everything. Members: ``severity,
    expression`` or ``key`` with ``equals, message, description, tests``. Needs ``manage`` there.

    Raises :class:`InvalidError` for what cannot be judged, for a test of its own that it fails, and
    naming the live configurations that would break it, unless ``acknowledge``.
    """
    policy.require_free(actor, "manage", place)
    try:
        check_slug(name)
    except InvalidError as error:
        raise _moved(error, "/name") from error
    with writing():
        lock_composition()
        if Rule.objects.filter(name__iexact=name).exists():
            raise taken("/name", "There is a rule of this name already.")
        if Rule.objects.filter(service=place.service).count() >= MAX_RULES:
            scope = "of one service" if place.service else "that are of no service"
            raise invalid("/name", "limit", f"There are at most {MAX_RULES} rules {scope}.")
        rule = Rule(
            name=name,
            service=place.service,
            environment=place.environment,
            created_at=clock.now(),
        )
        _fill(rule, members)
        _save(rule, actor, "rule.created", acknowledge)
    return rule


def update_rule(*, actor: Actor, rule: Rule, acknowledge: bool = False, **members: Any) -> Rule:
    """Change a rule's members; its name and scope stay. Raises what :func:`create_rule` raises."""
    policy.require_free(actor, "manage", scope_of(rule))
    with writing():
        lock_composition()
        rule = locked(rule)
        _fill(rule, members)
        _save(rule, actor, "rule.updated", acknowledge)
    return rule


def delete_rule(*, actor: Actor, rule: Rule) -> None:
    """End a rule: nothing is held against it from the next publish on."""
    policy.require_free(actor, "manage", scope_of(rule))
    with writing():
        lock_composition()
        rule = locked(rule)
        event = _event("rule.deleted", rule, 0)
        mark_history(rule, actor)
        rule.delete()
        append([event], actor=actor)


def _fill(rule: Rule, members: dict[str, Any]) -> None:
    refuse_unknown(members, MEMBERS)
    if "severity" in members:
        if members["severity"] not in [name for name, _title in Rule.SEVERITIES]:
            raise invalid("/severity", "severity", "The severity is error or warning.")
        rule.severity = members["severity"]
    for name, longest in (("message", 1_000), ("description", 10_000)):
        if name in members:
            setattr(rule, name, check_text(name, members[name], longest))
    if {"expression", "key", "equals"} & set(members):
        _fill_condition(rule, members)
    if "tests" in members:
        rule.tests = canonical(check_tests(members["tests"]))
    condition = _checked(rule)
    failed = failed_tests(condition, parse_canonical(rule.tests))
    if failed:
        raise InvalidError(f"{len(failed)} of the rule's own tests fail.", failed)


def _fill_condition(rule: Rule, members: dict[str, Any]) -> None:
    """One of the two kinds; the other goes."""
    given = {name for name in ("expression", "key", "equals") if name in members}
    if members.get("expression") not in (None, ""):
        if given & {"key", "equals"} and members.get("key") not in (None, ""):
            raise invalid("/key", "ambiguous", "A rule has an expression, or a key and a value.")
        if "equals" in given and members["equals"] is not None:
            raise invalid("/equals", "ambiguous", "A rule has an expression, or a key and a value.")
        rule.expression = check_text("expression", members["expression"], MAX_EXPRESSION)
        rule.key = rule.equals = ""
        return
    if not given & {"key", "equals"} or members.get("key", rule.key) in (None, ""):
        raise invalid("/expression", "required", "A rule has an expression, or a key and a value.")
    rule.key = check_text("key", members.get("key", rule.key), 1_000)
    if "equals" in members:
        values.check({"equals": members["equals"]})
        rule.equals = canonical(members["equals"])
    if not rule.equals:
        raise invalid("/equals", "required", "A key needs the value that it must have.")
    try:
        parse_path(rule.key)
    except DomainError as error:
        raise _moved(error, "/key") from error
    rule.expression = ""


def _checked(rule: Rule) -> Condition:
    if not rule.key and not rule.expression:
        raise invalid("/expression", "required", "A rule has an expression, or a key and a value.")
    condition = condition_of(rule)
    try:
        condition.check()
    except InvalidError as error:
        raise _moved(error, "/key" if rule.key else "/expression") from error
    return condition


def refuse_breaking(*, actor: Actor, rule: Rule, acknowledge: bool = False) -> int:
    """Raise :class:`InvalidError` naming the live configurations that break the rule, as far as the
    actor sees them, unless ``acknowledge``. Returns how many do.
    """

    def failing(place: Place, tree: Tree, _secrets: Sequence[Spot]) -> list[Problem]:
        return judge([rule], place, tree, tree, None).errors

    return refuse_failing(actor, scope_of(rule), failing, acknowledge=acknowledge)


def _save(rule: Rule, actor: Actor, action: str, acknowledge: bool) -> None:
    if not knows_rule(actor, rule):
        message = "This rule would look at keys that you may not read."
        raise ForbiddenError(message, right="read")
    known = refuse_breaking(actor=actor, rule=rule, acknowledge=acknowledge)
    mark_history(rule, actor)
    rule.save()
    append([_event(action, rule, known)], actor=actor)


def _event(action: str, rule: Rule, failing: int) -> Event:
    data: dict[str, Tree] = {
        "on": str(scope_of(rule)),
        "severity": rule.severity,
        "condition": values.checksum(canonical([rule.expression, rule.key, rule.equals])),
    }
    if failing:
        data["failing"] = failing
    return Event(action, target_of(rule.name), data)


def _moved(error: DomainError, member: str) -> InvalidError:
    problems = [Problem(member, each.code, each.message) for each in error.problems]
    return InvalidError(error.detail, problems)

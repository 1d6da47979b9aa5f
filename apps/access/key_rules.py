"""Making and ending key rules. A new rule takes its keys out of every grant at once."""

from apps.access import policy
from apps.access.events import grant_event
from apps.access.models import KeyRule
from apps.access.policy import Place
from apps.access.selectors import list_grants
from apps.audit.services import Event, append
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.names import check_text
from apps.core.transactions import writing
from apps.engine.errors import (
    NOTHING_HERE,
    InvalidError,
    MalformedError,
    NotFoundError,
    Problem,
    invalid,
    taken,
)
from apps.engine.paths import Glob
from apps.engine.values import Tree

MAX_RULES = 1_000
MAX_STEPS = 32


def create_key_rule(*, actor: Actor, pattern: str, place: Place, description: str = "") -> KeyRule:
    """Make a rule for the keys that ``pattern`` covers, at a place (service, environment, both or
    everywhere). Needs ``secure`` there and in the environments that inherit from it: a rule follows
    its keys down, and so do the grants on it.

    Raises :class:`InvalidError` for what is no pattern, or one that is there already. From now on
    only grants on the rule open these keys, its maker's other grants do not.
    """
    policy.require_below(actor, "secure", place)
    _check_pattern(pattern)
    check_text("description", description, 10_000)
    scope = {"service": place.service, "environment": place.environment}
    with writing():
        if KeyRule.objects.filter(pattern=pattern, **scope).exists():
            raise taken("/pattern", "There is this rule already.")
        if KeyRule.objects.count() >= MAX_RULES:
            raise invalid("/pattern", "limit", f"There are at most {MAX_RULES} key rules.")
        rule = KeyRule(
            pattern=pattern,
            description=description,
            created_at=clock.now(),
            created_by=actor.name,
            **scope,
        )
        mark_history(rule, actor)
        rule.save()
        append([_event("key_rule.created", rule)], actor=actor)
    return rule


def update_key_rule(
    *, actor: Actor, rule: KeyRule, pattern: str | None = None, description: str | None = None
) -> KeyRule:
    """Change a rule's pattern or description; its grants stay. Needs ``secure`` in its scope.

    Another pattern opens keys: those it leaves to ordinary grants, those it takes to the grants
    on the rule. It needs ``manage`` wherever the rule holds.
    """
    policy.require_below(actor, "secure", scope_of(rule))
    with writing():
        rule = _locked(rule)
        if pattern is not None and pattern != rule.pattern:
            _check_pattern(pattern)
            policy.require_below(actor, "manage", scope_of(rule))
            rule.pattern = pattern
        if description is not None:
            rule.description = check_text("description", description, 10_000)
        mark_history(rule, actor)
        rule.save()
        append([_event("key_rule.updated", rule)], actor=actor)
    return rule


def delete_key_rule(*, actor: Actor, rule: KeyRule) -> None:
    """End a rule and the grants on it: its keys go by the ordinary grants again.

    Needs ``manage`` wherever the rule holds.
    """
    policy.require_below(actor, "manage", scope_of(rule))
    with writing():
        rule = _locked(rule)
        events = [_event("key_rule.deleted", rule)]
        for grant in list_grants().filter(key_rule=rule):
            events.append(grant_event("grant.withdrawn", grant))
            mark_history(grant, actor)
            grant.delete()
        mark_history(rule, actor)
        rule.delete()
        append(events, actor=actor)


def _locked(rule: KeyRule) -> KeyRule:
    """The rule as it is now, until the transaction ends. Raises :class:`NotFoundError`."""
    rows = KeyRule.objects.select_for_update(of=("self",)).select_related("service", "environment")
    found = rows.filter(pk=rule.pk).first()
    if found is None:
        raise NotFoundError(NOTHING_HERE)
    return found


def may_loosen(actor: Actor, rule: KeyRule) -> bool:
    """Whether the actor may change the rule's pattern, or end it."""
    return policy.allowed_below(actor, "manage", scope_of(rule))


def scope_of(rule: KeyRule) -> Place:
    """Where the rule holds: what the right to change it hangs on."""
    return Place(rule.service, rule.environment)


def _check_pattern(pattern: object) -> None:
    if not isinstance(pattern, str):
        raise invalid("/pattern", "type", "A pattern is text such as 'security.**'.")
    check_text("pattern", pattern, 1_000)
    try:
        steps = len(Glob(pattern))
    except MalformedError as error:
        message = "A pattern is written security.**, flags.*.enabled or **.password."
        raise InvalidError(message, [Problem("/pattern", "path", message)]) from error
    if steps > MAX_STEPS:
        raise invalid("/pattern", "length", f"A pattern has at most {MAX_STEPS} steps.")


def _event(action: str, rule: KeyRule, **more: Tree) -> Event:
    data: dict[str, Tree] = {"pattern": rule.pattern, "on": str(scope_of(rule)), **more}
    return Event(action, f"key-rule:{rule.pk}", data)

"""Reading the rules that documents must keep."""

from collections import defaultdict
from typing import Final

from django.db.models import QuerySet

from apps.access import policy
from apps.access.policy import Place
from apps.audit.selectors import Point, last_states
from apps.configs.judging import condition_of
from apps.configs.models import Rule
from apps.core.actor import Actor
from apps.engine.errors import NOTHING_HERE, NotFoundError
from apps.engine.paths import Glob
from apps.engine.rules import Condition, Expression
from apps.engine.values import canonical

ACTIONS: Final = ("rule.created", "rule.updated", "rule.deleted")
"""Each act on a rule writes one row of its history."""


def scope_of(rule: Rule) -> Place:
    """Where the rule holds: what the right to change it hangs on."""
    return Place(rule.service, rule.environment)


def list_rules(*, actor: Actor, service: str = "") -> QuerySet[Rule]:
    """The rules that the actor may know of, by name; those of one ``service`` (slug) alone."""
    policy.require_anywhere(actor, "list")
    rows = Rule.objects.select_related("service", "environment")
    if service:
        rows = rows.filter(service__slug__lower=service.lower())
    return rows.filter(pk__in=[each.pk for each in rows if knows_rule(actor, each)])


def list_rules_at(*, actor: Actor, point: Point, service: str = "") -> list[Rule]:
    """The rules that there were as of ``point``, likewise: rows of their history, with the same members."""
    policy.require_anywhere(actor, "list")
    states = defaultdict(list)
    for each in Rule.history.select_related("service", "environment").order_by("history_id"):
        states[target_of(each.name)].append(each)
    last = last_states(states, actions=ACTIONS, point=point)
    found = [each for each in last if each.history_type != "-" and knows_rule(actor, each)]
    if service:  # only now: a name may be used again elsewhere
        found = [each for each in found if str(each.service).lower() == service.lower()]
    return sorted(found, key=lambda each: str(each.name))


def get_rule(*, actor: Actor, name: str, point: Point | None = None) -> Rule:
    """One rule by name (as of ``point``). Raises :class:`NotFoundError`."""
    if point is None:
        found = list_rules(actor=actor).filter(name__iexact=name).first()
    else:
        then = list_rules_at(actor=actor, point=point)
        found = next((each for each in then if each.name.lower() == name.lower()), None)
    if found is None:
        raise NotFoundError(NOTHING_HERE)
    return found


def target_of(name: str) -> str:
    """What the ledger calls a rule."""
    return f"rule:{name}"


def knows_rule(actor: Actor, rule: Rule) -> bool:
    """Whether the actor may know of a rule, which may say what values are: it is for those who may
    read the keys that it looks at, at every place that it is about.
    """
    rights = policy.find_rights(actor)
    if rights is None:
        return True
    if rule.service_id and not rights.touches_service("read", rule.service_id):
        return False
    if rule.environment_id and not rights.touches_environment("read", rule.environment_id):
        return False
    condition = condition_of(rule)
    said = "".join((rule.expression, rule.equals, rule.tests, rule.message))
    return not any(
        _tells_of(condition, said, each.glob)
        for each in rights.book.entries
        if ("read", each.pk) not in rights.held
        and rule.service_id in (None, each.service_id or rule.service_id)
    )


def _tells_of(condition: Condition, said: str, hidden: Glob) -> bool:
    """Whether what a rule says may be what stands in keys that a pattern hides: its own keys, or, by
    a name of the pattern or as a whole object, one inside of them.
    """
    inside = "{" in condition_text(condition) or not hidden.words
    return any(
        hidden.covers(path)
        or (hidden.reaches(path) and (inside or any(map(said.__contains__, hidden.words))))
        for _name, path in condition.reads
    )


def condition_text(condition: Condition) -> str:
    """What a condition says: its expression, or the value that a key must have."""
    return condition.text if isinstance(condition, Expression) else canonical(condition.value)

"""Who could do what on a day that is over: read from histories and the ledger.

Grants and key rules have a history of their own. Who was in which group, who was a superuser and
who was active is in the ledger. What the ledger does not know of somebody is taken as it is now.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib.auth.models import Group

from apps.access import policy
from apps.access.models import Grant, KeyRule, Role, ServiceAccount
from apps.access.policy import EVERYWHERE, Place
from apps.access.roles import ROLES, VERBS, verbs_of
from apps.audit.models import AuditEvent
from apps.core import clock
from apps.core.actor import Actor
from apps.core.models import User
from apps.engine.errors import invalid
from apps.registry.selectors import ancestors

Span = tuple[datetime, datetime | None]
"""From when until when something held; ``None``: it still does."""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
MEMBERSHIPS = ("user.groups", "user.updated", "user.created")


@dataclass(frozen=True, slots=True)
class Held:
    """That somebody had verbs on the day: by what, where, through which group, from when to when.

    ``what`` is a role, a verb or ``superuser``. ``on`` is a place in words, or a key rule.
    """

    who: str
    what: str
    verbs: tuple[str, ...]
    on: str
    through: str
    since: datetime | None
    until: datetime | None
    given_by: str


@dataclass(frozen=True, slots=True)
class PastRule:
    """A key rule that held on the day: it took its keys out of every grant that is not on it."""

    pattern: str
    on: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class PastRights:
    """Everything that decided at a place, or at a part of it, on a day."""

    held: list[Held]
    rules: list[PastRule]


def rights_on(*, actor: Actor, place: Place, day: date) -> PastRights:
    """Who could do what at ``place``, or at a part of it, at any moment of ``day`` (UTC). Needs
    ``audit`` there.

    A grant that began or ended on that day is in it, with the moment. Raises
    :class:`InvalidError` for a day to come.
    """
    policy.require(actor, "audit", place)
    if day > clock.now().date():
        raise invalid("/day", "future", "This day has not come yet.")
    begins = datetime.combine(day, time(), UTC)
    window = (begins, begins + timedelta(days=1))
    people = _People(window)
    rules = _rules(actor, place, window)
    held = [*_superusers(people), *_granted(place, window, people, set(rules))]
    return PastRights(sorted(held, key=_order), list(rules.values()))


def _order(held: Held) -> tuple[str, str, str]:
    return (held.who, held.what, held.on)


def _meets(span: Span, window: tuple[datetime, datetime]) -> bool:
    return span[0] < window[1] and (span[1] is None or span[1] > window[0])


def _both(one: Span, other: Span) -> Span | None:
    """When both held."""
    begins = max(one[0], other[0])
    ends = min((each for each in (one[1], other[1]) if each is not None), default=None)
    return None if ends is not None and ends <= begins else (begins, ends)


def _states(rows: Iterable[Any]) -> list[tuple[Any, Span]]:
    """The states that a row of a history went through, each with its span."""
    found: list[tuple[Any, Span]] = []
    by_row: dict[int, list[Any]] = {}
    for row in rows:
        by_row.setdefault(row.id, []).append(row)
    for states in by_row.values():
        ends = [each.history_date for each in states[1:]]
        for state, end in zip(states, [*ends, None], strict=True):
            if state.history_type != "-":
                found.append((state, (state.history_date, end)))
    return found


def _rules(actor: Actor, place: Place, window: tuple[datetime, datetime]) -> dict[int, PastRule]:
    """Those that the actor may know of, by today's rights, as everywhere that reads the past."""
    history = KeyRule.history.select_related("service", "environment")
    found = {}
    above = [each.pk for each in ancestors(place.environment)] if place.environment else []
    for state, span in _states(history.order_by("history_date", "history_id")):
        scope = Place(state.service, state.environment)
        decides = _meets(span, window) and _decides(place, state, above)
        if decides and policy.may_know_rules_of(actor, scope):
            found[state.id] = PastRule(state.pattern, scope.words, *span)
    return found


def _decides(place: Place, state: Any, above: Iterable[int] = ()) -> bool:
    """Whether what is on service and environment of ``state`` decides at ``place`` or a part of it.

    A key rule follows its keys down: give it the environments ``above``.
    """
    services = (None, place.service.pk if place.service else state.service_id)
    own = place.environment.pk if place.environment else state.environment_id
    return state.service_id in services and state.environment_id in (None, own, *above)


def _granted(
    place: Place, window: tuple[datetime, datetime], people: "_People", rules: set[int]
) -> Iterable[Held]:
    history = Grant.history.select_related("service", "environment")
    roles = _states(Role.history.order_by("history_date", "history_id"))
    patterns = dict(KeyRule.history.order_by("history_date").values_list("id", "pattern"))
    for state, span in _states(history.order_by("history_date", "history_id")):
        ends = [each for each in (span[1], state.expires_at) if each is not None]
        while_given = (span[0], min(ends, default=None))
        on_rule = state.key_rule_id is not None
        decides = state.key_rule_id in rules if on_rule else _decides(place, state)
        if not decides or not _meets(while_given, window):
            continue
        on = f"keys {patterns.get(state.key_rule_id, '')}" if on_rule else ""
        for verbs, gave in _verbs_then(state, while_given, roles):
            for who, through, shared in people.holders(state, gave):
                if not _meets(shared, window):
                    continue
                yield Held(
                    who=who,
                    what=state.role or state.verb,
                    verbs=verbs,
                    on=on or Place(state.service, state.environment).words,
                    through=through,
                    since=shared[0],
                    until=shared[1],
                    given_by=state.created_by,
                )


def _verbs_then(
    state: Any, span: Span, roles: list[tuple[Any, Span]]
) -> Iterable[tuple[tuple[str, ...], Span]]:
    """The verbs that a grant gave, and when: those of a role of one's own may have changed."""
    if state.verb or state.role in ROLES:
        yield verbs_of(state.role, state.verb), span
        return
    for role, then in roles:
        shared = _both(span, then)
        if role.slug == state.role and shared is not None:
            yield tuple(role.verbs), shared


def _superusers(people: "_People") -> Iterable[Held]:
    for who, span in people.superusers():
        since = None if span[0] == BEGINNING else span[0]
        yield Held(who, "superuser", VERBS, EVERYWHERE.words, "", since, span[1], "")


class _People:
    """Who was active, superuser, and in which group, as spans of time."""

    def __init__(self, window: tuple[datetime, datetime]) -> None:
        self.window = window
        self.users = {user.pk: user for user in User.objects.prefetch_related("groups")}
        self.groups = dict(Group.objects.values_list("pk", "name"))
        accounts = ServiceAccount.objects.all()
        self.accounts = {each.user_id: each for each in accounts}
        self.events: dict[str, list[tuple[datetime, str, dict[str, Any]]]] = {}
        rows = AuditEvent.objects.filter(action__in=MEMBERSHIPS).order_by("number")
        for at, action, target, data in rows.values_list("at", "action", "target", "data"):
            self.events.setdefault(target, []).append((at, action, json.loads(data)))

    def name(self, user: User) -> str:
        account = self.accounts.get(user.pk)
        return f"service-account:{account.slug}" if account else f"user:{user.username}"

    def holders(self, state: Any, span: Span) -> Iterable[tuple[str, str, Span]]:
        """Those whom a grant gave something, through which group, and when."""
        if state.user_id is not None:
            user = self.users.get(state.user_id)
            if user is not None:
                yield from ((self.name(user), "", each) for each in self._active(user, span))
            return
        group = self.groups.get(state.group_id, "")
        for user in self.users.values():
            for member in self._spans(user, lambda facts: group in facts["groups"]):
                shared = _both(span, member)
                if group and shared is not None:
                    active = self._active(user, shared)
                    yield from ((self.name(user), f"group:{group}", each) for each in active)

    def superusers(self) -> Iterable[tuple[str, Span]]:
        for user in self.users.values():
            for span in self._spans(user, lambda facts: facts["superuser"] and facts["active"]):
                if _meets(span, self.window):
                    yield self.name(user), span

    def _active(self, user: User, span: Span) -> Iterable[Span]:
        account = self.accounts.get(user.pk)
        if account is not None:
            shared = _both(span, (account.created_at, account.deleted_at))
            return [shared] if shared else []
        spans = self._spans(user, lambda facts: facts["active"])
        return [shared for each in spans if (shared := _both(span, each)) is not None]

    def _spans(self, user: User, holds: Any) -> list[Span]:
        """When ``holds`` was true of a person's facts."""
        found: list[Span] = []
        began: datetime | None = None
        for at, facts in self._facts(user):
            if holds(facts) and began is None:
                began = at
            elif not holds(facts) and began is not None:
                found.append((began, at))
                began = None
        return found if began is None else [*found, (began, None)]

    def _facts(self, user: User) -> list[tuple[datetime, dict[str, Any]]]:
        """What was true of a person from each moment on at which it changed."""
        events = self.events.get(f"user:{user.username}", [])
        facts = _facts_before(user, events)
        found = [(BEGINNING, facts)]
        for at, action, data in events:
            facts = dict(facts)
            if action == "user.groups":
                facts["groups"] = set(data.get("groups", []))
            elif action == "user.updated":
                facts |= {name: bool(data.get(name)) for name in ("active", "superuser")}
            else:
                facts |= {"active": True, "superuser": bool(data.get("superuser"))}
            found.append((at, facts))
        return found


def _facts_before(user: User, events: list[tuple[datetime, str, dict[str, Any]]]) -> dict[str, Any]:
    """What was true before the first event: nothing of whom it made; else what it says was."""
    if any(action == "user.created" for _at, action, _data in events):
        return {"groups": set(), "superuser": False, "active": False}
    firsts: dict[str, dict[str, Any]] = {}
    for _at, action, data in events:
        firsts.setdefault(action, data)
    now = {"active": user.is_active, "superuser": user.is_superuser}
    groups = firsts.get("user.groups", {}).get("was", [])
    if "user.groups" not in firsts:
        groups = [group.name for group in user.groups.all()]
    was = firsts["user.updated"].get("was", {}) if "user.updated" in firsts else now
    return {"groups": set(groups), **{name: bool(was.get(name, now[name])) for name in now}}

"""What a user may do, read from guardian's rows and remembered until the access generation moves."""

import hashlib
import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import BigIntegerField, F, Q, Value
from django.db.models.functions import Cast

from apps.access import rulebook
from apps.access.models import (
    ConfigurationGroupPermission,
    ConfigurationUserPermission,
    EnvironmentGroupPermission,
    EnvironmentUserPermission,
    Grant,
    KeyRuleGroupPermission,
    KeyRuleUserPermission,
    ServiceGroupPermission,
    ServiceUserPermission,
)
from apps.access.roles import verbs_of
from apps.access.rulebook import EMPTY, RuleBook
from apps.core import clock
from apps.core.actor import Actor
from apps.core.statements import Statement
from apps.engine.errors import HeldError
from apps.engine.guarding import Guard, Rule
from apps.registry.models import Environment, Service
from apps.registry.selectors import find_pair

CACHED_ACTORS = 10_000
CACHED_PAIRS = 10_000
KEY_VERBS = ("read", "edit", "publish", "rollback", "reveal")
"""What may be held for some keys of a configuration without being held for the rest."""

HELD_RETRY_SECONDS = 30

SOME_END = "*"
"""What :func:`_held` says where a grant has an end; no verb."""

Triple = tuple[str, int | None, int | None]


@dataclass(frozen=True, slots=True)
class Rights:
    """What one user may do: triples of verb, service key and environment key (None: any).

    ``held`` are pairs of verb and key rule, ``book`` the rules that there are.
    """

    triples: frozenset[tuple[str, int | None, int | None]]
    held: frozenset[tuple[str, int]] = frozenset()
    book: RuleBook = EMPTY

    def holds(self, verb: str, service: int | None, environment: int | None) -> bool:
        """Whether a grant on the place itself, its service, its environment or all covers it."""
        scopes = {(None, None), (service, None), (None, environment), (service, environment)}
        return any((verb, *scope) in self.triples for scope in scopes)

    def guard(self, verb: str, service: int | None, environment: int | None) -> Guard:
        """Which keys of a configuration the verb is held for."""
        free = self.holds(verb, service, environment)
        rules = self.book.at(service, environment)
        return Guard(free, tuple(Rule(each.glob, (verb, each.pk) in self.held) for each in rules))

    def reaches(self, verb: str, service: int | None, environment: int | None) -> bool:
        """Whether the verb is held for a configuration, or for some of its keys."""
        if self.holds(verb, service, environment):
            return True
        if verb not in KEY_VERBS or not self.held:
            return False
        rules = self.book.at(service, environment)
        return self.holds("list", service, environment) and any(
            (verb, each.pk) in self.held for each in rules
        )

    def touches_service(self, verb: str, service: int) -> bool:
        """Whether the verb is held somewhere on the service, in at least one environment."""
        return any(v == verb and s in (None, service) for v, s, _e in self.triples)

    def touches_environment(self, verb: str, environment: int) -> bool:
        """Whether the verb is held somewhere in the environment, for at least one service."""
        return any(v == verb and e in (None, environment) for v, _s, e in self.triples)

    def holds_anywhere(self, verb: str) -> bool:
        """Whether the verb is held on anything."""
        return any(v == verb for v, _s, _e in self.triples)


_remembered: dict[int, tuple[int, datetime | None, Rights]] = {}
_pairs: dict[tuple[str, str | None], tuple[int, tuple[Service, Environment]]] = {}


def generation() -> int:
    """The access generation: it moves with every change of who may do what.

    Raises :class:`HeldError` while rights are held, so that nothing is decided by them.
    """
    number, held = read_generation()
    if held:
        raise HeldError(
            "The database was restored from a backup, and which rights were withdrawn after it is "
            "not known. A superuser confirms them in the portal, or by 'manage.py backup confirm'. "
            "Until then keep what you have.",
            retry_after=HELD_RETRY_SECONDS,
        )
    return number


def read_generation() -> tuple[int, bool]:
    """The access generation, and whether rights are held.

    Every request asks, so this is the bare statement.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT number, held_at FROM access_accessgeneration WHERE id = 1")
        number, held_at = cursor.fetchone()
    return int(number), held_at is not None


def forget() -> None:
    """Drop what is remembered of rights and places; it is read again."""
    _remembered.clear()
    _pairs.clear()
    rulebook.forget()


def rights_of(actor: Actor) -> Rights:
    """The actor's rights as of now, remembered until the access generation moves."""
    if actor.user_id is None:
        return Rights(frozenset())
    current = generation() if actor.generation is None else actor.generation
    held = _remembered.get(actor.user_id)
    now = clock.now()
    if held is not None and held[0] == current and (held[1] is None or now < held[1]):
        return held[2]
    triples, rules, until = _read_rights(actor.user_id, now)
    rights = Rights(triples, rules, rulebook.rule_book(current))
    if len(_remembered) >= CACHED_ACTORS:
        _remembered.clear()
    _remembered[actor.user_id] = (current, until, rights)
    return rights


def rights_end(actor: Actor) -> datetime | None:
    """When a grant among the actor's rights ends next; ``None`` where none does."""
    rights_of(actor)
    held = _remembered.get(actor.user_id) if actor.user_id is not None else None
    return held[1] if held else None


def key_rights(actor: Actor) -> str:
    """A digest of what decides which keys the actor sees: it moves with rules and grants on them."""
    if actor.is_superuser:
        return "superuser"
    rights = rights_of(actor)
    rules = [
        (each.pk, each.glob.text, each.service_id, each.environment_id, verb)
        for each in (*rights.book.entries, *itertools.chain(*rights.book.followed.values()))
        for verb in KEY_VERBS
        if (verb, each.pk) not in rights.held
    ]
    return hashlib.sha256(repr(rules).encode()).hexdigest() if rules else ""


def _read_rights(
    user_id: int, now: datetime
) -> tuple[frozenset[Triple], frozenset[tuple[str, int]], datetime | None]:
    """The triples and the verbs on key rules of a user, and when a grant among them ends.

    guardian knows no end of a permission: what a place gives is taken from its grants instead
    where one of them has ended.
    """
    triples: set[Triple] = set()
    rules: set[tuple[str, int]] = set()
    some_end = False
    for verb, service, environment, rule in _HELD.rows(user_id):
        if verb == SOME_END:
            some_end = True
        elif rule is None:
            triples.add((verb, service, environment))
        else:
            rules.add((verb, rule))
    if not some_end:
        return frozenset(triples), frozenset(rules), None
    limited = Grant.objects.filter(_held_by(user_id), expires_at__isnull=False)
    ends = list(limited.values_list("expires_at", flat=True))
    for ended in limited.filter(expires_at__lte=now):
        triples, rules = _without(user_id, ended, triples, rules, now)
    coming = [each for each in ends if each is not None and each > now]
    return frozenset(triples), frozenset(rules), min(coming, default=None)


def _without(
    user_id: int, ended: Grant, triples: set[Triple], rules: set[tuple[str, int]], now: datetime
) -> tuple[set[Triple], set[tuple[str, int]]]:
    """The same with what the grants say that are left at the place of ``ended``."""
    scope = (ended.service_id, ended.environment_id)
    left = Grant.objects.filter(
        _held_by(user_id),
        Q(expires_at__isnull=True) | Q(expires_at__gt=now),
        service=ended.service_id,
        environment=ended.environment_id,
        key_rule=ended.key_rule_id,
    )
    verbs = {verb for each in left for verb in verbs_of(each.role, each.verb)}
    if ended.key_rule_id is not None:
        kept = {each for each in rules if each[1] != ended.key_rule_id}
        return triples, kept | {(verb, ended.key_rule_id) for verb in verbs}
    free = {each for each in triples if each[1:] != scope}
    return free | {(verb, *scope) for verb in verbs}, rules


def _held_by(user_id: int) -> Q:
    return Q(user=user_id) | Q(group__user=user_id)


def find_pair_as_of(
    actor: Actor, service: str, environment: str | None
) -> tuple[Service, Environment] | None:
    """What :func:`find_pair` finds, remembered until the access generation moves.

    The two are shared between requests: read them, never change them.
    """
    current = generation() if actor.generation is None else actor.generation
    held = _pairs.get((service, environment))
    if held is not None and held[0] == current:
        return held[1]
    found = find_pair(service, environment)
    if found is not None:
        if len(_pairs) >= CACHED_PAIRS:
            _pairs.clear()
        _pairs[(service, environment)] = (current, found)
    return found


def _held(user_id: int) -> Any:
    """Verb, service, environment and key rule of all that is given to a user or to one of his
    groups; ``SOME_END`` in place of a verb, where a grant of his has an end.
    """
    nothing = Cast(Value(None), BigIntegerField())
    own, member = {"user": user_id}, {"group__user": user_id}
    target = F("content_object_id")
    configuration = (F("content_object__service_id"), F("content_object__environment_id"), nothing)
    scoped: list[tuple[Any, dict[str, int], tuple[Any, Any, Any]]] = [
        (ServiceUserPermission, own, (target, nothing, nothing)),
        (ServiceGroupPermission, member, (target, nothing, nothing)),
        (EnvironmentUserPermission, own, (nothing, target, nothing)),
        (EnvironmentGroupPermission, member, (nothing, target, nothing)),
        (ConfigurationUserPermission, own, configuration),
        (ConfigurationGroupPermission, member, configuration),
        (KeyRuleUserPermission, own, (nothing, nothing, target)),
        (KeyRuleGroupPermission, member, (nothing, nothing, target)),
    ]
    parts: list[Any] = [
        model.objects.filter(**holder).order_by().values_list(F("permission__codename"), *place)
        for model, holder, place in scoped
    ]
    globally = Permission.objects.filter(
        content_type__app_label="registry", content_type__model="configuration"
    ).order_by()
    parts += [
        globally.filter(**holder).values_list(F("codename"), nothing, nothing, nothing)
        for holder in (own, member)
    ]
    ends = Grant.objects.filter(_held_by(user_id), expires_at__isnull=False).order_by()
    parts.append(ends.values_list(Value(SOME_END), nothing, nothing, nothing))
    return parts[0].union(*parts[1:])


_HELD = Statement(_held)

"""Who may do what, and why: every answer with the grants that it comes from.

What is said here is what :mod:`apps.access.policy` decides; a test holds the two together.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import Group
from django.db.models import Count, Q, QuerySet

from apps.access.models import Grant, KeyRule
from apps.access.policy import IMPLIED_BY, Place
from apps.access.rights import generation
from apps.access.roles import VERBS, list_roles
from apps.access.rulebook import rule_book
from apps.access.selectors import list_grants, list_grants_on, list_key_rules
from apps.core import clock
from apps.core.models import User
from apps.engine.paths import Path

Holder = User | Group


@dataclass(frozen=True, slots=True)
class Reason:
    """A grant that holds for somebody: what it gives, and through which group."""

    grant: Grant
    verbs: tuple[str, ...]
    group: str = ""

    @property
    def what(self) -> str:
        """The role or the verb that was given."""
        return self.grant.role or self.grant.verb

    @property
    def ends_at(self) -> datetime | None:
        """When it ends by itself."""
        return self.grant.expires_at


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody may do at one place, or on the keys of one rule.

    ``verbs`` are in their order, each with when it ends (``None``: it does not).
    """

    holder: Holder
    on: Place | KeyRule
    verbs: Mapping[str, datetime | None]
    reasons: tuple[Reason, ...]
    members: int | None = None

    @property
    def is_superuser(self) -> bool:
        """Whether it needs no grant at all."""
        return isinstance(self.holder, User) and self.holder.is_superuser

    @property
    def name(self) -> str:
        """``user:ada``, ``group:shop`` or ``service-account:checkout-app``."""
        return name_of(self.holder)


def name_of(holder: Holder) -> str:
    """The name by which grants are given to the holder."""
    if isinstance(holder, Group):
        return f"group:{holder.name}"
    account = getattr(holder, "service_account", None)
    return f"service-account:{account.slug}" if account else f"user:{holder.username}"


def rules_at(place: Place, key: Path | None = None) -> list[KeyRule]:
    """The key rules that hold at a configuration; with a key those that cover it."""
    service = place.service.pk if place.service else None
    environment = place.environment.pk if place.environment else None
    entries = rule_book(generation()).at(service, environment)
    found = {each.pk for each in entries if key is None or each.glob.covers(key)}
    return [rule for rule in list_key_rules() if rule.pk in found]


def who_may(place: Place, key: Path | None = None) -> list[Answer]:
    """Everybody who may do something at ``place``, or with the key there, by name.

    Groups that have grants are answered for too. Who was deactivated may do nothing, and
    superusers everything.
    """
    rules = rules_at(place, key) if key is not None else []
    rows = (
        list_grants().filter(key_rule__in=[rule.pk for rule in rules])
        if rules
        else list_grants_on(place.service, place.environment)
    )
    needed: list[int | None] = [rule.pk for rule in rules] or [None]
    answers = [
        Answer(holder, place, _verbs(reasons, needed), tuple(reasons), members)
        for holder, reasons, members in _holders(_present(rows))
    ]
    return sorted((each for each in answers if _says_something(each)), key=lambda each: each.name)


def what_may(holder: Holder) -> list[Answer]:
    """What a person, a service account or a group may do, place by place and rule by rule."""
    held = Q(group=holder) if isinstance(holder, Group) else _held_by(holder)
    by_place: dict[tuple[int | None, ...], list[Reason]] = defaultdict(list)
    bundles = _bundles()
    for row in _present(list_grants().filter(held).distinct()):
        via = row.group.name if row.group and isinstance(holder, User) else ""
        where = (row.service_id, row.environment_id, row.key_rule_id)
        by_place[where].append(Reason(row, _given(row, bundles), via))
    answers = []
    for (_service, _environment, rule), reasons in by_place.items():
        first = reasons[0].grant
        on = first.key_rule or Place(first.service, first.environment)
        answers.append(Answer(holder, on, _verbs(reasons, [rule]), tuple(reasons)))
    return sorted(answers, key=lambda each: (isinstance(each.on, KeyRule), str(each.on)))


def _held_by(user: User) -> Q:
    return Q(user=user) | Q(group__user=user)


def _present(rows: QuerySet[Grant]) -> list[Grant]:
    now = clock.now()
    return [row for row in rows if row.expires_at is None or row.expires_at > now]


def _bundles() -> dict[str, tuple[str, ...]]:
    return {each.name: each.verbs for each in list_roles()}


def _given(row: Grant, bundles: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return bundles.get(row.role, ()) if row.role else (row.verb,)


def _holders(rows: Sequence[Grant]) -> Iterable[tuple[Holder, list[Reason], int | None]]:
    """Every group, person and account that the grants hold for, with the reasons of each."""
    bundles = _bundles()
    by_group: dict[int, list[Reason]] = defaultdict(list)
    by_user: dict[int, list[Reason]] = defaultdict(list)
    for row in rows:
        reason = Reason(row, _given(row, bundles))
        if row.group_id is not None:
            by_group[row.group_id].append(reason)
        elif row.user_id is not None:
            by_user[row.user_id].append(reason)
    groups = {each.pk: each for each in _counted(by_group)}
    through = User.groups.through.objects.filter(group__in=by_group)
    for user_id, group_id in through.values_list("user_id", "group_id"):
        name = groups[group_id].name
        by_user[user_id] += [Reason(each.grant, each.verbs, name) for each in by_group[group_id]]
    for pk, group in groups.items():
        yield group, by_group[pk], group.members  # type: ignore[attr-defined] # annotated
    people = User.objects.filter(Q(pk__in=by_user) | Q(is_superuser=True), is_active=True)
    for user in people.select_related("service_account"):
        yield user, by_user[user.pk], None


def _counted(keys: Collection[int]) -> QuerySet[Group]:
    active = Count("user", filter=Q(user__is_active=True))
    return Group.objects.filter(pk__in=keys).annotate(members=active)


def _verbs(reasons: Sequence[Reason], needed: Sequence[int | None]) -> dict[str, datetime | None]:
    """The verbs that the grants give on every one of ``needed`` (key rules; ``None``: the place),
    each with when it ends: with the last of those that give it, on the rule where that is first.
    """
    found: dict[str, datetime | None] = {}
    for verb in VERBS:
        ends = [_last_end(_giving(reasons, verb, rule)) for rule in needed]
        if all(given for given, _end in ends):
            found[verb] = min((end for _given, end in ends if end is not None), default=None)
    return found


def _giving(reasons: Sequence[Reason], verb: str, rule: int | None) -> list[Reason]:
    wanted = {verb, IMPLIED_BY.get(verb, verb)}
    return [each for each in reasons if each.grant.key_rule_id == rule and wanted & {*each.verbs}]


def _last_end(reasons: Sequence[Reason]) -> tuple[bool, datetime | None]:
    ends = [each.ends_at for each in reasons]
    if not ends or None in ends:
        return bool(ends), None
    return True, max(end for end in ends if end is not None)


def _says_something(answer: Answer) -> bool:
    return bool(answer.reasons) or answer.is_superuser

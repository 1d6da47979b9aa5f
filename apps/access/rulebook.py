"""The key rules of the installation, as every question about rights needs them."""

from collections import defaultdict
from dataclasses import dataclass, field, replace

from django.db.models.functions import Lower

from apps.access.models import KeyRule
from apps.engine.paths import Glob, Moved, parse_path
from apps.registry.models import Dependency, Environment, Service


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule: which keys, and where (``None``: in every service, in every environment)."""

    pk: int
    glob: Glob
    service_id: int | None
    environment_id: int | None


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules, and the parents of environments: a rule follows its keys to where they are
    inherited. ``followed`` are the same rules where a configuration refers to their keys.
    """

    entries: tuple[Entry, ...] = ()
    parents: dict[int, int | None] = field(default_factory=dict)
    followed: dict[tuple[int | None, int | None], tuple[Entry, ...]] = field(default_factory=dict)

    def at(self, service_id: int | None, environment_id: int | None) -> list[Entry]:
        """The rules that are about a configuration: its own, those of environments above, and those
        about what it takes from others.
        """
        if not self.entries:
            return []
        followed = self.followed.get((service_id, environment_id), ())
        return [*self.own(service_id, environment_id), *followed]

    def own(self, service_id: int | None, environment_id: int | None) -> list[Entry]:
        """The same without what is taken from others."""
        above: set[int | None] = {None}
        while environment_id is not None and environment_id not in above:
            above.add(environment_id)
            environment_id = self.parents.get(environment_id)
        return [
            each
            for each in self.entries
            if each.service_id in (None, service_id) and each.environment_id in above
        ]


EMPTY = RuleBook()
_remembered: tuple[int, RuleBook] = (-1, EMPTY)


def rule_book(generation: int) -> RuleBook:
    """The rules as of the access generation, which moves whenever they do."""
    global _remembered  # noqa: PLW0603 - one value for the process, replaced as a whole
    if _remembered[0] != generation:
        _remembered = (generation, _read())
    return _remembered[1]


def forget() -> None:
    """Drop what is remembered; it is read again."""
    global _remembered  # noqa: PLW0603 - as above
    _remembered = (-1, EMPTY)


def _read() -> RuleBook:
    rows = KeyRule.objects.order_by("pk").values_list(
        "pk", "pattern", "service_id", "environment_id"
    )
    entries = tuple(Entry(pk, Glob(pattern), *scope) for pk, pattern, *scope in rows)
    if not entries:
        return EMPTY
    book = RuleBook(entries, dict(Environment.objects.values_list("pk", "parent_id")))
    return replace(book, followed=_follow(book))


def _follow(book: RuleBook) -> dict[tuple[int | None, int | None], tuple[Entry, ...]]:
    """The rules about keys that others refer to, at the places of those."""
    rows = list(
        Dependency.objects.values_list(
            "configuration__service_id",
            "configuration__environment_id",
            "key",
            "service",
            "environment",
            "target",
        ).distinct()
    )
    if not rows:
        return {}
    services = dict(Service.objects.values_list(Lower("slug"), "pk"))
    environments = dict(Environment.objects.values_list(Lower("slug"), "pk"))
    found: dict[tuple[int | None, int | None], list[Entry]] = defaultdict(list)
    for service_id, environment_id, key, service, environment, target in rows:
        there = parse_path(target)
        for rule in book.own(services.get(service), environments.get(environment)):
            if rule.glob.reaches(there):
                moved = Moved(rule.glob, there, parse_path(key))
                entry = Entry(rule.pk, moved, service_id, environment_id)
                found[(service_id, environment_id)].append(entry)
    return {place: tuple(rules) for place, rules in found.items()}

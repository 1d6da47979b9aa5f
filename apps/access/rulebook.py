"""The key rules of the installation, as every question about rights needs them."""

from dataclasses import dataclass, field

from apps.access.models import KeyRule
from apps.engine.paths import Glob
from apps.registry.models import Environment


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
    inherited.
    """

    entries: tuple[Entry, ...] = ()
    parents: dict[int, int | None] = field(default_factory=dict)

    def at(self, service_id: int | None, environment_id: int | None) -> list[Entry]:
        """The rules that are about a configuration: its own, and those of environments above."""
        if not self.entries:
            return []
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
    return RuleBook(entries, dict(Environment.objects.values_list("pk", "parent_id")))

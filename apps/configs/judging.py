"""Holding a document against the rules that hold where it is published."""

from collections.abc import Iterable, Sequence
from typing import Final

from apps.access import policy
from apps.access.policy import Place
from apps.configs.models import Rule
from apps.core.actor import Actor
from apps.engine.errors import Problem
from apps.engine.guarding import visible
from apps.engine.paths import Path, find, parse_path, pointer
from apps.engine.rules import Condition, Equals, Expression, Facts, Read, Verdict, place_of
from apps.engine.section_types.section_type import Findings
from apps.engine.values import Tree, parse_canonical, same
from apps.registry.models import Environment, Service

ERROR: Final = "error"
HIDDEN: Final = "rule_hidden"


def condition_of(rule: Rule) -> Condition:
    """The condition of a stored rule."""
    if rule.key:
        return Equals(parse_path(rule.key), parse_canonical(rule.equals))
    return Expression(rule.expression)


def facts_of(place: Place, config: Tree, previous: Tree) -> Facts:
    """What conditions are judged on at ``place``."""
    service, environment = place.service, place.environment
    assert service is not None  # noqa: S101 - documents are of one configuration
    assert environment is not None  # noqa: S101 - as above
    return Facts(config, previous, _environment(environment), _service(service))


def _environment(row: Environment) -> dict[str, Tree]:
    return {
        "slug": row.slug,
        "name": row.name,
        "rank": row.rank,
        "protected": row.is_protected,
    }


def _service(row: Service) -> dict[str, Tree]:
    return {"slug": row.slug, "name": row.name, "labels": row.labels}


def judge(
    rules: Iterable[Rule],
    place: Place,
    config: Tree,
    previous: Tree,
    author: Actor | None,
) -> Findings:
    """Judge ``config``, which is to follow ``previous`` at ``place``.

    What an ``author`` is told must not depend on keys that he may not read. A rule that looks at
    such keys is not judged for him: where what he sees of them stays the same it is passed over,
    else his change is refused, whatever the rule would say (code ``rule_hidden``).
    """
    judged = Findings()
    chosen = list(rules)
    if not chosen:
        return judged
    facts = facts_of(place, config, previous)
    view = _View(author, place, config, previous) if author is not None else None
    for rule in chosen:
        condition = condition_of(rule)
        if view is not None and not view.shows(condition.reads):
            if rule.severity == ERROR and view.changes(condition.reads):
                judged.errors.append(_hidden(rule, view.place_of(condition)))
            continue
        verdict = condition.judge(facts)
        if verdict.holds is False:
            kept = judged.errors if rule.severity == ERROR else judged.warnings
            kept.append(_broken(rule, place_of(condition), verdict))
    return judged


def _broken(rule: Rule, path: Path, verdict: Verdict) -> Problem:
    said = rule.message or "It does not hold."
    why = f" ({verdict.fault})" if verdict.fault else ""
    return Problem(pointer(path), "rule", f"Rule '{rule.name}': {said}{why}")


def _hidden(rule: Rule, path: Path) -> Problem:
    message = (
        f"The rule '{rule.name}' looks at keys that you may not read, so it cannot be judged for "
        "you: somebody who may read them has to publish this."
    )
    return Problem(pointer(path), HIDDEN, message)


class _View:
    """What an author sees of two documents, by name."""

    def __init__(self, author: Actor, place: Place, config: Tree, previous: Tree) -> None:
        self._reads = policy.guard(author, "read", place)
        self._writes = policy.guard(author, "publish", place)
        self._whole = {"config": config, "previous": previous}
        self._seen = {name: visible(tree, self._reads) for name, tree in self._whole.items()}

    def shows(self, reads: Sequence[Read]) -> bool:
        """Whether everything that is read is his: to read it or, what he changes, to write it."""
        return all(self._shows(name, path) or self._wrote(name, path) for name, path in reads)

    def place_of(self, condition: Condition) -> Path:
        """The first key that he sees of those that are read; the whole document without one."""
        paths = (path for name, path in condition.reads if name == "config" and path)
        return next((path for path in paths if self._reads.allows(path)), ())

    def changes(self, reads: Sequence[Read]) -> bool:
        """Whether what he sees of it is another than before."""
        new, old = self._seen["config"], self._seen["previous"]
        return any(not _alike(find(new, path), find(old, path)) for _name, path in reads)

    def _shows(self, name: str, path: Path) -> bool:
        """Whether nothing at ``path`` is hidden: no key there could be, there is nothing, or what is
        seen of it is no object, and so all of it (a list is seen whole or not at all).
        """
        if not path:
            return self._reads.is_open
        if not self._reads.allows(path):
            return False
        found, value = find(self._seen[name], path)
        there = found or find(self._whole[name], path)[0]
        return (
            self._reads.allows_whole(path) or not there or (found and not isinstance(value, dict))
        )

    def _wrote(self, name: str, path: Path) -> bool:
        """Whether it is a key of his to write, and has become another by this."""
        if name != "config" or not path or not self._writes.allows_whole(path):
            return False
        return not _alike(find(self._whole["config"], path), find(self._whole["previous"], path))


def _alike(one: tuple[bool, Tree], other: tuple[bool, Tree]) -> bool:
    return one[0] == other[0] and same(one[1], other[1])

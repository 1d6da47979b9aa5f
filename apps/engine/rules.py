"""Rules that documents must keep: a condition in CEL, or a key that must have a value.

An expression is given what it reads of the documents and nothing else, so that it costs what it
reads, and so that its place and its rights can be told from its text. It gets ``config``,
``previous`` (the live document, empty before the first), ``environment`` and ``service``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from apps.engine.errors import InvalidError, invalid
from apps.engine.expressions import Scope, check_expression
from apps.engine.paths import Path, find
from apps.engine.values import Tree, same

VARIABLES: Final = ("config", "environment", "previous", "service")
MAX_WORK: Final = 20_000_000
_READ: Final = re.compile(
    r"""\b(config|previous)
    ((?:\s*\.\s*[A-Za-z_]\w*\b(?!\s*\()
      | \s*\[\s*(?:"[^"\\\n]*"|'[^'\\\n]*')\s*\])*)""",
    re.VERBOSE,
)
_STEP: Final = re.compile(r"""\.\s*(\w+)|\[\s*["'](.*?)["']\s*\]""")


class Read(NamedTuple):
    """A place in ``config`` or ``previous`` that a condition looks at, with all that is in it."""

    variable: str
    path: Path


class Verdict(NamedTuple):
    """``holds`` is ``None`` where a condition does not apply. ``fault`` says why it failed, when that
    is not for what the document says.
    """

    holds: bool | None
    fault: str = ""


APPLIES_NOT: Final = Verdict(None)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a condition is judged on. ``environment`` and ``service`` are described by objects."""

    config: Tree
    previous: Tree
    environment: Mapping[str, Tree]
    service: Mapping[str, Tree]


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition in CEL that gives true or false."""

    text: str

    @property
    def reads(self) -> tuple[Read, ...]:
        """What it looks at, or more: every way into a document begins with the document's name."""
        found = (Read(match[1], _path(match[2])) for match in _READ.finditer(self.text))
        return tuple(dict.fromkeys(found))

    def check(self) -> None:
        """Raise :class:`InvalidError` unless it can be judged at all."""
        check_expression(self.text, VARIABLES)

    def judge(self, facts: Facts) -> Verdict:
        """Where it reads a key that is not there, without asking ``has``, it does not apply."""
        scope = Scope(
            {
                "config": _cut(facts.config, (p for v, p in self.reads if v == "config")),
                "previous": _cut(facts.previous, (p for v, p in self.reads if v == "previous")),
                "environment": dict(facts.environment),
                "service": dict(facts.service),
            }
        )
        if scope.work(self.text) > MAX_WORK:
            return Verdict(False, "it reads too much of this document to be judged")
        try:
            result = scope.value(self.text)
        except InvalidError as error:
            if self._misses_something(facts):
                return APPLIES_NOT
            return Verdict(False, f"it could not be judged ({error.detail})")
        if not isinstance(result, bool):
            return Verdict(False, "it gives something else than true or false")
        return Verdict(result)

    def _misses_something(self, facts: Facts) -> bool:
        documents = {"config": facts.config, "previous": facts.previous}
        return any(not find(documents[name], path)[0] for name, path in self.reads)


@dataclass(frozen=True, slots=True)
class Equals:
    """A key that must have a value: the assertion of a configuration test."""

    path: Path
    value: Tree

    @property
    def reads(self) -> tuple[Read, ...]:
        """The key."""
        return (Read("config", self.path),)

    def check(self) -> None:
        """Raise :class:`InvalidError` for what no document can have."""
        if not self.path or not isinstance(self.path[0], str):
            raise invalid("", "path", "A document begins with a key.")

    def judge(self, facts: Facts) -> Verdict:
        """It applies always: a key that is missing has another value."""
        found, value = find(facts.config, self.path)
        return Verdict(found and same(value, self.value), "" if found else "the key is not there")


Condition = Expression | Equals


def place_of(condition: Condition) -> Path:
    """Where a document that breaks the condition is marked: the first key of it that is read."""
    return next((path for name, path in condition.reads if name == "config"), ())


def _path(steps: str) -> Path:
    return tuple(match[1] or match[2] or "" for match in _STEP.finditer(steps))


def _cut(document: Tree, paths: Iterable[Path]) -> Tree:
    """What lies at ``paths``, in its objects; a place that is not there leaves what is around it."""
    kept: dict[str, Any] = {}
    for path in sorted(set(paths)):
        if not path:
            return document
        _keep(document, path, kept)
    return kept


def _keep(node: Tree, path: Path, kept: dict[str, Any]) -> None:
    step = str(path[0])
    if not isinstance(node, dict) or step not in node:
        return
    child = node[step]
    if len(path) == 1 or not isinstance(child, dict):
        kept[step] = child
    elif kept.get(step) is not child:  # else it is kept whole already
        _keep(child, path[1:], kept.setdefault(step, {}))

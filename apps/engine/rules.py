"""Rules that documents must keep: a condition in CEL, or a key that must have a value.

An expression is given what it reads of the documents and nothing else, so that it costs what it
reads, and so that its place and its rights can be told from its text. It gets ``config``,
``previous`` (the live document, empty before the first), ``environment`` and ``service``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from apps.engine.errors import InvalidError, invalid
from apps.engine.expressions import Scope, check_expression
from apps.engine.paths import Path, find
from apps.engine.values import Tree, same

VARIABLES: Final = ("config", "environment", "previous", "service")
MAX_WORK: Final = 200_000_000
MAX_WORK_TOGETHER: Final = 1_000_000_000
MISSING: Final = "CEL: Key not found in map"
_READ: Final = re.compile(
    r"""\b(config|previous)
    ((?:\s*\.\s*[A-Za-z_]\w*\b(?!\s*\()
      | \s*\[\s*(?:"[^"\\\n]*"|'[^'\\\n]*')\s*\])*)""",
    re.VERBOSE,
)
_LITERAL: Final = re.compile(
    r"""\"\"\"(?:\\.|[^\\])*?\"\"\"|\'\'\'(?:\\.|[^\\])*?\'\'\'
    | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | //[^\n]*""",
    re.VERBOSE | re.DOTALL,
)
_RAW: Final = re.compile(r"(?:^|\W)[rRbB]{1,2}$")
_AGAIN: Final = re.compile(
    r"\b(?:map|filter|all|exists|exists_one)\b.*\b(?:config|previous)\b", re.DOTALL
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


@dataclass(slots=True)
class Facts:
    """What conditions are judged on, and how much work that has been together. ``environment`` and
    ``service`` are described by objects.
    """

    config: Tree
    previous: Tree
    environment: Mapping[str, Tree]
    service: Mapping[str, Tree]
    _scopes: dict[tuple[Read, ...], Scope] = field(default_factory=dict)
    _work: int = 0

    def scope(self, reads: tuple[Read, ...]) -> Scope:
        """The variables of an expression that reads these places; what many read alike is cut, and
        handed to the library, once.
        """
        key = tuple(sorted(reads))
        if key not in self._scopes:
            self._scopes[key] = Scope(
                {
                    "config": _cut(self.config, (p for v, p in key if v == "config")),
                    "previous": _cut(self.previous, (p for v, p in key if v == "previous")),
                    "environment": dict(self.environment),
                    "service": dict(self.service),
                }
            )
        return self._scopes[key]

    def affords(self, work: int) -> bool:
        """Whether so much more may be done, for one condition and for all of them."""
        if work > MAX_WORK or self._work + work > MAX_WORK_TOGETHER:
            return False
        self._work += work
        return True


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition in CEL that gives true or false."""

    text: str

    @property
    def reads(self) -> tuple[Read, ...]:
        """What it looks at, or more: every way into a document begins with the document's name."""
        code = _code(self.text)
        found = (Read(match[1], _path(match[2])) for match in _READ.finditer(code))
        return tuple(dict.fromkeys(found))

    def check(self) -> None:
        """Raise :class:`InvalidError` unless it can be judged at all."""
        _code(self.text)
        check_expression(self.text, VARIABLES)

    def judge(self, facts: Facts) -> Verdict:
        """Where it reads a key that is not there, without asking ``has``, it does not apply."""
        reads = self.reads
        scope = facts.scope(reads)
        if not facts.affords(scope.work(self.text, again=bool(_AGAIN.search(_code(self.text))))):
            return Verdict(False, "it reads too much of this document to be judged")
        try:
            result = scope.value(self.text)
        except InvalidError as error:
            if error.detail.startswith(MISSING) and _misses(facts, reads):
                return APPLIES_NOT
            return Verdict(False, f"it could not be judged ({error.detail})")
        if not isinstance(result, bool):
            return Verdict(False, "it gives something else than true or false")
        return Verdict(result)


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


def _misses(facts: Facts, reads: Iterable[Read]) -> bool:
    documents = {"config": facts.config, "previous": facts.previous}
    return any(not find(documents[name], path)[0] for name, path in reads)


def _code(text: str) -> str:
    """An expression without its comments, and without texts that are no key in brackets.

    Raises :class:`InvalidError` for raw texts, which end elsewhere.
    """
    pieces: list[str] = []
    position = 0
    for match in _LITERAL.finditer(text):
        before, literal = text[position : match.start()], match[0]
        pieces.append(before)
        if _RAW.search(before) and not literal.startswith("//"):
            raise invalid("", "expression", "CEL: Write texts without the prefixes r and b.")
        inside = before.rstrip().endswith("[") and text[match.end() :].lstrip().startswith("]")
        if literal.startswith("//"):
            pieces.append(" ")
        else:
            pieces.append(literal if inside and "\\" not in literal else 'r""')
        position = match.end()
    return "".join([*pieces, text[position:]])


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
    if len(path) == 1:
        kept[step] = child
    elif isinstance(child, dict) and kept.get(step) is not child:  # else it is kept whole already
        _keep(child, path[1:], kept.setdefault(step, {}))

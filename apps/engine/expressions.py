"""Expressions in CEL, the Common Expression Language (cel.dev): typed, without loops or effects.

The one module that knows the library. An expression is checked when it is compiled. The library
counts iterations only, and one of them may read or build as much as the variables hold; so there is at
most one comprehension, no regular expression, and :func:`Scope.work` says beforehand how much an
evaluation may touch.
"""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel

from apps.engine.errors import InvalidError, invalid
from apps.engine.values import Number, Tree

MAX_EXPRESSION: Final = 1_000
MAX_COMPREHENSIONS: Final = 1
MAX_SUMS: Final = 24
MAX_VALUES: Final = 20_000
MAX_CHARACTERS: Final = 2**20
_COMPREHENSION: Final = re.compile(r"\b(?:map|filter|all|exists|exists_one)\b")
_REGULAR: Final = re.compile(r"\bmatches\b")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_WORDS: Final = ("params", "true", "false", "null")
_INTEGERS: Final = range(-(2**63), 2**63)
_PLAIN: Final = (cel.Type.BOOL, cel.Type.INT, cel.Type.UINT, cel.Type.STRING, cel.Type.NULL)
_REASON: Final = re.compile(r"(?:[A-Z_]+: )?(?:ERROR: <input>:)?(.*?)(?: \[[A-Z_]+\])?", re.DOTALL)


class Scope:
    """The variables of expressions, handed to the library once and only when one is evaluated."""

    def __init__(self, variables: Mapping[str, Tree]) -> None:
        self.variables = variables
        self._activation: Any = None
        self._size: tuple[int, int] | None = None

    def work(self, text: str, *, again: bool = True) -> int:
        """A bound on the values and characters that evaluating ``text`` reads or builds: each of its
        operations as much as all variables hold; ``again`` for each turn of its comprehension, which
        is when it comes back to a variable there.
        """
        if self._size is None:
            self._size = _measured(self.variables)
        size, longest = self._size
        turns = max(longest, len(text)) if again and _COMPREHENSION.search(text) else 1
        return len(text) * (size + len(text)) * turns

    def value(self, text: str) -> Tree:
        """What the expression ``text`` gives.

        Raises :class:`InvalidError` with an empty pointer and code ``expression``.
        """
        names = tuple(sorted(self.variables))
        compiled = _compile(text, names)
        if self._activation is None:
            data = {name: _given(value) for name, value in self.variables.items()}
            self._activation = _environment(names).Activation(data)
        try:
            result = compiled.eval(self._activation)
        except RuntimeError as error:
            raise _failed(str(error)) from error
        return _Result().tree(result)

    def with_variable(self, name: str, value: Tree) -> "Scope":
        """The same with one variable more."""
        return Scope({**self.variables, name: value})


def check_expression(text: str, names: tuple[str, ...]) -> None:
    """Raise :class:`InvalidError` unless ``text`` is an expression over variables ``names``."""
    _compile(text, tuple(sorted(names)))


def is_variable(name: object) -> bool:
    """Whether a variable may be called this: a name of CEL that means nothing there yet."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _WORDS:
        return False
    try:
        _compile(name, (name,))
    except InvalidError:
        return False
    return True


@lru_cache(maxsize=4096)
def _compile(text: str, names: tuple[str, ...]) -> Any:
    if len(text) > MAX_EXPRESSION:
        raise _refused(f"An expression has at most {MAX_EXPRESSION} characters.")
    if len(_COMPREHENSION.findall(text)) > MAX_COMPREHENSIONS or text.count("+") > MAX_SUMS:
        raise _refused(
            f"An expression has at most {MAX_COMPREHENSIONS} of map, filter, all and exists (the words "
            f"count in texts too), and {MAX_SUMS} times '+'."
        )
    if _REGULAR.search(text):
        raise _refused("There is no 'matches' here: a parameter's schema may have a pattern.")
    try:
        return _environment(names).compile(text)
    except RuntimeError as error:
        raise _refused(str(error)) from error


@lru_cache(maxsize=256)
def _environment(names: tuple[str, ...]) -> Any:
    try:
        return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))
    except RuntimeError as error:
        raise _refused(str(error)) from error


def _refused(message: str) -> InvalidError:
    """The library's message, without its own codes and its drawing of the place."""
    lines = message.split("\n")
    found = _REASON.fullmatch(lines[0])
    told = (found.group(1) if found else lines[0]).split(" expecting {")[0]  # a list of tokens
    return invalid("", "expression", f"CEL: {told}"[:300])


def _failed(message: str) -> InvalidError:
    """The same of an evaluation: what stands behind its colon may be a value."""
    found = _REASON.fullmatch(message)
    return _refused((found.group(1) if found else message).split(":")[0].strip())


def _given(tree: Tree) -> Any:
    """``tree`` as the library takes it: numbers are 64-bit integers or doubles."""
    if isinstance(tree, dict):
        return {key: _given(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_given(item) for item in tree]
    if isinstance(tree, Number) or (isinstance(tree, int) and tree not in _INTEGERS):
        try:
            return float(tree)
        except OverflowError as error:
            raise _refused("A number is too large to calculate with.") from error
    return tree


def _measured(variables: Mapping[str, Tree]) -> tuple[int, int]:
    """How many values and characters there are, and the length of the longest list or object."""
    size = longest = 0
    ahead: list[Tree] = list(variables.values())
    while ahead:
        node = ahead.pop()
        size += 1
        if isinstance(node, str):
            size += len(node)
        elif isinstance(node, dict):
            size += sum(map(len, node))
            ahead.extend(node.values())
        elif isinstance(node, list):
            ahead.extend(node)
        longest = max(longest, len(node) if isinstance(node, (dict, list)) else 0)
    return size, longest


class _Result:
    """A result as a tree; it counts, because parts may be shared many times over."""

    def __init__(self) -> None:
        self._count = 0
        self._characters = 0

    def tree(self, result: Any) -> Tree:
        """The tree of a value of the library."""
        self._count += 1
        if self._count > MAX_VALUES:
            raise _refused(f"The result has more than {MAX_VALUES} values.")
        kind, value = result.type(), result.value()
        if kind == cel.Type.ERROR:
            raise _failed(str(value))
        if isinstance(value, list):
            return [self.tree(item) for item in value]
        if isinstance(value, dict):
            return self._object(value)
        self._characters += len(value) if isinstance(value, str) else 0
        if self._characters > MAX_CHARACTERS:
            raise _refused(f"The result has more than {MAX_CHARACTERS} characters.")
        if kind in _PLAIN or (kind == cel.Type.DOUBLE and math.isfinite(value)):
            return value
        raise _refused(f"A result is JSON, and this is {kind.name()}.")

    def _object(self, members: dict[Any, Any]) -> Tree:
        if not all(isinstance(key, str) for key in members):
            raise _refused("The keys of a result are texts.")
        return {key: self.tree(item) for key, item in members.items()}

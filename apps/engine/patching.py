"""Applying patches to a document: JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902).

JSON Patch is applied by our own code because ours compares by canonical bytes (``1`` is neither
``1.0`` nor ``true``) and must hold a hostile patch to bounded time and memory.
"""

from typing import Any, Final

from apps.engine.errors import LimitError, MalformedError, PatchError, Problem
from apps.engine.overriding import override
from apps.engine.paths import Path, from_pointer
from apps.engine.values import MAX_DEPTH, MAX_NODES, Tree, check, same

__all__ = ["json_patch", "merge_patch", "override"]

MAX_COPIED_TEXT: Final = 1 << 20


def merge_patch(tree: Tree, patch: Tree) -> Tree:
    """``tree`` after a JSON Merge Patch (RFC 7396); ``null`` removes a member."""
    if not isinstance(patch, dict):
        return patch
    result = dict(tree) if isinstance(tree, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(tree: Tree, operations: Tree) -> Tree:
    """``tree`` after a JSON Patch (RFC 6902), all of it or none; ``tree`` is not changed.

    Raises :class:`MalformedError` for what is no patch and :class:`PatchError` for an
    operation that does not apply, each with the pointer of the operation; :class:`LimitError`
    when its copies come to more than ``MAX_NODES`` nodes or ``MAX_COPIED_TEXT`` characters
    together, or when the result is beyond a limit of documents.
    """
    if not isinstance(operations, list):
        raise _malformed("", "A JSON Patch is a list of operations.")
    document = _Document(tree)
    for index, operation in enumerate(operations):
        try:
            document.apply(operation)
        except _RefusedError as refused:
            raise refused.at(f"/{index}") from None
    check(document.root)
    return document.root


class _RefusedError(Exception):
    """One operation is refused; where it stands in the patch is not known yet."""

    def __init__(
        self,
        message: str,
        member: str = "",
        *,
        code: str = "patch",
        error: type[PatchError | MalformedError] = PatchError,
    ) -> None:
        super().__init__(message)
        self.message, self.member, self.code, self.error = message, member, code, error

    def at(self, operation: str) -> PatchError | MalformedError:
        problem = Problem(operation + self.member, self.code, self.message)
        return self.error(self.message, [problem])


class _Document:
    """A copy of a document, edited in place. Its methods raise :class:`_RefusedError`."""

    def __init__(self, tree: Tree) -> None:
        self.root = _copied(tree)
        self._nodes_left = MAX_NODES
        self._text_left = MAX_COPIED_TEXT

    def apply(self, operation: Tree) -> None:
        """Make one operation of a JSON Patch."""
        kind = operation.get("op") if isinstance(operation, dict) else None
        if kind not in ("add", "remove", "replace", "move", "copy", "test"):
            raise _not_a_patch("'op' is add, remove, replace, move, copy or test.")
        path = _steps(operation, "path")
        if kind == "remove":
            self._remove(path)
        elif kind == "move":
            self._move(_steps(operation, "from"), path)
        elif kind == "copy":
            self._copy(_steps(operation, "from"), path)
        elif "value" not in operation:
            raise _not_a_patch(f"'{kind}' needs a 'value'.")
        else:
            self._put(kind, path, operation["value"])

    def _put(self, kind: str, path: Path, value: Tree) -> None:
        if kind == "add":
            self._add(path, _copied(value))
        elif kind == "replace":
            self._replace(path, _copied(value))
        elif not same(self._get(path), value):
            raise _RefusedError("The test of this operation fails.", code="test_failed")

    def _get(self, path: Path, member: str = "/path") -> Tree:
        node = self.root
        for step in path:
            node = node[_existing(node, step, member)]
        return node

    def _add(self, path: Path, value: Tree) -> None:
        if not path:
            self.root = value
            return
        holder, step = self._get(path[:-1]), path[-1]
        if isinstance(holder, list):
            holder.insert(len(holder) if step == "-" else _index(step, len(holder)), value)
        elif isinstance(holder, dict):
            holder[step] = value
        else:
            raise _nothing_there("/path")

    def _remove(self, path: Path, member: str = "/path") -> Tree:
        if not path:
            removed, self.root = self.root, None
            return removed
        holder = self._get(path[:-1], member)
        step = _existing(holder, path[-1], member)  # before any look at what ``holder`` can do
        return holder.pop(step)

    def _replace(self, path: Path, value: Tree) -> None:
        if not path:
            self.root = value
            return
        holder = self._get(path[:-1])
        holder[_existing(holder, path[-1], "/path")] = value

    def _move(self, source: Path, path: Path) -> None:
        if source == path:
            self._get(source, "/from")
        elif path[: len(source)] == source:
            raise _RefusedError("A value cannot be moved into itself.", "/path", code="path")
        else:
            self._add(path, self._remove(source, "/from"))

    def _copy(self, source: Path, path: Path) -> None:
        value = self._get(source, "/from")
        self._spend(value)
        self._add(path, _copied(value))

    def _spend(self, tree: Tree) -> None:
        """Charge a copy to the budget: copies of copies would double it again and again."""
        waiting = [(tree, 1)]
        while waiting:
            node, depth = waiting.pop()
            self._nodes_left -= 1
            if isinstance(node, dict):
                self._text_left -= sum(map(len, node))
                waiting += [(child, depth + 1) for child in node.values()]
            elif isinstance(node, list):
                waiting += [(child, depth + 1) for child in node]
            elif isinstance(node, str):
                self._text_left -= len(node)
            if min(self._nodes_left, self._text_left) < 0 or depth > MAX_DEPTH + 1:
                raise _RefusedError("The patch copies too much.", code="limit", error=LimitError)


def _steps(operation: dict[str, Tree], member: str) -> Path:
    text = operation.get(member)
    if not isinstance(text, str):
        raise _not_a_patch(f"'{operation['op']}' needs a '{member}'.")
    try:
        return from_pointer(text)
    except MalformedError as error:
        raise _not_a_patch(error.detail, f"/{member}") from None


def _existing(node: Tree, step: Any, member: str) -> Any:
    """The key or index in ``node`` that ``step`` names."""
    if isinstance(node, list):
        return _index(step, len(node) - 1, member)
    if not isinstance(node, dict) or step not in node:
        raise _nothing_there(member)
    return step


def _index(step: Any, last: int, member: str = "/path") -> int:
    digits = step.isascii() and step.isdigit() and (step == "0" or step[0] != "0")
    if not digits or len(step) > len(str(MAX_NODES)) or int(step) > last:
        raise _RefusedError("There is no such item in the list.", member, code="path")
    return int(step)


def _copied(tree: Tree) -> Tree:
    if isinstance(tree, dict):
        return {key: _copied(child) for key, child in tree.items()}
    return [_copied(child) for child in tree] if isinstance(tree, list) else tree


def _nothing_there(member: str) -> _RefusedError:
    return _RefusedError("There is nothing at this path.", member, code="path")


def _not_a_patch(message: str, member: str = "") -> _RefusedError:
    return _RefusedError(message, member, error=MalformedError)


def _malformed(place: str, message: str) -> MalformedError:
    return MalformedError(message, [Problem(place, "patch", message)])

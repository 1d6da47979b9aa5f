"""Applying patches to a document, and finding the smallest edit of a source that gives one."""

from collections.abc import Mapping
from typing import Any

from apps.engine.errors import InvalidError, LimitError, MalformedError, Problem, invalid
from apps.engine.merge import ABSENT, RESERVED, compose, escape_text, merge, resolve
from apps.engine.merge import Layer as _Layer
from apps.engine.paths import from_pointer
from apps.engine.values import MAX_NODES, Tree, check, same

MAX_OPERATIONS = 5_000


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
    """``tree`` after a JSON Patch (RFC 6902), all of it or none.

    Raises :class:`MalformedError` for what is no patch and :class:`InvalidError` for an
    operation that does not apply, each with the pointer of the operation.
    """
    if not isinstance(operations, list) or len(operations) > MAX_OPERATIONS:
        raise MalformedError(f"A JSON Patch is a list of at most {MAX_OPERATIONS} operations.")
    budget = MAX_NODES
    for index, operation in enumerate(operations):
        place = f"/{index}"
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise _malformed(place, "An operation is an object with 'op' and 'path'.")
        if operation.get("op") == "copy":  # copies of copies would double it again and again
            budget -= _size(_get(tree, from_pointer(str(operation.get("from"))), place))
            if budget < 0:
                raise LimitError("The patch copies too much.", [Problem(place, "limit", "copy")])
        tree = _apply(tree, operation, place)
    check(tree)
    return tree


def _size(tree: Tree) -> int:
    if isinstance(tree, dict):
        return 1 + sum(map(_size, tree.values()))
    return 1 + sum(map(_size, tree)) if isinstance(tree, list) else 1


def _apply(tree: Tree, operation: dict[str, Tree], place: str) -> Tree:
    kind = operation.get("op")
    steps = from_pointer(operation["path"])
    if kind in ("add", "replace", "test") and "value" not in operation:
        raise _malformed(place, f"'{kind}' needs a 'value'.")
    if kind == "test":
        if not same(_get(tree, steps, place), operation["value"]):
            raise invalid(place, "test_failed", "The test of this operation fails.")
        return tree
    if kind == "remove":
        return _edited(tree, steps, "remove", None, place)
    if kind in ("add", "replace"):
        return _edited(tree, steps, kind, operation["value"], place)
    if kind in ("copy", "move"):
        return _transfer(tree, operation, steps, place)
    raise _malformed(place, "'op' is add, remove, replace, move, copy or test.")


def _transfer(tree: Tree, operation: dict[str, Tree], steps: Any, place: str) -> Tree:
    if not isinstance(operation.get("from"), str):
        raise _malformed(place, f"'{operation['op']}' needs a 'from'.")
    source = from_pointer(operation["from"])
    value = _get(tree, source, place)
    if operation["op"] == "move":
        if steps[: len(source)] == source and steps != source:
            raise invalid(place, "move", "A value cannot be moved into itself.")
        tree = _edited(tree, source, "remove", None, place)
    return _edited(tree, steps, "add", value, place)


def _get(tree: Tree, steps: tuple[Any, ...], place: str) -> Tree:
    node = tree
    for step in steps:
        if isinstance(node, dict) and step in node:
            node = node[step]
        elif isinstance(node, list):
            node = node[_index(step, len(node) - 1, place)]
        else:
            raise invalid(place, "path", "There is nothing at this path.")
    return node


def _edited(tree: Tree, steps: tuple[Any, ...], kind: str, value: Tree, place: str) -> Tree:
    """A copy of ``tree`` along ``steps`` with one place edited."""
    if not steps:
        return None if kind == "remove" else value
    step, *rest = steps
    if isinstance(tree, dict):
        return _edited_object(tree, str(step), tuple(rest), (kind, value), place)
    if not isinstance(tree, list):
        raise invalid(place, "path", "There is nothing at this path.")
    result = list(tree)
    if rest:
        index = _index(step, len(result) - 1, place)
        result[index] = _edited(result[index], tuple(rest), kind, value, place)
    elif kind == "add":
        index = len(result) if step == "-" else _index(step, len(result), place)
        result.insert(index, value)
    elif kind == "remove":
        del result[_index(step, len(result) - 1, place)]
    else:
        result[_index(step, len(result) - 1, place)] = value
    return result


def _edited_object(
    tree: dict[str, Tree], step: str, rest: tuple[Any, ...], edit: tuple[str, Tree], place: str
) -> Tree:
    kind, value = edit
    if step not in tree and (rest or kind != "add"):
        raise invalid(place, "path", "There is nothing at this path.")
    result = dict(tree)
    if rest:
        result[step] = _edited(result[step], rest, kind, value, place)
    elif kind == "remove":
        del result[step]
    else:
        result[step] = value
    return result


def _index(step: Any, last: int, place: str) -> int:
    text = str(step)
    digits = text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")
    if not digits or len(text) > 9 or int(text) > last:  # noqa: PLR2004 - nine digits are enough
        raise invalid(place, "path", "There is no such item in the list.")
    return int(text)


def _malformed(place: str, message: str) -> MalformedError:
    return MalformedError(message, [Problem(place, "patch", message)])


def override(source: Tree, below: Tree, wanted: Tree, merge_keys: Mapping[str, str]) -> Tree:
    """The smallest edit of ``source`` such that composing it over ``below`` gives ``wanted``.

    ``below`` is the merged, unresolved tree of the lower layers. What composes to its wanted
    value already stays as it is written; what only a lower layer gives is not copied.
    """
    if _is_special(wanted) or _is_special(below):
        return {"$replace": _written(wanted)}
    edited = _override(source, below, wanted, merge_keys)
    if edited is ABSENT:
        return {}
    layers = [_Layer("below", below), _Layer("own", edited)]
    if same(_composed(layers, merge_keys), wanted):
        return edited
    # a merge key or marker that the smallest edit does not see: write the values out in full
    return {
        **{key: {"$remove": True} for key in below if key not in wanted},
        **{key: {"$replace": _written(value)} for key, value in wanted.items()},
    }


def _composed(layers: list[_Layer], merge_keys: Mapping[str, str]) -> Tree:
    try:
        return compose(layers, merge_keys)
    except InvalidError:
        return ABSENT


def _override(source: Any, below: Any, wanted: Any, keys: Mapping[str, str]) -> Any:
    """What must stand in the source at one place; ``ABSENT``: nothing."""
    if wanted is ABSENT:
        return ABSENT if below is ABSENT else {"$remove": True}
    if source is not ABSENT and _gives(below, source, wanted, keys):
        return source
    if source is ABSENT and below is not ABSENT and _gives(below, ABSENT, wanted, keys):
        return ABSENT
    mergeable = isinstance(wanted, dict) and not _is_special(source) and not _is_special(below)
    if mergeable and isinstance(below, dict):
        mine = source if isinstance(source, dict) else {}
        return _override_members(mine, below, wanted, keys)
    if mergeable and isinstance(source, dict):
        return _override_members(source, {}, wanted, keys)
    written = _written(wanted)
    if isinstance(written, dict) and isinstance(below, dict) and not _is_special(written):
        return {"$replace": written}
    return written


def _override_members(
    source: dict[str, Tree], below: dict[str, Tree], wanted: dict[str, Tree], keys: Any
) -> Tree:
    result = {}
    for key in dict.fromkeys([*source, *wanted, *below]):
        mine, lower = source.get(key, ABSENT), below.get(key, ABSENT)
        edited = _override(mine, lower, wanted.get(key, ABSENT), keys)
        if edited is not ABSENT:
            result[key] = edited
    return result


def _gives(below: Any, source: Any, wanted: Tree, keys: Mapping[str, str]) -> bool:
    """Whether composing this one place gives ``wanted``; merge keys are judged at the end."""
    try:
        holder = {} if below is ABSENT else {"x": below}
        merged = holder if source is ABSENT else merge(holder, {"x": source}, {})
        return "x" in merged and same(resolve(merged)["x"], wanted)
    except InvalidError:
        return False


def _is_special(tree: Any) -> bool:
    return isinstance(tree, dict) and any(name in tree for name in RESERVED)


def _written(tree: Tree) -> Tree:
    """``tree`` as it must be written so that composing gives it back."""
    if isinstance(tree, str):
        return escape_text(tree)
    if isinstance(tree, list):
        return [_written(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if _is_special(tree):
        return {"$literal": tree}
    return {key: _written(child) for key, child in tree.items()}

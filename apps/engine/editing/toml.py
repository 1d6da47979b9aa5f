"""Changing a TOML text where a document differs, by tomlkit."""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import tomlkit
from tomlkit.container import Container
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Comment, Float, Table, Trivia, Whitespace

from apps.engine.editing.lists import blocks
from apps.engine.paths import leaves
from apps.engine.values import Number, Tree, same

MAX_LENGTH: Final = 200_000
MAX_LEAVES: Final = 3_000  # tomlkit takes quadratic time for what is added


def edit(text: str, current: Tree, wanted: Tree) -> Iterator[tuple[str, bool]]:
    """``text``, which reads as ``current``, changed to read as ``wanted``, and that no comments were lost;
    nothing where tomlkit cannot or would be slow.
    """
    if len(text) > MAX_LENGTH or sum(1 for _ in leaves(wanted)) > MAX_LEAVES:
        return
    with contextlib.suppress(TOMLKitError, ValueError, TypeError, KeyError, AttributeError):
        document = tomlkit.parse(text)
        _change(document, current, wanted)
        yield tomlkit.dumps(document), False


def _value(value: Tree) -> Any:
    if isinstance(value, (Number, float)):
        return Float(float(value), Trivia(), repr(value))
    if isinstance(value, dict):
        return {key: _value(child) for key, child in value.items()}
    return [_value(child) for child in value] if isinstance(value, list) else value


def _change(node: Any, current: Tree, wanted: Tree) -> None:
    """Make ``node``, which holds ``current``, hold ``wanted``, which is as it is a list or not."""
    if isinstance(wanted, list):
        _change_list(node, current, wanted)
        return
    for key in [key for key in current if key not in wanted]:
        _remove(node, key)
    for key, value in wanted.items():
        if key not in current:
            _add(node, key, _value(value))
        elif not same(current[key], value):
            _change_member(node, key, current[key], value)


def _remove(node: Any, key: str) -> None:
    """Take a key away; what stands behind its table is of the one that follows."""
    body = getattr(node.value if isinstance(node, Table) else node, "body", [])
    places = [at for at, (each, _) in enumerate(body) if each is not None and each.key == key]
    following = [each for _, each in body[places[-1] + 1 :]] if places else []
    table = next((each for each in following if isinstance(each, (Table, AoT))), None)
    if table is not None:
        _hand_on(node[key], table)
    del node[key]


def _hand_on(gone: Any, following: Table | AoT) -> None:
    """Give the comments and blank lines at the end of a table to the next one."""
    last = gone[-1] if isinstance(gone, AoT) else gone
    while isinstance(last, Table) and last.value.body:
        inner = last.value.body[-1][1]
        if not isinstance(inner, (Table, AoT)):
            break
        last = inner[-1] if isinstance(inner, AoT) else inner
    if not isinstance(last, Table):
        return
    texts = []
    for _, each in reversed(last.value.body):
        if not isinstance(each, (Comment, Whitespace)):
            break
        texts.append(each.as_string())
    first = following[0] if isinstance(following, AoT) else following
    first.trivia.indent = "".join(reversed(texts)).lstrip("\n") + first.trivia.indent


def _add(node: Any, key: str, value: Any) -> None:
    """Add a key behind the last one: comments and blank lines at the end speak of the table that follows."""
    container = node.value if isinstance(node, Table) else node
    if not isinstance(container, Container):
        node[key] = value
        return
    tables = [each for _, each in container.body if isinstance(each, (Table, AoT))]
    if tables and not isinstance(value, dict):
        _give_comments_to(tables[0], container)
        node[key] = value
        return
    beyond: list[Any] = []
    while container.body and isinstance(container.body[-1][1], (Comment, Whitespace)):
        beyond.append(container.body.pop()[1])
    node[key] = value
    for each in reversed(beyond):
        container.add(each)


def _give_comments_to(following: Table | AoT, container: Container) -> None:
    """What stands between the last plain key and the first table becomes a part of that; the head of a
    text that has no plain key stays.
    """
    body = container.body
    end = next(at for at, (_, each) in enumerate(body) if each is following)
    start = end
    while start and isinstance(body[start - 1][1], (Comment, Whitespace)):
        start -= 1
    if not start:
        blank = (at for at in range(end) if isinstance(body[at][1], Whitespace))
        start = next(blank, -1) + 1
        if start:  # a fixed one has what is added behind it
            body[start - 1] = (None, Whitespace(body[start - 1][1].as_string(), fixed=True))
    first = following[0] if isinstance(following, AoT) else following
    moved = "".join(each.as_string() for _, each in body[start:end])
    first.trivia.indent = moved + first.trivia.indent
    body[start:end] = [(None, Whitespace(""))] * (end - start)


def _change_member(node: Any, key: Any, current: Tree, wanted: Tree) -> None:
    if _is_alike(current, wanted) and hasattr(node[key], "__setitem__"):
        _change(node[key], current, wanted)
    else:
        node[key] = _value(wanted)


def _change_list(node: Any, current: list[Tree], wanted: list[Tree]) -> None:
    """Items that are in both stay with what is written beside them, wherever they are by now."""
    for first, beyond, begin, end in reversed(blocks(current, wanted)):
        shared = min(beyond - first, end - begin)
        for index in range(beyond - 1, first + shared - 1, -1):
            if isinstance(node, AoT) and index + 1 < len(node):
                _hand_on(node[index], node[index + 1])
            del node[index]
        for offset, value in enumerate(wanted[begin + shared : end]):
            node.insert(first + shared + offset, _value(value))
        for offset in range(shared):
            index = first + offset
            _change_member(node, index, current[index], wanted[begin + offset])


def _is_alike(current: Tree, wanted: Tree) -> bool:
    """Whether the one is changed into the other inside; what becomes empty is written anew."""
    return bool(wanted) and (
        (isinstance(current, dict) and isinstance(wanted, dict))
        or (isinstance(current, list) and isinstance(wanted, list))
    )

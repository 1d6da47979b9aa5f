"""Editing a source text: only what differs changes; comments, order and quoting stay."""

import copy
import io
import re
from collections.abc import Callable, Collection
from difflib import SequenceMatcher
from typing import Any, Final

import tomlkit
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarstring import ScalarString
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Float, Trivia

from apps.engine import formats
from apps.engine.errors import DomainError
from apps.engine.formats import json as json_format
from apps.engine.paths import leaves
from apps.engine.values import Number, Tree, canonical, same

MAX_CAREFUL: Final = 200_000
MAX_LEAVES: Final = 3_000  # tomlkit takes quadratic time for what is added
MAX_COMPARED: Final = 100_000  # pairs of items of two lists
_SEQUENCE: Final = re.compile(
    r"^( *)[^\s#][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*( *)- ", re.MULTILINE
)
_JSON_INDENT: Final = re.compile(r"^[ \t]*[{\[]\s*?\n([ \t]+)")


def edit(content: str, format: str, wanted: Tree) -> str:  # noqa: A002 - the field's own word
    """``content`` changed so that it parses to ``wanted``, with as much as possible as it was.

    YAML by ruamel.yaml, TOML by tomlkit; JSON keeps its indent; the others are written anew.
    Raises :class:`UnrepresentableError` when the format cannot hold ``wanted``.
    """
    careful = {"yaml": _edit_yaml, "toml": _edit_toml}.get(format)
    small = len(content) <= MAX_CAREFUL and sum(1 for _ in leaves(wanted)) <= MAX_LEAVES
    if careful is not None and small:
        formats.render(wanted, format)  # says at once what the format cannot hold
        edited = careful(content, formats.parse(content, format).tree, wanted)
        if edited is not None and _reads_as(edited, format, wanted):
            return edited
    if format == "json":
        indent = _JSON_INDENT.match(content)
        return json_format.render(wanted, indent.group(1) if indent else "  ")
    return formats.render(wanted, format)


def _reads_as(content: str, format_name: str, wanted: Tree) -> bool:
    try:
        return same(formats.parse(content, format_name).tree, wanted)
    except DomainError:
        return False


def _edit_yaml(content: str, current: Tree, wanted: Tree) -> str | None:
    editor = YAML(typ="rt")
    editor.preserve_quotes = True
    editor.width = 1_000_000
    editor.allow_unicode = True
    _keep_indent(editor, content)
    try:
        document = editor.load(content)
        if document is None:
            return None
        _Changer(_yaml_value, _shared(document)).change(document, current, wanted)
        stream = io.StringIO()
        editor.dump(document, stream)
    except (YAMLError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError):
        return None  # what the editor cannot keep is written anew by the caller
    return stream.getvalue()


def _keep_indent(editor: YAML, content: str) -> None:
    editor.explicit_start = content.lstrip().startswith("---")
    found = _SEQUENCE.search(content)
    mapping = re.search(r"^( +)[^\s#-]", content, re.MULTILINE)
    step = len(mapping.group(1)) if mapping else 2
    offset = len(found.group(2)) - len(found.group(1)) if found else 0
    editor.indent(mapping=step, sequence=offset + 2, offset=offset)


def _yaml_value(value: Tree) -> Any:
    if isinstance(value, (Number, float)):
        return _yaml_number(value)
    if isinstance(value, dict):
        return {key: _yaml_value(child) for key, child in value.items()}
    return [_yaml_value(child) for child in value] if isinstance(value, list) else value


def _yaml_number(value: Number | float) -> Any:
    loaded = YAML(typ="rt").load(repr(value))
    return loaded if isinstance(loaded, (int, ScalarFloat)) else float(value)


def _edit_toml(content: str, current: Tree, wanted: Tree) -> str | None:
    try:
        document = tomlkit.parse(content)
        _Changer(_toml_value).change(document, current, wanted)
        return tomlkit.dumps(document)
    except (TOMLKitError, ValueError, TypeError, KeyError, AttributeError):
        return None  # what the editor cannot keep is written anew by the caller


def _toml_value(value: Tree) -> Any:
    if isinstance(value, (Number, float)):
        return Float(float(value), Trivia(), repr(value))
    if isinstance(value, dict):
        return {key: _toml_value(child) for key, child in value.items()}
    return [_toml_value(child) for child in value] if isinstance(value, list) else value


def _shared(document: Any) -> set[int]:
    """The ids of the collections that are in a YAML document more than once, by their aliases."""
    seen: set[int] = set()
    found: set[int] = set()
    waiting = [document]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, (CommentedMap, CommentedSeq)):
            continue
        if id(node) in seen:
            found.add(id(node))
            continue
        seen.add(id(node))
        waiting += node.values() if isinstance(node, CommentedMap) else node
    return found


class _Changer:
    """Makes nodes hold what is wanted, touching what differs alone. ``convert`` makes a node of a value;
    one that is ``shared`` is copied before it is changed in one of its places.
    """

    def __init__(self, convert: Callable[[Tree], Any], shared: Collection[int] = ()) -> None:
        self.convert, self.shared = convert, shared

    def change(self, node: Any, current: Tree, wanted: Tree) -> None:
        """Make ``node``, which holds ``current``, hold ``wanted``, which is as it is a list or not."""
        if isinstance(wanted, list):
            self._change_list(node, current, wanted)
            return
        for key in [key for key in current if key not in wanted]:
            del node[key]
        for key, value in wanted.items():
            if key not in current:
                node[key] = self.convert(value)
            elif not same(current[key], value):
                self._change_member(node, key, current[key], value)

    def _change_member(self, node: Any, key: Any, current: Tree, wanted: Tree) -> None:
        if not (_is_alike(current, wanted) and hasattr(node[key], "__setitem__")):
            node[key] = _in_style(node[key], self.convert(wanted))
            return
        if id(node[key]) in self.shared:
            node[key] = _copied(node[key])
        self.change(node[key], current, wanted)

    def _change_list(self, node: Any, current: list[Tree], wanted: list[Tree]) -> None:
        """Items that are in both stay with what is written beside them, wherever they are by now."""
        for first, beyond, begin, end in reversed(_blocks(current, wanted)):
            shared = min(beyond - first, end - begin)
            for index in range(beyond - 1, first + shared - 1, -1):
                del node[index]
            for offset, value in enumerate(wanted[begin + shared : end]):
                node.insert(first + shared + offset, self.convert(value))
            for offset in range(shared):
                index = first + offset
                self._change_member(node, index, current[index], wanted[begin + offset])


def _copied(node: Any) -> Any:
    """The same with its comments, under no name that aliases could go by."""
    copied = copy.deepcopy(node)
    if copied.yaml_anchor() is not None:
        copied.yaml_set_anchor(None)
    return copied


def _blocks(current: list[Tree], wanted: list[Tree]) -> list[tuple[int, int, int, int]]:
    """The stretches that differ: from and to in ``current``, then in ``wanted``."""
    old, new = ([canonical(each) for each in items] for items in (current, wanted))
    start, least = 0, min(len(old), len(new))
    while start < least and old[start] == new[start]:
        start += 1
    tail = 0
    while tail < least - start and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    one, other = old[start : len(old) - tail], new[start : len(new) - tail]
    if len(one) * len(other) > MAX_COMPARED:
        return [(start, start + len(one), start, start + len(other))]
    codes = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    return [
        (start + i1, start + i2, start + j1, start + j2)
        for tag, i1, i2, j1, j2 in codes
        if tag != "equal"
    ]


def _is_alike(current: Tree, wanted: Tree) -> bool:
    """Whether the one is changed into the other inside; what becomes empty is written anew."""
    return bool(wanted) and (
        (isinstance(current, dict) and isinstance(wanted, dict))
        or (isinstance(current, list) and isinstance(wanted, list))
    )


def _in_style(old: Any, new: Any) -> Any:
    """A text in the quotes that its predecessor had."""
    if isinstance(old, ScalarString) and isinstance(new, str):
        return type(old)(new)
    return new

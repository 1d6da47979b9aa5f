"""Editing a source text: only what differs changes; comments, order and quoting stay."""

import io
import re
from typing import Any, Final

import tomlkit
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarstring import ScalarString
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Float, Trivia

from apps.engine import formats
from apps.engine.errors import DomainError
from apps.engine.formats import json as json_format
from apps.engine.paths import leaves
from apps.engine.values import Number, Tree, same

MAX_CAREFUL: Final = 200_000
MAX_LEAVES: Final = 3_000  # tomlkit takes quadratic time for what is added
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
        _change(document, current, wanted, _yaml_value)
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
        _change(document, current, wanted, _toml_value)
        return tomlkit.dumps(document)
    except (TOMLKitError, ValueError, TypeError, KeyError, AttributeError):
        return None  # what the editor cannot keep is written anew by the caller


def _toml_value(value: Tree) -> Any:
    if isinstance(value, (Number, float)):
        return Float(float(value), Trivia(), repr(value))
    if isinstance(value, dict):
        return {key: _toml_value(child) for key, child in value.items()}
    return [_toml_value(child) for child in value] if isinstance(value, list) else value


def _change(node: Any, current: Tree, wanted: Tree, convert: Any) -> None:
    """Make ``node``, which holds ``current``, hold ``wanted``, touching what differs alone."""
    if isinstance(wanted, list):
        _change_list(node, current, wanted, convert)
        return
    for key in [key for key in current if key not in wanted]:
        del node[key]
    for key, value in wanted.items():
        if key not in current:
            node[key] = convert(value)
        elif not same(current[key], value):
            if _is_alike(current[key], value) and hasattr(node[key], "__setitem__"):
                _change(node[key], current[key], value, convert)
            else:
                node[key] = _in_style(node[key], convert(value))


def _change_list(node: Any, current: list[Tree], wanted: list[Tree], convert: Any) -> None:
    shared = min(len(current), len(wanted))
    for index in range(shared):
        if same(current[index], wanted[index]):
            continue
        if _is_alike(current[index], wanted[index]) and hasattr(node[index], "__setitem__"):
            _change(node[index], current[index], wanted[index], convert)
        else:
            node[index] = convert(wanted[index])
    for index in range(len(current) - 1, shared - 1, -1):
        del node[index]
    for value in wanted[shared:]:
        node.append(convert(value))


def _is_alike(current: Tree, wanted: Tree) -> bool:
    return (isinstance(current, dict) and isinstance(wanted, dict)) or (
        isinstance(current, list) and isinstance(wanted, list)
    )


def _in_style(old: Any, new: Any) -> Any:
    """A text in the quotes that its predecessor had."""
    if isinstance(old, ScalarString) and isinstance(new, str):
        return type(old)(new)
    return new

"""XML by the contract's mapping, read by expat with every DTD refused.

The root is ``<config>``; another root stands as a member of its own name. Objects are elements,
lists repeated ``<item>`` elements, attributes ``@name``, text beside attributes ``#text``. What
XML cannot tell apart has a ``type`` attribute: ``integer, number, boolean, null, array, object``.
A key that is no element name is written ``<_ name="the key">``.
"""

import re
from typing import Any, Final
from xml.parsers import expat
from xml.sax.saxutils import escape as escape_text
from xml.sax.saxutils import quoteattr

from apps.engine.errors import MalformedError
from apps.engine.formats.parsed import (
    Parsed,
    Place,
    Positions,
    refuse,
    refuse_depth,
    refuse_limit,
    refuse_unrepresentable,
)
from apps.engine.values import MAX_DEPTH, MAX_NODES, Number, Tree, escape, number

ROOT: Final = "config"
ITEM: Final = "item"
ESCAPED: Final = "_"
TYPES: Final = ("integer", "number", "boolean", "null", "array", "object", "string")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*(?::[A-Za-z_][A-Za-z0-9._-]*)?")
_UNWRITABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_ATTRIBUTE_ENTITIES: Final = {"\n": "&#10;", "\t": "&#9;", "\r": "&#13;"}


class _Element:
    __slots__ = ("attributes", "children", "key", "place", "text", "type")

    def __init__(self, name: str, attributes: dict[str, str], place: Place) -> None:
        self.place = place
        self.key = attributes.pop("name", name) if name == ESCAPED else name
        self.type = attributes.pop("type") if attributes.get("type") in TYPES else None
        self.attributes = attributes
        self.children: list[tuple[str, Tree, Place]] = []
        self.text: list[str] = []


def parse(text: str) -> Parsed:
    """Read one XML document. Document types and entities of any kind are refused."""
    reader = _Reader()
    try:
        reader.parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        message = expat.ErrorString(error.code)
        refuse(f"This is not XML: {message}.", (error.lineno, error.offset + 1))
    except UnicodeEncodeError:
        refuse("Text may not hold lone surrogates.", (1, 1))
    tree = reader.document
    return Parsed(tree, Positions(lambda: _places(reader)))


class _Reader:
    """Builds the tree from expat's events, without recursion."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate("UTF-8")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.stack: list[_Element] = []
        self.document: Tree = None
        self.count = 0
        self.places: list[tuple[tuple[str, ...], Place]] = []

    def _place(self) -> Place:
        return self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1

    def _doctype(self, *_arguments: Any) -> None:
        refuse("A document type is not allowed: no DTD, no entities.", self._place())

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self.stack) > MAX_DEPTH:
            refuse_depth(self._place())
        self.count += 1 + len(attributes)
        if self.count > 2 * MAX_NODES:
            refuse_limit(f"The document has more than {MAX_NODES} nodes.", self._place())
        self.stack.append(_Element(name, attributes, self._place()))

    def _characters(self, text: str) -> None:
        self.stack[-1].text.append(text)

    def _end(self, name: str) -> None:
        element = self.stack.pop()
        value = _value(element, is_root=not self.stack and name == ROOT)
        self.places.append(((*(each.key for each in self.stack), element.key), element.place))
        if self.stack:
            self.stack[-1].children.append((element.key, value, element.place))
        else:
            self.document = value if name == ROOT else {element.key: value}


def _value(element: _Element, *, is_root: bool) -> Tree:
    text = "".join(element.text)
    bare = not element.attributes and not element.children
    if bare and element.type in (None, "string") and not (is_root and not text.strip()):
        return text
    if bare and element.type in ("integer", "number", "boolean", "null"):
        return _typed(element.type, text, element.place)
    names = [key for key, _value, _place in element.children]
    repeated = len(names) > 1 and set(names) == {ITEM} and not text.strip()
    if element.type == "array" or (repeated and not element.attributes and element.type is None):
        return [value for _key, value, _place in element.children]
    return _object(element, text)


def _object(element: _Element, text: str) -> Tree:
    members: dict[str, Tree] = {f"@{name}": value for name, value in element.attributes.items()}
    repeated = set()
    for key, value, _place in element.children:
        if key not in members:
            members[key] = value
        elif key in repeated:
            members[key].append(value)
        else:
            members[key] = [members[key], value]
            repeated.add(key)
    stripped = text if not element.children else text.strip()
    if stripped and (stripped.strip() or not element.children):
        members.setdefault("#text", stripped)
    return members


def _typed(kind: str, text: str, place: Place) -> Tree:
    text = text.strip()
    if kind == "null" and not text:
        return None
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    sound = kind == "number" or (kind == "integer" and _INTEGER.fullmatch(text))
    if not sound:
        refuse(f"This is not of the type {kind} that its attribute says.", place)
    try:
        value = number(text)
    except MalformedError as error:
        refuse(error.detail, place)
    return value


def _places(reader: _Reader) -> dict[str, Place]:
    """Places by pointer: the first element of a name counts for all of its siblings."""
    found: dict[str, Place] = {"": (1, 1)}
    for steps, place in sorted(reader.places, key=lambda each: each[1]):
        below = steps[1:] if steps[0] == ROOT else steps
        found.setdefault("".join(f"/{escape(step)}" for step in below), place)
    return found


def render(tree: Tree) -> str:
    """XML with two spaces of indent. Raises :class:`UnrepresentableError` for control characters."""
    bad: dict[str, str] = {}
    _find_unwritable(tree, "", bad)
    if bad:
        refuse_unrepresentable("XML", bad)
    pieces = ['<?xml version="1.0" encoding="UTF-8"?>\n']
    _write(ROOT, tree, "", pieces, escaped=False, is_root=True)
    return "".join(pieces)


def _find_unwritable(tree: Tree, pointer: str, bad: dict[str, str]) -> None:
    if isinstance(tree, dict):
        for key, child in tree.items():
            if _UNWRITABLE.search(key):
                bad[f"{pointer}/{escape(key)}"] = "XML cannot hold a character of this key."
            _find_unwritable(child, f"{pointer}/{escape(key)}", bad)
    elif isinstance(tree, list):
        for index, child in enumerate(tree):
            _find_unwritable(child, f"{pointer}/{index}", bad)
    elif isinstance(tree, str) and _UNWRITABLE.search(tree):
        bad[pointer] = "XML cannot hold a character of this text."


def _write(
    key: str, tree: Tree, indent: str, pieces: list[str], *, escaped: bool, is_root: bool = False
) -> None:
    name, opening = _opening(key, escaped=escaped)
    if isinstance(tree, dict):
        _write_object(name, opening, tree, indent, pieces, (escaped, is_root))
    elif isinstance(tree, list):
        single = len(tree) < 2  # noqa: PLR2004 - two items show that it is a list
        start = f'{opening} type="array"' if single else opening
        _write_children(name, start, [(ITEM, child) for child in tree], indent, pieces)
    else:
        kind, text = _scalar(tree)
        typed = f'{opening} type="{kind}"' if kind else opening
        pieces.append(f"{indent}<{typed}>{text}</{name}>\n" if text else f"{indent}<{typed}/>\n")


def _opening(key: str, *, escaped: bool) -> tuple[str, str]:
    if escaped:
        return ESCAPED, f"{ESCAPED} name={_attribute(key)}"
    return key, key


def _needs_escape(key: str) -> bool:
    return key == ESCAPED or not _NAME.fullmatch(key)


def _write_object(
    name: str,
    opening: str,
    tree: dict[str, Tree],
    indent: str,
    pieces: list[str],
    how: tuple[bool, bool],
) -> None:
    escaped, is_root = how
    attributes = {} if escaped else {k: v for k, v in tree.items() if _is_attribute(k, v)}
    text = tree.get("#text")
    direct = (
        bool(attributes)
        and isinstance(text, str)
        and text != ""
        and (len(tree) == len(attributes) + 1)
    )
    opening += "".join(f" {key[1:]}={_attribute(value)}" for key, value in attributes.items())
    if direct:
        pieces.append(f"{indent}<{opening}>{_text(str(text))}</{name}>\n")
        return
    children = [(key, child) for key, child in tree.items() if key not in attributes]
    if not tree and not is_root:
        opening += ' type="object"'
    _write_children(name, opening, children, indent, pieces)


def _is_attribute(key: str, value: Tree) -> bool:
    """Whether a member can be an attribute; one that reads as our own ``type`` cannot."""
    plain = key.startswith("@") and bool(_NAME.fullmatch(key[1:])) and isinstance(value, str)
    return plain and not (key == "@type" and value in TYPES)


def _write_children(
    name: str, opening: str, children: list[tuple[str, Tree]], indent: str, pieces: list[str]
) -> None:
    if not children:
        pieces.append(f"{indent}<{opening}/>\n")
        return
    pieces.append(f"{indent}<{opening}>\n")
    for key, child in children:
        _write(key, child, f"{indent}  ", pieces, escaped=_needs_escape(key))
    pieces.append(f"{indent}</{name}>\n")


def _scalar(value: Tree) -> tuple[str | None, str]:
    if value is None:
        return "null", ""
    if isinstance(value, bool):
        return "boolean", "true" if value else "false"
    if isinstance(value, int):
        return "integer", str(value)
    if isinstance(value, (float, Number)):
        return "number", repr(value)
    return None, _text(value)


def _text(text: str) -> str:
    return escape_text(text, {"\r": "&#13;"})


def _attribute(text: str) -> str:
    return quoteattr(text, _ATTRIBUTE_ENTITIES)

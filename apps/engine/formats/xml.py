"""XML by the contract's mapping, read by expat with every DTD refused.

The root is ``<config>``; another root stands as a member of its own name. Objects are elements,
lists repeated ``<item>`` elements, attributes ``@name``, text beside attributes or elements
``#text``. What XML cannot tell apart has a ``type`` attribute: ``integer, number, boolean, null,
array, object``; where an element cannot be of that type (it has more attributes, is empty) the
attribute is one like all others. A key that is no element name is written
``<_ name="the key">``.

Of foreign XML, elements that repeat become a list; comments, processing instructions and the
order between differently named elements are not kept.

The text is UTF-8 whatever it was sent in: :func:`check_declaration` is for what is sent, not for what is
kept already.
"""

import re
from typing import Any, Final
from xml.parsers import expat

from apps.engine.errors import MalformedError
from apps.engine.formats.parsed import (
    Parsed,
    Place,
    Positions,
    place_of,
    refuse,
    refuse_as,
    refuse_depth,
    refuse_nodes,
)
from apps.engine.formats.xml_writing import ESCAPED, ITEM, ROOT, SPACE, TEXT, TYPES, render
from apps.engine.values import MAX_DEPTH, MAX_NODES, Tree, escape, number

__all__ = ["check_declaration", "parse", "render"]

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*+)")
_BOOLEANS: Final = {"true": True, "false": False}
_DECLARED: Final = re.compile(r"<\?xml\b[^>]*?\bencoding\s*=\s*[\"']([^\"']*)[\"']")
_UTF_8: Final = ("utf-8", "utf8")
# Of these (IANA, "Character Sets") ASCII is a part: text of ASCII alone is the same bytes in all.
_WITH_ASCII: Final = re.compile(
    r"(us-)?ascii|iso-8859-\d\d?|windows-125\d|koi8-[ru]|gbk|gb2312|gb18030|big5|euc-(jp|kr)"
)


def check_declaration(text: str) -> None:
    """Refuse a document that declares another encoding than UTF-8, where that would read the text
    differently (XML 1.0, 4.3.3). Raises :class:`MalformedError` with the place.
    """
    declared = _DECLARED.match(text)
    if declared is None:
        return
    said = declared[1].lower()
    if said not in _UTF_8 and not (_WITH_ASCII.fullmatch(said) and text.isascii()):
        message = f"The text is UTF-8: declare that, or no encoding, instead of {declared[1]}."
        refuse(message, place_of(text, text.index("encoding")))


def parse(text: str) -> Parsed:
    """Read one XML document. Document types and entities of any kind are refused."""
    reader = _Reader()
    try:
        reader.parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        message = expat.ErrorString(error.code)
        refuse(f"This is not XML: {message}.", (error.lineno, error.offset + 1))
    root = reader.root
    return Parsed(_Converter().document(root), Positions(lambda: _places(root)))


class _Element:
    """An element as it stands in the text."""

    __slots__ = ("attributes", "children", "key", "name", "pieces", "place")

    def __init__(self, name: str, attributes: dict[str, str], place: Place) -> None:
        self.name = name
        self.key = attributes.pop("name", name) if name == ESCAPED else name
        self.attributes = attributes
        self.place = place
        self.children: list[_Element] = []
        self.pieces: list[str] = []

    def text(self) -> str:
        """All text directly inside."""
        return "".join(self.pieces)

    def is_blank(self) -> bool:
        """Whether there is no text but white space."""
        return not any(piece.strip(SPACE) for piece in self.pieces)

    def has_only_items(self) -> bool:
        """Whether it can be a list."""
        return self.is_blank() and all(child.name == ITEM for child in self.children)

    def type(self) -> str | None:
        """The type that its attribute says, when the element can be of that type."""
        kind = self.attributes.get("type") if len(self.attributes) == 1 else None
        fits = {
            "array": self.has_only_items(),
            "object": True,
            "null": not self.children,
        }
        has_text = not self.children and not self.is_blank()
        return kind if kind in TYPES and fits.get(kind, has_text) else None


class _Reader:
    """Builds elements from expat's events, without recursion."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate("UTF-8")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.root: Any = None
        self._stack: list[_Element] = []
        self._count = 0

    def _place(self) -> Place:
        return self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1

    def _doctype(self, *_arguments: Any) -> None:
        refuse("A document type is not allowed: no DTD, no entities.", self._place())

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._stack) > MAX_DEPTH:
            refuse_depth(self._place())
        self._count += 1 + len(attributes) - ("type" in attributes) - (name == ESCAPED)
        if self._count > MAX_NODES:
            refuse_nodes(self._place())
        element = _Element(name, attributes, self._place())
        if self._stack:
            self._stack[-1].children.append(element)
        else:
            self.root = element
        self._stack.append(element)

    def _characters(self, text: str) -> None:
        self._stack[-1].pieces.append(text)

    def _end(self, _name: str) -> None:
        self._stack.pop()


class _Converter:
    """Turns elements into the tree; ``places`` are theirs by pointer, when they are wanted."""

    def __init__(self, places: dict[str, Place] | None = None) -> None:
        self.places = places

    def document(self, root: _Element) -> Tree:
        """The tree of the whole document."""
        if root.name != ROOT:
            return {root.key: self._value(root, f"/{escape(root.key)}")}
        is_empty = not root.attributes and not root.children and root.is_blank()
        return {} if is_empty else self._value(root, "")

    def _value(self, element: _Element, pointer: str) -> Tree:
        self._note(pointer, element)
        kind = element.type()
        bare = not element.attributes
        if kind == "array" or (bare and element.children and element.has_only_items()):
            return [
                self._value(child, f"{pointer}/{index}")
                for index, child in enumerate(element.children)
            ]
        if kind is not None and kind != "object":
            return _scalar(kind, element)
        if bare and not element.children:
            return element.text()
        return self._object(element, pointer, {} if kind else element.attributes)

    def _object(self, element: _Element, pointer: str, attributes: dict[str, str]) -> Tree:
        members: dict[str, Tree] = {f"@{name}": value for name, value in attributes.items()}
        if not element.is_blank():
            text = element.text()
            members[TEXT] = text.strip(SPACE) if element.children else text
        groups: dict[str, list[_Element]] = {}
        for child in element.children:
            groups.setdefault(child.key, []).append(child)
        for key, group in groups.items():
            members[key] = self._member(group, f"{pointer}/{escape(key)}", members, key)
        return members

    def _member(
        self, group: list[_Element], pointer: str, members: dict[str, Tree], key: str
    ) -> Tree:
        before = [members[key]] if key in members else []  # an attribute of the same name
        if len(group) == 1 and not before:
            return self._value(group[0], pointer)
        self._note(pointer, group[0])
        places = enumerate(group, start=len(before))
        return before + [self._value(child, f"{pointer}/{index}") for index, child in places]

    def _note(self, pointer: str, element: _Element) -> None:
        if self.places is not None:
            self.places.setdefault(pointer, element.place)


def _scalar(kind: str, element: _Element) -> Tree:
    text = element.text().strip(SPACE)
    if kind == "null" and not text:
        return None
    if kind == "boolean" and text in _BOOLEANS:
        return _BOOLEANS[text]
    if kind != "number" and not (kind == "integer" and _INTEGER.fullmatch(text)):
        refuse(f"This is not of the type {kind} that its attribute says.", element.place)
    try:
        value = number(text)
    except MalformedError as error:
        refuse_as(error, element.place)
    return value


def _places(root: _Element) -> dict[str, Place]:
    found: dict[str, Place] = {"": root.place}
    _Converter(found).document(root)
    return found

"""YAML 1.2, core schema: ``no`` is text, ``012`` is 12, there are no dates.

Built from libyaml's event stream, so nesting and alias expansion are counted before anything
is built. Beyond the core schema, ``<<`` merges a mapping, because real files use it.
"""

import re
from typing import Any, Final

import yaml

from apps.engine.formats.parsed import (
    Parsed,
    Place,
    Positions,
    refuse,
    refuse_depth,
    refuse_limit,
)
from apps.engine.values import MAX_DEPTH, MAX_DIGITS, MAX_NODES, Number, Tree, escape, number

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BaseDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_NULL: Final = re.compile(r"(?:null|Null|NULL|~|)")
_BOOL: Final = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
_INT: Final = re.compile(r"[-+]?[0-9]+")
_OCTAL: Final = re.compile(r"0o[0-7]+")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"([-+]?)(\.[0-9]+|[0-9]+(?:\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))")
_CORE: Final = (_NULL, _BOOL, _INT, _OCTAL, _HEX, _FLOAT, _NOT_FINITE)
_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = "<<"
_UNREADABLE: Final = re.compile("[\ud800-\udfff]")
_KEY: Final = object()


def parse(text: str) -> Parsed:
    """Read one YAML document; nothing but comments is an empty object."""
    if _UNREADABLE.search(text):
        refuse("Text may not hold lone surrogates.", (1, 1))
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or "it cannot be read"
        refuse(f"This is not YAML: {what}.", (mark.line + 1, mark.column + 1) if mark else None)
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        refuse("This is not YAML: a character is not allowed.", place)
    return Parsed(builder.document(), Positions(lambda: builder.places))


class _Container:
    """A mapping or list that is being filled."""

    __slots__ = ("anchor", "key", "merged", "node", "place", "pointer", "start")

    def __init__(self, node: Any, pointer: str, event: Any, start: int) -> None:
        self.node = node
        self.pointer = pointer
        self.anchor = event.anchor
        self.place = _place(event)
        self.start = start
        self.key: Any = _KEY
        self.merged: list[dict[str, Tree]] = []


class _Builder:
    """Takes events, gives the tree; ``places`` are the positions by pointer."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {"": (1, 1)}
        self._stack: list[_Container] = []
        self._anchors: dict[str, tuple[Tree, int]] = {}
        self._count = 0
        self._documents = 0
        self._root: Any = _KEY

    def document(self) -> Tree:
        """The tree of the whole stream."""
        return {} if self._root is _KEY else self._root

    def take(self, event: Any) -> None:
        """Take the next event of the stream."""
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                refuse("A configuration is one YAML document, and this is another.", _place(event))
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._open(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._close()

    def _scalar(self, event: Any) -> None:
        self._grow(1, event)
        if self._expects_key():
            self._take_key(event)
            return
        value = _resolve(event)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        empty_root = not self._stack and value is None and event.value == ""
        self._put({} if empty_root else value, event)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            refuse(f"The alias *{event.anchor} has no finished anchor before it.", _place(event))
        if self._expects_key():
            refuse("A key is plain text, not an alias.", _place(event))
        value, size = self._anchors[event.anchor]
        self._grow(size, event)
        self._put(value, event)

    def _open(self, event: Any) -> None:
        kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
        if event.tag not in (None, "!", _TAG + kind):
            refuse(f"The tag {event.tag} is not known: only YAML's core types are.", _place(event))
        if self._expects_key():
            refuse("A key is plain text, not a collection.", _place(event))
        if len(self._stack) >= MAX_DEPTH:
            refuse_depth(_place(event))
        self._grow(1, event)
        pointer = self._next_pointer()
        self.places.setdefault(pointer, _place(event))
        node: Any = {} if kind == "map" else []
        self._stack.append(_Container(node, pointer, event, self._count - 1))

    def _close(self) -> None:
        done = self._stack.pop()
        for mapping in done.merged:
            for key, value in mapping.items():
                done.node.setdefault(key, value)
        if done.anchor:
            self._anchors[done.anchor] = (done.node, self._count - done.start)
        self._put(done.node, None, done.place)

    def _expects_key(self) -> bool:
        top = self._stack[-1] if self._stack else None
        return top is not None and isinstance(top.node, dict) and top.key is _KEY

    def _take_key(self, event: Any) -> None:
        top = self._stack[-1]
        plain = not event.style and event.tag in (None, "!")
        if not isinstance(_resolve(event), str):
            refuse(f"Keys are text: write '{event.value}' in quotes.", _place(event))
        pointer = f"{top.pointer}/{escape(event.value)}"
        if event.value in top.node and not (plain and event.value == _MERGE):
            refuse(f"The key '{event.value}' stands here twice.", _place(event), pointer)
        top.key = (event.value, plain and event.value == _MERGE)
        self.places[pointer] = _place(event)

    def _next_pointer(self) -> str:
        if not self._stack:
            return ""
        top = self._stack[-1]
        step = top.key[0] if isinstance(top.node, dict) else len(top.node)
        return f"{top.pointer}/{escape(step)}"

    def _put(self, value: Tree, event: Any, place: Place | None = None) -> None:
        if not self._stack:
            self._root = value
            return
        place = place or _place(event)
        self.places.setdefault(self._next_pointer(), place)
        top = self._stack[-1]
        if isinstance(top.node, list):
            top.node.append(value)
            return
        (name, merges), top.key = top.key, _KEY
        if merges:
            top.merged += _mappings(value, place)
        else:
            top.node[name] = value

    def _grow(self, size: int, event: Any) -> None:
        self._count += size
        if self._count > 2 * MAX_NODES:  # keys are counted here too; values.check is exact
            refuse_limit(
                f"The document has more than {MAX_NODES} nodes once aliases are expanded.",
                _place(event),
            )


def _mappings(value: Tree, place: Place) -> list[dict[str, Tree]]:
    mappings = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in mappings):
        refuse("'<<' merges a mapping or a list of mappings.", place)
    return mappings


def _place(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _resolve(event: Any) -> Tree:
    """A scalar's value after the core schema."""
    text, tag = event.value, event.tag
    if tag in ("!", f"{_TAG}str") or (tag is None and event.style):
        return text
    if tag is not None and tag not in (
        f"{_TAG}{name}" for name in ("null", "bool", "int", "float")
    ):
        refuse(f"The tag {tag} is not known: only YAML's core types are.", _place(event))
    value = _plain(text, event)
    kinds = {"null": type(None), "bool": bool, "int": int, "float": (int, float, Number)}
    if tag is not None and not isinstance(value, kinds[tag.removeprefix(_TAG)]):  # type: ignore[arg-type]
        refuse(f"This is not of the type that its tag {tag} says.", _place(event))
    return value


def _plain(text: str, event: Any) -> Tree:
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if len(text) > MAX_DIGITS and text[0] in "+-.0123456789":
        return text
    if _INT.fullmatch(text):
        digits = text.lstrip("+-").lstrip("0") or "0"
        return number(f"-{digits}" if text[0] == "-" else digits)
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    if _HEX.fullmatch(text):
        return int(text, 16)
    if _NOT_FINITE.fullmatch(text):
        refuse("NaN and infinity are not JSON numbers.", _place(event))
    match = _FLOAT.fullmatch(text)
    return text if match is None else _float(match, event)


def _float(match: re.Match[str], event: Any) -> Tree:
    sign, digits, exponent = match.groups()
    whole, dot, fraction = digits.partition(".")
    literal = (whole.lstrip("0") or "0") + (f".{fraction or '0'}" if dot else "")
    try:
        return number(("-" if sign == "-" else "") + literal + (exponent or ""))
    except ValueError:
        refuse("The number cannot be read.", _place(event))


class _Dumper(_BaseDumper):  # type: ignore[misc]
    """Writes what the core schema reads back, and quotes what YAML 1.1 would misread."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def ignore_aliases(self, _data: Any) -> bool:
        """Write shared values out: readers need no anchors."""
        return True


def _text(dumper: Any, text: str) -> Any:
    misread = any(pattern.fullmatch(text) for pattern in _CORE) or _old_reader(text)
    style = "'" if misread else ("|" if _is_block(text) else None)
    return dumper.represent_scalar(f"{_TAG}str", text, style=style)


def _is_block(text: str) -> bool:
    lines = text.split("\n")
    printable = all(char == "\n" or char.isprintable() for char in text)
    clean = not any(line != line.rstrip() or line.startswith((" ", "\t")) for line in lines)
    return len(lines) > 1 and printable and clean and bool(lines[0])


def _old_reader(text: str) -> bool:
    """Whether a YAML 1.1 reader would take the plain text for something else (``no``, dates)."""
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], ())
    return any(pattern.match(text) for _tag, pattern in resolvers)


def _literal(dumper: Any, value: Any) -> Any:
    return dumper.represent_scalar(f"{_TAG}str", repr(value), style="")


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Number, _literal)
_Dumper.add_representer(float, _literal)
_Dumper.add_implicit_resolver(f"{_TAG}null", _NULL, ["n", "N", "~", ""])
_Dumper.add_implicit_resolver(f"{_TAG}bool", _BOOL, list("tTfF"))
_Dumper.add_implicit_resolver(f"{_TAG}int", re.compile(r"[-+]?[0-9]+$"), list("-+0123456789"))


def render(tree: Tree) -> str:
    """Block style YAML, members in their order."""
    text: str = yaml.dump(
        tree,
        Dumper=_Dumper,
        allow_unicode=True,
        default_flow_style=False,
        sort_keys=False,
        width=100_000,
    )
    return text

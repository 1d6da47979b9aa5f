"""What a JSON Schema is made of: its subschemas, and what its references mean.

A reference is ``#``, a JSON Pointer (RFC 6901, in a URI fragment) or an anchor of the same document.
Where ``$id`` begins another resource inside of it, a reference stands for all that it could mean in
any of them, so that nothing depends on how addresses are joined or compared.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote

from apps.engine.errors import invalid
from apps.engine.values import Tree, escape

REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
ALTERNATIVES: Final = ("anyOf", "oneOf")
_ANCHORS: Final = ("$anchor", "$dynamicAnchor", "$id", "id")
_LISTS: Final = ("allOf", *ALTERNATIVES, "prefixItems", "items")
_MEMBERS: Final = ("properties", "patternProperties", "dependentSchemas", "dependencies")
_DEFINITIONS: Final = ("$defs", "definitions")
_SINGLE: Final = frozenset(
    (
        *("if", "then", "else", "not", "items", "additionalItems", "contains", "unevaluatedItems"),
        *("additionalProperties", "propertyNames", "unevaluatedProperties"),
    )
)
_INDEX: Final = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Part(NamedTuple):
    """A subschema: under which keyword, and there under which name or index, if any."""

    keyword: str
    step: str | int | None
    schema: Tree

    @property
    def pointer(self) -> str:
        """The JSON Pointer from the schema that it is a part of."""
        return f"/{self.keyword}" + ("" if self.step is None else f"/{escape(self.step)}")


def parts(schema: dict[str, Tree]) -> Iterator[Part]:
    """The subschemas that are applied to the same value, or to what is in it."""
    for keyword, given in schema.items():
        if isinstance(given, dict):
            if keyword in _MEMBERS:
                yield from (Part(keyword, name, child) for name, child in given.items())
            elif keyword in _SINGLE:
                yield Part(keyword, None, given)
        elif isinstance(given, list) and keyword in _LISTS:
            yield from (Part(keyword, index, child) for index, child in enumerate(given))
        elif isinstance(given, bool) and keyword in _SINGLE:
            yield Part(keyword, None, given)


def definitions(schema: dict[str, Tree]) -> Iterator[Part]:
    """The subschemas that are there to be referred to."""
    for keyword in _DEFINITIONS:
        given = schema.get(keyword)
        if isinstance(given, dict):
            yield from (Part(keyword, name, child) for name, child in given.items())


class References:
    """What the references of one document mean."""

    def __init__(self, document: Tree) -> None:
        self._roots = [document]
        self._anchors: dict[str, list[Tree]] = {}
        waiting = [document]
        while waiting:
            node = waiting.pop()
            if isinstance(node, dict):
                self._take(node, is_root=node is document)
                waiting += node.values()
            elif isinstance(node, list):
                waiting += node

    def _take(self, node: dict[str, Tree], *, is_root: bool) -> None:
        for keyword in _ANCHORS:
            name = node.get(keyword)
            if isinstance(name, str) and (keyword in _ANCHORS[:2] or name.startswith("#")):
                self._anchors.setdefault(name.removeprefix("#"), []).append(node)
        if isinstance(node.get("$id"), str) and not is_root:
            self._roots.append(node)

    def of(self, schema: dict[str, Tree]) -> Iterator[tuple[str, list[Tree]]]:
        """The keywords of a schema that refer, each with all that it may mean."""
        for keyword in REFERENCES:
            reference = schema.get(keyword)
            if isinstance(reference, str):
                yield keyword, self.targets(reference)

    def targets(self, reference: str) -> list[Tree]:
        """All that a reference may mean; nothing when it leads nowhere, or out of the document."""
        if not reference.startswith("#") or _PERCENT.search(reference):
            return []
        try:
            fragment = unquote(reference[1:], errors="strict")
        except UnicodeDecodeError:
            return []
        if fragment and not fragment.startswith("/"):
            return self._anchors.get(fragment, [])
        steps = [step.replace("~1", "/").replace("~0", "~") for step in fragment.split("/")[1:]]
        found = (_at(root, steps) for root in self._roots)
        return [target for target in found if isinstance(target, (dict, bool))]


def _at(node: Tree, steps: list[str]) -> Tree:
    for step in steps:
        if isinstance(node, dict):
            node = node.get(step)
        elif isinstance(node, list) and _INDEX.fullmatch(step) and int(step) < len(node):
            node = node[int(step)]
        else:
            return None
    return node


def check_references(document: Tree) -> References:
    """What the references of ``document`` mean, all of which mean something.

    Raises :class:`InvalidError` for one that leads out of the document (``remote_ref``) or nowhere
    (``reference``), and for a part that is of another draft than the whole (``draft``).
    """
    references = References(document)
    seen: set[int] = set()
    waiting = [(document, "/schema")]
    while waiting:
        schema, pointer = waiting.pop()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        if schema.get("$schema") not in (None, document.get("$schema")):
            raise invalid(f"{pointer}/$schema", "draft", "A part is of the draft of the whole.")
        inner = (*parts(schema), *definitions(schema))
        waiting += [(part.schema, pointer + part.pointer) for part in inner]
        for keyword in REFERENCES:
            if keyword in schema:
                place = f"{pointer}/{keyword}"
                targets = _checked(references, schema[keyword], place)
                waiting += [(target, place) for target in targets]
    return references


def _checked(references: References, reference: Tree, pointer: str) -> list[Tree]:
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise invalid(pointer, "remote_ref", "A $ref may point into this schema alone.")
    targets = references.targets(reference)
    if not targets:
        raise invalid(pointer, "reference", "This $ref leads to no part of the schema.")
    return targets

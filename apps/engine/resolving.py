"""The second phase of composing: references, secrets and escapes in merged documents.

Documents may refer to each other in circles; a cycle is judged per key. A document is given
either as merged and not resolved yet (those that are composed together), or as it is served,
with the spots of its secrets. Each key is resolved once, when something asks for it.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from apps.engine import references, served, spots, ways
from apps.engine.errors import InvalidError, LimitError, Problem, invalid
from apps.engine.merge import Layer, merge_layers
from apps.engine.merge_keys import NO_KEYS, MergeKeys
from apps.engine.paths import Path, find, format_path, outermost_list, pointer
from apps.engine.references import Parameter, Reference, SecretName
from apps.engine.resolved import (
    MAX_TEXT,
    Grown,
    Unresolved,
    Value,
    joined,
    missing,
    plain,
    with_service,
)
from apps.engine.served import Document
from apps.engine.spots import Spot
from apps.engine.uses import Name, Target, Use, meet
from apps.engine.values import MAX_DEPTH, MAX_NODES, Tree
from apps.engine.ways import May, everything

MAX_PROBLEMS: Final = 100
STACK: Final = 500
"""How many of Python's frames a walk may use, about, before it begins anew further on."""
LEVEL, HOP = 2, 5
MAX_USES: Final = 20_000
"""How many keys of others a document may depend on, each key of it counted by itself."""
MAX_CHAIN: Final = 64
"""How many references may lead from one to the next."""
MAX_WAYS: Final = 20
"""In how many problems the way is told."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """An effective document, where secrets stand in it, which keys it takes from where, and the
    names of secrets that came with what was taken from other documents.
    """

    tree: Tree
    secrets: tuple[Spot, ...] = ()
    uses: tuple[Use, ...] = ()
    brought: frozenset[str] = frozenset()


Lookup = Callable[[str, str], tuple[Name, Document | None]]
"""Finds a document by the slugs that a reference was written with. The name is given back as it
is registered, also when there is no such document."""


class _TooDeepError(Exception):
    """The stack is used up: resolve ``target`` first, then begin again."""

    def __init__(self, target: Target) -> None:
        super().__init__(str(target))
        self.target = target


class Resolver:
    """Resolves documents that are composed together, each key once.

    ``lookup`` answers for every document, those that are composed and those that are served.
    """

    def __init__(self, lookup: Lookup, may: May = everything) -> None:
        self._lookup = lookup
        self.may = may
        self._parts: dict[Name, served.Parts] = {}
        self._known: dict[Target, Value | Unresolved] = {}
        self._open: dict[Target, None] = {}

    def resolve(self, name: Name, tree: Tree) -> Resolution:
        """The effective document of the merged ``tree`` of ``name``.

        The result is always an object. Raises :class:`InvalidError` naming the first
        ``MAX_PROBLEMS`` places that cannot be resolved, by their JSON Pointers in the merged
        document; :class:`LimitError` when the result has more than ``MAX_NODES`` nodes or ``MAX_TEXT`` characters.
        """
        value = self._whole(name, tree)
        paths = [*(spot.path for spot in value.secrets), *(use.path for use in value.uses)]
        if not isinstance(value.tree, dict) or not all(paths):
            raise invalid("", "type", "A configuration is an object: its top level needs keys.")
        self._refuse_circles(name, value.uses)
        return Resolution(value.tree, value.secrets, value.uses, value.brought)

    def part(self, name: Name, tree: Tree) -> Tree:
        """The value of any merged tree, as it would be in the document ``name``.

        Raises what :meth:`resolve` raises, with pointers in ``tree``.
        """
        return self._whole(name, tree).tree

    def _whole(self, name: Name, tree: Tree) -> Value:
        waiting: list[Target] = []
        while True:
            try:
                while waiting:
                    self._settle(waiting[-1])
                    waiting.pop()
                walk = _Walk(self, name)
                value = walk.value(tree, (), 1, 0)
                break
            except _TooDeepError as error:
                self._open.clear()
                if error.target in waiting:
                    message = f"The key {error.target} refers to itself, by way of others."
                    self._known[error.target] = Unresolved("cycle", message, [error.target])
                else:
                    waiting.append(error.target)
            except Grown as error:
                told = ways.told(error, Target(name, error.place), self.may)
                problem = _problem(error.place, error.code, told)
                raise LimitError(error.message, [problem]) from error
        if walk.failed:
            problems = [
                _problem(path, error.code, ways.told(error, Target(name, path), self.may))
                for path, error in walk.failed[:MAX_PROBLEMS]
            ]
            raise InvalidError("The document holds what cannot be resolved.", problems)
        return value

    def _refuse_circles(self, name: Name, uses: Sequence[Use]) -> None:
        """Refuse keys that come from themselves by way of documents that are served."""
        circles = [
            use for use in uses if use.target.document == name and meet(use.path, use.target.path)
        ]
        if circles:
            problems = []
            for index, use in enumerate(circles[:MAX_PROBLEMS]):
                message = f"The key {format_path(use.path)} comes from itself, by way of others"
                if index < MAX_WAYS:
                    way = [Target(name, use.path), *ways.chain_to(use, uses, self._uses_of)]
                    message += f": {ways.way_of(way, self.may)}"
                problems.append(_problem(use.path, "cycle", f"{message}."))
            raise InvalidError("The document holds what cannot be resolved.", problems)

    def _uses_of(self, target: Target) -> tuple[Use, ...]:
        try:
            return self.follow(target, 0).uses
        except Unresolved:
            return ()

    def _too_long(self, value: Value, target: Target) -> Unresolved:
        """That ``value``, which comes from ``target``, is come to over too many references."""
        longest = max(value.uses, key=lambda use: use.hops)
        message = f"More than {MAX_CHAIN} references lead from one to the next."
        return Unresolved(
            "limit", message, (target, *ways.chain_to(longest, value.uses, self._uses_of))
        )

    def _settle(self, target: Target) -> None:
        with contextlib.suppress(Unresolved):  # it is remembered, for whoever asks
            self.follow(target, 0)

    def follow(self, target: Target, used: int) -> Value:
        """The value at ``target``. Raises :class:`Unresolved`; whatever leads to a cycle does.

        ``used`` is how much of the stack is in use already.
        """
        known = self._known.get(target)
        if known is None:
            if target in self._open:
                raise self._cycle(target)
            if used > STACK:
                raise _TooDeepError(target)
            self._open[target] = None
            try:
                known = self._read(target, used + HOP)
            except Unresolved as error:
                known = error.by_way_of(target)
            finally:
                self._open.pop(target, None)
            self._known[target] = known
        if isinstance(known, Unresolved):
            raise known
        return known

    def _cycle(self, target: Target) -> Unresolved:
        ring = list(self._open)
        ring = [*ring[ring.index(target) :], target]
        return Unresolved("cycle", "These keys refer to each other", ring=ring)

    def _read(self, target: Target, used: int) -> Value:
        name, document = self._lookup(*target.document)
        if document is None:
            raise Unresolved("reference", missing(target))
        if document.served:
            if name not in self._parts:
                self._parts[name] = served.Parts(document)
            return served.value_in(document, self._parts[name], target)
        node: Tree = document.tree
        for index, step in enumerate(target.path):
            if _is_opaque(node):
                return self._past(node, target, index, used)
            found, node = find(node, (step,))
            if not found:
                raise Unresolved("reference", missing(target))
        walk = _Walk(self, name)
        value = walk.value(node, target.path, 1, used)
        if walk.failed:
            raise walk.failed[0][1]
        return value

    def brought(self, value: Value, target: Target, here: Name) -> Value:
        """A value from ``target`` as it stands ``here``: its secrets named with their service."""
        further = (Use(use.path, use.target, use.hops + 1) for use in value.uses)
        uses = (Use((), target), *further)
        if max(use.hops for use in uses) > MAX_CHAIN:
            raise self._too_long(value, target)
        there = target.document
        if not value.secrets or there == here:
            return replace(value, uses=uses)
        if there.environment != here.environment:
            raise Unresolved(
                "secret", f"{target} holds a secret, and secrets stay in their environment."
            )
        moved = tuple(with_service(spot, there.service) for spot in value.secrets)
        names = value.brought | set(spots.names_of(moved))
        return replace(
            value, tree=spots.show(value.tree, moved), secrets=moved, uses=uses, brought=names
        )

    def _past(self, node: Tree, target: Target, index: int, used: int) -> Value:
        """What the path from ``index`` on leads to inside of ``node``, which is no plain data."""
        rest = target.path[index:]
        if isinstance(node, str):
            parts = _parse(node)
            if len(parts) != 1 or not isinstance(parts[0], Reference):
                raise Unresolved("reference", missing(target))
            there = self.target(parts[0], target.document)
            deeper = Target(there.document, (*there.path, *rest))
            if len(deeper.path) > MAX_DEPTH:
                raise Unresolved("reference", missing(target))
            return self.brought(self.follow(deeper, used), deeper, target.document)
        if "$literal" in node:
            return served.inside(node["$literal"], rest, target)
        raise Unresolved("reference", f"{target} would be inside of a secret.")

    def target(self, reference: Reference, here: Name) -> Target:
        """The key that ``reference`` means in the document ``here``."""
        if reference.service is None:
            return Target(here, reference.path)
        environment = reference.environment or here.environment
        name, _document = self._lookup(reference.service, environment)
        return Target(name, reference.path)


def _problem(path: Path, code: str, message: str) -> Problem:
    """A problem at ``path``; a list is seen whole or not at all, so that of an item depends on it."""
    around = outermost_list(path)
    beside = () if around == path else (pointer(around),)
    return Problem(pointer(path), code, message, beside=beside)


def nothing_else(service: str, environment: str) -> tuple[Name, None]:
    """The lookup of a document that stands alone."""
    return Name(service, environment), None


ALONE: Final = Name("self", "here")


def compose(
    layers: Sequence[Layer],
    merge_keys: MergeKeys = NO_KEYS,
    name: Name = ALONE,
    lookup: Lookup = nothing_else,
) -> Resolution:
    """Merge the layers, lowest first, and resolve the result, which is always an object.

    ``merge_keys`` gives, by the path of a list, the member by which its items merge; ``lookup``
    finds the documents that references lead to. Raises :class:`InvalidError`: for wrong markers
    with the JSON Pointer in the layer's document, for what cannot be resolved with that in the
    merged document.
    """
    merged = merge_layers(layers, merge_keys)
    return Resolver(around(name, merged, lookup)).resolve(name, merged)


def around(name: Name, merged: Tree, lookup: Lookup) -> Lookup:
    """The lookup of a document that is being composed: itself as merged, the others as they are."""

    def find_document(service: str, environment: str) -> tuple[Name, Document | None]:
        if (service.lower(), environment.lower()) == name:
            return name, Document(merged)
        return lookup(service, environment)

    return find_document


@dataclass(slots=True)
class _Walk:
    """The walk over one merged document, or a part of it, with what it has met so far."""

    resolver: Resolver
    name: Name
    failed: list[tuple[Path, Unresolved]] = field(default_factory=list)
    nodes: int = 0
    uses: int = 0
    characters: int = 0

    def value(self, tree: Tree, path: Path, depth: int, used: int) -> Value:
        """The value of ``tree``, which stands at ``path``, ``depth`` levels down in the walk."""
        if isinstance(tree, str):
            return self._text(tree, path, depth, used) if "${" in tree else plain(tree)
        if not isinstance(tree, (dict, list)):
            return plain(tree)
        down = (depth + 1, used + LEVEL)
        if isinstance(tree, list):
            items = [self.value(item, (*path, i), *down) for i, item in enumerate(tree)]
            return self._together([each.tree for each in items], enumerate(items), path)
        if "$literal" in tree:
            return plain(tree["$literal"])
        if "$secret" in tree:
            return self._secret(tree, path)
        members = {key: self.value(child, (*path, key), *down) for key, child in tree.items()}
        return self._together({k: each.tree for k, each in members.items()}, members.items(), path)

    def _together(self, tree: Tree, parts: Iterable[tuple[str | int, Value]], path: Path) -> Value:
        secrets: list[Spot] = []
        uses: list[Use] = []
        nodes, height, characters = 1, 0, 0
        brought: frozenset[str] = frozenset()
        self._count(1, 0, 0, path)
        for step, each in parts:
            if each.secrets:
                secrets += [Spot((step, *s.path), s.names, s.texts) for s in each.secrets]
            if each.uses:
                uses += [Use((step, *use.path), use.target, use.hops) for use in each.uses]
            nodes += each.nodes
            characters += each.characters
            height = max(height, each.height)
            if each.brought:
                brought |= each.brought
        return Value(tree, tuple(secrets), tuple(uses), nodes, height + 1, characters, brought)

    def _count(self, nodes: int, uses: int, characters: int, path: Path) -> None:
        """Raise :class:`Grown` for a document that grows beyond the limits, before it does."""
        self.nodes += nodes
        self.uses += uses
        self.characters += characters
        if self.nodes > MAX_NODES or self.uses > MAX_USES or self.characters > MAX_TEXT:
            limit = f"{MAX_NODES} nodes, {MAX_TEXT} characters or {MAX_USES} keys of others"
            grown = Grown("limit", f"With its references the document has more than {limit}.")
            grown.place = path
            raise grown

    def _secret(self, tree: Tree, path: Path) -> Value:
        if not spots.is_secret(tree):
            message = 'A secret is written {"$secret": "name"}, or "service/name" in it.'
            self.failed.append((path, Unresolved("secret", message)))
            return plain(None)
        return Value(tree, (Spot((), (tree["$secret"],)),), nodes=2)

    def _text(self, text: str, path: Path, depth: int, used: int) -> Value:
        try:
            parts = _parse(text)
            values = [self._part(part, path, depth, used) for part in parts]
            value = values[0] if references.is_whole(parts) else joined(values)
        except Grown as error:
            error.place = path
            raise
        except Unresolved as error:
            self.failed.append((path, error))
            return plain(None)
        self._count(value.nodes, len(value.uses), value.characters, path)
        return value

    def _part(self, part: references.Part, path: Path, depth: int, used: int) -> Value:
        if isinstance(part, str):
            return plain(part)
        if isinstance(part, SecretName):
            return Value(spots.shown(part.name), (Spot((), (part.name,), ("", "")),))
        if isinstance(part, Parameter):
            raise Unresolved("reference", "Parameters are for templates, not for documents.")
        target = self.resolver.target(part, self.name)
        if not self.resolver.may(self.name, path, target):
            raise Unresolved("reference", missing(target))
        try:
            value = self.resolver.follow(target, used)
        except Unresolved as error:
            if part.default is None or error.code == "cycle" or isinstance(error, Grown):
                raise
            return Value(part.default.value, uses=(Use((), target),))
        if depth + value.height - 2 > MAX_DEPTH:
            message = f"Nesting is deeper than {MAX_DEPTH} levels."
            raise Unresolved("limit", message, (target,))
        return self.resolver.brought(value, target, self.name)


def _is_opaque(node: Tree) -> bool:
    if isinstance(node, str):
        return "${" in node
    return isinstance(node, dict) and ("$literal" in node or "$secret" in node)


def _parse(text: str) -> list[references.Part]:
    try:
        return references.parse(text)
    except InvalidError as error:
        raise Unresolved("reference", error.detail) from error

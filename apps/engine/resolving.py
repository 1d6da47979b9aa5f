"""The second phase of composing: references, secrets and escapes in merged documents.

Documents may refer to each other in circles; a cycle is judged per key. A document is given
either as merged and not resolved yet (those that are composed together), or as it is served,
with the spots of its secrets. Each key is resolved once, when something asks for it.
"""

import contextlib
import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, TypeVar

from apps.engine import references, spots
from apps.engine.errors import InvalidError, LimitError, Problem, invalid
from apps.engine.merge import Layer, merge_layers
from apps.engine.merge_keys import NO_KEYS, MergeKeys
from apps.engine.paths import Path, find, format_path, outermost_list, pointer
from apps.engine.references import Parameter, Reference, SecretName
from apps.engine.spots import Spot
from apps.engine.values import MAX_DEPTH, MAX_NODES, Tree, canonical

MAX_PROBLEMS: Final = 100
STACK: Final = 500
"""How many of Python's frames a walk may use, about, before it begins anew further on."""
LEVEL, HOP = 2, 5
MAX_TEXT: Final = 1_048_576
"""The characters of all texts of a resolved document."""
MAX_USES: Final = 20_000
"""How many keys of others a document may depend on, each key of it counted by itself."""
MAX_CHAIN: Final = 64
"""How many references may lead from one to the next."""
MAX_WAYS, MAX_WAY, MAX_NAMED, ENDS = 20, 10_000, 300, 4
"""In how many problems the way is told, in how many characters, those of a key, and the ends of a
longer one."""


class Name(NamedTuple):
    """Whose document: a service in an environment, by their slugs as registered."""

    service: str
    environment: str

    def __str__(self) -> str:
        return f"{self.service}@{self.environment}"


@dataclass(frozen=True, slots=True)
class Document:
    """A merged document, or, with ``served``, one as it is served, with its secrets and uses."""

    tree: Tree
    secrets: tuple[Spot, ...] = ()
    uses: "tuple[Use, ...]" = ()
    served: bool = False


class Target(NamedTuple):
    """A key of a document."""

    document: Name
    path: Path

    def __str__(self) -> str:
        return f"{self.document}:{format_path(self.path)}"


@dataclass(frozen=True, slots=True)
class Use:
    """A key of a document comes from a key elsewhere, over so many references (``hops``)."""

    path: Path
    target: Target
    hops: int = 1


@dataclass(frozen=True, slots=True)
class Resolution:
    """An effective document, where secrets stand in it, which keys it takes from where, and the
    names of secrets that came with what was taken from other documents.
    """

    tree: Tree
    secrets: tuple[Spot, ...] = ()
    uses: tuple[Use, ...] = ()
    brought: frozenset[str] = frozenset()


def dump(uses: Iterable[Use]) -> str:
    """Uses as they are stored: canonical JSON."""
    return canonical(
        [
            {
                "at": list(use.path),
                "service": use.target.document.service,
                "environment": use.target.document.environment,
                "key": list(use.target.path),
                "hops": use.hops,
            }
            for use in uses
        ]
    )


def load(stored: Tree) -> tuple[Use, ...]:
    """Uses from what was stored, parsed."""
    return tuple(
        Use(
            tuple(each["at"]),
            Target(Name(each["service"], each["environment"]), tuple(each["key"])),
            each["hops"],
        )
        for each in stored
    )


May = Callable[[Name, Path, Target], bool]
"""Whether a key of a document that is being composed may refer to a target. Where it may not, the
target is as good as missing, whatever is there, and whatever default is given. Asked of a key and
itself, which is never a reference that is there already, it says whether that may be read."""


def everything(_document: Name, _path: Path, _target: Target) -> bool:
    """No reference is refused."""
    return True


Lookup = Callable[[str, str], tuple[Name, Document | None]]
"""Finds a document by the slugs that a reference was written with. The name is given back as it
is registered, also when there is no such document."""


@dataclass(frozen=True, slots=True)
class _Value:
    """A resolved value: its tree, spots and uses from its own root, and how much it holds."""

    tree: Tree
    secrets: tuple[Spot, ...] = ()
    uses: tuple[Use, ...] = ()
    nodes: int = 1
    height: int = 1
    characters: int = 0
    brought: frozenset[str] = frozenset()


class _Unresolved(Exception):  # noqa: N818 - it never leaves this module
    """A reference that cannot be followed, why, and the keys that lead there: for keys that refer
    to each other (``ring``) to the first of them.
    """

    def __init__(
        self, code: str, message: str, way: Sequence[Target] = (), ring: Sequence[Target] = ()
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.way, self.ring = code, message, way, ring

    def by_way_of(self, target: Target) -> "_Unresolved":
        """The same for who comes by ``target``."""
        if target in self.ring:
            return self
        return _Unresolved(self.code, self.message, (target, *self.way), self.ring)


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
        self._parts: dict[Name, _Parts] = {}
        self._known: dict[Target, _Value | _Unresolved] = {}
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

    def _whole(self, name: Name, tree: Tree) -> _Value:
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
                    self._known[error.target] = _Unresolved("cycle", message, [error.target])
                else:
                    waiting.append(error.target)
        if walk.failed:
            problems = [
                _problem(path, error.code, self._told(Target(name, path), error))
                for path, error in walk.failed[:MAX_PROBLEMS]
            ]
            raise InvalidError("The document holds what cannot be resolved.", problems)
        return value

    def _told(self, start: Target, error: _Unresolved) -> str:
        """What is wrong, with the keys that lead there from ``start`` where it is not there itself."""
        if error.ring:
            ring = f"{error.message}: {self._way(error.ring)}."
            return f"{ring} The way there: {self._way((start, *error.way))}." if error.way else ring
        if len(error.way) > 1:
            return f"{error.message} The way there: {self._way((start, *error.way))}."
        return error.message

    def _way(self, targets: Sequence[Target]) -> str:
        """Keys that lead from one to the next. Where one leads that may not be read is not told, the
        last one aside.
        """
        hidden = (
            at
            for at, target in enumerate(targets[1:-1], 1)
            if not self.may(target.document, target.path, target)
        )
        end = next(hidden, len(targets))
        names = [str(target)[:MAX_NAMED] for target in targets]
        if end < len(targets):
            names = [*names[: end + 1], "…", names[-1]]
        elif sum(map(len, names)) > MAX_WAY:
            names = [*names[:ENDS], "…", *names[-ENDS:]]
        return " → ".join(names)

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
                    way = [Target(name, use.path), *self._chain(uses, use)]
                    message += f": {self._way(way)}"
                problems.append(_problem(use.path, "cycle", f"{message}."))
            raise InvalidError("The document holds what cannot be resolved.", problems)

    def _chain(self, uses: Sequence[Use], goal: Use) -> list[Target]:
        """The keys over which ``goal``, one of ``uses``, is come to."""
        way: list[Target] = []
        while goal.hops > 1:
            for use in uses:
                length = len(use.path)
                if use.hops == 1 and use.path == goal.path[:length]:
                    further = Use(goal.path[length:], goal.target, goal.hops - 1)
                    inner = self._uses_of(use.target)
                    if further in inner:
                        break
            else:
                break
            way.append(use.target)
            uses, goal = inner, further
        return [*way, goal.target]

    def _uses_of(self, target: Target) -> tuple[Use, ...]:
        try:
            return self.follow(target, 0).uses
        except _Unresolved:
            return ()

    def _too_long(self, value: _Value, target: Target) -> _Unresolved:
        """That ``value``, which comes from ``target``, is come to over too many references."""
        longest = max(value.uses, key=lambda use: use.hops)
        message = f"More than {MAX_CHAIN} references lead from one to the next."
        return _Unresolved("limit", message, (target, *self._chain(value.uses, longest)))

    def _settle(self, target: Target) -> None:
        with contextlib.suppress(_Unresolved):  # it is remembered, for whoever asks
            self.follow(target, 0)

    def follow(self, target: Target, used: int) -> _Value:
        """The value at ``target``. Raises :class:`_Unresolved`; whatever leads to a cycle does.

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
            except _Unresolved as error:
                known = error.by_way_of(target)
            finally:
                self._open.pop(target, None)
            self._known[target] = known
        if isinstance(known, _Unresolved):
            raise known
        return known

    def _cycle(self, target: Target) -> _Unresolved:
        ring = list(self._open)
        ring = [*ring[ring.index(target) :], target]
        return _Unresolved("cycle", "These keys refer to each other", ring=ring)

    def _read(self, target: Target, used: int) -> _Value:
        name, document = self._lookup(*target.document)
        if document is None:
            raise _Unresolved("reference", _missing(target))
        if document.served:
            if name not in self._parts:
                self._parts[name] = _Parts(document)
            return _served(document, self._parts[name], target)
        node: Tree = document.tree
        for index, step in enumerate(target.path):
            if _is_opaque(node):
                return self._past(node, target, index, used)
            found, node = find(node, (step,))
            if not found:
                raise _Unresolved("reference", _missing(target))
        walk = _Walk(self, name)
        value = walk.value(node, target.path, 1, used)
        if walk.failed:
            raise walk.failed[0][1]
        return value

    def brought(self, value: _Value, target: Target, here: Name) -> _Value:
        """A value from ``target`` as it stands ``here``: its secrets named with their service."""
        further = (Use(use.path, use.target, use.hops + 1) for use in value.uses)
        uses = (Use((), target), *further)
        if max(use.hops for use in uses) > MAX_CHAIN:
            raise self._too_long(value, target)
        there = target.document
        if not value.secrets or there == here:
            return replace(value, uses=uses)
        if there.environment != here.environment:
            raise _Unresolved(
                "secret", f"{target} holds a secret, and secrets stay in their environment."
            )
        moved = tuple(_absolute(spot, there.service) for spot in value.secrets)
        names = value.brought | set(spots.names_of(moved))
        return replace(
            value, tree=spots.show(value.tree, moved), secrets=moved, uses=uses, brought=names
        )

    def _past(self, node: Tree, target: Target, index: int, used: int) -> _Value:
        """What the path from ``index`` on leads to inside of ``node``, which is no plain data."""
        rest = target.path[index:]
        if isinstance(node, str):
            parts = _parse(node)
            if len(parts) != 1 or not isinstance(parts[0], Reference):
                raise _Unresolved("reference", _missing(target))
            there = self.target(parts[0], target.document)
            deeper = Target(there.document, (*there.path, *rest))
            if len(deeper.path) > MAX_DEPTH:
                raise _Unresolved("reference", _missing(target))
            return self.brought(self.follow(deeper, used), deeper, target.document)
        if "$literal" in node:
            return _inside(node["$literal"], rest, target)
        raise _Unresolved("reference", f"{target} would be inside of a secret.")

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


def meet(one: Path, other: Path) -> bool:
    """Whether one of the paths leads to the other, or on from it."""
    length = min(len(one), len(other))
    return one[:length] == other[:length]


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
    failed: list[tuple[Path, _Unresolved]] = field(default_factory=list)
    nodes: int = 0
    uses: int = 0
    characters: int = 0

    def value(self, tree: Tree, path: Path, depth: int, used: int) -> _Value:
        """The value of ``tree``, which stands at ``path``, ``depth`` levels down in the walk."""
        if isinstance(tree, str):
            return self._text(tree, path, depth, used) if "${" in tree else _plain(tree)
        if not isinstance(tree, (dict, list)):
            return _plain(tree)
        down = (depth + 1, used + LEVEL)
        if isinstance(tree, list):
            items = [self.value(item, (*path, i), *down) for i, item in enumerate(tree)]
            return self._together([each.tree for each in items], enumerate(items), path)
        if "$literal" in tree:
            return _plain(tree["$literal"])
        if "$secret" in tree:
            return self._secret(tree, path)
        members = {key: self.value(child, (*path, key), *down) for key, child in tree.items()}
        return self._together({k: each.tree for k, each in members.items()}, members.items(), path)

    def _together(
        self, tree: Tree, parts: Iterable[tuple[str | int, _Value]], path: Path
    ) -> _Value:
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
        return _Value(tree, tuple(secrets), tuple(uses), nodes, height + 1, characters, brought)

    def _count(self, nodes: int, uses: int, characters: int, path: Path) -> None:
        """Refuse a document that grows beyond the limits, before it does."""
        self.nodes += nodes
        self.uses += uses
        self.characters += characters
        if self.nodes > MAX_NODES or self.uses > MAX_USES or self.characters > MAX_TEXT:
            limit = f"{MAX_NODES} nodes, {MAX_TEXT} characters or {MAX_USES} keys of others"
            message = f"With its references the document has more than {limit}."
            raise LimitError(message, [Problem(pointer(path), LimitError.code, message)])

    def _secret(self, tree: Tree, path: Path) -> _Value:
        if not spots.is_secret(tree):
            message = 'A secret is written {"$secret": "name"}, or "service/name" in it.'
            self.failed.append((path, _Unresolved("secret", message)))
            return _plain(None)
        return _Value(tree, (Spot((), (tree["$secret"],)),), nodes=2)

    def _text(self, text: str, path: Path, depth: int, used: int) -> _Value:
        try:
            parts = _parse(text)
            values = [self._part(part, path, depth, used) for part in parts]
            value = values[0] if references.is_whole(parts) else _joined(values)
        except _Unresolved as error:
            self.failed.append((path, error))
            return _plain(None)
        self._count(value.nodes, len(value.uses), value.characters, path)
        return value

    def _part(self, part: references.Part, path: Path, depth: int, used: int) -> _Value:
        if isinstance(part, str):
            return _plain(part)
        if isinstance(part, SecretName):
            return _Value(spots.shown(part.name), (Spot((), (part.name,), ("", "")),))
        if isinstance(part, Parameter):
            raise _Unresolved("reference", "Parameters are for templates, not for documents.")
        target = self.resolver.target(part, self.name)
        if not self.resolver.may(self.name, path, target):
            raise _Unresolved("reference", _missing(target))
        try:
            value = self.resolver.follow(target, used)
        except _Unresolved as error:
            if part.default is None or error.code == "cycle":
                raise
            return _Value(part.default.value, uses=(Use((), target),))
        if depth + value.height - 2 > MAX_DEPTH:
            raise _Unresolved("limit", f"Nesting is deeper than {MAX_DEPTH} levels.")
        return self.resolver.brought(value, target, self.name)


def _absolute(spot: Spot, service: str) -> Spot:
    names = tuple(name if "/" in name else f"{service}/{name}" for name in spot.names)
    return Spot(spot.path, names, spot.texts)


def _joined(values: list[_Value]) -> _Value:
    """A text made of parts: scalars as text, secrets kept apart."""
    if sum(each.characters for each in values) > MAX_TEXT:
        message = f"With its references the text has more than {MAX_TEXT} characters."
        raise LimitError(message, [Problem("", LimitError.code, message)])
    texts: list[str] = [""]
    names: list[str] = []
    for each in values:
        if each.secrets and each.secrets[0].path == ():
            spot = each.secrets[0]
            before, *after = spot.texts or ("", "")
            texts[-1] += before
            names += spot.names
            texts += after
        elif isinstance(each.tree, (dict, list)):
            raise _Unresolved("reference", "Only a single value can stand inside of a text.")
        else:
            texts[-1] += each.tree if isinstance(each.tree, str) else canonical(each.tree)
    uses = tuple(dict.fromkeys(use for each in values for use in each.uses))
    spot = Spot((), tuple(names), tuple(texts))
    shown = spot.shown if names else texts[0]
    brought = frozenset().union(*(each.brought for each in values))
    return _Value(shown, (spot,) if names else (), uses, characters=len(shown), brought=brought)


def _is_opaque(node: Tree) -> bool:
    if isinstance(node, str):
        return "${" in node
    return isinstance(node, dict) and ("$literal" in node or "$secret" in node)


def _parse(text: str) -> list[references.Part]:
    try:
        return references.parse(text)
    except InvalidError as error:
        raise _Unresolved("reference", error.detail) from error


def _plain(tree: Tree) -> _Value:
    """A value that holds nothing to resolve."""
    if isinstance(tree, str):
        return _Value(tree, characters=len(tree))
    if not isinstance(tree, (dict, list)) or not tree:
        return _Value(tree)
    nodes, height, characters = 1, 0, 0
    for child in tree.values() if isinstance(tree, dict) else tree:
        inner = _plain(child)
        nodes += inner.nodes
        height = max(height, inner.height)
        characters += inner.characters
    return _Value(tree, nodes=nodes, height=height + 1, characters=characters)


class _Parts:
    """The secrets and uses of a document that is served, found by where they stand."""

    def __init__(self, document: Document) -> None:
        self._secrets = _sorted(document.secrets)
        self._uses = _sorted(document.uses)
        self._uses_at: dict[Path, list[Use]] = {}
        for use in document.uses:
            self._uses_at.setdefault(use.path, []).append(use)
        self.secret_paths = {spot.path for spot in document.secrets}

    def at(self, path: Path) -> tuple[tuple[Spot, ...], tuple[Use, ...]]:
        """Those at ``path`` and inside of it, by their paths from there. What ``path`` lies in may
        come from elsewhere: then it comes from as far inside of that.
        """
        length = len(path)
        secrets = tuple(
            Spot(spot.path[length:], spot.names, spot.texts)
            for spot in _within(self._secrets, path)
        )
        around = (
            Use((), Target(use.target.document, (*use.target.path, *path[at:])), use.hops)
            for at in range(length)
            for use in self._uses_at.get(path[:at], ())
        )
        inside = (Use(use.path[length:], use.target, use.hops) for use in _within(self._uses, path))
        return secrets, (*around, *inside)


Placed = TypeVar("Placed", Spot, Use)


def _sorted(parts: Iterable[Placed]) -> list[tuple[tuple[str, ...], int, Placed]]:
    named = [(tuple(map(str, part.path)), index, part) for index, part in enumerate(parts)]
    return sorted(named, key=lambda each: each[:2])


def _within(parts: Sequence[tuple[tuple[str, ...], int, Placed]], path: Path) -> list[Placed]:
    steps = tuple(map(str, path))
    start = bisect_left(parts, (steps, -1), key=lambda each: each[:2])
    found = []
    for named, _index, part in itertools.islice(parts, start, None):
        if named[: len(steps)] != steps:
            break
        if part.path[: len(path)] == path:
            found.append(part)
    return found


def _served(document: Document, parts: _Parts, target: Target) -> _Value:
    path = target.path
    if any(path[:length] in parts.secret_paths for length in range(len(path))):
        raise _Unresolved("reference", f"{target} would be inside of a secret.")
    secrets, uses = parts.at(path)
    return replace(_inside(document.tree, path, target), secrets=secrets, uses=uses)


def _inside(tree: Tree, path: Path, target: Target) -> _Value:
    """What stands at ``path`` in a tree that holds nothing to resolve."""
    found, node = find(tree, path)
    if not found:
        raise _Unresolved("reference", _missing(target))
    return _plain(node)


def _missing(target: Target) -> str:
    return f"There is no {target} that you may read."

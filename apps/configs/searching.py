"""One value, and finding it in whatever is kept: versions' texts, drafts, rules."""

import re
from collections.abc import Collection, Iterable, Iterator

from apps.configs.models import OverlaidDocument, Overlay, Text, Version
from apps.engine import editing, formats, paths
from apps.engine.errors import DomainError, UnrepresentableError
from apps.engine.values import Tree, canonical, compact, parse_canonical, same
from apps.registry.models import Service

REDACTED: dict[str, Tree] = {"$redacted": True}
SHOWN = "[redacted]"
SHORTEST_PART = 8
"""Shorter texts are replaced as whole values alone: they would be found in ordinary words."""
Kept = tuple[Text, str]
"""A text, and the format that it is written in; empty for a canonical document."""


def texts_of(versions: Iterable[Version]) -> list[Kept]:
    """The texts of versions, effective documents and sources."""
    return [
        kept for each in versions for kept in ((each.effective, ""), (each.source, each.format))
    ]


def texts_over(services: Collection[Service]) -> list[Kept]:
    """The texts of what is, or was, laid over configurations of the services."""
    over = {"configuration__service__in": services}
    overlays = Overlay.objects.select_related("patch").filter(**over)
    documents = OverlaidDocument.objects.select_related("effective").filter(
        overlay__in=overlays.values("pk")
    )
    return [(each.patch, "") for each in overlays] + [(each.effective, "") for each in documents]


class Search:
    """One value, and the ways in which it may be written in a text."""

    def __init__(self, value: Tree) -> None:
        self.value = value
        self.part = value if isinstance(value, str) and len(value) >= SHORTEST_PART else None
        self.written = sorted(self._ways(), key=len, reverse=True)
        word = value if isinstance(value, str) else canonical(value)
        self.word = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
        self._seen: dict[tuple[str, str], str | None] = {}

    def _ways(self) -> Iterable[str]:
        if isinstance(self.value, str):
            ways = {canonical(self.value)[1:-1], self.value, self.value.strip()}
        else:
            ways = {canonical(self.value), compact(self.value)}
        return {way for way in ways if len(way) >= SHORTEST_PART}

    def is_told(self, message: str) -> bool:
        """Whether ``message`` holds the value, a short one as a word."""
        return bool(self.word.search(message)) or any(way in message for way in self.written)

    def replaced(self, tree: Tree, marker: Tree = REDACTED) -> Tree:
        """``tree`` with the marker wherever the value, or a text with it inside, stands."""
        if same(tree, self.value):
            return marker
        if isinstance(tree, str):
            return marker if self.part is not None and self.part in tree else tree
        if isinstance(tree, list):
            return [self.replaced(item, marker) for item in tree]
        if isinstance(tree, dict):
            return {key: self.replaced(child, marker) for key, child in tree.items()}
        return tree

    def cleaned(self, content: str, format_name: str) -> str:
        """A source without the value: in its document, and in what is written around it."""
        try:
            tree = formats.parse(content, format_name).tree
            if not same(self.replaced(tree), tree):
                content = self._edited(content, format_name, tree)
        except DomainError:  # a draft that does not parse, or a text of before today's rules
            content = self.word.sub(SHOWN, content)
        return self.untold(content)

    def _edited(self, content: str, format_name: str, tree: Tree) -> str:
        """The source with the marker, or with its text where the format holds no objects."""
        try:
            return editing.edit(content, format_name, self.replaced(tree)).text
        except UnrepresentableError:
            return editing.edit(content, format_name, self.replaced(tree, SHOWN)).text

    def is_said(self, text: str) -> bool:
        """Whether the value stands in a canonical document."""
        tree = parse_canonical(text)
        return not same(self.replaced(tree), tree)

    def is_at(self, tree: Tree, path: paths.Path) -> bool:
        """Whether the value stands in ``tree`` at ``path``, or inside of what is there."""
        _found, there = paths.find(tree, path)
        return not same(self.replaced(there), there)

    def untold(self, text: str) -> str:
        """A text for people without the value; a short one stays, as it may be any word."""
        for way in self.written:
            text = text.replace(way, SHOWN)
        return text

    def is_in(self, version: Version) -> bool:
        """Whether a version's texts hold the value."""
        return bool(dict(self.replacements(texts_of([version]))))

    def replacements(self, texts: Iterable[Kept]) -> Iterator[tuple[str, str]]:
        """Digests of the texts that hold the value, with what they become."""
        done: set[str] = set()
        for text, format_name in texts:
            if text.digest in done:
                continue
            done.add(text.digest)
            key = (text.digest, format_name)
            if key not in self._seen:
                content = self._replacement(text, format_name)
                self._seen[key] = None if content == text.content else content
            changed = self._seen[key]
            if changed is not None:
                yield text.digest, changed

    def _replacement(self, text: Text, format_name: str) -> str:
        if not format_name:
            tree = parse_canonical(text.content)
            changed = self.replaced(tree)
            return text.content if same(changed, tree) else canonical(changed)
        return self.cleaned(text.content, format_name) if text.content else text.content

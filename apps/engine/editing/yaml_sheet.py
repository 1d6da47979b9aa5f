"""A YAML text, the parts of it that are replaced, and what belongs to which of its lines."""

import re
from dataclasses import dataclass, field
from typing import Final

from apps.engine.editing.yaml_layout import Layout, column
from apps.engine.editing.yaml_nodes import Entry, Node
from apps.engine.values import Tree

Added = dict[int, list[tuple[str | int | None, Tree]]]
"""What comes new behind the entry of an index, -1 being the front: its value, and its key or, of an item, the
index where the same was.
"""

COMMENT: Final = re.compile(r"[ \t]+#[^\r\n]*")
_COMMENT_LINE: Final = re.compile(r"([ \t]*)(#?)[^\r\n]*")


@dataclass(slots=True)
class Sheet:
    """``text`` in its ``layout``; ``parts`` are from and to in the text, and what comes in there."""

    text: str
    layout: Layout
    parts: list[tuple[int, int, str]] = field(default_factory=list)

    def replace(self, start: int, end: int, new: str) -> None:
        """Note that ``new`` comes in the place of ``text[start:end]``."""
        self.parts.append((start, end, new))

    def applied(self) -> str:
        """The text with all its parts replaced."""
        pieces, at = [], 0
        for start, end, new in sorted(self.parts, key=lambda part: part[:2]):
            pieces += [self.text[at:start], new]
            at = max(at, end)
        return "".join([*pieces, self.text[at:]])

    def line_end(self, at: int) -> int:
        """Where the line of ``at`` ends, before its break."""
        end = self.text.find("\n", at)
        end = len(self.text) if end < 0 else end
        return end - 1 if end > at and self.text[end - 1] == "\r" else end

    def line_start(self, at: int) -> int:
        """Where the line of ``at`` begins."""
        return self.text.rfind("\n", 0, at) + 1

    def break_before(self, at: int) -> int:
        """Where the line break before the line of ``at`` begins; its own start in the first line."""
        start = self.line_start(at)
        return self.line_end(self.line_start(start - 1)) if start else 0

    def is_inline(self, entry: Entry) -> bool:
        """Whether an entry shares its line with a dash before it."""
        return bool(self.text[self.line_start(entry.start) : entry.start].strip())

    def tail(self, entry: Entry) -> int:
        """The end of the last line that is an entry's of a block: comments that stand deeper are its own."""
        own = column(self.text, entry.start)
        end = at = self.line_end(entry.value.end)
        while at < len(self.text):
            start = self.text.index("\n", at) + 1
            indent, is_comment, is_blank = self._comment_line(start)
            if not (is_blank or (is_comment and indent > own)):
                break
            at = self.line_end(start)
            end = at if is_comment else end
        return end

    def head(self, node: Node, index: int) -> int:
        """Where the lines of an entry begin: the comments right above are its own, but those of the first
        may speak of all.
        """
        start = self.line_start(node.entries[index].start)
        own = column(self.text, node.entries[index].start)
        limit = self.tail(node.entries[index - 1]) if index else start
        while start > limit + 1:
            above = self.line_start(start - 1)
            indent, is_comment, _ = self._comment_line(above)
            if not is_comment or indent != own or above <= limit:
                break
            start = above
        return start

    def newline(self) -> str:
        """The line break of the text."""
        return "\r\n" if "\r\n" in self.text else "\n"

    def _comment_line(self, start: int) -> tuple[int, bool, bool]:
        """The indent of the line that begins at ``start``, whether it is a comment, and whether it is blank."""
        match = _COMMENT_LINE.match(self.text, start)
        if match is None:
            return 0, False, True
        return len(match[1]), bool(match[2]), not match[0].strip()

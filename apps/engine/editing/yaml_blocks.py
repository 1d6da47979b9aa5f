"""Changing mappings and lists in block style."""

import re
from typing import Final

from apps.engine.editing.yaml_layout import Lines, column
from apps.engine.editing.yaml_nodes import Entry, Node
from apps.engine.editing.yaml_sheet import COMMENT, Added, Sheet
from apps.engine.values import Tree

_BLANK_LINES: Final = re.compile(r"(?:\r?\n[ \t]*(?=\r?\n))+")


def change(sheet: Sheet, node: Node, stays: list[bool], added: Added) -> None:
    """Take away the entries that do not stay, and add what comes new."""
    entries = node.entries
    indent = column(sheet.text, entries[0].start)
    written = {
        index: [_lines(sheet, node, origin, value) for origin, value in pairs]
        for index, pairs in added.items()
    }
    if not any(stays):
        lines = sheet.newline().join([" " * indent + each for each in written[-1]])
        sheet.replace(entries[0].start, sheet.tail(entries[-1]), lines[indent:])
        return
    first = stays.index(True)
    if first and sheet.is_inline(entries[0]):
        _pull_up(sheet, node, first)
    for index, stay in enumerate(stays):
        if stay or (index < first and sheet.is_inline(entries[0])):
            continue
        _remove_lines(sheet, sheet.head(node, index), sheet.tail(entries[index]))
    for index, texts in written.items():
        _insert(sheet, node, index, texts, indent)


def _remove_lines(sheet: Sheet, start: int, end: int) -> None:
    """Take away whole lines; of the blank lines before and behind them those before stay."""
    if not start:
        sheet.replace(0, min(end + len(sheet.newline()), len(sheet.text)), "")
        return
    before = sheet.break_before(start)
    blank = _BLANK_LINES.match(sheet.text, end)
    if blank and not sheet.text[sheet.line_start(before) : before].strip():
        end = blank.end()
    sheet.replace(before, end, "")


def _lines(sheet: Sheet, node: Node, origin: str | int | None, value: Tree) -> str:
    """What comes new, without the indent of its first line; an item that was elsewhere as it stood there."""
    indent = column(sheet.text, node.entries[0].start)
    if (
        isinstance(origin, int)
        and sheet.layout.blocks
        and not sheet.is_inline(node.entries[origin])
    ):
        return sheet.text[sheet.head(node, origin) + indent : sheet.tail(node.entries[origin])]
    if isinstance(origin, str):
        lines = sheet.layout.member(origin, value)
    else:
        lines = sheet.layout.item(value)
    return sheet.newline().join(lines.below(indent))


def _insert(sheet: Sheet, node: Node, index: int, texts: list[str], indent: int) -> None:
    line_break = sheet.newline() + " " * indent
    if index >= 0:
        at = sheet.tail(node.entries[index])
        sheet.replace(at, at, "".join(line_break + each for each in texts))
        return
    start = node.entries[0].start
    sheet.replace(start, start, "".join(each + line_break for each in texts))


def _pull_up(sheet: Sheet, node: Node, first: int) -> None:
    """The first entry that stays begins in the line of the dash, where others began before it."""
    start, end = node.entries[0].start, sheet.tail(node.entries[first - 1])
    following = node.entries[first].start
    if sheet.text[end:following].strip():  # comments stand between
        while sheet.text[start - 1] in " \t":
            start -= 1
        sheet.replace(start, end, "")
    else:
        sheet.replace(start, following, "")


def write(sheet: Sheet, entry: Entry, wanted: Tree) -> None:
    """Put another value into an entry; its anchor, if it has one, names the new one."""
    old = entry.value
    write = sheet.layout.value if entry.key is not None else sheet.layout.beside_dash
    lines = write(wanted, old.style)
    if not (old.block or lines.rest):
        space = "" if old.start > entry.begin else " "
        sheet.replace(old.start, old.end, space + old.anchor + lines.first)
        return
    end = sheet.tail(entry) if old.block else sheet.line_end(old.end)
    text = _first_line(sheet, entry, lines)
    rest = lines.below(column(sheet.text, entry.start))[1:]
    sheet.replace(entry.begin, end, sheet.newline().join([text, *rest]))


def _first_line(sheet: Sheet, entry: Entry, lines: Lines) -> str:
    old = entry.value
    if not old.block:
        head = sheet.text[old.end : sheet.line_end(old.end)]
    else:
        head = sheet.text[entry.begin : sheet.line_end(entry.begin)]
        if old.entries and old.entries[0].start < sheet.line_end(entry.begin):
            head = ""
    comment = COMMENT.search(head)
    value = f" {old.anchor}{lines.first}".rstrip()
    return value + (comment[0] if comment else "")

"""Changing mappings and lists in brackets."""

from typing import NamedTuple

from apps.engine.editing.yaml_nodes import Entry, Node, skip
from apps.engine.editing.yaml_sheet import COMMENT, Added, Sheet
from apps.engine.formats.yaml_writing import render_flow, render_key
from apps.engine.values import Tree


def change(sheet: Sheet, node: Node, stays: list[bool], added: Added) -> None:
    """Take away the entries that do not stay, and add what comes new."""
    entries = node.entries
    written = {
        index: [_member(sheet, node, origin, value) for origin, value in pairs]
        for index, pairs in added.items()
    }
    if not any(stays):
        sheet.replace(
            entries[0].start, entries[-1].value.end, ", ".join(each.text for each in written[-1])
        )
        return
    last = max(index for index, stay in enumerate(stays) if stay)
    for index, stay in enumerate(stays):
        if not stay:
            _remove(sheet, node, index, last, ends=last not in added)
    for index, texts in written.items():
        if index < 0:
            gap, start = _gap(sheet, node, 0), entries[0].start
            lines = [f"{each.text},{each.comment if gap != ' ' else ''}{gap}" for each in texts]
            sheet.replace(start, start, "".join(lines))
        else:
            _insert(sheet, node, index, texts)


class Written(NamedTuple):
    """A member or item, and the comment that stands behind it where it has a line of its own."""

    text: str
    comment: str = ""


def _member(sheet: Sheet, node: Node, origin: str | int | None, value: Tree) -> Written:
    if isinstance(origin, int) and sheet.layout.blocks:
        old = node.entries[origin].value
        end = _comma(sheet, node.entries[origin]) or old.end
        comment = COMMENT.search(sheet.text, end, sheet.line_end(end))
        return Written(sheet.text[old.start : old.end], comment[0] if comment else "")
    if isinstance(origin, str):
        return Written(f"{render_key(origin)}: {render_flow(value)}")
    return Written(render_flow(value))


def _gap(sheet: Sheet, node: Node, index: int) -> str:
    """What stands before an entry: a blank, or a line break with its indent."""
    start = node.entries[index].start
    before = sheet.text[sheet.line_start(start) : start]
    return " " if before.strip() else sheet.newline() + before


def _comma(sheet: Sheet, entry: Entry) -> int | None:
    at = skip(sheet.text, entry.value.end)
    return at if sheet.text.startswith(",", at) else None


def _insert(sheet: Sheet, node: Node, index: int, texts: list[Written]) -> None:
    entry, gap = node.entries[index], _gap(sheet, node, index)
    comma, end = _comma(sheet, entry), entry.value.end
    if gap == " " or (comma is not None and comma > sheet.line_end(end)):
        sheet.replace(end, end, "".join(f", {each.text}" for each in texts))
        return
    line_end = sheet.line_end(end)
    if skip(sheet.text, (comma or end - 1) + 1) < line_end:  # more stands in this line
        sheet.replace(end, end, "".join(f",{gap}{each.text}" for each in texts))
        return
    if comma is None:
        sheet.replace(end, end, ",")
    commas = [","] * (len(texts) - 1) + ["," if comma is not None else ""]
    lines = [
        f"{gap}{each.text}{comma}{each.comment}" for each, comma in zip(texts, commas, strict=True)
    ]
    sheet.replace(line_end, line_end, "".join(lines))


def _remove(sheet: Sheet, node: Node, index: int, last: int, *, ends: bool) -> None:
    entries = node.entries
    entry, comma = entries[index], _comma(sheet, entries[index])
    end = entry.value.end if comma is None else comma + 1
    line_start, line_end = sheet.line_start(entry.start), sheet.line_end(end)
    alone = not sheet.text[line_start : entry.start].strip() and skip(sheet.text, end) >= line_end
    if alone and line_start > node.start:
        sheet.replace(sheet.break_before(entry.start), line_end, "")
    elif index < last:
        sheet.replace(entry.start, entries[index + 1].start, "")
    else:
        sheet.replace(entries[index - 1].value.end, entry.value.end, "")
        return
    if ends and index > last and comma is None:
        kept = _comma(sheet, entries[last])
        if kept is not None:
            sheet.replace(kept, kept + 1, "")


def write(sheet: Sheet, entry: Entry, wanted: Tree) -> None:
    """Put another value into an entry; its anchor, if it has one, names the new one."""
    old = entry.value
    space = " " if sheet.text[old.start - 1] == ":" else ""
    sheet.replace(old.start, old.end, space + old.anchor + render_flow(wanted, old.style))

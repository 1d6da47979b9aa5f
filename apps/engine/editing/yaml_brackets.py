"""Changing mappings and lists in brackets."""

from apps.engine.editing.yaml_nodes import Entry, Node, skip
from apps.engine.editing.yaml_sheet import Added, Sheet
from apps.engine.formats.yaml_writing import render_flow, render_key
from apps.engine.values import Tree


def change(sheet: Sheet, node: Node, stays: list[bool], added: Added) -> None:
    """Take away the entries that do not stay, and add what comes new."""
    entries = node.entries
    written = {
        index: [_member(key, value) for key, value in pairs] for index, pairs in added.items()
    }
    if not any(stays):
        sheet.replace(entries[0].start, entries[-1].value.end, ", ".join(written[-1]))
        return
    last = max(index for index, stay in enumerate(stays) if stay)
    for index, stay in enumerate(stays):
        if not stay:
            _remove(sheet, node, index, last)
    for index, texts in written.items():
        if index < 0:
            sheet.replace(
                entries[0].start,
                entries[0].start,
                "".join(f"{each},{_gap(sheet, node, 0)}" for each in texts),
            )
        else:
            _insert(sheet, node, index, texts)


def _member(key: str | None, value: Tree) -> str:
    return render_flow(value) if key is None else f"{render_key(key)}: {render_flow(value)}"


def _gap(sheet: Sheet, node: Node, index: int) -> str:
    """What stands before an entry: a blank, or a line break with its indent."""
    start = node.entries[index].start
    before = sheet.text[sheet.line_start(start) : start]
    return " " if before.strip() else sheet.newline() + before


def _comma(sheet: Sheet, entry: Entry) -> int | None:
    at = skip(sheet.text, entry.value.end)
    return at if sheet.text.startswith(",", at) else None


def _insert(sheet: Sheet, node: Node, index: int, texts: list[str]) -> None:
    entry, gap = node.entries[index], _gap(sheet, node, index)
    comma, end = _comma(sheet, entry), entry.value.end
    if gap == " " or (comma is not None and comma > sheet.line_end(end)):
        sheet.replace(end, end, "".join(f", {each}" for each in texts))
        return
    line_end = sheet.line_end(end)
    if skip(sheet.text, (comma or end - 1) + 1) < line_end:  # more stands in this line
        sheet.replace(end, end, "".join(f",{gap}{each}" for each in texts))
        return
    if comma is None:
        sheet.replace(end, end, ",")
    text = ",".join(gap + each for each in texts) + ("," if comma is not None else "")
    sheet.replace(line_end, line_end, text)


def _remove(sheet: Sheet, node: Node, index: int, last: int) -> None:
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
    if index > last and comma is None:
        kept = _comma(sheet, entries[last])
        if kept is not None:
            sheet.replace(kept, kept + 1, "")


def write(sheet: Sheet, entry: Entry, wanted: Tree) -> None:
    """Put another value into an entry; its anchor, if it has one, names the new one."""
    old = entry.value
    space = " " if sheet.text[old.start - 1] == ":" else ""
    sheet.replace(old.start, old.end, space + old.anchor + render_flow(wanted, old.style))

"""Changing YAML texts of many notations: what stays keeps its line and its comments, what comes is read back."""

import copy
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine import formats
from apps.engine.editing import yaml
from apps.engine.values import same

EXAMPLES = 6000 if pytest.long_form else 60


class Writer:
    """Writes a random document: each text in it is unique (``v1``), and so are the comments beside it
    (``# c1``) and above it (``# a1``).
    """

    def __init__(self, draw):
        self.draw, self.count = draw, 0
        self.step = draw(st.sampled_from([2, 4]))
        self.offset = draw(st.sampled_from([0, 2]))

    def choice(self, *options):
        return self.draw(st.sampled_from(options))

    def text(self):
        self.count += 1
        return f"v{self.count}"

    def inline(self):
        kind = self.choice("text", "text", "quoted", "list", "map", "empty")
        if kind == "list":
            return (
                "["
                + self.choice(", ", ",").join(self.text() for _ in range(self.choice(1, 2, 3)))
                + "]"
            )
        if kind == "map":
            return "{" + ", ".join(f"k{n}: {self.text()}" for n in range(self.choice(1, 2))) + "}"
        if kind == "empty":
            return self.choice("{}", "[]")
        return (
            f"{self.text()}" if kind == "text" else self.choice("'{}'", '"{}"').format(self.text())
        )

    def above(self, indent):
        return [f"{indent}# a{self.count + 1}"] if self.choice(True, False, False) else []

    def value(self, depth, indent, own):
        """The rest of the key's or dash's line, and the lines below."""
        kind = (
            self.choice("inline", "inline", "map", "list", "flow", "block") if depth else "inline"
        )
        if kind == "map":
            return "", self.mapping(depth - 1, indent + self.step)
        if kind == "list":
            return "", self.items(depth - 1, indent + (self.offset if own == "key" else 2))
        if kind == "block":
            return f" {self.choice('|', '>-', '|-')}", [
                " " * (indent + 2) + self.text() for _ in range(2)
            ]
        if kind == "flow":
            return self.brackets(indent)
        number = self.count + 1
        return f" {self.inline()} # c{number}", []

    def brackets(self, indent):
        lines = []
        for last in (False, True):
            comma = "" if last and self.choice(True, False) else ","
            text = self.text()
            lines.append(f"{' ' * (indent + 2)}{text}{comma} # c{self.count}")
        return " [", [*lines, " " * indent + "]"]

    def mapping(self, depth, indent):
        lines = []
        for name in self.draw(
            st.lists(st.sampled_from("pqrstu"), min_size=1, max_size=4, unique=True)
        ):
            above = self.above(" " * indent) if lines else []
            first, rest = self.value(depth, indent, "key")
            lines += [*above, f"{' ' * indent}{name}:{first}", *rest]
            lines += [""] if self.choice(True, False, False, False) else []
        return lines

    def items(self, depth, indent):
        lines = []
        for _ in range(self.choice(1, 2, 3)):
            above = self.above(" " * indent) if lines else []
            first, rest = self.value(depth, indent, "dash")
            if not first and self.choice(True, False):  # the collection begins beside the dash
                inner = rest[0].lstrip()
                if not inner.startswith("#") and len(rest[0]) - len(inner) == indent + 2:
                    first, rest = f" {inner}", rest[1:]
            lines += [*above, f"{' ' * indent}-{first}", *rest]
        return lines


@st.composite
def documents(draw):
    """A YAML text and the document that it holds."""
    writer = Writer(draw)
    lines = ["# head", "", *writer.mapping(3, 0), "# end"]
    text = draw(st.sampled_from(["\n", "\r\n"])).join(
        [*lines, *([""] if draw(st.booleans()) else [])]
    )
    return text, formats.parse(text, "yaml").tree


NEW = st.sampled_from(
    ["n1", "no", "two\nlines", "two\nlines\n\n", " n 2 ", 7, None, True, [], {}, ["n3", {"m": "n4"}],
     {"m": {"o": ["n5", []]}}, "a: b", "[x", "ü"]
)  # fmt: skip


def change(draw, node):
    """Make a few changes anywhere in a document. Whether an item may have been moved: one that is changed, too,
    is another one.
    """
    moves = False
    for _ in range(draw(st.integers(1, 3))):
        place = node
        while True:
            steps = list(place) if isinstance(place, dict) else list(range(len(place)))
            inner = [
                step for step in steps if isinstance(place[step], (dict, list)) and place[step]
            ]
            if not inner or draw(st.booleans()):
                break
            place = place[draw(st.sampled_from(inner))]
        new = copy.deepcopy(draw(NEW))
        act = draw(st.sampled_from(["set", "remove", "add", "move"]))
        moves |= act == "move"
        if act == "move" and isinstance(place, list) and place:
            place.insert(draw(st.sampled_from(steps)), place.pop(draw(st.sampled_from(steps))))
        elif act != "add" and steps:
            step = draw(st.sampled_from(steps))
            if act == "set":
                place[step] = new
            else:
                del place[step]
        elif isinstance(place, dict):
            place[draw(st.sampled_from(["n", "new key", "y", "12"]))] = new
        else:
            place.insert(draw(st.integers(0, len(place))), new)
    return moves


def texts(tree):
    if isinstance(tree, (dict, list)):
        for child in tree.values() if isinstance(tree, dict) else tree:
            yield from texts(child)
    elif isinstance(tree, str):
        yield tree


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_edit__any_change_of_any_notation__reads_as_wanted_and_keeps_what_stands_beside_what_stays(
    data,
):
    text, current = data.draw(documents())
    wanted = copy.deepcopy(current)
    moves = change(data.draw, wanted)

    edited, lost = next(yaml.edit(text, current, wanted))

    assert not lost
    assert same(formats.parse(edited, "yaml").tree, wanted), edited
    lines = edited.splitlines()
    assert lines[0] == "# head"
    assert "# end" in lines
    if moves:
        return
    stays = set(texts(wanted))
    for number in re.findall(r"v([0-9]+)['\"]? # c\1$", text, re.MULTILINE):
        assert f"v{number}" not in stays or re.search(
            rf"\bv{number}\b.* # c{number}$", edited, re.MULTILINE
        )
    for number in re.findall(r"# a([0-9]+)\n *[-p-u:]+ ['\"]?v\1\b", text.replace("\r", "")):
        assert f"v{number}" not in stays or re.search(rf"# a{number}\r?\n.*\bv{number}\b", edited)


NAMED = """\
# compose
x-common: &common # shared
  restart: always # r
  logging: &log {driver: json, opts: {max: "1"}}
x-env: &env
  A: "1" # a
  B: two
services:
  # the front
  web:
    <<: *common # merged
    image: web # w
    environment:
      <<: [*env, *common]
      C: 3
  db:
    <<: *common
    restart: no
    list: &list [one, &two two, *two]
    logging: *log
  copy: *list
  again: *two
"""


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_edit__any_change_beside_anchors_and_merges__reads_as_wanted(data):
    current = formats.parse(NAMED, "yaml").tree
    wanted = copy.deepcopy(current)
    change(data.draw, wanted)

    edited, _lost = next(yaml.edit(NAMED, current, wanted))

    assert same(formats.parse(edited, "yaml").tree, wanted), edited
    assert edited.startswith("# compose\n")

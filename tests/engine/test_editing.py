import pytest
from hypothesis import given, settings

from apps.engine import editing, formats, values
from apps.engine.errors import UnrepresentableError
from tests.engine import strategies

YAML = """\
# The shop's settings.
server:
    port: 8080        # behind the proxy
    hosts:
      - "a.example"
      - b.example     # the second
    timeout: 1.50

# Flags below.
flags: {beta: no, 'old': true}
"""
TOML = """\
# Packaging
title = "shop"   # name

[server]
port = 8080 # behind the proxy
hosts = [
  "a",  # first
  "b",
]
ratio = 1.50
"""


@pytest.mark.parametrize(
    ("format_name", "text", "path", "value", "old_line", "new_line"),
    [
        ("yaml", YAML, ("server", "port"), 9090, "    port: 8080        # behind", "    port: 9090        # behind"),
        ("yaml", YAML, ("server", "hosts", 1), "c.example", "      - b.example     # the", "      - c.example     # the"),
        ("toml", TOML, ("server", "port"), 9090, "port = 8080 # behind", "port = 9090 # behind"),
        ("toml", TOML, ("title",), "cart", 'title = "shop"   # name', 'title = "cart"   # name'),
    ],
)  # fmt: skip
def test_edit__one_value__changes_that_line_alone(
    format_name, text, path, value, old_line, new_line
):
    wanted = formats.parse(text, format_name).tree
    node = wanted
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value

    edited = editing.edit(text, format_name, wanted)

    assert edited == text.replace(old_line, new_line)


@pytest.mark.parametrize(("format_name", "text"), [("yaml", YAML), ("toml", TOML)])
def test_edit__any_wanted_document__reads_as_it(format_name, text):
    leaf = strategies.scalars if format_name == "toml" else strategies.nullable

    @given(strategies.trees(leaf))
    @settings(max_examples=60, deadline=None)
    def check(tree):
        wanted = {**formats.parse(text, format_name).tree, **tree}
        try:
            edited = editing.edit(text, format_name, wanted)
        except UnrepresentableError:
            return
        assert values.same(formats.parse(edited, format_name).tree, wanted)

    check()


def test_edit__removed_and_added_key__keeps_the_other_comments():
    wanted = formats.parse(YAML, "yaml").tree
    del wanted["server"]["timeout"]
    wanted["server"]["retries"] = 3

    edited = editing.edit(YAML, "yaml", wanted)

    for comment in ("# The shop's settings.", "# behind the proxy", "# the second"):
        assert comment in edited
    assert "timeout" not in edited


def test_edit__json__keeps_its_indent():
    edited = editing.edit('{\n    "a": 1\n}\n', "json", {"a": 1, "b": 2})

    assert edited == '{\n    "a": 1,\n    "b": 2\n}\n'

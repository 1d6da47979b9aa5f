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


YAML_LIST = "l:\n  - a # ca\n  - b # cb\n  - c # cc\n# end\nq: 1 # q\n"
TOML_LIST = 'l = [\n  "a", # ca\n  "b", # cb\n  "c", # cc\n]\n# end\nq = 1 # q\n'
TABLES = '# top\n[[l]] # ca\nn = "a"\n[[l]] # cb\nn = "b" # nb\n'


@pytest.mark.parametrize(
    ("format_name", "text", "items", "lines"),
    [
        ("yaml", YAML_LIST, ["b", "c"], ["  - b # cb", "  - c # cc", "# end", "q: 1 # q"]),
        ("yaml", YAML_LIST, ["x", "a", "b", "c"], ["  - x", "  - a # ca", "  - b # cb", "  - c # cc"]),
        ("yaml", YAML_LIST, ["a", "x", "c"], ["  - a # ca", "  - x # cb", "  - c # cc", "# end"]),
        ("yaml", YAML_LIST, [], ["l: []", "q: 1 # q"]),
        ("toml", TOML_LIST, ["b", "c"], ['  "b", # cb', '  "c", # cc', "# end", "q = 1 # q"]),
        ("toml", TOML_LIST, ["x", "a", "b", "c"], ['  "a", # ca', '  "b", # cb', '  "c", # cc']),
        ("toml", TABLES, [{"n": "b"}], ['n = "b" # nb', "# top"]),
        ("toml", TABLES, [{"n": "x"}, {"n": "a"}, {"n": "b"}], ["[[l]] # ca", 'n = "b" # nb']),
    ],
)  # fmt: skip
def test_edit__items_of_a_list__keep_their_own_comments(format_name, text, items, lines):
    wanted = {**formats.parse(text, format_name).tree, "l": items}

    edited = editing.edit(text, format_name, wanted)

    assert [each for each in lines if each not in edited.splitlines()] == []


@pytest.mark.parametrize("many", [10, 2_000])
def test_edit__long_lists_that_differ_everywhere__read_as_wanted(many):
    text = "".join(["l:\n", *(f"  - a{number} # c{number}\n" for number in range(many))])

    edited = editing.edit(text, "yaml", {"l": [f"b{number}" for number in range(many)]})

    assert f"  - b{many - 1} # c{many - 1}" in edited


def test_edit__last_key_of_a_mapping__leaves_the_comments_around_it():
    text = "# h\nd: # dd\n  e: 1\nz: 1 # z\n"
    wanted = {**formats.parse(text, "yaml").tree, "d": {}}

    assert editing.edit(text, "yaml", wanted) == "# h\nd: {} # dd\nz: 1 # z\n"


ANCHORED = """\
# compose
x-log: &log
  driver: json # d
  opts: {max: "1"}
web:
  image: a # web's
  logging: *log
db:
  logging: *log
"""


@pytest.mark.parametrize("changed", [["web"], ["x-log"], ["web", "db"], ["x-log", "web", "db"]])
def test_edit__value_that_aliases_share__changes_in_its_places_alone_with_all_comments(changed):
    wanted = formats.parse(ANCHORED, "yaml").tree
    new = {**wanted["x-log"], "driver": "syslog"}
    for name in changed:
        wanted[name] = new if name == "x-log" else {**wanted[name], "logging": new}

    edited = editing.edit(ANCHORED, "yaml", wanted)

    assert formats.parse(edited, "yaml").tree == wanted
    for comment in ("# compose", "# d", "# web's"):
        assert comment in edited
    assert 'opts: {max: "1"}' in edited

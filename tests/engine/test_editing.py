import re

import pytest
from hypothesis import given, settings

from apps.engine import editing, formats, values
from apps.engine.editing import toml
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

    edited = editing.edit(text, format_name, wanted).text

    assert edited == text.replace(old_line, new_line)


@pytest.mark.parametrize(("format_name", "text"), [("yaml", YAML), ("toml", TOML)])
def test_edit__any_wanted_document__reads_as_it(format_name, text):
    leaf = strategies.scalars if format_name == "toml" else strategies.nullable

    @given(strategies.trees(leaf))
    @settings(max_examples=60, deadline=None)
    def check(tree):
        wanted = {**formats.parse(text, format_name).tree, **tree}
        try:
            edited = editing.edit(text, format_name, wanted).text
        except UnrepresentableError:
            return
        assert values.same(formats.parse(edited, format_name).tree, wanted)

    check()


def test_edit__removed_and_added_key__keeps_the_other_comments():
    wanted = formats.parse(YAML, "yaml").tree
    del wanted["server"]["timeout"]
    wanted["server"]["retries"] = 3

    edited = editing.edit(YAML, "yaml", wanted).text

    for comment in ("# The shop's settings.", "# behind the proxy", "# the second"):
        assert comment in edited
    assert "timeout" not in edited


def test_edit__json__keeps_its_indent():
    edited = editing.edit('{\n    "a": 1\n}\n', "json", {"a": 1, "b": 2}).text

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

    edited = editing.edit(text, format_name, wanted).text

    assert [each for each in lines if each not in edited.splitlines()] == []


@pytest.mark.parametrize("many", [10, 2_000])
def test_edit__long_lists_that_differ_everywhere__read_as_wanted(many):
    text = "".join(["l:\n", *(f"  - a{number} # c{number}\n" for number in range(many))])

    edited = editing.edit(text, "yaml", {"l": [f"b{number}" for number in range(many)]}).text

    assert f"  - b{many - 1} # c{many - 1}" in edited


def test_edit__last_key_of_a_mapping__leaves_the_comments_around_it():
    text = "# h\nd: # dd\n  e: 1\nz: 1 # z\n"
    wanted = {**formats.parse(text, "yaml").tree, "d": {}}

    assert editing.edit(text, "yaml", wanted).text == "# h\nd: {} # dd\nz: 1 # z\n"


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

    edited = editing.edit(ANCHORED, "yaml", wanted).text

    assert formats.parse(edited, "yaml").tree == wanted
    for comment in ("# compose", "# d", "# web's"):
        assert comment in edited
    assert 'opts: {max: "1"}' in edited


SHOP = """\
# shop
title: cart # t

# how long
timeout: 5
limits: &limits
  cpu: "1" # cores
  # spare: 2
hosts:
  # the first
  - a
  - {b: 1, c: 2}
  # below
use: *limits
more:
  <<: *limits # all of it
  memory: 2
"""


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        (("title",), None, "title: cart # t\n", ""),
        (("timeout",), None, "# how long\ntimeout: 5\n", ""),
        (("timeout",), {"read": 1}, "timeout: 5\n", "timeout:\n  read: 1\n"),
        (("title",), "a: b", "title: cart # t", "title: 'a: b' # t"),
        (("title",), "x\ny", "title: cart # t\n", "title: |- # t\n  x\n  y\n"),
        (("hosts", 0), None, "  - a\n", ""),
        (("hosts", 1), "x", "  - {b: 1, c: 2}\n", "  - x\n"),
        (("hosts", 1, "c"), None, "{b: 1, c: 2}", "{b: 1}"),
        (("hosts", 1, "d"), [1], "{b: 1, c: 2}", "{b: 1, c: 2, d: [1]}"),
        (("more", "cpu"), None, "  <<: *limits # all of it\n", ""),
        (("more", "cpu"), "4", "  memory: 2\n", "  memory: 2\n  cpu: '4'\n"),
        (("use",), 7, "use: *limits\n", "use: 7\n"),
        (("extra",), {"list": ["x", {"y": 1}]}, "  memory: 2\n", "  memory: 2\nextra:\n  list:\n    - x\n    - 'y': 1\n"),
    ],
)  # fmt: skip
def test_edit__one_change_of_a_yaml_text__touches_its_lines_alone(path, value, old, new):
    wanted = formats.parse(SHOP, "yaml").tree
    node = wanted
    for step in path[:-1]:
        node = node[step]
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value

    assert editing.edit(SHOP, "yaml", wanted) == (SHOP.replace(old, new), False)


TABLES_WITH_COMMENTS = """\
# shop
title = "x" # t

# about a
[a]
x = 1
# spare = 2

# about b
[b]
y = 2

# about c
[[c]]
z = 1
"""


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (("new",), "# t\n", "# t\nnew = 1\n"),
        (("a", "new"), "x = 1\n", "x = 1\nnew = 1\n"),
        (("b", "new"), "y = 2\n", "y = 2\nnew = 1\n"),
        (("c", 0, "new"), "z = 1\n", "z = 1\nnew = 1\n"),
    ],
)
def test_edit__new_key_of_a_toml_table__stands_behind_its_last_and_before_what_follows(
    path, old, new
):
    wanted = formats.parse(TABLES_WITH_COMMENTS, "toml").tree
    node = wanted
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = 1

    assert editing.edit(TABLES_WITH_COMMENTS, "toml", wanted) == (
        TABLES_WITH_COMMENTS.replace(old, new),
        False,
    )


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ("# top\n[a] # ca\nx=1\n\n# about b\n[b]\ny=2 # cy\n", {"b": {"y": 2}}, "# top\n# about b\n[b]\ny=2 # cy\n"),
        ("[[l]]\nn=1 # c1\n\n# about 2\n[[l]]\nn=2 # c2\n", {"l": [{"n": 2}]}, "# about 2\n[[l]]\nn=2 # c2\n"),
        ("[a]\n[a.b]\nx=1\n# about c\n[[c]]\ny=2\n", {"c": [{"y": 2}]}, "# about c\n[[c]]\ny=2\n"),
        ("[a]\nx=1\n# end\n", {}, ""),
    ],
)  # fmt: skip
def test_edit__toml_table_that_goes__leaves_the_comments_of_the_next(text, wanted, expected):
    assert editing.edit(text, "toml", wanted) == (expected, False)


@pytest.mark.parametrize(
    ("head", "new"), [("# head\n\n", "# head\n\nn = 1\n\n"), ("", "n = 1\n\n")]
)
def test_edit__new_key_of_a_toml_text_without_plain_keys__leaves_its_head_first(head, new):
    edited = editing.edit(f"{head}# about a\n[a]\n", "toml", {"a": {}, "n": 1}).text

    assert edited.startswith(new.rstrip("\n"))
    assert edited.endswith("# about a\n[a]\n")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("m:\n  a b: 1 # c1\n  ? z # why\n  : y: 2\n", {"m": {"a b": 5, "z": {"y": 2}}}),
        ("# head\n? a # ka\n: 1 # va\nb: 2\n", {"a": 1, "b": 3}),
        ("a: {\n  x, # cx\n  y: 1 # cy\n}\nb: 1\n", {"a": {"x": None, "y": 2}, "b": 1}),
        ("b: 2\n# why\n<<: {a: 1}\n", {"a": 1, "b": 3}),
        (
            "m: &m {a: 1, c: 2}\nn:\n  <<: *m # all\n  b: 2\n",
            {"m": {"a": 1, "c": 2}, "n": {"a": 1, "b": 2}},
        ),
    ],
)
def test_edit__inside_of_a_notation_that_is_not_edited__says_that_comments_are_lost(text, wanted):
    edited = editing.edit(text, "yaml", wanted)

    assert formats.parse(edited.text, "yaml").tree == wanted
    assert edited.comments_lost
    assert not editing.edit(re.sub(" *#.*", "", text), "yaml", wanted).comments_lost


MANY = {f"k{number}": number for number in range(toml.MAX_LEAVES + 10)}


@pytest.mark.parametrize(
    ("format_name", "text", "lost"),
    [
        ("yaml", "".join(f"{key}: {value} # c\n" for key, value in MANY.items()), False),
        ("toml", "".join(f"{key} = {value} # c\n" for key, value in MANY.items()), True),
        ("toml", "".join(f"{key} = {value}\n" for key, value in MANY.items()), False),
        ("xml", "<configuration><!-- c --><a>1</a></configuration>", True),
        ("xml", "<configuration><a>1</a></configuration>", False),
        ("env", "# c\nA=1\n", True),
        ("properties", "! c\na=1\n", True),
        ("properties", "a=1#\n", False),
        ("yaml", "a: |+\n  x\n# c\nb: 1\n\nc: 2\n", True),
        ("json", '{"a": "# c"}', False),
    ],
)
def test_edit__text_that_is_written_anew__says_when_comments_are_lost(format_name, text, lost):
    wanted = formats.parse(text, format_name).tree
    wanted.pop("b" if "b" in wanted else next(iter(wanted)))
    wanted["added"] = "1"

    edited = editing.edit(text, format_name, wanted)

    assert values.same(formats.parse(edited.text, format_name).tree, wanted)
    assert edited.comments_lost is lost


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ("a:\n  b: 1\n  # deeper\nc: 2\n", {"c": 2}, "c: 2\n"),
        ("a:\n  b: 1\n  # deeper\n# c's\nc: 2\n", {"a": {"b": 1}}, "a:\n  b: 1\n  # deeper\n"),
        ("a: {x: &n 1}\nb: *n\n", {"b": 1}, "b: 1\n"),
        ("a: {&k x: 1}\nb: *k\n", {"b": "x"}, "b: x\n"),
        ("a: &n 1\nb: *n\n", {"a": 2, "b": 1}, "a: &n 2\nb: 1\n"),
        ("a: &n 1\nb: *n\n", {"a": 2, "b": 2}, "a: &n 2\nb: *n\n"),
        ("a: &n # n\n  x: 1\nb: *n\n", {"a": 2, "b": 2}, "a: &n 2 # n\nb: *n\n"),
        ("l: [\n  a,\n  b\n]\n", {"l": ["a"]}, "l: [\n  a\n]\n"),
        ("l: [\n  a,\n  b # b\n]\n", {"l": ["a", "b", "c"]}, "l: [\n  a,\n  b, # b\n  c\n]\n"),
        ("l: [\n  a, # a\n  b, # b\n]\n", {"l": ["a", "x", "b"]}, "l: [\n  a, # a\n  x,\n  b, # b\n]\n"),
        ("l: [a, b, c]\n", {"l": ["m", "a", "c"]}, "l: [m, a, c]\n"),
        ("l: [a, b, c]\n", {"l": ["b"]}, "l: [b]\n"),
        ("l: ['a', \"b\"]\n", {"l": ["x", "y"]}, "l: ['x', \"y\"]\n"),
        ("f: {a, b: 1}\n", {"f": {"a": None, "b": 2}}, "f:\n  a: null\n  b: 2\n"),
        ("f: [a: 1, b]\n", {"f": [{"a": 2}, "b"]}, "f: [{a: 2}, b]\n"),
        ("l:\n  - a: 1\n    # about b\n    b: 2\n", {"l": [{"b": 2}]}, "l:\n  -\n    # about b\n    b: 2\n"),
        ("l:\n  - a: 1 # a\n    b: 2\n", {"l": [{"b": 2}]}, "l:\n  - b: 2\n"),
        ("l:\n- - a\n  - b\n", {"l": [["b", "c"]]}, "l:\n- - b\n  - c\n"),
        ("l:\n- a # a\n- c # c\n", {"l": ["x", "z", "c"]}, "l:\n- x # a\n- z\n- c # c\n"),
        ("l:\n-\n- # n\n", {"l": [None, 1]}, "l:\n-\n- 1 # n\n"),
        ("a: 1\n\nb: 2\n\nc: 3\n", {"a": 1, "c": 3}, "a: 1\n\nc: 3\n"),
        ("a: 1\nb: 2", {"a": 1, "b": 2, "c": 3}, "a: 1\nb: 2\nc: 3"),
        ("a: 1\nb: 2", {"a": 1}, "a: 1"),
        ("a:\nb: 2\n", {"a": {"x": [1]}, "b": 2}, "a:\n  x:\n  - 1\nb: 2\n"),
        ("--- # start\na: 1\n...\n", {"a": 2, "b": 1}, "--- # start\na: 2\nb: 1\n...\n"),
        ("# only\n", {"a": 1}, "# only\na: 1\n"),
        ("# h\na: 1 # a\n", {"b": 1}, "# h\nb: 1\n"),
        ("# h\na: 1\n# end\n", {}, "# h\n{}\n# end\n"),
        ("{}\n", {"a": 1}, "a: 1\n"),
        ("a: 1\r\n# b\r\nb: 2\r\n", {"a": 1, "c": [1]}, "a: 1\r\nc:\r\n- 1\r\n"),
        ("t: >-\n  long\n  text\nu: 1\n", {"t": "x", "u": 1}, "t: x\nu: 1\n"),
        ("t: | # c\n  a\n  b\n\nu: 1\n", {"t": "a\nc\n", "u": 1}, "t: | # c\n  a\n  c\n\nu: 1\n"),
        ("<<: {a: 1}\nb: 2\n", {"a": 1, "b": 3}, "b: 3\na: 1\n"),
        ("l:\n  - n: a # ca\n    v: 1\n  # about b\n  - n: b # cb\n    v: 2\n", {"l": [{"n": "b", "v": 2}, {"n": "a", "v": 1}]},
         "l:\n  # about b\n  - n: b # cb\n    v: 2\n  - n: a # ca\n    v: 1\n"),
        ("l:\n- a # a\n- b # b\n- c # c\n", {"l": ["c", "b", "a"]}, "l:\n- c # c\n- b # b\n- a # a\n"),
        ("l:\n- a # a\n- b # b\n- c # c\n", {"l": ["b", "x", "c"]}, "l:\n- b # b\n- x\n- c # c\n"),
        ("l: ['a', b, \"c\"]\n", {"l": ["c", "b", "a"]}, "l: [\"c\", b, 'a']\n"),
        ("l:\n- - a # a\n  - b # b\n", {"l": [["b", "a"]]}, "l:\n- - b # b\n  - a # a\n"),
        ("l:\n- &n a # a\n- b # b\n- *n\n", {"l": ["b", "a", "a"]}, "l:\n- b # b\n- &n a # a\n- *n\n"),
        ("h: 1 # h\nr: {}\n  # limits:\n", {"h": 1, "r": "l1\nl2"}, 'h: 1 # h\nr: "l1\\nl2"\n  # limits:\n'),
        ("l:\n  - a\n    # - old\n  - b # cb\n", {"l": ["x\ny\n", "b"]}, 'l:\n  - "x\\ny\\n"\n    # - old\n  - b # cb\n'),
        ("# h\na: 1 # ca", {"a": 1, "b": "x\ny\n"}, '# h\na: 1 # ca\nb: "x\\ny\\n"'),
        ("a: 1 # a\n", {"a": 1, "k" * 110: {"l" * 110: 1}}, f'a: 1 # a\n"{"k" * 110}":\n  "{"l" * 110}": 1\n'),
        ("a: 1 # a\n", {"a": "\U0001f600 up", "b": ["\U0001f600"]}, "a: \U0001f600 up # a\nb:\n- \U0001f600\n"),
        ("a: {b: 1} # a\n", {"a": {"b": 1, "k" * 110: 2}}, f'a: {{b: 1, "{"k" * 110}": 2}} # a\n'),
    ],
)  # fmt: skip
def test_edit__yaml_text__becomes_just_what_is_expected(text, wanted, expected):
    assert editing.edit(text, "yaml", wanted) == (expected, False)
    assert editing.edit(text, "yaml", formats.parse(text, "yaml").tree).text == text

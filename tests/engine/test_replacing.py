"""A secret's name in the place of one value, in each format, with the rest as it was."""

import pytest

from apps.engine import formats
from apps.engine.errors import NotFoundError
from apps.engine.replacing import name_in_place, value_at

PEM = "-----BEGIN PRIVATE KEY-----\nabc\ndef\n-----END PRIVATE KEY-----\n"

CASES = [
    (
        "yaml",
        "a: 1 # one\ndb:\n  pw: hunter2 # leaked\n",
        'a: 1 # one\ndb:\n  pw: {"$secret": "n"} # leaked\n',
    ),
    ("yaml", "db: {pw: 'hunter2'}\n", 'db: {pw: {"$secret": "n"}}\n'),
    ("yaml", 'x: "hunter2"\ndb: {pw: "hunter2"}\n', 'x: "hunter2"\ndb: {pw: {"$secret": "n"}}\n'),
    (
        "json",
        '{"x": "hunter2",\n "db": {"pw": "hunter2"}}',
        '{"x": "hunter2",\n "db": {"pw": {"$secret": "n"}}}',
    ),
    ("toml", '# top\n[db]\npw = "hunter2" # it\n', '# top\n[db]\npw = {"$secret" = "n"} # it\n'),
    ("toml", "[db]\npw = 'hunter2'\n", '[db]\npw = {"$secret" = "n"}\n'),
    (
        "xml",
        "<config><!-- c --><db><pw>hunter2</pw></db></config>",
        '<config><!-- c --><db><pw><_ name="$secret">n</_></pw></db></config>',
    ),
    ("properties", "# c\ndb.pw=hunter2\n", "# c\ndb.pw=${secret:n}\n"),
]


@pytest.mark.parametrize(("form", "text", "wanted"), CASES)
def test_name_in_place__plainly_written__changes_nothing_else(form, text, wanted):
    steps = (
        ("db.pw",)
        if form == "properties" and "db.pw" in formats.parse(text, form).tree
        else ("db", "pw")
    )

    assert value_at(formats.parse(text, form).tree, steps) == "hunter2"
    assert name_in_place(text, form, steps, "n") == wanted


def test_name_in_place__env_file__names_it_in_the_text():
    text = "# c\nDB_PW=hunter2\nOTHER=1\n"

    assert name_in_place(text, "env", ("DB_PW",), "n") == "# c\nDB_PW=${secret:n}\nOTHER=1\n"


@pytest.mark.parametrize("form", ["yaml", "json", "toml", "xml"])
def test_name_in_place__many_lines__leaves_nothing_of_it(form):
    tree = {"keep": "<&> é", "tls": {"key": PEM, "list": ["a", PEM]}}
    text = formats.render(tree, form)

    once = name_in_place(text, form, ("tls", "key"), "n")
    twice = name_in_place(once, form, ("tls", "list", "1"), "m")

    tree["tls"] = {"key": {"$secret": "n"}, "list": ["a", {"$secret": "m"}]}
    assert formats.parse(twice, form).tree == tree
    assert "PRIVATE" not in twice


def test_value_at__behind_a_marker__is_found():
    text = "db:\n  $replace: {pw: hunter2}\n"

    assert value_at(formats.parse(text, "yaml").tree, ("db", "pw")) == "hunter2"
    assert name_in_place(text, "yaml", ("db", "pw"), "n") == (
        'db:\n  $replace: {pw: {"$secret": "n"}}\n'
    )


@pytest.mark.parametrize(
    "steps", [(), ("x",), ("db", "pw", "z"), ("list", "7"), ("n",), ("list", "²")]
)
def test_value_at__what_is_not_there__is_refused(steps):
    tree = {"db": {"pw": "hunter2"}, "list": ["a"], "n": 1}

    with pytest.raises(NotFoundError, match="template or a parent") as refused:
        value_at(tree, steps)
    assert "hunter2" not in str(refused.value)

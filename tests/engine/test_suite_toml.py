"""toml-test, the suite of TOML's own community, in what it says of TOML 1.0."""

import datetime

import pytest

from apps.engine import formats, values
from apps.engine.errors import DomainError
from tests.suites import read_suite

FAILURES = {
    "JSON has no NaN and no infinity.": (
        "valid/comment/after-literal-no-ws",
        "valid/float/inf-and-nan",
        "valid/spec-1.0.0/float-2",
    ),
    "A key may not hold control characters.": (
        "valid/key/escapes",
        "valid/key/quoted-unicode",
        "valid/key/space",
    ),
    "No database of ours stores NUL.": (
        "valid/string/quoted-unicode",
        "valid/string/unicode-escape",
    ),
}
TIMES = {
    "datetime": datetime.datetime,
    "datetime-local": datetime.datetime,
    "date-local": datetime.date,
    "time-local": datetime.time,
}


@pytest.fixture(scope="module")
def suite():
    files = read_suite("toml")
    names = files["files-toml-1.0.0"].decode().split()
    return files, [name.removesuffix(".toml") for name in names if name.endswith(".toml")]


def test_parse__what_toml_test_has__fails_those_listed(suite):
    files, names = suite

    found = {name for name in names if not passes(files, name)}

    assert found == {name for names in FAILURES.values() for name in names}
    assert (sum(name.startswith("valid/") for name in names), len(names)) == (205, 678)


def test_render__each_document_of_toml_test__reads_back_the_same(suite):
    files, names = suite
    listed = {name for names in FAILURES.values() for name in names}

    for name in names:
        if name.startswith("valid/") and name not in listed:
            tree = formats.parse(files[f"{name}.toml"], "toml").tree
            again = formats.parse(formats.render(tree, "toml"), "toml").tree
            assert values.same(again, tree), name


def passes(files, name):
    """Whether a valid text gives the tree that stands beside it, and an invalid one is refused."""
    try:
        tree = formats.parse(files[f"{name}.toml"], "toml").tree
    except DomainError:
        return name.startswith("invalid/")
    return name.startswith("valid/") and is_tagged(
        tree, values.parse_canonical(files[f"{name}.json"].decode())
    )


def is_tagged(tree, expected):
    """Whether a tree is what toml-test writes as ``{"type": …, "value": …}`` at each leaf."""
    if isinstance(expected, list):
        return (
            isinstance(tree, list)
            and len(tree) == len(expected)
            and all(map(is_tagged, tree, expected))
        )
    if expected.keys() == {"type", "value"} and isinstance(expected["value"], str):
        return is_scalar(tree, expected["type"], expected["value"])
    return (
        isinstance(tree, dict)
        and tree.keys() == expected.keys()
        and all(is_tagged(tree[key], expected[key]) for key in expected)
    )


def is_scalar(value, kind, text):
    if kind == "string":
        return value == text
    if kind == "bool":
        return value is (text == "true")
    if kind == "integer":
        return type(value) is int and value == int(text)
    if kind == "float":
        return isinstance(value, (int, float, values.Number)) and float(value) == float(text)
    read = TIMES[kind].fromisoformat
    return isinstance(value, str) and read(value) == read(text)

"""Files as the agent writes them: the server's bytes, and what readers make of them."""

import subprocess
import tomllib

import pytest
import yaml
from dotenv import dotenv_values
from hypothesis import example, given
from hypothesis import strategies as st

from apps.engine import formats as engine
from apps.engine import values
from apps.engine.errors import UnrepresentableError
from configsvc_agent.errors import RenderError
from configsvc_agent.formats import render
from configsvc_client import numbers
from tests.engine.strategies import trees


def both(tree, name):
    """What the server writes, and the agent; ``None`` where it refuses."""
    sent = values.canonical(tree)
    try:
        served = engine.render(values.parse_canonical(sent), name).encode()
    except UnrepresentableError:
        served = None
    try:
        written = render(numbers.loads(sent), name, revealed=True)
    except RenderError:
        written = None
    return served, written


@pytest.mark.parametrize("name", ["json", "toml", "xml", "env"])
@given(tree=trees())  # the values of secrets may be anything
@example(tree={"a": values.number("-0"), "b": [values.number("1E+3"), 2**70]})
def test_render__any_document__is_what_the_server_writes(name, tree):
    served, written = both(tree, name)

    assert written == served


@given(tree=trees())
def test_render__yaml__is_the_same_document_as_the_servers(tree):
    served, written = both(tree, "yaml")

    assert values.same(engine.parse(written, "yaml").tree, engine.parse(served, "yaml").tree)


@given(tree=trees(leaf=st.none() | st.booleans() | st.integers() | st.text(max_size=12)))
def test_render__yaml__reads_the_same_in_yaml_1_1(tree):
    assert yaml.safe_load(render(tree, "yaml").decode()) == tree


TEXTS = ["a\nb", "a\nb\n", "a\n\nb\n\n", " a\nb", "#x\n---\n", "-", "? x", "a: b", "no", "0x1F"]


@pytest.mark.parametrize("text", [*TEXTS, "\u2028", "\x85\x07", "😀", "1e3", "&a", "*a", "y"])
@pytest.mark.parametrize("name", ["yaml", "json", "toml"])
def test_render__text_that_is_easily_misread__is_that_text(name, text):
    tree = {"top": text, "in": [{"deep": [text, text]}, text], text or "empty": {}}
    written = render(tree, name).decode()

    read = {"yaml": yaml.safe_load, "json": numbers.loads, "toml": tomllib.loads}[name]
    assert read(written) == tree


def test_render__yaml__is_for_people():
    tree = {"hosts": ["a", {"b": 1, "c": [True, None]}], "text": "one\ntwo\n", "x": {}}

    assert render(tree, "yaml").decode() == (
        "hosts:\n  - a\n  - b: 1\n    c:\n      - true\n      - null\ntext: |\n  one\n  two\nx: {}\n"
    )


ENV = {"KEY": "-----BEGIN-----\nline 2\n-----END-----\n", "B": 'a"b c', "C": "it's", "D": "$x `y`"}


def test_env__values_of_many_lines__are_read_by_dotenv_and_by_the_shell(tmp_path):
    file = tmp_path / ".env"
    file.write_bytes(render(ENV, "env"))

    assert dotenv_values(file, interpolate=False) == ENV
    for name, value in ENV.items():
        sourced = subprocess.run(
            ["sh", "-c", f'set -a; . {file}; printf "%s" "${name}"'],
            capture_output=True,
            text=True,
            check=True,
        )
        assert sourced.stdout == value


def test_env__secret_that_is_not_revealed__is_a_comment():
    tree = {"A": 1, "B": {"$secret": "db-password"}, "C": "db://u:${secret:a}@${secret:b}"}

    assert render(tree, "env").decode() == (
        "A=1\n# B= the secret 'db-password', not revealed\n# C= the secret 'a', 'b', not revealed\n"
    )
    assert render({"A": "pa${secret:x}"}, "env", revealed=True) == b"A='pa${secret:x}'\n"


@pytest.mark.parametrize(
    ("tree", "name", "said"),
    [
        ({"a": None, "b": {"c d": "x"}}, "toml", "a: There is no null"),
        ({"b": {"c d": "x"}}, "env", "b.c d: 'b__c d' is no variable name"),
        ({"a": {"b": 1}, "a__b": 2}, "env", "a__b: Another key has the name a__b"),
        ({"a": "hunter2\r"}, "env", "a: There is no carriage return"),
        ({"a.b": ["\x01hunter2"]}, "xml", '["a.b"][0]: XML cannot hold'),
        ([1], "toml", "(the whole document): A TOML document is an object"),
    ],
)
def test_render__what_a_format_cannot_hold__names_the_key_and_no_value(tree, name, said):
    with pytest.raises(RenderError) as caught:
        render(tree, name)

    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)

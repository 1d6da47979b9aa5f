import time

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.engine import formats, values
from apps.engine.errors import DomainError, LimitError, MalformedError
from apps.engine.formats import yaml_core
from tests.limits import CPU_SECONDS, examples

MIB = 1_048_576
CHARACTERS = list(" \n\t\r:-#?&*!|>%@`'\"{}[],ab~=<.0\\é\u2028\x85\ufeff\x1b\U0001f600")
TEXTS = st.text(st.sampled_from(CHARACTERS), max_size=10)
KEYS = st.text(st.sampled_from([c for c in CHARACTERS if c not in "\n\t\r\x1b\x85"]), max_size=6)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        TEXTS | st.none() | st.booleans(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def read(text):
    return values.canonical(formats.parse(text, "yaml").tree)


def refused(text):
    with pytest.raises(MalformedError) as caught:
        formats.parse(text, "yaml")
    problem = caught.value.problems[0]
    return type(caught.value), problem.line, problem.column


@given(TREES)
@settings(max_examples=examples(800), deadline=None)
@example({"a": "no", "b": "y", "c": "012", "d": "1:30", "e": "2026-11-24", "f": "<<", "=": "="})
@example({"a": "x\n  y\n", "b": "\nx", "c": "x\n\n", "d": "x \ny", "e": "x\ny", "f": "\t"})
def test_render__any_text__is_the_same_for_readers_of_yaml_1_1_and_1_2(tree):
    text = formats.render(tree, "yaml")

    assert values.same(formats.parse(text, "yaml").tree, tree)
    assert yaml.safe_load(text) == tree


def test_render__emoji__stand_as_they_are():
    tree = {"\U0001f600": ["up \U0001f680", "a\n\U0001f600"], "path": "C:\\Users"}

    text = formats.render(tree, "yaml")

    assert text == "\U0001f600:\n- up \U0001f680\n- |-\n  a\n  \U0001f600\npath: C:\\Users\n"


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("no", '"no"'),
        ("on", '"on"'),
        ("y", '"y"'),
        ("True", "true"),
        ("tRUE", '"tRUE"'),
        ("~", "null"),
        ("", "null"),
        ("'null'", '"null"'),
        ("012", "12"),
        ("+12", "12"),
        ("-0", "-0"),
        ("0o14", "12"),
        ("0x1F", "31"),
        ("0b11", '"0b11"'),
        ("1_000", '"1_000"'),
        ("1:30", '"1:30"'),
        ("2026-11-24", '"2026-11-24"'),
        ("1.10", "1.10"),
        ("1.", "1.0"),
        (".5", "0.5"),
        ("-00.50", "-0.50"),
        ("1e3", "1e3"),
        ("!!str 12", '"12"'),
        ("! 12", '"12"'),
        ("!!int '12'", "12"),
        ("!!float 1", "1"),
        ("9007199254740993", "9007199254740993"),
        ("1.2.3", '"1.2.3"'),
        (".", '"."'),
    ],
)
def test_parse__plain_scalar__follows_the_1_2_core_schema(scalar, value):
    assert read(f"a: {scalar}") == f'{{"a":{value}}}'


@given(st.text(st.sampled_from(list("0123.eEx+-_o:fnaN~")), max_size=6))
@settings(max_examples=examples(500), deadline=None)
def test_is_plain_text__any_scalar__agrees_with_reading(scalar):
    event = yaml.ScalarEvent(None, None, (True, False), scalar)
    event.start_mark = yaml.Mark("", 0, 0, 0, None, None)
    try:
        is_text = isinstance(yaml_core.resolve(event), str)
    except MalformedError:
        is_text = False

    assert yaml_core.is_plain_text(scalar) is is_text


@pytest.mark.parametrize("text", ["", "# c\n", "---\n", "%YAML 1.2\n---\n"])
def test_parse__nothing__is_an_empty_object(text):
    assert read(text) == "{}"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a: &a {x: 1}\nb: {<<: *a, y: 2}", '{"a":{"x":1},"b":{"x":1,"y":2}}'),
        ("a: &a {x: 1}\nb: {x: 0, <<: *a}", '{"a":{"x":1},"b":{"x":0}}'),
        ("- &a {x: 1}\n- &b {x: 2, y: 2}\n- <<: [*a, *b]", '[{"x":1},{"x":2,"y":2},{"x":1,"y":2}]'),
        ("'<<': {x: 1}", '{"<<":{"x":1}}'),
        ("a: &a 5\nb: *a", '{"a":5,"b":5}'),
        ("&k a: 1\nb: *k", '{"a":1,"b":"a"}'),
    ],
)
def test_parse__aliases_and_merges__stand_for_what_they_name(text, tree):
    assert read(text) == tree


def test_parse__aliases__are_copies():
    tree = formats.parse("a: &a {x: [1]}\nb: *a\nc: {<<: *a}", "yaml").tree

    tree["a"]["x"].append(2)

    assert tree["b"] == tree["c"] == {"x": [1]}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", (4, 3)),
        ("? {a: 1}\n: 2\n", (1, 3)),
        ("a: &x k\n*x : 1\n", (2, 1)),
        ("true: x\n", (1, 1)),
        ("a:\n  1.5: x\n", (2, 3)),
        ("a: *x\n", (1, 4)),
        ("a: &a [*a]\n", (1, 8)),
        ("b: &a 1\nc: &a [*a]\n", (2, 8)),
        ("a: !!timestamp 2026-11-24\n", (1, 4)),
        ("a: !!binary aGk=\n", (1, 4)),
        ("a: !Ref x\n", (1, 4)),
        ("a: !x {b: 1}\n", (1, 4)),
        ("a: !!int x\n", (1, 4)),
        ("a: !!int true\n", (1, 4)),
        ("a: 1\n...\n---\nb: 2\n", (3, 1)),
        ("a: -.inf\n", (1, 4)),
        ("a: 1e400\n", (1, 4)),
        ("a: é\nb: \x01\n", (2, 4)),
        ('a: "x \u2028 y"\n', (1, 7)),
        ("<<: 5\n", (1, 5)),
        ("\ta: 1\n", (1, 1)),
    ],
)
def test_parse__bad_document__names_its_place(text, where):
    assert refused(text) == (MalformedError, *where)


def test_parse__alias_that_nests_too_deep__is_a_limit():
    text = f"a: &a {'[' * 40}{']' * 40}\nb: {'[' * 40}*a{']' * 40}\n"

    assert refused(text) == (LimitError, 2, 44)


@pytest.mark.parametrize(
    "text",
    [
        "a: 0x" + "f" * 3_990,
        "a: 0o" + "7" * 100_000,
        "a: " + "9" * 5_000,
        "a: 1." + "0" * 5_000,
        "[" * 65 + "]" * 65,
        "- " * MIB,
        "{a: " * (MIB // 4),
        "".join(f"%TAG !e{n}! t\n" for n in range(60_000)) + "---\na",
        "- x\n" * (MIB // 4),
        "[" + "a, " * (MIB // 3) + "]",
        "a: &a [" + "x," * 10_000 + "]\nb: [*a, *a]",
    ],
    ids=range(11),
)
def test_parse__over_a_limit__is_refused_at_its_place_without_a_hang(text):
    started = time.process_time()

    kind, line, column = refused(text)

    assert time.process_time() - started < CPU_SECONDS
    assert (kind, bool(line and column)) == (LimitError, True)


@pytest.mark.parametrize(
    "text",
    ["a: |\n" + " x\n" * (MIB // 3), "#" * MIB, '"' + "\\n" * (MIB // 2) + '"', "a: " + "x\n " * (MIB // 3)]
    + ["&a " * (MIB // 3), "!!str " * (MIB // 6), "? " * (MIB // 2), "!" + "x" * MIB + " a", "*" + "x" * MIB],
    ids=range(9),
)  # fmt: skip
def test_parse__large_text__does_not_hang(text):
    started = time.process_time()
    try:
        formats.parse(text, "yaml")
    except DomainError as error:
        assert len(error.detail) < 500

    assert time.process_time() - started < CPU_SECONDS


def test_positions__members_and_items__stand_where_they_begin():
    text = "# c\nservers:\n  - host: a\n    ports: [80, 81]\n  - &b\n    host: b\nmore: *b\n"
    positions = formats.parse(text, "yaml").positions

    assert {
        pointer: positions.find(pointer)
        for pointer in (
            "/servers",
            "/servers/0",
            "/servers/0/ports/1",
            "/servers/1/host",
            "/more/host",
        )
    } == {
        "/servers": (2, 1),
        "/servers/0": (3, 5),
        "/servers/0/ports/1": (4, 17),
        "/servers/1/host": (6, 5),
        "/more/host": (7, 1),
    }


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("{?foo: 1}", 3),
        ("[?foo]", 3),
        ("\U0001f600: {?foo: 1}", 6),
        ("a: &x:y z", 4),
        ("a: !!str &x:y z", 4),
        ("[&x?y: z]", 2),
    ],
)
def test_parse__what_yaml_1_1_reads_as_something_else__is_refused(text, column):
    assert refused(text) == (MalformedError, 1, column)


def test_parse__a_question_mark_as_yaml_1_1_and_1_2_read_it__is_taken():
    assert read("? foo\n: 1") == read("{? foo: 1}") == read("{&x foo: 1}") == '{"foo":1}'
    assert read("?foo: 1") == '{"?foo":1}'
    assert read("[a?b, &x, *x]") == '["a?b",null,null]'

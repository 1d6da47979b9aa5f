import json
import time

import pytest
from hypothesis import example, given, settings

from apps.engine import formats, values
from apps.engine.errors import DomainError, LimitError, MalformedError
from tests.engine import strategies
from tests.limits import CPU_SECONDS, examples

MIB = 1_048_576


def refused(content, format_name="json"):
    with pytest.raises(MalformedError) as caught:
        formats.parse(content, format_name)
    problem = caught.value.problems[0]
    return type(caught.value), problem.line, problem.column


@given(strategies.trees())
@settings(max_examples=examples(300), deadline=None)
@example({"a": [values.number("-0"), values.number("1E400"[:3]), [], {}, [[]]]})
def test_render__any_document__is_json_with_the_same_digits(tree):
    text = formats.render(tree, "json")

    assert values.same(formats.parse(text, "json").tree, tree)
    assert text.endswith("\n")
    json.loads(text)


@pytest.mark.parametrize("text", ["1", "null", '"x"', "[]", "-0", " {} \n", "\ufeff{}"])
def test_parse__any_json_value__is_taken(text):
    assert values.canonical(formats.parse(text, "json").tree) == text.strip("\ufeff \n")


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("", (1, 1)),
        (b"\xef\xbb\xbf", (1, 1)),
        ('{"a": 1}\n x', (2, 2)),
        ('{"a": 01}', (1, 8)),
        ('{"a": [1, -Infinity]}', (1, 11)),
        ('{"NaN": "NaN",\n "b": NaN}', (2, 7)),
        ('{"a": "\t"}', (1, 8)),
        ('{"a": "\\ud800"}', (1, 2)),
        ('{"a": "é\ud800"}', (1, 9)),
        ('{\n"a\\u0001": 1}', (1, 1)),
        ('{"a": {"x": 1,\n"\\u0078": 2}}', (2, 1)),
        ('{"a": 1, "a": {"b": 1, "b": 2}}', (1, 10)),
        ('{"a": [{"b": 1}, {"b": 1, "b": 2}]} x', (1, 27)),
        (b'\xef\xbb\xbf{"a":\n "\xc3\xa9\xff"}', (2, 4)),
        (b"\xff\xfe{\x00}\x00", (1, 1)),
        ("{\x00}", (1, 2)),
    ],
)
def test_parse__bad_document__names_its_place(content, where):
    assert refused(content) == (MalformedError, *where)


@pytest.mark.parametrize(
    "text",
    [
        "[" * MIB,
        '{"a":' * (MIB // 5),
        "[" * 65 + "]" * 65,
        '[{"a":' * (MIB // 6),
        "9" * MIB,
        "[" + "1," * (MIB // 2) + "1]",
        "[" + "{}," * (MIB // 3) + "{}]",
        '{"' + "k" * 257 + '": 1}',
    ],
    ids=range(8),
)
def test_parse__over_a_limit__is_refused_at_its_place_without_a_hang(text):
    started = time.process_time()

    kind, line, column = refused(text)

    assert time.process_time() - started < CPU_SECONDS
    assert (kind, bool(line and column)) == (LimitError, True)


def test_parse__64_levels__are_allowed():
    assert formats.parse("[" * 64 + "]" * 64, "json").tree


@pytest.mark.parametrize(
    "text",
    [
        '"' + "x" * MIB + '"',
        '["' + '\\"[' * (MIB // 3) + '"]',
        '{"' + "k" * MIB + '": 1, "' + "k" * MIB + '": 2}',
        '"' + "\\u00e9" * (MIB // 6),
        "[" + "[]," * 70 + '"' + "\\" * MIB,
    ],
    ids=range(5),
)
def test_parse__large_text__does_not_hang(text):
    started = time.process_time()
    try:
        formats.parse(text, "json").positions.find("/a/b")
    except DomainError as error:
        assert len(error.detail) < 500

    assert time.process_time() - started < CPU_SECONDS


def test_positions__members_and_items__stand_where_they_begin():
    text = '{"a":\n  [1, {"b/c~": [[], "x"]}],\n "\\u0064": null, "": {"": 1}}'
    positions = formats.parse(text, "json").positions

    expected = {
        "": (1, 1),
        "/a": (1, 2),
        "/a/0": (2, 4),
        "/a/1": (2, 7),
        "/a/1/b~1c~0": (2, 8),
        "/a/1/b~1c~0/1": (2, 21),
        "/d": (3, 2),
        "//": (3, 23),
        "/a/1/missing/deeper": (2, 7),
    }
    assert {pointer: positions.find(pointer) for pointer in expected} == expected

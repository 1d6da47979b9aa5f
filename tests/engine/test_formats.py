import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.engine import formats, values
from apps.engine.errors import DomainError, LimitError, MalformedError, UnrepresentableError
from tests.engine import strategies
from tests.limits import CPU_SECONDS, examples

ROUND_TRIP = ("json", "yaml", "toml", "xml")
MIB = 1_048_576


def place(error):
    return error.value.problems[0].line, error.value.problems[0].column


@pytest.mark.parametrize("format_name", ROUND_TRIP)
def test_render__any_document__reads_back_the_same(format_name):
    leaf = strategies.scalars if format_name == "toml" else strategies.nullable

    @given(strategies.trees(leaf))
    @settings(max_examples=examples(300), deadline=None)
    @example({"a": [[]], "b": [{}], "c": {"item": ["x"]}, "d": {"item": "x"}, "e": ["x"]})
    @example({"@id": "1", "#text": "t", "x": {"@id": "1", "#text": "t"}, "y": {"#text": "t"}})
    @example({"a": {"@type": "integer", "#text": "5"}, "b": "\r\n\t", "c": {"@n": "a\nb"}})
    @example({"a": "- x", "b": "# c", "c": "a: b", "d": "\u2028", "e": "x\n y\n", "f": "\x85"})
    def check(tree):
        try:
            text = formats.render(tree, format_name)
        except UnrepresentableError as error:
            assert error.problems
            return
        assert values.same(formats.parse(text, format_name).tree, tree)

    check()


@given(strategies.trees(strategies.texts))
@settings(max_examples=examples(200), deadline=None)
def test_render__env__reads_back_as_the_flattened_texts(tree):
    try:
        text = formats.render(tree, "env")
    except UnrepresentableError:
        return
    flat = formats.flatten(tree, lambda path: "__".join(map(str, path)), ".env")
    assert formats.parse(text, "env").tree == flat


@given(strategies.trees(strategies.texts))
@settings(max_examples=examples(200), deadline=None)
def test_render__properties__reads_back_as_the_flattened_texts(tree):
    try:
        text = formats.render(tree, "properties")
    except UnrepresentableError:
        return
    assert text.isascii()
    again = formats.parse(text, "properties").tree
    assert formats.render(again, "properties") == text


@pytest.mark.parametrize("format_name", formats.FORMATS)
def test_parse__any_bytes__gives_a_document_or_a_domain_error(format_name):
    fragments = st.lists(
        st.sampled_from(
            ["{", "}", "[", "]", '"', "'", ":", ",", "\n", " ", "a", "=", "<a>", "</a>", "&x;", "#"]
            + ["- ", "? ", "!!", "&a ", "*a", "<<: ", "|", ">", "---", "1", ".", "\\", "\\u0000"]
        ),
        max_size=30,
    ).map(lambda parts: "".join(parts).encode())

    @given(
        st.binary(max_size=80)
        | st.text(max_size=80).map(lambda t: t.encode("utf-8", "surrogatepass"))
        | fragments
    )
    @settings(max_examples=examples(400), deadline=None)
    def check(content):
        try:
            tree = formats.parse(content, format_name).tree
        except DomainError:
            return
        values.check(tree)
        values.canonical(tree)

    check()


@pytest.mark.parametrize(
    ("format_name", "text", "tree"),
    [
        ("json", '{"a": 0.10, "b": 9007199254740993}', '{"a":0.10,"b":9007199254740993}'),
        ("yaml", "a: no\nb: 012\nc: 0o14\nd: 0x1F\ne: 1:30", '{"a":"no","b":12,"c":12,"d":31,"e":"1:30"}'),
        ("yaml", "a: 2026-11-24\nb: 1.10\nc: ~\nd:\ne: 'x'", '{"a":"2026-11-24","b":1.10,"c":null,"d":null,"e":"x"}'),
        ("yaml", "base: &b {x: 1, y: 2}\nmine:\n  <<: *b\n  y: 3", '{"base":{"x":1,"y":2},"mine":{"x":1,"y":3}}'),
        ("yaml", "# nothing\n", "{}"),
        ("toml", "a = 1_000\nb = 1.50\nc = 1979-05-27T07:32:00Z\nd = [1]\n[t.u]\nx = true", '{"a":1000,"b":1.50,"c":"1979-05-27T07:32:00Z","d":[1],"t":{"u":{"x":true}}}'),
        ("xml", "<config><a type='integer'>5</a><b><item>x</item><item>y</item></b></config>", '{"a":5,"b":["x","y"]}'),
        ("xml", "<beans><bean id='a'/><bean id='b'>t</bean></beans>", '{"beans":{"bean":[{"@id":"a"},{"#text":"t","@id":"b"}]}}'),
        ("env", "# c\nexport A=1\nB='x ${HOME}'\nC=\"a\\nb\"\n", '{"A":"1","B":"x ${HOME}","C":"a\\nb"}'),
        ("properties", "a.b = 1\n! c\nx : y\\\n  z\nu=\\u00e9\n", '{"a.b":"1","u":"é","x":"yz"}'),
    ],
)  # fmt: skip
def test_parse__documented_input__gives_the_documented_values(format_name, text, tree):
    assert values.canonical(formats.parse(text, format_name).tree) == tree


@pytest.mark.parametrize(
    ("format_name", "text", "where"),
    [
        ("json", '{"a": 1,\n "a": 2}', (2, 2)),
        ("json", '{"a": {"b": [1, {"c": 1, "c": 2}]}}', (1, 26)),
        ("json", '{"a": 1e400}', (1, 7)),
        ("json", '{"a": "\\ud800"}', (1, 2)),
        ("json", '{"a": NaN}', (1, 7)),
        ("json", '{"a": "x\\u0000"}', (1, 2)),
        ("json", "{", (1, 2)),
        ("yaml", "a: 1\na: 2\n", (2, 1)),
        ("yaml", "a: !python/object:x y\n", (1, 4)),
        ("yaml", "a: 1\n---\nb: 2\n", (2, 1)),
        ("yaml", "8080: x\n", (1, 1)),
        ("yaml", "a: .nan\n", (1, 4)),
        ("yaml", "a: [1\n", (2, 1)),
        ("toml", "a = 1\na = 2\n", (2, 1)),
        ("xml", "<a>\n<b></a>", (2, 6)),
        ("xml", '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', (1, 13)),
        ("xml", "<a>&x;</a>", (1, 4)),
        ("env", "A=1\nA=2\n", (2, 1)),
        ("properties", "a=1\n\na=2\n", (3, 1)),
    ],
)
def test_parse__bad_input__names_its_place(format_name, text, where):
    with pytest.raises(MalformedError) as caught:
        formats.parse(text, format_name)

    assert place(caught) == where


@pytest.mark.parametrize("format_name", formats.FORMATS)
def test_parse__broken_utf8__names_line_and_column(format_name):
    with pytest.raises(MalformedError) as caught:
        formats.parse(b"ab\ncd\xff", format_name)

    assert place(caught) == (2, 3)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(ord(name) + 1)}: &{chr(ord(name) + 1)} [{','.join([f'*{name}'] * 9)}]\n"
    for name in "abcdefgh"
)
HOSTILE = [
    ("json", "[" * 100_000),
    ("json", "[" * MIB),
    ("json", '{"a":' * 200_000),
    ("json", '"' + '\\"' * 500_000),
    ("json", '{"a": ' + "9" * MIB + "}"),
    ("yaml", "[" * 100_000),
    ("yaml", "- " * 100_000),
    ("yaml", "{a: " * 100_000),
    ("yaml", "? " * 100_000),
    ("yaml", BOMB),
    ("yaml", "a: " + "9" * MIB),
    ("toml", ".".join(["a"] * 100_000) + " = 1"),
    ("toml", "[" + ".".join(["a"] * 100_000) + "]"),
    ("toml", "a = " + "[" * 100_000),
    ("toml", "a = " + "{a=" * 100_000),
    ("toml", '"a".' * 100_000 + "b = 1"),
    ("xml", "<a>" * 100_000),
    ("xml", "<a " + " ".join(f"b{i}=''" for i in range(100_000)) + "/>"),
    ("xml", '<!DOCTYPE a [<!ENTITY b "' + "x" * 1000 + '"><!ENTITY c "&b;&b;">]><a>&c;</a>'),
    ("xml", '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'),
    ("env", "A=" * 300_000),
    ("properties", "\\" * MIB),
]


@pytest.mark.parametrize(("format_name", "text"), HOSTILE, ids=range(len(HOSTILE)))
def test_parse__hostile_input__is_refused_or_read_within_two_seconds(format_name, text):
    started = time.process_time()
    try:
        formats.parse(text, format_name)
    except DomainError as error:
        assert error.problems
        assert len(error.detail) < 500
    assert time.process_time() - started < CPU_SECONDS


def test_parse__alias_bomb__is_a_limit_with_its_place():
    with pytest.raises(LimitError, match="aliases"):
        formats.parse(BOMB, "yaml")


@pytest.mark.parametrize(
    ("format_name", "tree", "pointer"),
    [
        ("toml", {"a": {"b": None}}, "/a/b"),
        ("toml", {"a": 2**63}, "/a"),
        ("xml", {"a": ["\x01"]}, "/a/0"),
        ("env", {"a-b": "x"}, "/a-b"),
        ("env", {"a": None}, "/a"),
        ("properties", {"a": {"b": 1}, "a.b": 2}, "/a.b"),
    ],
)
def test_render__what_a_format_cannot_hold__is_named(format_name, tree, pointer):
    with pytest.raises(UnrepresentableError) as caught:
        formats.render(tree, format_name)

    assert [problem.pointer for problem in caught.value.problems] == [pointer]


@pytest.mark.parametrize(
    ("format_name", "text"),
    [
        ("json", '{\n  "a": {\n    "b": [1, 2]\n  }\n}'),
        ("yaml", "# top\na:\n  b: [1, 2]\n"),
        ("toml", "# top\n[a]\nb = [1, 2]\n"),
        ("xml", "<config>\n  <a>\n    <b/></a></config>"),
    ],
)
def test_positions__known_key__is_found_and_unknown_falls_back_to_its_parent(format_name, text):
    positions = formats.parse(text, format_name).positions

    assert positions.find("/a/b") is not None
    assert positions.find("/a/b")[0] == 3
    assert positions.find("/a/zzz") == positions.find("/a")

import time
import tomllib

import pytest
import tomlkit
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.engine import formats, values
from apps.engine.errors import DomainError, LimitError, MalformedError, UnrepresentableError
from apps.engine.formats import toml_scanning
from tests.engine import strategies
from tests.limits import CPU_SECONDS, examples

MIB = 1_048_576
PIECES = ["a", "b.c", '"d e"', "'f'", " = ", "1", "1.5", "[", "]", "[[", "]]", "{", "}", ",", "\n"]
PIECES += [" ", "#x", '"', '"""', "'''", "'", "\\", "1979-05-27 07:32:00Z", "true", "é", "=", "."]


def refused(text):
    with pytest.raises(MalformedError) as caught:
        formats.parse(text, "toml")
    problem = caught.value.problems[0]
    return type(caught.value), problem.line, problem.column


@given(strategies.trees(strategies.scalars))
@settings(max_examples=examples(300), deadline=None)
@example({"a": [{}, {"b": [{"c": 1}, {}]}], "d": [[{"e": {}}], []], "f": {"g": {}}, "": {"": 1}})
def test_render__any_document__is_read_alike_by_tomllib_and_tomlkit(tree):
    text = formats.render(tree, "toml")

    assert values.same(formats.parse(text, "toml").tree, tree)
    assert tomlkit.parse(text).unwrap() == tomllib.loads(text)


@given(st.lists(st.sampled_from(PIECES), max_size=16).map("".join))
@settings(max_examples=examples(2000), deadline=None)
@example('a = """b""""" # c\n[x]\n')
@example("a = '''b'''''\n")
@example("a = [1, 2,\n# c\n]\n")
@example('"a\\u0041" . b = { c = 1, d = [] }\n')
def test_scan__whatever_tomllib_reads__is_read_to_the_end(text):
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return

    assert toml_scanning.check_limits(text) == len(text)


def test_positions__keys_tables_and_items__stand_where_they_begin():
    text = (
        '# c\n"a.b" = """\n[x]\ny = 1"""\nd.e = [1, {f = 1, g.h = "]"},\n  [2]]\n'
        '[srv]\nport = 80\n[[srv.l]]\nn = 1\n[[srv.l]]\n  n = 2\n[srv.l.sub]\n"k\\u0041" = 1\n'
    )
    positions = formats.parse(text, "toml").positions

    expected = {
        "/a.b": (2, 1),
        "/d/e": (5, 1),
        "/d/e/0": (5, 8),
        "/d/e/1/f": (5, 12),
        "/d/e/1/g/h": (5, 19),
        "/d/e/2/0": (6, 4),
        "/srv": (7, 1),
        "/srv/port": (8, 1),
        "/srv/l/0/n": (10, 1),
        "/srv/l/1/n": (12, 3),
        "/srv/l/1/sub/kA": (14, 1),
    }
    assert {pointer: positions.find(pointer) for pointer in expected} == expected


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a = 1\r\n\r\na = 2\r\n", (3, 1)),
        ("[a]\nb = 1\n[a]\n", (3, 1)),
        ("a.b = 1\na = [\n1]\n", (2, 1)),
        ("a = {b = 1, b = 2}\n", (1, 13)),
        ("a = 1\nb = [0, inf]\n", (2, 9)),
        ("a = nan # inf\n", (1, 5)),
        ("a = 'inf'\nb = -inf\n", (2, 5)),
        ("a = 1e400\n", (1, 5)),
        ("a = [1\n", (2, 1)),
        ("a = 1 2\n", (1, 7)),
        ("a\n", (1, 2)),
        ('a = """x\n' + "y" * 500, (1, 5)),
    ],
)
def test_parse__bad_document__names_its_place(text, where):
    assert refused(text) == (MalformedError, *where)


@pytest.mark.parametrize("number", [str(2**63), "0x" + "f" * 100_000, "9" * 5_000])
def test_parse__integer_beyond_64_bits__is_a_limit_at_its_place(number):
    assert refused(f"a = 1\nb = [{number}]\n") == (LimitError, 2, 6)


def test_parse__dates_and_times__are_rfc_3339_text():
    text = (
        "a = 1979-05-27 07:32:00Z\nb = 1979-05-27T00:32:00.5-07:00\nc = 1979-05-27\nd = 07:32:00\n"
    )

    assert formats.parse(text, "toml").tree == {
        "a": "1979-05-27T07:32:00Z",
        "b": "1979-05-27T00:32:00.500000-07:00",
        "c": "1979-05-27",
        "d": "07:32:00",
    }


@pytest.mark.parametrize(
    ("tree", "pointers"),
    [
        ({"a": [1, None], "b": {"c": None}}, ["/a/1", "/b/c"]),
        ({"a": [[{"b": 2**63}]]}, ["/a/0/0/b"]),
        ({"a": values.number("-0")}, ["/a"]),
        ([1], [""]),
    ],
)
def test_render__what_toml_cannot_hold__is_named(tree, pointers):
    with pytest.raises(UnrepresentableError) as caught:
        formats.render(tree, "toml")

    assert [problem.pointer for problem in caught.value.problems] == pointers


NESTED = "a = " + ("{" + ".".join("b" * 60) + " = ") * 60 + "1" + "}" * 60


@pytest.mark.parametrize(
    "text",
    [
        ".".join("a" * 100_000) + " = 1",
        "[[" + ".".join("a" * 100_000) + "]]",
        "x = {" + ".".join("a" * 100_000) + " = 1}",
        '"a" . ' * 100_000 + "b = 1",
        NESTED,
        "a = " + "[" * MIB,
        "a = " + "{b=" * (MIB // 3),
        "".join(f"[a{n}]\n" for n in range(80_000)),
        "[[a]]\n" * (MIB // 6),
        "a = [" + "1," * (MIB // 2) + "]",
        "a = [" + "{}," * (MIB // 3) + "]",
        "".join(f"[k{n}.{'.'.join('a' * 60)}]\n" for n in range(8_000)),
    ],
    ids=range(12),
)
def test_parse__over_a_limit__is_refused_at_its_place_without_a_hang(text):
    started = time.process_time()

    kind, line, column = refused(text)

    assert time.process_time() - started < CPU_SECONDS
    assert (kind, bool(line and column)) == (LimitError, True)


@pytest.mark.parametrize(
    "text",
    [
        '[ "' + " " * MIB + '" ]',
        'a="""' + "\\n\n" * (MIB // 3) + '"""',
        "a='" + "x" * MIB + "'",
        "a=[\n" + "#\n" * (MIB // 2) + "]",
        "a = 1\n" + "b" * MIB + " = 1\n" + "b" * MIB + " = 2\n",
        "a = [" * MIB,
        '"' * MIB,
        "a = '''" + "''x" * (MIB // 3),
    ],
    ids=range(8),
)
def test_parse__large_text__does_not_hang(text):
    started = time.process_time()
    try:
        formats.parse(text, "toml").positions.find("/a/b")
    except DomainError as error:
        assert len(error.detail) < 500

    assert time.process_time() - started < CPU_SECONDS


def test_render__20000_keys__does_not_hang():
    tree = {f"k{number}": "v" for number in range(19_999)}
    started = time.process_time()

    text = formats.render(tree, "toml")

    assert time.process_time() - started < CPU_SECONDS
    assert formats.parse(text, "toml").tree == tree

"""dotenv and Java properties against the readers that people use."""

import io
import subprocess
import time

import dotenv
import javaproperties
import pytest
from dotenv.parser import parse_stream
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.engine import formats
from apps.engine.errors import DomainError, LimitError, MalformedError, UnrepresentableError
from apps.engine.formats import env, properties
from tests.limits import CPU_SECONDS, examples

MIB = 1_048_576
ENV_PIECES = ["A", "B", "=", " ", "\t", "'", '"', "\\", "\n", "\r\n", "#", "export ", "x", "$", "é"]
PROPERTIES_PIECES = ["a", "b", "=", ":", " ", "\t", "\\", "\n", "\r\n", "\f", "#", "!", "\\u00e9"]
AWKWARD = st.text(st.sampled_from(list("ab '\"\\$`#=!~\n\t{}()&|;<>*?é\u2028\x0b")), max_size=8)


@given(st.lists(st.sampled_from(ENV_PIECES), max_size=14).map("".join))
@settings(max_examples=examples(1500), deadline=None)
@example("A= # c\nB=#d\nC='x'#e\n")
@example("'A B'=1\n")
def test_env__any_text__reads_as_python_dotenv_does(text):
    bindings = list(parse_stream(io.StringIO(text, newline="")))
    pairs = [(each.key, each.value) for each in bindings if each.key is not None]
    is_refused = (
        any(each.error or is_export_of_nothing(each) for each in bindings)
        or any(value is None for _key, value in pairs)
        or len({key for key, _value in pairs}) < len(pairs)
    )

    try:
        tree = env.parse(text).tree
    except MalformedError:
        assert is_refused
    else:
        assert not is_refused
        assert tree == dict(pairs)


def is_export_of_nothing(binding):
    """``export # comment``, which python-dotenv passes over and the service refuses."""
    return binding.key is None and binding.original.string.lstrip().startswith("export")


@given(st.dictionaries(st.sampled_from([f"K{n}" for n in range(40)]), AWKWARD, min_size=20))
@settings(max_examples=15, deadline=None)
@example({"A": "it's", "B": "C:\\dir", "C": "$HOME `id` $(id)", "D": "a\\\\b", "E": "x\\", "F": ""})
def test_env__rendered__is_the_same_for_shells_and_python_dotenv(tmp_path_factory, tree):
    tree = {name: text for name, text in tree.items() if can_hold(text)}
    file = tmp_path_factory.mktemp("env") / ".env"
    file.write_text(formats.render(tree, "env"), encoding="utf-8", newline="")

    command = (
        f"set -eu; {'; '.join(f'unset {name}' for name in tree) or ':'}; set -a; . {file}; env -0"
    )
    printed = subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout
    variables = dict(line.split("=", 1) for line in printed.decode().split("\0") if "=" in line)

    assert {name: variables[name] for name in tree} == tree
    assert dotenv.dotenv_values(file, interpolate=False) == tree
    assert formats.parse(file.read_bytes(), "env").tree == tree


def can_hold(text):
    try:
        formats.render({"A": text}, "env")
    except UnrepresentableError:
        return False
    return True


@pytest.mark.parametrize("text", ["'$(id)'", "it's $5", "'`id`", "\\\\host\\c$", "a\rb"])
def test_env__text_that_readers_would_take_differently__is_refused(text):
    with pytest.raises(UnrepresentableError) as caught:
        formats.render({"a": {"b": text}}, "env")

    assert [problem.pointer for problem in caught.value.problems] == ["/a/b"]


@pytest.mark.parametrize("format_name", ["env", "properties"])
@pytest.mark.parametrize(
    ("tree", "pointers"),
    [
        ({"a": {"b": None, "c": 1, "d": [None]}}, ["/a/b", "/a/d/0"]),
        ({"a": [], "b": {}}, ["/a", "/b"]),
        ([1], [""]),
        ("x", [""]),
    ],
)
def test_render__what_flat_formats_cannot_hold__is_named(format_name, tree, pointers):
    with pytest.raises(UnrepresentableError) as caught:
        formats.render(tree, format_name)

    assert [problem.pointer for problem in caught.value.problems] == pointers


def test_render__two_keys_of_one_name__are_refused():
    with pytest.raises(UnrepresentableError) as caught:
        formats.render({"A": {"B": "1"}, "A__B": "2"}, "env")

    assert [problem.pointer for problem in caught.value.problems] == ["/A__B"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("A=1\n\n# c\n  B\n", (4, 3)),
        ("A=1\r\nB='x\r\n", (2, 1)),
        ("A='x' y\n", (1, 1)),
        ("A=1\nexport A=2\n", (2, 1)),
        ("=1\n", (1, 1)),
    ],
)
def test_env__bad_line__names_its_place(text, where):
    with pytest.raises(MalformedError) as caught:
        formats.parse(text, "env")

    problem = caught.value.problems[0]
    assert (problem.line, problem.column) == where


def test_env__interpolation__is_left_alone(monkeypatch):
    monkeypatch.setenv("SECRET", "leaked")

    assert formats.parse('A=${SECRET}\nB="$SECRET"\n', "env").tree == {
        "A": "${SECRET}",
        "B": "$SECRET",
    }


@given(st.lists(st.sampled_from(PROPERTIES_PIECES), max_size=14).map("".join))
@settings(max_examples=examples(1500), deadline=None)
@example("a\\\n  # b = c\n")
@example("\\\n \\\n")
def test_properties__any_text__reads_as_javaproperties_does(text):
    pairs = javaproperties.loads(text, object_pairs_hook=list)

    try:
        tree = properties.parse(text).tree
    except MalformedError:
        assert len({key for key, _value in pairs}) < len(pairs)
    else:
        assert tree == dict(pairs)


@given(st.dictionaries(AWKWARD, AWKWARD))
@settings(max_examples=examples(300), deadline=None)
def test_properties__rendered__is_read_back_by_javaproperties(tree):
    text = formats.render(tree, "properties")

    assert javaproperties.loads(text.encode("latin-1")) == tree


def test_properties__imported_flat_keys__stay_flat_and_nested_ones_are_flattened():
    tree = formats.parse("spring.hosts[0] = a\nspring.pool.size = 5\n", "properties").tree

    assert tree == {"spring.hosts[0]": "a", "spring.pool.size": "5"}
    nested = {"spring": {"hosts": ["a"], "pool": {"size": 5}}}
    assert formats.render(nested, "properties") == formats.render(tree, "properties")


@pytest.mark.parametrize(
    ("text", "where"), [("a=1\r\n\r\n  a=2\n", (3, 3)), ("a=1\nb=\\u12\n", (2, 1))]
)
def test_properties__bad_line__names_its_place(text, where):
    with pytest.raises(MalformedError) as caught:
        formats.parse(text, "properties")

    problem = caught.value.problems[0]
    assert (problem.line, problem.column) == where


def test_positions__flat_formats__are_line_and_column_of_the_key():
    dotted = formats.parse("# c\n  a.b = 1\\\n  2\nc=3\n", "properties").positions
    named = formats.parse("# c\nA='1\n2'\n  B=3\n", "env").positions

    assert (dotted.find("/a.b"), dotted.find("/c")) == ((2, 3), (4, 1))
    assert (named.find("/A"), named.find("/B")) == ((2, 1), (4, 3))


@pytest.mark.parametrize(
    ("format_name", "text"),
    [
        ("env", "A=x" + " " * MIB + "y"),
        ("env", "A='" + "\\'" * (MIB // 2)),
        ("env", 'A="' + "a" * MIB + '"'),
        ("env", "".join(f"A{n}=1\n" for n in range(100_000))),
        ("properties", "x" + "a\\\n" * (MIB // 3)),
        ("properties", "a=" + " " * MIB + "b"),
        ("properties", "a=" + "\\u00e9" * (MIB // 6)),
        ("properties", "".join(f"a{n}=1\n" for n in range(100_000))),
    ],
    ids=range(8),
)
def test_parse__large_flat_text__does_not_hang(format_name, text):
    started = time.process_time()
    try:
        formats.parse(text, format_name)
    except LimitError as error:
        assert error.problems[0].line
    except DomainError as error:
        assert len(error.detail) < 500

    assert time.process_time() - started < CPU_SECONDS

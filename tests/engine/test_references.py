import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine import references, values
from apps.engine.errors import InvalidError
from apps.engine.references import Default, Parameter, Reference, SecretName
from tests.limits import CPU_SECONDS


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("plain $ {x}", ["plain $ {x}"]),
        ("$${x}", ["${x}"]),
        ("$$${x}", ["$${x}"]),
        ("${b:c}", [Reference("b", None, ("c",))]),
        ("a${b:c.d}e", ["a", Reference("b", None, ("c", "d")), "e"]),
        ("${b@prod:hosts[0].x}", [Reference("b", "prod", ("hosts", 0, "x"))]),
        ("${self:a}${SELF:b}", [Reference(None, None, ("a",)), Reference(None, None, ("b",))]),
        ("${b:c:-5}", [Reference("b", None, ("c",), Default(5))]),
        ("${b:c:-}", [Reference("b", None, ("c",), Default(""))]),
        ("${b:c:-a b}", [Reference("b", None, ("c",), Default("a b"))]),
        ('${b:c:-"5"}', [Reference("b", None, ("c",), Default("5"))]),
        ('${b:c:-"a}b"}', [Reference("b", None, ("c",), Default("a}b"))]),
        ('${b:c:-"a}', [Reference("b", None, ("c",), Default('"a'))]),
        ("${b:c:-null}", [Reference("b", None, ("c",), Default(None))]),
        ("${b:c:-[1]}", [Reference("b", None, ("c",), Default("[1]"))]),
        ("${b:c:-1e999}", [Reference("b", None, ("c",), Default("1e999"))]),
        ('${b:["x}:-y"].z}', [Reference("b", None, ("x}:-y", "z"))]),
        ("${param:pool}", [Parameter(("pool",))]),
        ("${param:pool:-4}", [Parameter(("pool",), Default(4))]),
        ("a${secret:x/y}", ["a", SecretName("x/y")]),
    ],
)
def test_parse__text__gives_its_parts(text, parts):
    assert references.parse(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "${",
        "${}",
        "${x}",
        "${x:}",
        "${x:a",
        "${x:a:-b",
        "${x y:a}",
        "${x@:a}",
        "${self@prod:a}",
        "${x:a..b}",
        "${param:}",
        "${param:1a}",
        "${param@prod:a}",
        "${secret:}",
        "${secret:a b}",
        "${secret@prod:a}",
        "${x:a" + "b" * 30_000 + "}",
    ],
)
def test_parse__what_is_no_reference__is_refused(text):
    with pytest.raises(InvalidError) as caught:
        references.parse(text)

    assert caught.value.problems[0].code == "reference"


@pytest.mark.parametrize(
    "text",
    ['${a:["' * 50_000, "${a:b:-" + '"' * 300_000, "${a:" * 100_000, "$${" * 200_000 + "${"],
)
def test_parse__hostile_text__is_refused_in_bounded_time(text):
    began = time.process_time()

    with pytest.raises(InvalidError):
        references.parse(text)

    assert time.process_time() - began < CPU_SECONDS


@given(st.text(st.sampled_from('a${}:-@"\\[].self')))
def test_parse__any_text__is_refused_or_gives_back_what_is_literal(text):
    try:
        parts = references.parse(text)
    except InvalidError:
        return
    if all(isinstance(part, str) for part in parts):
        assert "".join(parts) == text.replace("$${", "${")
    for part in parts:
        values.check(part.default.value if getattr(part, "default", None) else None)

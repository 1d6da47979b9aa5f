"""CEL: what expressions give, what they are refused for, and that none can take long."""

import pytest

from apps.engine.errors import InvalidError
from apps.engine.expressions import MAX_EXPRESSION, Scope, check_expression, is_variable
from apps.engine.values import number

PARAMS = {
    "pool": 20,
    "share": number("1.10"),
    "names": ["a", "b"],
    "nothing": None,
    "deep": {"list": [1, {"z": True}]},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("params.pool > 10", True),
        ("params.pool == 20.0", True),
        ("params.share", 1.1),
        ("params.names.map(n, n + '-x')", ["a-x", "b-x"]),
        ("has(params.other)", False),
        ("params.deep", {"list": [1, {"z": True}]}),
        ("params.nothing", None),
        ("'héllo'.size()", 5),
        ("{'a': [params.pool]}", {"a": [20]}),
        ("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'.matches('^(a+)+$')", False),
    ],
)
def test_value__of_an_expression__is_a_tree(text, value):
    result = Scope({"params": PARAMS}).value(text)

    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("params.pool >", "Syntax error"),
        ("other", "undeclared reference to 'other'"),
        ("params.other", "Key not found"),
        ("1 / 0", "divide by zero"),
        ("0.0 / 0.0", "A result is JSON"),
        ("timestamp('2020-01-01T00:00:00Z')", "A result is JSON"),
        ("b'abc'", "A result is JSON"),
        ("{1: 2}", "The keys of a result are texts."),
        ("'x'.startsWith(1)", "no matching overload"),
        ("(" * 60 + "1" + ")" * 60, "recursion limit"),
        ("1" * (MAX_EXPRESSION + 1), f"at most {MAX_EXPRESSION} characters"),
        ("[1].map(a, a).map(b, b).map(c, c).map(d, d)", "at most 3 of map"),
        ("+".join(["1"] * 30), "24 times '+'"),
    ],
)
def test_value__what_has_none__is_refused_with_its_reason(text, message):
    with pytest.raises(InvalidError) as refused:
        Scope({"params": PARAMS}).value(text)

    (problem,) = refused.value.problems
    assert problem.code == "expression"
    assert message in problem.message
    assert "[INVALID_ARGUMENT]" not in problem.message


def test_value__a_failure__does_not_repeat_what_a_parameter_says():
    with pytest.raises(InvalidError) as refused:
        Scope({"params": {"key": "TOPSECRET", "map": {"a": 1}}}).value("params.map[params.key]")

    assert "Key not found in map" in refused.value.detail
    assert "TOPSECRET" not in refused.value.detail


def test_value__loops_in_loops__end_by_their_budget():
    many = {"list": list(range(200))}
    text = "params.list.all(a, params.list.all(b, params.list.all(c, a + b + c >= 0)))"

    with pytest.raises(InvalidError, match="budget"):
        Scope({"params": many}).value(text)


def test_value__shared_parts_that_multiply__are_counted_as_often_as_they_stand():
    text = "[params.list].map(a, [a,a,a,a,a,a,a,a]).map(b, [b,b,b,b,b,b,b,b])"

    with pytest.raises(InvalidError, match="more than 20000 values"):
        Scope({"params": {"list": list(range(1000))}}).value(text)


def test_check_expression__over_its_names__passes():
    check_expression("params.a > x", ("x", "params"))

    with pytest.raises(InvalidError):
        check_expression("params.a > y", ("x", "params"))


@pytest.mark.parametrize("name", ["params", "null", "in", "for", "type", "1a", "a-b", "", 3, None])
def test_is_variable__words_that_mean_something__are_none(name):
    assert not is_variable(name)
    assert is_variable("replica_1")

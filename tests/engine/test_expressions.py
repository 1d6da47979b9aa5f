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
        ("[1].map(a, a).filter(b, true)", "at most 1 of map"),
        ("'a'.matches('a')", "no 'matches' here"),
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


def test_value__shared_parts_that_multiply__are_counted_as_often_as_they_stand():
    with pytest.raises(InvalidError, match="more than 20000 values"):
        Scope({"params": {"list": list(range(200))}}).value("params.list.map(a, params.list)")


def test_value__text_that_multiplies__is_counted():
    params = {"list": list(range(300)), "text": "x" * 10_000}

    with pytest.raises(InvalidError, match="more than 1048576 characters"):
        Scope({"params": params}).value("params.list.map(a, params.text)")


def test_value__a_number_beyond_a_double__is_refused():
    with pytest.raises(InvalidError, match="too large"):
        Scope({"params": {"n": 10**400}}).value("params.n > 1")


def test_work__grows_with_what_variables_hold_and_with_the_turns():
    small, large = ({"params": {"l": [1] * n, "s": "x" * n}} for n in (10, 1000))
    plain, looping = "params.s == 'a'", "params.l.all(x, params.s == 'a')"

    assert Scope(large).work(plain) > 20 * Scope(small).work(plain)
    assert Scope(large).work(looping) > 1000 * Scope(large).work(plain)


def test_check_expression__over_its_names__passes():
    check_expression("params.a > x", ("x", "params"))

    with pytest.raises(InvalidError):
        check_expression("params.a > y", ("x", "params"))


@pytest.mark.parametrize("name", ["params", "null", "in", "for", "type", "1a", "a-b", "", 3, None])
def test_is_variable__words_that_mean_something__are_none(name):
    assert not is_variable(name)
    assert is_variable("replica_1")

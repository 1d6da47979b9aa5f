"""Templates: parameters, choices and repetitions on the tree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine import templating
from apps.engine.errors import DomainError, InvalidError, LimitError
from apps.engine.merge import RESERVED
from apps.engine.values import number

SCHEMA = {
    "type": "object",
    "required": ["host"],
    "properties": {
        "host": {"type": "string"},
        "pool": {"type": "integer", "minimum": 1, "default": 5},
        "tls": {"type": "object", "properties": {"on": {"type": "boolean", "default": True}}},
        "replicas": {"type": "array", "default": []},
    },
}
PARAMS = {
    "host": "db",
    "pool": 20,
    "exact": number("1.10"),
    "tls": {"on": True},
    "replicas": [{"name": "r1", "port": 1}, {"name": "r2", "port": 2}],
    "text": "${self:a}",
    "nothing": None,
    "marker": "$remove",
}


@pytest.mark.parametrize(
    ("content", "gives"),
    [
        ({"a": "${param:pool}"}, {"a": 20}),
        ({"a": "${param:exact}"}, {"a": number("1.10")}),
        ({"a": "${param:tls}"}, {"a": {"on": True}}),
        ({"a": "${param:tls.on}"}, {"a": True}),
        ({"a": "${param:replicas[1].port}"}, {"a": 2}),
        ({"a": "${param:nothing}"}, {"a": None}),
        ({"a": "${param:other:-7}"}, {"a": 7}),
        ({"a": "${param:other:-}"}, {"a": ""}),
        ({"a": "tcp://${param:host}:${param:pool}/"}, {"a": "tcp://db:20/"}),
        ({"a": "$${param:host}"}, {"a": "$${param:host}"}),
        ({"a": "$${ ${param:host} ${self:b:-1}"}, {"a": "$${ db ${self:b:-1}"}),
        ({"a": "${param:text}"}, {"a": "${self:a}"}),
        ({"a": "${self:b}"}, {"a": "${self:b}"}),
        ({"x-${param:host}": 1}, {"x-db": 1}),
        ({"a": {"$secret": "${param:host}-password"}}, {"a": {"$secret": "db-password"}}),
        ({"a": {"$literal": "${param:host}"}}, {"a": {"$literal": "${param:host}"}}),
        ({"a": {"$append": ["${param:host}"]}}, {"a": {"$append": ["db"]}}),
        ({"a": {"$if": "params.pool > 10", "then": 1, "else": 2}}, {"a": 1}),
        ({"a": {"$if": "params.pool > 50", "then": 1, "else": "${param:host}"}}, {"a": "db"}),
        ({"a": {"$if": "false", "then": 1}, "b": 2}, {"b": 2}),
        ({"a": [{"$if": "false", "then": 1}, 2]}, {"a": [2]}),
        ({"$if": "false", "then": {"a": 1}}, {}),
        (
            {"a": {"$for": "r", "in": "params.replicas", "do": "${param:r.name}:${param:host}"}},
            {"a": ["r1:db", "r2:db"]},
        ),
        (
            {"a": {"$for": "r", "in": "params.replicas", "do": "${param:r}"}},
            {"a": PARAMS["replicas"]},
        ),
        (
            {
                "a": {
                    "$for": "r",
                    "in": "params.replicas",
                    "do": {"$if": "r.port > 1", "then": {"name": "${param:r.name}"}},
                }
            },
            {"a": [{"name": "r2"}]},
        ),
        (
            {
                "a": {
                    "$for": "x",
                    "in": "[1, 2]",
                    "do": {"$for": "y", "in": "[x, x * 10]", "do": "${param:y}"},
                }
            },
            {"a": [[1, 10], [2, 20]]},
        ),
        ({"a": {"$for": "k", "in": "params.tls", "do": "${param:k}"}}, {"a": ["on"]}),
        ({"a": {"$for": "n", "in": "[null]", "do": "${param:n}"}}, {"a": [None]}),
    ],
)
def test_instantiate__parameters_choices_repetitions__as_the_table_says(content, gives):
    templating.check_content(content)

    assert templating.instantiate(content, PARAMS) == gives


@pytest.mark.parametrize(
    ("content", "pointer", "code"),
    [
        ({"a": {"b": "${param:other}"}}, "/a/b", "parameter"),
        ({"a": "x ${param:tls}"}, "/a", "parameter"),
        ({"a": {"$if": "params.pool", "then": 1}}, "/a/$if", "expression"),
        ({"a": {"$if": "params.other > 1", "then": 1}}, "/a/$if", "expression"),
        ({"a": {"$for": "x", "in": "3", "do": 1}}, "/a/in", "expression"),
        ({"${param:host}": 1, "db": 2}, "", "duplicate"),
        ({"a": {"${param:marker}": True}}, "/a", "parameter"),
    ],
)
def test_instantiate__what_these_parameters_do_not_give__is_refused_with_its_place(
    content, pointer, code
):
    with pytest.raises(InvalidError) as refused:
        templating.instantiate(content, PARAMS)

    (problem,) = refused.value.problems
    assert (problem.pointer, problem.code) == (pointer, code)


@pytest.mark.parametrize(
    ("content", "pointer", "code"),
    [
        ({"a": ["${param:1}"]}, "/a/0", "reference"),
        ({"a": "${param@x:y}"}, "/a", "reference"),
        ({"a": "${self:${param:k}}"}, "/a", "reference"),
        ({"a": "${self:b:-${param:k}}"}, "/a", "reference"),
        ({"a": {"$if": "params.a >", "then": 1}}, "/a/$if", "expression"),
        ({"a": {"$if": "x", "then": 1}}, "/a/$if", "expression"),
        ({"a": {"$if": "true"}}, "/a", "marker"),
        ({"a": {"$if": True, "then": 1}}, "/a", "marker"),
        ({"a": {"$if": "true", "then": 1, "b": 2}}, "/a", "marker"),
        ({"a": {"$for": "x", "in": "[1]"}}, "/a", "marker"),
        ({"a": {"$for": "params", "in": "[1]", "do": 1}}, "/a/$for", "marker"),
        ({"a": {"$for": "in", "in": "[1]", "do": 1}}, "/a/$for", "marker"),
        (
            {"a": {"$for": "x", "in": "[1]", "do": {"$for": "x", "in": "[1]", "do": 1}}},
            "/a/do/$for",
            "marker",
        ),
        ({"a": {"$for": "x", "in": "x", "do": 1}}, "/a/in", "expression"),
        (
            {"a": {"$for": "x", "in": "[1]", "do": {"$if": "y", "then": 1}}},
            "/a/do/$if",
            "expression",
        ),
    ],
)
def test_check_content__what_no_parameters_could_mend__is_refused_with_its_place(
    content, pointer, code
):
    with pytest.raises(InvalidError) as refused:
        templating.check_content(content)

    (problem,) = refused.value.problems
    assert (problem.pointer, problem.code) == (pointer, code)


def test_instantiate__more_expressions_than_may_be__is_refused():
    many = {"a": {"$for": "x", "in": "params.list", "do": {"$if": "x > 1", "then": 1}}}

    with pytest.raises(DomainError, match="1000 expressions"):
        templating.instantiate(many, {"list": list(range(1001))})


@pytest.mark.parametrize("do", ["${param:big}", "in ${param:text} text", "${param:text}"])
def test_instantiate__what_is_taken_many_times__is_counted_as_often(do):
    params = {"list": list(range(900)), "big": list(range(5000)), "text": "x" * 20_000}

    with pytest.raises(LimitError, match="at most 80000 values"):
        templating.instantiate({"a": {"$for": "x", "in": "params.list", "do": do}}, params)


@pytest.mark.parametrize(
    "text",
    [
        "params.l.map(x, " + "+".join(["params.s"] * 25) + ")",
        "params.l.all(x, params.l != params.m)",
        "params.l.exists(x, params.s == params.t)",
    ],
)
def test_instantiate__an_expression_that_could_touch_too_much__is_refused_before(text):
    params = {"l": list(range(1500)), "m": list(range(1500)), "s": "x" * 9_000, "t": "x" * 9_000}

    with pytest.raises(LimitError, match="too much to do") as refused:
        templating.instantiate({"a": {"$for": "x", "in": text, "do": 1}}, params)

    assert refused.value.problems[0].pointer == "/a/in"


def test_instantiate__text_of_the_template_repeated__is_counted():
    content = {"a": {"$for": "i", "in": "params.l", "do": "x" * 50_000}}

    with pytest.raises(LimitError, match="4194304 characters"):
        templating.instantiate(content, {"l": list(range(500))})


def test_instantiate__several_that_count_together__are_bounded_together():
    making = templating.Making()
    content = {"a": {"$for": "x", "in": "params.list", "do": "${param:x}"}}
    params = {"list": list(range(5000))}

    with pytest.raises(LimitError):
        for _ in range(20):
            templating.instantiate(content, params, making)


def test_filled__defaults__stand_for_what_is_absent_in_objects_too():
    assert templating.filled(SCHEMA, {"host": "db", "tls": {}}) == {
        "host": "db",
        "pool": 5,
        "tls": {"on": True},
        "replicas": [],
    }
    assert templating.filled({}, {}) == {}


@pytest.mark.parametrize(
    ("given_", "pointer", "code"),
    [
        ({}, "/host", "required"),
        ({"host": 3}, "/host", "type"),
        ({"host": "a", "pool": 0}, "/pool", "minimum"),
        ({"host": "a", "tls": {"on": 1}}, "/tls/on", "type"),
        ({"host": "a", "pol": 1}, "/pol", "parameter"),
    ],
)
def test_filled__what_the_schema_refuses__has_its_place(given_, pointer, code):
    with pytest.raises(InvalidError) as refused:
        templating.filled(SCHEMA, given_)

    assert [(each.pointer, each.code) for each in refused.value.problems] == [(pointer, code)]


def test_filled__a_schema_that_says_what_others_may_be__takes_them():
    open_schema = {"properties": {}, "additionalProperties": {"type": "integer"}}

    assert templating.filled(open_schema, {"x": 1}) == {"x": 1}
    with pytest.raises(InvalidError):
        templating.filled(open_schema, {"x": "1"})


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        (True, "/parameters"),
        ({"type": "nothing"}, "/parameters/type"),
        ({"type": "array"}, "/parameters/type"),
        ({"properties": {"a": {"$ref": "https://example.org/x"}}}, "/parameters/properties/a/$ref"),
        (
            {"properties": {"a": {"type": "integer", "default": "x"}}},
            "/parameters/properties/a/default",
        ),
    ],
)
def test_check_parameters__unusable__is_refused_with_its_place(schema, pointer):
    with pytest.raises(InvalidError) as refused:
        templating.check_parameters(schema)

    assert refused.value.problems[0].pointer == pointer


@pytest.mark.parametrize("shared", ["$defs", "definitions"])
def test_check_parameters__a_default_beside_a_reference__is_checked_by_it(shared):
    declared = {"$ref": f"#/{shared}/n", "default": 2}
    schema = {shared: {"n": {"type": "integer"}}, "required": ["x"], "properties": {"k": declared}}

    templating.check_parameters(schema)

    declared["default"] = "two"
    with pytest.raises(InvalidError):
        templating.check_parameters(schema)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text().filter(lambda text: "${" not in text),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text().filter(lambda key: key not in RESERVED and "${" not in key), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(PLAIN)
def test_instantiate__a_tree_without_parameters__is_itself(tree):
    assert templating.instantiate({"a": tree}, {}) == {"a": tree}


@given(PLAIN)
def test_instantiate__a_parameter_alone__is_its_value(tree):
    assert templating.instantiate({"a": "${param:x}"}, {"x": tree}) == {"a": tree}

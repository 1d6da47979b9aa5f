import socket
import threading
import time

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine import schemas, values
from apps.engine.errors import InvalidError
from tests.limits import examples

BUDGET = 1
"""The CPU seconds of a whole case, on a slow machine; most take a few milliseconds."""

SCHEMA = {
    "type": "object",
    "required": ["port"],
    "properties": {
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "host": {"type": "string", "pattern": "^[a-z.]+$", "maxLength": 20},
        "mode": {"enum": ["fast", "safe"]},
        "ratio": {"type": "number", "multipleOf": 0.5},
    },
    "additionalProperties": False,
}
members = st.fixed_dictionaries(
    {},
    optional={
        "port": st.integers(-5, 70000) | st.text(max_size=3),
        "host": st.text("abc.X", max_size=25),
        "mode": st.sampled_from(["fast", "slow", 1]),
        "ratio": st.sampled_from([0.5, 0.3, 2]),
        "other": st.none(),
    },
)


@given(members)
@settings(deadline=None, max_examples=examples(300))
def test_validate__any_document__agrees_with_the_reference_validator(tree):
    key = {"required": "/port", "additionalProperties": "/other"}
    expected = {
        (key.get(error.validator) or f"/{error.absolute_path[0]}", error.validator)
        for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(tree)
    }

    found = {(problem.pointer, problem.code) for problem in schemas.validate(SCHEMA, tree)}

    assert found == expected


def test_validate__value_against_every_rule__is_never_repeated():
    secret = "hunter2hunter2hunter2hunter2"
    schema = {
        "properties": {
            "a": {"type": "integer"},
            "b": {"const": "x"},
            "c": {"pattern": "^x$"},
            "d": {"maxLength": 3},
            "e": {"anyOf": [{"type": "integer"}, {"enum": ["y"]}]},
            "f": {"format": "ipv4"},
            "g": {"not": {}},
        }
    }

    problems = schemas.validate(schema, dict.fromkeys("abcdefg", secret))

    assert {problem.pointer for problem in problems} == {f"/{name}" for name in "abcdefg"}
    assert not any(secret in problem.message for problem in problems)


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ({"type": "nonsense"}, "schema"),
        ({"$ref": "http://127.0.0.1:1/x"}, "remote_ref"),
        ({"$ref": "file:///etc/passwd"}, "remote_ref"),
        ({"properties": {"a": {"$ref": "other.json"}}}, "remote_ref"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "draft"),
        ({"pattern": "("}, "schema"),
        ({"pattern": r"(a)\1"}, "schema"),
        (5, "schema"),
    ],
)
def test_check_schema__unusable__is_refused(schema, code):
    with pytest.raises(InvalidError) as caught:
        schemas.check_schema(schema)

    assert caught.value.problems[0].code == code


def test_check_schema__remote_ref__opens_no_connection():
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)

        def listen():
            try:
                server.accept()
                heard.append(True)
            except TimeoutError:
                pass

        thread = threading.Thread(target=listen)
        thread.start()
        for keyword in ("$ref", "$dynamicRef", "$schema"):
            with pytest.raises(InvalidError):
                schemas.check_schema({keyword: f"http://127.0.0.1:{server.getsockname()[1]}/s"})
        schemas.validate(
            {"$id": f"http://127.0.0.1:{server.getsockname()[1]}/s", "type": "object"}, {}
        )
        thread.join()

    assert heard == []


def doubled(refer, keyword="$ref", count=25, **names):
    """``a0`` holds ``a1`` twice, that ``a2`` twice, and so on; ``refer`` writes the references."""
    parts = {f"a{i}": {"allOf": [{keyword: refer(i + 1)}] * 2} for i in range(count)}
    parts[f"a{count}"] = {"type": "object"}
    for i, part in enumerate(parts.values()):
        part.update({name: text.format(i) for name, text in names.items()})
    return parts


def holding(key, parts, reference, **members):
    return {key: parts, "allOf": [{"$ref": reference}], **members}


DRAFT_7 = "http://json-schema.org/draft-07/schema#"
TWICE_BELOW = {
    "type": "object",
    "anyOf": [
        {"properties": {"x": {"$ref": "#"}}, "required": ["y"]},
        {"properties": {"x": {"$ref": "#"}}, "required": ["z"]},
    ],
}
MULTIPLYING = {
    "pointers": holding("$defs", doubled("#/$defs/a{}".format), "#/$defs/a0"),
    "percent": holding("$defs", doubled("#/%24defs/a{}".format), "#/%24defs/a0"),
    "anchors": holding("$defs", doubled("#a{}".format, **{"$anchor": "a{}"}), "#a0"),
    "ids of draft 7": holding(
        "definitions", doubled("#a{}".format, **{"$id": "#a{}"}), "#a0", **{"$schema": DRAFT_7}
    ),
    "dynamic": holding(
        "$defs", doubled("#a{}".format, "$dynamicRef", **{"$dynamicAnchor": "a{}"}), "#a0"
    ),
    "embedded": holding(
        "$defs",
        {
            "e": {
                "$id": "http://example.org/e",
                "$ref": "#/$defs/a0",
                "$defs": doubled("#/$defs/a{}".format),
            }
        },
        "#/$defs/e",
    ),
    "unevaluated": holding(
        "$defs",
        {
            "a0": {"unevaluatedProperties": False, "anyOf": [{"$ref": "#/$defs/a1"}]},
            **{
                f"a{i}": {"unevaluatedProperties": False, "allOf": [{"$ref": f"#/$defs/a{i + 1}"}]}
                for i in range(1, 25)
            },
            "a25": {},
        },
        "#/$defs/a0",
    ),
    "twice at each level": TWICE_BELOW,
    "to itself": {"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}},
    "one behind the other": holding(
        "$defs",
        {f"a{i}": {"$ref": f"#/$defs/a{i + 1}"} for i in range(2000)} | {"a2000": {}},
        "#/$defs/a0",
    ),
    **{
        f"a property named {name}": {
            "properties": {
                name: {"allOf": [{"$ref": "#/properties/a0"}] * 2},
                **doubled("#/properties/a{}".format),
            }
        }
        for name in ("default", "const", "enum", "examples", "$defs", "definitions")
    },
}


@pytest.mark.parametrize("schema", MULTIPLYING.values(), ids=MULTIPLYING)
def test_check_schema__what_multiplies__is_refused_quickly(schema):
    started = time.process_time()

    with pytest.raises(InvalidError) as caught:
        schemas.check_schema(schema)

    assert caught.value.problems[0].code == "reach"
    assert time.process_time() - started < BUDGET


@pytest.mark.parametrize(
    "reference", ["#/$defs/b", "#b", "#/$defs/l/01", "#/$defs/l/+0", "#/%zz", "#/%ff", "#a/b"]
)
def test_check_schema__reference_to_nothing__is_refused(reference):
    schema = {"$defs": {"a": {"$anchor": "a"}, "l": [{}]}, "properties": {"x": {"$ref": reference}}}

    with pytest.raises(InvalidError) as caught:
        schemas.check_schema(schema)

    assert [each.code for each in caught.value.problems] == ["reference"]
    assert caught.value.problems[0].pointer == "/schema/properties/x/$ref"


@pytest.mark.parametrize("name", ["default", "const", "enum", "examples"])
def test_check_schema__remote_ref_in_a_property_named_like_a_keyword__is_refused(name):
    with pytest.raises(InvalidError) as caught:
        schemas.check_schema({"properties": {name: {"$ref": "other.json"}}})

    assert caught.value.problems[0].code == "remote_ref"


def nested(count, tree, key="x"):
    for _ in range(count):
        tree = {key: tree}
    return tree


@pytest.mark.parametrize(
    ("schema", "tree", "found"),
    [
        (
            {"properties": {"name": {}, "c": {"items": {"$ref": "#"}}}, "required": ["name"]},
            {"name": 1, "c": [{"name": 1, "c": [{}]}]},
            [("/c/0/c/0/name", "required")],
        ),
        (
            {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}, "type": "object"},
            nested(60, nested(1, 5, "right"), "left"),
            [("/left" * 60 + "/right", "type")],
        ),
        (
            {
                "anyOf": [
                    {"type": "object", "additionalProperties": {"$ref": "#"}},
                    {"type": "array", "items": {"$ref": "#"}},
                    {"type": "string"},
                ]
            },
            nested(62, 5),
            [("", "anyOf")],
        ),
        (
            {"items": {"$ref": "#"}, "additionalProperties": {"$ref": "#"}, "uniqueItems": True},
            nested(60, [1, 1]),
            [("/x" * 60, "uniqueItems")],
        ),
    ],
)
def test_validate__schema_that_holds_itself_once_a_level__is_quick(schema, tree, found):
    started = time.process_time()

    schemas.check_schema(schema)
    problems = schemas.validate(schema, tree)

    assert [(each.pointer, each.code) for each in problems] == found
    assert time.process_time() - started < BUDGET


LARGE = {f"k{i}": "x" * 40 for i in range(19_000)}


@pytest.mark.parametrize(
    ("schema", "tree", "codes"),
    [
        ({"pattern": "^(a+)+$"}, "a" * 5000 + "!", {"pattern"}),
        ({"pattern": "^(a?){3000}a{3000}$"}, "a" * 300_000, {"reach"}),
        ({"uniqueItems": True}, [{"a": i, "b": [i]} for i in range(6000)], set()),
        ({"items": {"allOf": [{"type": "integer"}] * 3000}}, list(range(4000)), {"reach"}),
        ({"items": {"allOf": [{"type": "string"}] * 20}}, list(range(1000)), {"type"}),
        ({"allOf": [{"type": "string"}] * 1000}, LARGE, {"reach"}),
        ({"allOf": [{"type": "string"}] * 100}, LARGE, {"type"}),
        ({"anyOf": [{"type": "string"}] * 100}, LARGE, {"schema"}),
        ({"allOf": [{"uniqueItems": True}] * 1000}, [[i] for i in range(6000)], {"reach"}),
        ({"items": {"enum": [{"a": i} for i in range(4000)]}}, [{"a": -1}] * 4000, {"reach"}),
        ({"items": {"required": [f"v{i}" for i in range(4000)]}}, [{}] * 4000, {"required"}),
        ({"additionalProperties": {"type": "integer"}}, LARGE, {"type"}),
    ],
)
def test_validate__costly_schema_and_large_document__answers_quickly(schema, tree, codes):
    started = time.process_time()

    schemas.check_schema(schema)
    problems = schemas.validate(schema, tree)

    assert {each.code for each in problems} == codes
    assert time.process_time() - started < BUDGET


def test_validate__too_much_to_check__says_what_to_do():
    problems = schemas.validate({"items": {"allOf": [{}] * 3000}}, list(range(9000)))

    assert [(each.pointer, each.code) for each in problems] == [("", "reach")]
    assert "Make the document smaller" in problems[0].message


def test_validate__schema_saved_before_it_was_refused__is_told_and_not_tried():
    problems = schemas.validate(TWICE_BELOW, nested(60, {}))

    assert [(each.pointer, each.code) for each in problems] == [("", "reach")]


def test_validate__kept_digits__count_as_numbers():
    assert schemas.validate({"type": "number"}, values.number("1.10")) == []
    assert schemas.validate({"maximum": 1}, values.number("1.10"))[0].code == "maximum"

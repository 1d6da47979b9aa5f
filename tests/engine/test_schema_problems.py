"""What is said of a document that breaks its schema: the key, the rule, and what that depends on."""

import pytest

from apps.engine import schemas

NEEDS = {"a": ["b"], "c": ["b"]}
DRAFT_7 = {"$schema": "http://json-schema.org/draft-07/schema#"}
MODE = {"properties": {"mode": {"const": "x"}}, "required": ["mode"]}


@pytest.mark.parametrize(
    ("schema", "tree", "pointer", "code", "message"),
    [
        ({"required": ["r"]}, {}, "/r", "required", "The member 'r' is required here."),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"required": ["r/"]}}},
            {},
            "/r~1",
            "required",
            "The member 'r/' is required here.",
        ),
        (
            {"dependentRequired": NEEDS},
            {"c": 1},
            "/b",
            "dependentRequired",
            "The member 'b' is required here beside 'c'.",
        ),
        (
            DRAFT_7 | {"dependencies": NEEDS},
            {"a": 1},
            "/b",
            "dependencies",
            "The member 'b' is required here beside 'a'.",
        ),
        (
            {"properties": {"o": {"properties": {"x": {}}, "additionalProperties": False}}},
            {"o": {"x": 1, "y": 2}},
            "/o/y",
            "additionalProperties",
            "The member 'y' is not allowed here.",
        ),
        (
            {"additionalProperties": False},
            {"y": 2},
            "/y",
            "additionalProperties",
            "The member 'y' is not allowed here.",
        ),
        (
            {"allOf": [{"properties": {"x": {}}}], "unevaluatedProperties": False},
            {"x": 1, "y": 2},
            "/y",
            "unevaluatedProperties",
            "The member 'y' is not allowed here.",
        ),
        (
            {"propertyNames": {"allOf": [{"pattern": "^a"}]}},
            {"ab": 1, "ba": 1},
            "/ba",
            "propertyNames",
            "The name 'ba' is not allowed here. This must match the pattern ^a.",
        ),
        (
            {"properties": {"o": {"propertyNames": False}}},
            {"o": {"z": 1}},
            "/o/z",
            "propertyNames",
            "The name 'z' is not allowed here. The rule 'propertyNames' of the schema does not hold.",
        ),
        ({"properties": {"n": False}}, {"n": 1}, "/n", "false", "Nothing is allowed here."),
        ({"patternProperties": {"^n": False}}, {"n": 1}, "/n", "false", "Nothing is allowed here."),
        (
            {"properties": {"l": {"prefixItems": [{}], "items": False}}},
            {"l": [1, 2]},
            "/l/1",
            "items",
            "There are more items than are allowed here.",
        ),
    ],
)
def test_problem__of_a_member__names_it_and_points_at_it(schema, tree, pointer, code, message):
    found = schemas.validate(schema, tree)

    assert [(each.pointer, each.code, each.message) for each in found] == [(pointer, code, message)]


def test_problems__of_several_members__are_one_each_and_at_most_a_hundred():
    schema = {"properties": {"a": {}}, "additionalProperties": False}

    found = schemas.validate(schema, {"a": 1, "x": 1, "y": 2})

    assert [each.pointer for each in found] == ["/x", "/y"]
    assert len(schemas.validate(schema, {str(i): i for i in range(300)})) == 100


@pytest.mark.parametrize(
    ("schema", "tree", "beside"),
    [
        ({"properties": {"a": {"minimum": 5}}}, {"a": 1}, ()),
        ({"properties": {"a": {"type": "string"}}}, {"a": {}}, ()),
        ({"additionalProperties": False, "properties": {"b": {}}}, {"a": {}}, ()),
        ({"properties": {"a": {"minProperties": 2}}}, {"a": {}}, ("/a",)),
        ({"properties": {"a": {"anyOf": [{"required": ["x"]}, False]}}}, {"a": {}}, ("/a",)),
        ({"required": ["a"]}, {}, ("/a",)),
        ({"required": ["a"], "properties": {"a": {"type": ["string", "null"]}}}, {}, ()),
        ({"dependentRequired": NEEDS}, {"a": 1, "c": 1}, ("/b", "/a", "/c")),
        ({"unevaluatedProperties": False, "properties": {"b": {}}}, {"a": 1}, ("",)),
        ({"properties": {"l": {"items": {"minimum": 5}}}}, {"l": [1]}, ("/l",)),
        (
            {"properties": {"o": {"if": MODE, "then": {"properties": {"a": {"minimum": 5}}}}}},
            {"o": {"mode": "x", "a": 1}},
            ("/o",),
        ),
        (
            {"properties": {"then": {"properties": {"a": {"minimum": 5}}}}},
            {"then": {"a": 1}},
            (),
        ),
        (
            {
                "additionalProperties": {"$ref": "#/$defs/a"},
                "$defs": {"a": {"if": MODE, "else": False}},
            },
            {"o": {"a": 1}},
            ("/o",),
        ),
        (
            {"dependentSchemas": {"m": {"properties": {"a": {"minimum": 5}}}}},
            {"m": 1, "a": 1},
            ("",),
        ),
    ],
)
def test_problem__that_depends_on_more_than_its_key__says_on_what(schema, tree, beside):
    (found,) = schemas.validate(schema, tree)

    assert found.beside == beside

"""Which keys a schema marks as those of one environment."""

import pytest

from apps.engine.choosing import EVERYTHING, with_chosen
from apps.engine.errors import InvalidError
from apps.engine.specific import SpecificKeys, check_marks

M = {"x-environment-specific": True}
SCHEMA = {
    "$defs": {
        "endpoint": {"$anchor": "end", "properties": {"url": M}},
        "self": {"$ref": "#/$defs/self"},
    },
    "allOf": [{"properties": {"all": M}}],
    "properties": {
        "plain": {"type": "string"},
        "one": M,
        "ref": {"$ref": "#/$defs/endpoint"},
        "open": {"properties": {"shared": {}}, "additionalProperties": M},
        "patterned": {"patternProperties": {"^p": M}},
        "anchored": {"$ref": "#end"},
        "cond": {"if": {}, "then": {"properties": {"x": M}}},
        "loop": {"$ref": "#/$defs/self"},
        "a.b": {"properties": {"c": M}},
        "list": M | {"items": {}},
    },
}


@pytest.mark.parametrize(
    ("path", "covers", "reaches"),
    [
        ((), False, True),
        (("db",), False, True),
        (("other",), False, False),
        (("db", "plain"), False, False),
        (("db", "one"), True, True),
        (("db", "one", "inside"), True, True),
        (("db", "all"), True, True),
        (("db", "ref"), False, True),
        (("db", "ref", "url"), True, True),
        (("db", "open"), False, True),
        (("db", "open", "shared"), False, False),
        (("db", "open", "else"), True, True),
        (("db", "patterned", "px"), True, True),
        (("db", "patterned", "qx"), False, False),
        (("db", "anchored", "url"), True, True),
        (("db", "cond", "x"), True, True),
        (("db", "loop"), False, False),
        (("db", "a.b", "c"), True, True),
        (("db", "list"), True, True),
    ],
)
def test_marks__of_a_schema__are_found_wherever_they_hold(path, covers, reaches):
    keys = SpecificKeys({"db": SCHEMA, "other": {"type": "object"}})

    assert (not path or keys.covers(path)) == (covers or not path)
    assert keys.reaches(path) == reaches


def test_marked_keys__stay_when_all_else_is_brought():
    mine = {"db": {"one": 1, "ref": {"url": "mine"}, "open": {"shared": 1, "x": 1}}}
    theirs = {"db": {"one": 2, "ref": {"url": "t", "n": 1}, "open": {"shared": 2, "x": 2, "y": 2}}}

    found = with_chosen(mine, theirs, EVERYTHING, [SpecificKeys({"db": SCHEMA})])

    assert found == {
        "db": {"one": 1, "ref": {"url": "mine", "n": 1}, "open": {"shared": 2, "x": 1}}
    }


def test_marks__inside_of_lists__are_refused():
    check_marks(SCHEMA)
    check_marks({"properties": {"items": M, "contains": {"properties": {"a": M}}}})
    for schema in (
        {"items": M},
        {"properties": {"a": {"prefixItems": [{"properties": {"b": M}}]}}},
        {"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"properties": {"b": M}}}},
        {"allOf": [{"items": {"allOf": [{"$ref": "#a"}]}}], "$defs": {"a": M | {"$anchor": "a"}}},
    ):
        with pytest.raises(InvalidError):
            check_marks(schema)

"""Where secrets stand: what is one, what only looks like one, and putting values in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine import overriding, resolving, spots, values
from apps.engine.errors import InvalidError
from apps.engine.merge import Layer
from apps.engine.spots import Spot


def compose(*trees):
    return resolving.compose([Layer(f"layer {index}", tree) for index, tree in enumerate(trees)])


@pytest.mark.parametrize(
    ("text", "effective", "found"),
    [
        ("${secret:db}", "${secret:db}", [(("a",), ("db",), ("", ""))]),
        ("x ${secret:b/c} y", "x ${secret:b/c} y", [(("a",), ("b/c",), ("x ", " y"))]),
        (
            "${secret:a}${secret:b.c}",
            "${secret:a}${secret:b.c}",
            [(("a",), ("a", "b.c"), ("", "", ""))],
        ),
        ("$${secret:db}", "${secret:db}", []),
        ("$${x} ${secret:db}", "${x} ${secret:db}", [(("a",), ("db",), ("${x} ", ""))]),
        ({"$secret": "db"}, {"$secret": "db"}, [(("a",), ("db",), ())]),
        ({"$literal": {"$secret": "db"}}, {"$secret": "db"}, []),
        ([{"$secret": "x"}, 1], [{"$secret": "x"}, 1], [(("a", 0), ("x",), ())]),
    ],
)
def test_compose__secrets__stay_as_written_and_are_known(text, effective, found):
    made = compose({"a": text})

    assert values.same(made.tree, {"a": effective})
    assert list(made.secrets) == [Spot(*each) for each in found]
    assert spots.load(values.parse_canonical(spots.dump(made.secrets))) == list(made.secrets)


@pytest.mark.parametrize(
    ("tree", "code"),
    [
        ({"a": {"$secret": 5}}, "secret"),
        ({"a": {"$secret": ""}}, "secret"),
        ({"a": {"$secret": "a/b/c"}}, "secret"),
        ({"a": {"$secret": "-x"}}, "secret"),
        ({"a": {"$secret": "x", "b": 1}}, "marker"),
        ({"a": "${secret:-x}"}, "reference"),
        ({"a": "${secret:x"}, "reference"),
        ({"a": "${secret:x:-y}"}, "reference"),
        ({"$secret": "x"}, "type"),
    ],
)
def test_compose__what_names_no_secret__is_refused(tree, code):
    with pytest.raises(InvalidError) as caught:
        compose(tree)

    assert [each.code for each in caught.value.problems] == [code]


@pytest.mark.parametrize(
    ("below", "above"),
    [({"x": 1}, {"$secret": "s"}), ({"$secret": "s"}, {"x": 1}), ({"$secret": "s"}, "plain")],
)
def test_merge__a_secret__replaces_and_is_replaced_whole(below, above):
    assert values.same(compose({"a": below}, {"a": above}).tree, {"a": above})


def test_fill__values__stand_where_the_secrets_stood():
    made = compose(
        {
            "url": "postgres://u:${secret:pw}@h/${secret:obj}",
            "all": [{"$secret": "obj"}],
            "literal": "$${secret:pw}",
        }
    )

    filled = spots.fill(made.tree, made.secrets, {"pw": "p${secret:obj}", "obj": {"k": 1}})

    assert filled == {
        "url": 'postgres://u:p${secret:obj}@h/{"k":1}',
        "all": [{"k": 1}],
        "literal": "${secret:pw}",
    }
    assert made.tree["all"] == [{"$secret": "obj"}]


def test_fill__of_a_narrowed_document__passes_over_what_is_not_there():
    made = compose({"a": {"b": {"$secret": "x"}}, "c": [{"$secret": "x"}]})

    assert spots.fill({"a": {}}, made.secrets, {"x": "v"}) == {"a": {}}


NAMES = st.sampled_from(["db", "b/c", "x.y"])
PIECES = st.one_of(
    st.sampled_from(["$", "{", "}", "$${", "$${secret:db}", "secret:db", " ", "é"]),
    NAMES.map(spots.shown),
)


@given(st.lists(PIECES, max_size=8).map("".join))
def test_text__any_mixture__is_either_refused_or_filled_at_each_secret_once(text):
    try:
        made = compose({"a": text})
    except InvalidError:
        return

    plain = {name: f"<{name}>" for name in spots.names_of(made.secrets)}
    filled = spots.fill(made.tree, made.secrets, plain)["a"]

    names = [name for spot in made.secrets for name in spot.names]
    assert filled.count("<") == len(names)
    shown = sum(made.tree["a"].count(spots.shown(name)) for name in plain)
    kept = sum(filled.count(spots.shown(name)) for name in plain)
    assert shown - kept == len(names)


@pytest.mark.parametrize(
    ("source", "wanted", "expected"),
    [
        ({"a": 1}, {"a": {"$secret": "db"}}, {"a": {"$secret": "db"}}),
        ({"a": {"$secret": "db"}}, {"a": {"$secret": "db"}, "b": 1}, None),
        ({"a": 1}, {"a": "u:${secret:db}"}, {"a": "u:${secret:db}"}),
        ({"a": 1}, {"a": "${other}"}, {"a": "$${other}"}),
        ({"a": 1}, {"a": {"$secret": 5}}, {"a": {"$literal": {"$secret": 5}}}),
        ({"a": "$${secret:db}", "b": 1}, {"a": "${secret:db}", "b": 2}, None),
        ({"a": {"$literal": {"$secret": "x"}}}, {"a": {"$secret": "x"}, "b": 2}, None),
    ],
)
def test_override__secrets_that_are_sent__are_secrets_and_literals_stay(source, wanted, expected):
    edited = overriding.override(source, {}, wanted)

    if expected is None:
        expected = {**source, **{key: value for key, value in wanted.items() if key == "b"}}
    assert values.same(edited, expected)

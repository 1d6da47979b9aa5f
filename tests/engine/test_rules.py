"""Rules: what they read, what they say of documents, and what they may cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine import expressions
from apps.engine.errors import InvalidError
from apps.engine.rule_tests import check_tests, failed_tests
from apps.engine.rules import Equals, Expression, Facts, Read, _cut, place_of
from apps.engine.values import Number
from tests.engine import strategies

PRODUCTION = {"slug": "production", "name": "Production", "rank": 20, "protected": True}
SHOP = {"slug": "shop", "name": "Shop", "labels": {"tier": "1"}}


def facts(config, previous=None):
    return Facts(config, previous or {}, PRODUCTION, SHOP)


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("config.db.pool >= 10", [("config", "db", "pool")]),
        ("config.list.map(x, x.n).size() > 1", [("config", "list")]),
        ("config[\"a.b\"].c == previous['x'].y", [("config", "a.b", "c"), ("previous", "x", "y")]),
        ("size(config) > 1", [("config",)]),
        ("config . db [ 'pool' ] > 1", [("config", "db", "pool")]),
        ('config["d\\u0062"].pool > 1', [("config",)]),
        ("config.hosts[0].name == 'a'", [("config", "hosts")]),
        ("config[environment.slug] == 1", [("config",)]),
        ("[config].all(c, c.db.pool > 1)", [("config",)]),
        ("environment.protected", []),
        ("config.users.exists //\n(u, u.pin == '1234')", [("config", "users")]),
        ("config.a // config.b\n > 1", [("config", "a")]),
        ("config.a == '//' + config.b", [("config", "a"), ("config", "b")]),
        ("'config[\"' + config.x + '\"]' == ''", [("config", "x")]),
        ("config.a == 'config.b'", [("config", "a")]),
        ("config.colour == 'color' + config.r", [("config", "colour"), ("config", "r")]),
        ("has(config.a.b) || previous.a == 1", [("config", "a", "b"), ("previous", "a")]),
    ],
)
def test_reads__of_an_expression__are_told_from_its_text(text, reads):
    found = Expression(text).reads

    assert list(found) == [Read(name, tuple(path)) for name, *path in reads]


@pytest.mark.parametrize(
    ("text", "config", "previous", "holds"),
    [
        ("config.db.pool >= 10", {"db": {"pool": 10}}, {}, True),
        ("config.db.pool >= 10", {"db": {"pool": 9}}, {}, False),
        ("config.db.pool >= 10", {"db": {"pool": Number("10.5")}}, {}, True),
        ("config.db.pool >= 10", {"db": {}}, {}, None),
        ("config.db.pool >= 10", {}, {}, None),
        ("config.db.pool >= 10", {"db": 3}, {}, None),
        ("config.db.pool >= 10", {"db": {"pool": "x"}}, {}, False),
        ("config.t * 2 >= previous.t", {"t": 5}, {}, None),
        ("config.t * 2 >= previous.t", {"t": 5}, {"t": 10}, True),
        ("config.t * 2 >= previous.t", {"t": 4}, {"t": 10}, False),
        ("!has(config.debug) || !config.debug", {}, {}, True),
        ("!has(config.debug) || !config.debug", {"debug": True}, {}, False),
        ("environment.protected && service.labels.tier == '1'", {}, {}, True),
        ("config.hosts.all(h, h.startsWith('db'))", {"hosts": ["db1", "x"]}, {}, False),
        ("config.hosts.all(h, h.port > 1)", {"hosts": [{}]}, {}, False),
        ("config.t", {"t": 5}, {}, False),
        ("(!has(config.x) || config.x > 1) && config.t >= 10", {"t": "five"}, {}, False),
        ("config.users.exists //\n(u, u.pin == '1')", {"users": [{"pin": "1"}]}, {}, True),
        ("config.a / config.b > 1", {"a": 1, "b": 0}, {}, False),
        ("config.db == previous.db", {"db": {"a": [1]}}, {"db": {"a": [1]}}, True),
    ],
)
def test_expression__judged__holds_fails_or_does_not_apply(text, config, previous, holds):
    assert Expression(text).judge(facts(config, previous)).holds is holds


@pytest.mark.parametrize(
    ("path", "value", "config", "holds"),
    [
        (("t",), 5, {"t": 5}, True),
        (("t",), 5, {"t": Number("5.0")}, False),
        (("t",), 5, {"t": "5"}, False),
        (("t",), None, {}, False),
        (("t",), None, {"t": None}, True),
        (("a", "b"), [{"x": 1}], {"a": {"b": [{"x": 1}]}}, True),
        (("hosts", 1), "b", {"hosts": ["a", "b"]}, True),
        (("p",), {"$secret": "db"}, {"p": {"$secret": "db"}}, True),
    ],
)
def test_equals__judged__compares_values_with_their_type(path, value, config, holds):
    assert Equals(path, value).judge(facts(config)).holds is holds


def test_expression__that_walks_a_long_list_once__is_judged():
    config = {"endpoints": [{"host": f"host-{n}", "port": 8000 + n} for n in range(5_000)]}

    assert Expression("config.endpoints.all(e, e.port > 1024)").judge(facts(config)).holds is True


def test_expressions__together__have_one_budget():
    shared = facts({"list": ["x" * 20] * 250})
    verdicts = [
        Expression(f"config.list != [{n}] || config.list.all(x, config.list.size() > {n})").judge(
            shared
        )
        for n in range(20)
    ]

    assert verdicts[0].holds is True
    assert verdicts[-1] == (False, "it reads too much of this document to be judged")


def test_faults__of_an_expression__repeat_no_value():
    verdict = Expression("config.pin + 1 > 2").judge(facts({"pin": "s3cr3t-word"}))

    assert verdict.holds is False
    assert "s3cr3t" not in verdict.fault
    assert "could not be judged" in verdict.fault


def test_expression__that_reads_too_much__is_refused_and_not_run():
    config = {"list": ["x" * 50] * 20_000}

    verdict = Expression("config.list.all(x, config.list != [x])").judge(facts(config))

    assert verdict == (False, "it reads too much of this document to be judged")


@pytest.mark.parametrize(
    "text",
    [
        'r"\\" == config.a + "x"',
        "b'a' == config.a",
        "config.a >",
        "unknown == 1",
        "config.a.matches('x')",
        "x" * 1_001,
        "params.a == 1",
    ],
)
def test_expression__that_cannot_be_judged__is_refused(text):
    with pytest.raises(InvalidError) as refused:
        Expression(text).check()

    assert refused.value.problems[0].code == "expression"


@given(
    strategies.trees(key=st.sampled_from("abcxyz")),
    st.lists(st.lists(st.sampled_from("abcxyz"), max_size=3).map(tuple), max_size=4),
)
def test_cut__of_a_document__gives_what_is_there_and_nothing_else(document, paths):
    kept = _cut(document, paths)

    from apps.engine.paths import find

    for path in paths:
        assert find(kept, path) == find(document, path)
    if () not in paths:
        assert set(kept) <= {path[0] for path in paths}


def test_place__of_a_condition__is_the_first_key_that_it_reads():
    assert place_of(Expression("previous.b == config.a.b && config.c > 1")) == ("a", "b")
    assert place_of(Expression("environment.protected")) == ()
    assert place_of(Equals(("x",), 1)) == ("x",)


def test_tests__of_a_rule__name_those_that_say_otherwise():
    rule = Expression("environment.slug != 'production' || config.pool >= 10")
    tests = check_tests(
        [
            {"config": {"pool": 10}},
            {"config": {"pool": 5}, "holds": False},
            {"config": {"pool": 5}, "environment": {"slug": "staging"}},
            {"config": {}, "holds": None},
            {"config": {"pool": 5}},
            {"config": {}},
        ]
    )

    failed = failed_tests(rule, tests)

    assert [each.pointer for each in failed] == ["/tests/4", "/tests/5"]
    assert failed[0].message == "The rule does not hold, and the test says it holds."
    assert failed[1].message == "The rule does not apply, and the test says it holds."


@pytest.mark.parametrize(
    ("tests", "pointer"),
    [
        ({}, "/tests"),
        ([{}] * 51, "/tests"),
        ([1], "/tests/0"),
        ([{"confg": {}}], "/tests/0"),
        ([{"config": []}], "/tests/0/config"),
        ([{"holds": "yes"}], "/tests/0/holds"),
        ([{"holds": 1}], "/tests/0/holds"),
    ],
)
def test_tests__of_another_shape__are_refused_with_their_place(tests, pointer):
    with pytest.raises(InvalidError) as refused:
        check_tests(tests)

    assert refused.value.problems[0].pointer == pointer


def test_variables__of_rules__are_known_to_the_one_checker():
    for text in ("config", "previous", "environment", "service"):
        expressions.check_expression(
            f"{text} == null", ("config", "environment", "previous", "service")
        )

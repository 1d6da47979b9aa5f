"""Which keys somebody may see: what is left out, and that it is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.errors import ForbiddenError
from apps.engine.guarding import OPEN, Guard, Rule, graft, refused_keys, split, visible
from apps.engine.merge import ABSENT
from apps.engine.paths import Glob, Moved, find, format_path, leaves, parse_path
from apps.engine.values import same

SHOP = {
    "settings": {"timeout": 5, "db": {"user": "app", "password": "p"}},
    "security": {"tls": {"key": "k"}, "cors": []},
    "flags": {"banner": {"enabled": True, "note": "n"}, "sale": {"enabled": False, "note": "n"}},
    "servers": [{"host": "a", "password": "p"}, {"host": "b", "password": "p"}],
}


def guard(*hidden, held=(), free=True):
    rules = [Rule(Glob(text), False) for text in hidden] + [Rule(Glob(text), True) for text in held]
    return Guard(free, tuple(rules))


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        (guard("security.**"), {k: SHOP[k] for k in ("settings", "flags", "servers")}),
        (guard("security"), {k: SHOP[k] for k in ("settings", "flags", "servers")}),
        (
            guard("**.password"),
            {
                "settings": {"timeout": 5, "db": {"user": "app"}},
                "security": SHOP["security"],
                "flags": SHOP["flags"],
            },
        ),
        (
            guard("flags.*.enabled"),
            {**SHOP, "flags": {"banner": {"note": "n"}, "sale": {"note": "n"}}},
        ),
        (
            guard(held=("flags.*.enabled",), free=False),
            {"flags": {"banner": {"enabled": True}, "sale": {"enabled": False}}},
        ),
        (guard("flags.**", held=("flags.*.enabled",)), {k: SHOP[k] for k in SHOP if k != "flags"}),
        (
            guard("flags.*.note", held=("flags.**",), free=False),
            {"flags": {"banner": {"enabled": True}, "sale": {"enabled": False}}},
        ),
        (guard("nothing.*"), SHOP),
        (guard("**"), {}),
        (guard(free=False), {}),
    ],
)
def test_visible__rules__leave_out_what_they_cover(judged, expected):
    assert visible(SHOP, judged) == expected


@pytest.mark.parametrize(
    ("path", "judged", "outcome"),
    [
        ("settings.db.password", guard("**.password"), False),
        ("settings.db.user", guard("**.password"), True),
        ("security", guard("security.**"), False),
        ("security.tls.key", guard("security"), False),
        ("$secret.db", guard("$secret.*"), False),
        ("flags.banner.enabled", guard("flags.**", held=("flags.*.enabled",)), False),
        ("flags.banner.enabled", guard(held=("flags.*.enabled",), free=False), True),
        ("flags.banner.note", guard(held=("flags.*.enabled",), free=False), False),
    ],
)
def test_allows__every_rule_that_covers_a_key__must_be_held(path, judged, outcome):
    assert judged.allows(parse_path(path)) is outcome
    assert judged.allowed_keys([path]) == ([path] if outcome else [])


def test_split__source_with_markers__is_judged_by_the_keys_they_are_for():
    source = {
        "db": {"$replace": {"user": "u", "password": "p"}},
        "hosts": {"$append": [{"password": "p"}]},
        "open": {"$append": ["a"]},
        "text": {"$literal": {"password": "p"}},
    }

    seen, hidden = split(source, guard("**.password"), source=True)

    assert seen == {"db": {"$replace": {"user": "u"}}, "open": {"$append": ["a"]}}
    assert hidden == {
        "db": {"$replace": {"password": "p"}},
        "hosts": {"$append": [{"password": "p"}]},
        "text": {"$literal": {"password": "p"}},
    }
    assert refused_keys(source, guard("**.password")) == [
        "db.password",
        "hosts[0].password",
        "text.password",
    ]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, {"db": {"password": "p"}}),
        ({"db": {"user": "v"}}, {"db": {"user": "v", "password": "p"}}),
        ({"db": {"$replace": {"user": "v"}}}, {"db": {"$replace": {"user": "v", "password": "p"}}}),
    ],
)
def test_graft__hidden_key__is_kept(seen, expected):
    assert graft(seen, {"db": {"password": "p"}}) == expected


@pytest.mark.parametrize(
    "seen", [{"db": 5}, {"db": []}, {"db": {"$remove": True}}, {"db": {"$append": []}}]
)
def test_graft__something_in_the_way_of_a_hidden_key__is_refused(seen):
    with pytest.raises(ForbiddenError, match="'db'"):
        graft(seen, {"db": {"password": "secret-value"}})


KEYS = st.sampled_from(["a", "b", "password", "x.y"])
TREES = st.recursive(
    st.one_of(st.integers(0, 3), st.text(max_size=2), st.just({}), st.just([])),
    lambda inner: st.one_of(st.dictionaries(KEYS, inner, max_size=4), st.lists(inner, max_size=3)),
    max_leaves=20,
)
DOCUMENTS = st.dictionaries(KEYS, TREES, max_size=4)
PATTERNS = st.sampled_from(["**.password", "a.**", "*.b", "a", 'b["x.y"]', "**", "*.*.a", "b[0]"])
GUARDS = st.builds(
    lambda free, rules: Guard(free, tuple(Rule(Glob(text), held) for text, held in rules)),
    st.booleans(),
    st.lists(st.tuples(PATTERNS, st.booleans()), max_size=3),
)


@given(DOCUMENTS, GUARDS)
def test_split__any_document__holds_everything_once(tree, judged):
    seen, hidden = split(tree, judged)

    assert same(graft(seen, hidden), tree)


@given(DOCUMENTS, GUARDS)
def test_split__what_is_seen__has_no_refused_leaf_and_is_all_seen_again(tree, judged):
    seen = visible(tree, judged)

    assert same(visible(seen, judged), seen)
    for path, _leaf in leaves_of(seen):
        assert judged.allows(path) or path == ()


def leaves_of(tree):
    from apps.engine.paths import leaves

    return leaves(tree)


@given(DOCUMENTS, GUARDS, st.integers(4, 9))
def test_visible__documents_that_differ_in_hidden_values__look_alike(tree, judged, other):
    seen, hidden = split(tree, judged)
    changed = graft(seen, _with_other_values(hidden, other))

    assert same(visible(changed, judged), visible(tree, judged))


def _with_other_values(tree, other):
    if isinstance(tree, dict) and tree:
        return {key: _with_other_values(child, other) for key, child in tree.items()}
    if isinstance(tree, list) and tree:
        return [_with_other_values(child, other) for child in tree]
    return tree if tree is ABSENT else other


def test_open__everything__is_seen_as_it_is():
    assert split(SHOP, OPEN) == (SHOP, ABSENT)
    assert refused_keys(SHOP, OPEN) == []


@given(DOCUMENTS, DOCUMENTS, GUARDS)
def test_allowed_keys__of_two_documents__are_those_that_are_hidden_in_neither(
    before, after, judged
):
    paths = {path for tree in (before, after) for path, _leaf in leaves(tree) if path}
    seen = [(tree, visible(tree, judged)) for tree in (before, after)]

    kept = {
        format_path(path)
        for path in paths
        if judged.allows(path)
        and all(find(part, path)[0] or not find(tree, path)[0] for tree, part in seen)
    }

    assert set(judged.allowed_keys(map(format_path, paths), before, after)) == kept


@given(DOCUMENTS, DOCUMENTS, GUARDS)
def test_allowed_keys__that_need_no_documents__are_the_same_with_them(before, after, judged):
    paths = [path for tree in (before, after) for path, _leaf in leaves(tree) if path]

    for key in map(format_path, paths):
        if not judged.needs_documents([key]):
            assert judged.allowed_keys([key]) == judged.allowed_keys([key], before, after)


@pytest.mark.parametrize(
    ("path", "judged", "outcome"),
    [
        ("settings.timeout", guard("settings.db.*"), False),
        ("settings.timeout", guard("**.key"), True),
        ("settings.timeout", guard("settings.timeout.*"), True),
        ("servers[0].host", guard("servers[1].password"), True),
        ("servers[0].host", guard("settings.**"), False),
        ("servers[0].host", guard(held=("servers[*].host",), free=False), True),
        ("settings.db.password", guard("**.password"), False),
        ("anything[3]", OPEN, False),
    ],
)
def test_needs_documents__only_where_something_beside_or_inside_may_hide_the_key(
    path, judged, outcome
):
    assert judged.needs_documents([path]) is outcome


@pytest.mark.parametrize(
    ("pattern", "path", "passes"),
    [
        ("*.password", "free", True),
        ("*.password", "db.host", True),
        ("*.password", "db.password", False),
        ("*.password.*", "db.password", False),
        ("flags.*.enabled", "flags", False),
        ("flags.*.enabled", "flags.a", True),
        ("security.**", "settings", True),
        ("security.**", "security.tls", False),
        ("hosts.*.token", "hosts", False),
        ("hosts[3].token", "hosts", False),
        ("hosts.1*", "hosts", False),
        ("hosts.h*", "hosts", True),
        ("**.token", "hosts", False),
    ],
)
def test_passes_rules_in_list__leaf_that_may_be_a_list__is_judged_by_its_items(
    pattern, path, passes
):
    assert guard(pattern).passes_rules_in_list(parse_path(path)) is passes


def test_passes_rules_in_list__value_taken_from_elsewhere__is_judged_as_there():
    source, taken = parse_path("hosts"), parse_path("mine.all")
    passes = {
        pattern: Guard(
            True, (Rule(Moved(Glob(pattern), source, taken), False),)
        ).passes_rules_in_list(taken)
        for pattern in ("hosts.*.token", "hosts.token", "mine.all.*.token")
    }

    assert passes == {"hosts.*.token": False, "hosts.token": True, "mine.all.*.token": True}

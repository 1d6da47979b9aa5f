import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine import paths
from apps.engine.errors import DomainError, LimitError, MalformedError
from tests.engine import strategies
from tests.limits import CPU_SECONDS

steps = st.text(min_size=0, max_size=6) | st.integers(0, 999)
patterns = st.lists(st.sampled_from(["a", "b", "*", "**", "a*", "*b"]), min_size=1, max_size=4).map(
    ".".join
)
places = st.lists(st.sampled_from(["a", "b", "ab", "ba", 0]), min_size=1, max_size=5).map(tuple)


@given(st.lists(steps, min_size=1, max_size=6))
def test_format_path__any_steps__reads_back(path):
    assert paths.parse_path(paths.format_path(tuple(path))) == tuple(path)


@given(st.lists(st.text(max_size=5), max_size=5))
def test_pointer__any_steps__reads_back(path):
    assert paths.from_pointer(paths.pointer(tuple(path))) == tuple(path)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("settings.db.pool", ("settings", "db", "pool")),
        ("hosts[0]", ("hosts", 0)),
        ("hosts[0].name", ("hosts", 0, "name")),
        ('settings["a.b"]', ("settings", "a.b")),
        ('["a.b"].c', ("a.b", "c")),
        (r'a["say \"x\" \\"]', ("a", r'say "x" \\'[:-1])),
        ('a[""]', ("a", "")),
        ("$id.größe", ("$id", "größe")),
        ("a b.c-d/e", ("a b", "c-d/e")),
    ],
)
def test_parse_path__documented_forms__give_steps(text, path):
    assert paths.parse_path(text) == path
    assert paths.parse_path(paths.format_path(path)) == path


def test_format_path__plain_names__are_not_quoted():
    assert paths.format_path(("settings", "hosts", 0, "max-size", "a.b")) == (
        'settings.hosts[0].max-size["a.b"]'
    )


@pytest.mark.parametrize(
    "text", ["", ".", ".a", "a.", "a..b", "a[", "a[x]", "a[0]b", 'a["b', "[-1]", "a[1", "a]", "[٣]"]
)
def test_parse_path__not_a_path__is_refused_with_a_column(text):
    with pytest.raises(MalformedError) as caught:
        paths.parse_path(text)

    assert caught.value.problems[0].column


@given(st.text(alphabet='ab.[]"\\*0 ', max_size=12))
def test_parse_path__any_text__is_a_path_or_refused(text):
    try:
        path = paths.parse_path(text)
    except DomainError:
        return

    assert paths.parse_path(paths.format_path(path)) == path


@pytest.mark.parametrize("text", ["a", "/a~", "/a~2"])
def test_from_pointer__not_a_pointer__is_refused(text):
    with pytest.raises(MalformedError):
        paths.from_pointer(text)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b", (True, None)),
        ("l[1]", (True, 2)),
        ("l[2]", (False, None)),
        ("a.x", (False, None)),
        ("a.b.c", (False, None)),
        ("l.x", (False, None)),
        ("a[0]", (False, None)),
    ],
)
def test_find__path__tells_null_from_nothing(path, found):
    assert paths.find({"a": {"b": None}, "l": [1, 2]}, paths.parse_path(path)) == found


@given(strategies.trees())
def test_leaves__any_tree__are_found_at_their_paths(tree):
    for path, leaf in paths.leaves(tree):
        assert paths.find(tree, path) == (True, leaf)
        assert leaf in ({}, []) or not isinstance(leaf, (dict, list))


@pytest.mark.parametrize(
    ("glob", "path", "matches", "covers"),
    [
        ("a.b", "a.b", True, True),
        ("a", "a.b", False, True),
        ("a.b", "a", False, False),
        ("a.*", "a.b", True, True),
        ("a.*", "a", False, False),
        ("a.*.c", "a.x.c.d", False, True),
        ("**", "a.b", True, True),
        ("a.**", "a", True, True),
        ("**.password", "x.y.password", True, True),
        ("**.password", "password", True, True),
        ("**.password", "x.passwords", False, False),
        ("**.password", "x.password.hash", False, True),
        ("db_*", "db_host", True, True),
        ("*a*b*", "xaxxbx", True, True),
        ("*a*b*", "xbxa", False, False),
        ("hosts[*]", "hosts[3]", True, True),
        ("hosts.*", "hosts[3]", True, True),
        ("hosts[3]", "hosts[3].name", False, True),
        ('a["x.*"]', 'a["x.y"]', False, False),
        ('a["*"]', "a.b", False, False),
        ('a["*"]', 'a["*"]', True, True),
        ("a.**.z", "a.z", True, True),
        ("aa*aa", "aaa", False, False),
    ],
)
def test_glob__documented_patterns__match_and_cover(glob, path, matches, covers):
    pattern = paths.Glob(glob)

    assert pattern.matches(paths.parse_path(path)) is matches
    assert pattern.covers(paths.parse_path(path)) is covers


@given(patterns, places)
def test_glob__covers__is_a_match_of_the_path_or_of_what_holds_it(text, path):
    glob = paths.Glob(text)

    holders = [path[:length] for length in range(len(path) + 1)]

    assert glob.covers(path) is any(glob.matches(holder) for holder in holders)


@pytest.mark.parametrize(
    ("globs", "kept"),
    [
        (["a.b", "l.*.x"], {"a": {"b": 1}, "l": [{"x": 1}]}),
        (["a"], {"a": {"b": 1, "c": 2}}),
        (["**.y"], {"l": [{"y": 2}, {"y": 3}]}),
        (["nothing.*"], {}),
        (["empty"], {"empty": {}}),
        ([], {}),
    ],
)
def test_select__globs__keep_what_they_cover_and_what_holds_it(globs, kept):
    tree = {"a": {"b": 1, "c": 2}, "l": [{"x": 1, "y": 2}, {"y": 3}], "z": 0, "empty": {}}

    assert paths.select(tree, [paths.Glob(text) for text in globs]) == kept


@given(strategies.trees(), st.lists(patterns, max_size=3))
@settings(deadline=None)
def test_select__any_tree__keeps_the_leaves_that_are_covered(tree, texts):
    globs = [paths.Glob(text) for text in texts]

    kept = [leaf for _path, leaf in paths.leaves(paths.select(tree, globs))]

    covered = [leaf for path, leaf in paths.leaves(tree) if any(g.covers(path) for g in globs)]
    assert kept == (covered or [{}])


@pytest.mark.parametrize("texts", [["a"] * 101, [".".join(["**", "a"] * 60)] * 9])
def test_parse_globs__more_than_can_be_matched_in_time__is_refused(texts):
    with pytest.raises(LimitError):
        paths.parse_globs(texts)


def test_select__worst_allowed_patterns__take_bounded_time():
    tree = {f"key{i}": {"a": i, "b": {"a": [i, i]}} for i in range(3_000)}
    globs = paths.parse_globs([".".join(["**", "a*"] * 60)] * 8)

    started = time.process_time()
    paths.select(tree, globs)

    assert time.process_time() - started < CPU_SECONDS


def test_secret_step__is_a_name_in_any_case():
    assert paths.Glob("$secret.Db*").covers(paths.parse_path("$secret.dbpassword"))
    assert not paths.Glob("$secret.Db*").covers(("$secret", "dbpassword"))
    assert not paths.Glob("settings.Db").covers(paths.parse_path("settings.db"))

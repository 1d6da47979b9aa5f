import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine import chain, paths
from apps.engine.errors import MalformedError

steps = st.text(min_size=0, max_size=6) | st.integers(0, 999)


@given(st.lists(steps, min_size=1, max_size=6).filter(lambda s: s[0] != ""))
def test_format_path__any_steps__reads_back(path):
    assert paths.parse_path(paths.format_path(tuple(path))) == tuple(path)


@given(st.lists(st.text(max_size=5), max_size=5))
def test_pointer__any_steps__reads_back(path):
    assert paths.from_pointer(paths.pointer(tuple(path))) == tuple(path)


@pytest.mark.parametrize("text", ["", ".", "a.", "a..b", "a[", "a[x]", 'a["b', "[-1]", "a[1"])
def test_parse_path__not_a_path__is_refused_with_a_column(text):
    with pytest.raises(MalformedError) as caught:
        paths.parse_path(text)

    assert caught.value.problems[0].column


@pytest.mark.parametrize(
    ("glob", "path", "matches", "covers"),
    [
        ("a.b", "a.b", True, True),
        ("a", "a.b", False, True),
        ("a.*", "a.b", True, True),
        ("a.*", "a", False, False),
        ("a.*.c", "a.x.c.d", False, True),
        ("**", "a.b", True, True),
        ("**.password", "x.y.password", True, True),
        ("**.password", "password", True, True),
        ("**.password", "x.passwords", False, False),
        ("db_*", "db_host", True, True),
        ("*a*b*", "xaxxbx", True, True),
        ("*a*b*", "xbxa", False, False),
        ("hosts[*]", "hosts[3]", True, True),
        ("hosts.*", "hosts[3]", True, True),
        ('a["x.*"]', 'a["x.y"]', False, False),
        ("a.**.z", "a.z", True, True),
        ("aa*aa", "aaa", False, False),
    ],
)
def test_glob__documented_patterns__match_and_cover(glob, path, matches, covers):
    pattern = paths.Glob(glob)

    assert pattern.matches(paths.parse_path(path)) is matches
    assert pattern.covers(paths.parse_path(path)) is covers


def test_select__globs__keep_what_they_cover_and_what_holds_it():
    tree = {"a": {"b": 1, "c": 2}, "l": [{"x": 1, "y": 2}, {"y": 3}], "z": 0}

    kept = paths.select(tree, [paths.Glob("a.b"), paths.Glob("l.*.x")])

    assert kept == {"a": {"b": 1}, "l": [{"x": 1}]}


def links(count=6):
    made = []
    previous = chain.GENESIS
    for number in range(1, count + 1):
        fields = {
            "number": number,
            "revision": number + number % 2,  # acts of two events
            "at": f"2026-11-24T09:30:0{(number + 1) // 2}.000000Z",
            "actor": "user:ada",
            "action": "configuration.publish",
            "target": "configuration:shop@production",
            "data": f'{{"version":{number}}}',
        }
        link = chain.Link(fields, previous, chain.event_hash(previous, fields))
        made.append(link)
        previous = link.hash
    return made


def test_find_break__sound_chain__is_none():
    assert chain.find_break(links()) is None


@pytest.mark.parametrize("name", ["number", "revision", "at", "actor", "action", "target", "data"])
def test_find_break__any_edited_field__is_found_at_its_event(name):
    altered = links()
    fields = {**altered[2].fields, name: 99 if name in ("number", "revision") else "x"}
    altered[2] = dataclasses.replace(altered[2], fields=fields)

    assert chain.find_break(altered) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda all_: all_[:2] + all_[3:],
        lambda all_: [all_[1], all_[0], *all_[2:]],
        lambda all_: [*all_[:3], all_[2], *all_[3:]],
        lambda all_: all_[1:],
        lambda all_: all_[:5],
    ],
    ids=["deleted", "reordered", "doubled", "first cut", "half an act"],
)
def test_find_break__missing_or_moved_event__is_found(damage):
    assert chain.find_break(damage(links())) is not None

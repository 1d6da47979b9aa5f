"""Merging in three ways never loses a change that one side made: additions, removals, changes, items
that move and items under another name, at any depth.
"""

import copy
from itertools import pairwise

from hypothesis import event, given, settings
from hypothesis import strategies as st

from apps.engine.merge import ABSENT
from apps.engine.merge_keys import MergeKeys
from apps.engine.merging import merge_three
from apps.engine.values import canonical, same
from tests.limits import examples

LIST = {"x-merge-key": "name", "items": {"properties": {"ports": {"x-merge-key": "name"}}}}
KEYS = MergeKeys({"hosts": LIST})
NAMES = "abcdef"
SCALARS = st.integers(0, 3) | st.sampled_from(["x", None, True])


def items(inner, least=0):
    """Lists of items with names of their own."""
    names = st.lists(st.sampled_from(NAMES), unique=True, min_size=least, max_size=5)
    rest = st.fixed_dictionaries({}, optional={"p": SCALARS, "q": SCALARS, **inner})
    return names.flatmap(
        lambda chosen: st.tuples(*(rest.map(lambda r, n=n: {"name": n, **r}) for n in chosen))
    ).map(list)


HOSTS = items({"ports": items({}, least=2)}, least=2)
OBJECTS = SCALARS | st.dictionaries(
    st.sampled_from("klm"),
    SCALARS | st.dictionaries(st.sampled_from("kl"), SCALARS, max_size=2),
    max_size=3,
)
LARGE = st.fixed_dictionaries({"hosts": HOSTS}, optional={"o": OBJECTS, "v": SCALARS})
SHORT = st.lists(st.sampled_from("abcd"), unique=True, min_size=1)
SMALL = st.fixed_dictionaries(
    {"hosts": SHORT.map(lambda names: [{"name": each} for each in names])},
    optional={"v": st.integers(0, 2)},
)


@st.composite
def edited(draw, document):
    """The document after a few edits, each of one kind at one place."""
    tree = copy.deepcopy(document)
    for _ in range(draw(st.integers(0, 4))):
        objects = [tree, *(each for each in _inside(tree) if isinstance(each, dict))]
        lists = [each for each in _inside(tree) if isinstance(each, list)]
        if lists and draw(st.booleans()):
            _edit_list(draw, draw(st.sampled_from(lists)))
            continue
        chosen = draw(st.just(tree) | st.sampled_from(objects))
        key = draw(st.sampled_from(sorted({*chosen, "k", "p", "new"} - {"name", "hosts", "ports"})))
        if key in chosen and draw(st.booleans()):
            del chosen[key]
        else:
            chosen[key] = draw(OBJECTS)
    return tree


def _inside(tree):
    for child in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(child, (dict, list)):
            yield child
            yield from _inside(child)


def _edit_list(draw, chosen):
    kinds = ["add", "remove", "move", "rename"] if chosen else ["add"]
    kind = draw(st.sampled_from(kinds))
    free = [name for name in NAMES if name not in {each["name"] for each in chosen}]
    at = draw(st.integers(0, len(chosen) - (kind != "add")))
    if kind == "add" and free:
        chosen.insert(at, {"name": draw(st.sampled_from(free)), "p": draw(SCALARS)})
    elif kind == "rename" and free:
        chosen[at]["name"] = draw(st.sampled_from(free))
    elif kind in ("remove", "move"):
        item = chosen.pop(at)
        if kind == "move":
            chosen.insert(draw(st.integers(0, len(chosen))), item)


@st.composite
def histories(draw):
    """A document and what two sides made of it: by a few edits, or of a small one whatever there is,
    so that both often changed the same.
    """
    if draw(st.booleans()):
        return draw(st.tuples(SMALL, SMALL, SMALL))
    base = draw(LARGE)
    return base, draw(edited(base)), draw(edited(base))


def facts(tree, path=()):
    """Every single value by where it is, items by their names, and the order of each list's names."""
    if isinstance(tree, dict):
        return {at: value for key in tree for at, value in facts(tree[key], (*path, key)).items()}
    if not isinstance(tree, list):
        return {path: tree}
    named = {(*path, each["name"]): each for each in tree}
    return {at: value for name, each in named.items() for at, value in facts(each, name).items()}


def orders(tree, path=()):
    """The names of each list's items in their order, by where it is."""
    if isinstance(tree, list):
        yield path, [each["name"] for each in tree]
        tree = {each["name"]: each for each in tree}
    for key, child in tree.items() if isinstance(tree, dict) else ():
        yield from orders(child, (*path, key))


def equal(left, right):
    return left is right if ABSENT in (left, right) else same(left, right)


@given(histories())
@settings(max_examples=examples(2_400), deadline=None)
def test_merge__without_conflict__has_every_change_of_either_side(history):
    base, ours, theirs = history
    before = copy.deepcopy(history)

    made = merge_three(base, ours, theirs, KEYS)

    assert history == before
    event(f"conflicts: {bool(made.conflicts)}")
    if made.conflicts:
        return
    was, mine, others, merged = map(facts, (base, ours, theirs, made.tree))
    for path in {**was, **mine, **others, **merged}:
        old, one, two, now = (side.get(path, ABSENT) for side in (was, mine, others, merged))
        wanted = two if equal(one, old) else one
        assert equal(now, wanted), path
        assert equal(one, old) or equal(two, old) or equal(one, two), path


@given(histories())
@settings(max_examples=examples(2_400), deadline=None)
def test_merge__without_conflict__keeps_what_either_side_moved(history):
    base, ours, theirs = history

    made = merge_three(base, ours, theirs, KEYS)

    if made.conflicts:
        return
    was, mine, others, merged = (dict(orders(side)) for side in (base, ours, theirs, made.tree))
    for path in was.keys() & mine.keys() & others.keys() & merged.keys():
        common = set(was[path]) & set(mine[path]) & set(others[path])
        old, one, two, now = (
            [name for name in side[path] if name in common] for side in (was, mine, others, merged)
        )
        event(f"moved: {(one != old) + (two != old)}")
        assert now == (two if one == old else one)
        for side in (mine[path], others[path]):  # what is new stays behind what it was put behind
            for left, right in pairwise(side):
                if left in common and right not in common and right in merged[path]:
                    between = merged[path][merged[path].index(left) + 1 :]
                    assert right in between


@given(histories())
@settings(max_examples=examples(2_400), deadline=None)
def test_merge__where_both_changed_one_value_differently__always_says_so(history):
    base, ours, theirs = history

    made = merge_three(base, ours, theirs, KEYS)

    was, mine, others = map(facts, (base, ours, theirs))
    clashing = [
        path
        for path in was.keys() & mine.keys() & others.keys()
        if not (same(mine[path], was[path]) or same(others[path], was[path]))
        and not same(mine[path], others[path])
    ]
    assert made.conflicts or not clashing


@given(LARGE, LARGE, st.data())
@settings(max_examples=examples(500), deadline=None)
def test_merge__sides_that_changed_different_parts__never_clash(first, second, data):
    left, right = data.draw(edited(first)), data.draw(edited(second))
    keys = MergeKeys({each: {"properties": {"hosts": LIST}} for each in ("one", "two")})
    base = {"one": first, "two": second}

    made = merge_three(base, {"one": left, "two": second}, {"one": first, "two": right}, keys)

    assert made.conflicts == []
    assert same(made.tree, {"one": left, "two": right})


@given(histories())
@settings(max_examples=examples(2_400), deadline=None)
def test_merge__sides_swapped__is_the_same_but_for_their_names(history):
    base, ours, theirs = history

    one, two = merge_three(base, ours, theirs, KEYS), merge_three(base, theirs, ours, KEYS)

    def shown(conflicts, first, second):
        sides = [[getattr(each, name) for name in ("base", first, second)] for each in conflicts]
        return sorted(
            canonical([["absent"] if value is ABSENT else ["is", value] for value in each])
            for each in sides
        )

    assert shown(one.conflicts, "ours", "theirs") == shown(two.conflicts, "theirs", "ours")
    if not one.conflicts:
        assert same(one.tree, two.tree)

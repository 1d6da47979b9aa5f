"""Real configuration files, changed at one place at a time: that place changes, and nothing else."""

import copy
from pathlib import Path

import pytest

from apps.engine import editing, formats
from apps.engine.values import same

CORPUS = Path(__file__).parents[1] / "corpus"
FILES = sorted(each for each in CORPUS.iterdir() if each.suffix in (".yaml", ".yml", ".toml"))
STRIDE = 1 if pytest.long_form else 23  # of the places in a file


def places(tree, path=()):
    """The paths of all values in a document."""
    if path:
        yield path
    if isinstance(tree, (dict, list)):
        for step, child in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from places(child, (*path, step))


def changed(tree, path, act):
    """A document with one value removed, replaced or put beside another of a mapping."""
    wanted = copy.deepcopy(tree)
    parent = wanted
    for step in path[:-1]:
        parent = parent[step]
    if act == "remove":
        del parent[path[-1]]
    elif act == "set":
        parent[path[-1]] = "changed"
    elif isinstance(parent, dict):
        parent["new"] = "added"
    return wanted


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_edit__one_place_of_a_real_file__leaves_the_other_lines(file):
    name = "toml" if file.suffix == ".toml" else "yaml"
    text = file.read_text(encoding="utf-8")
    tree = formats.parse(text, name).tree
    known = set(text.splitlines())

    for path in list(places(tree))[::STRIDE]:
        for act in ("remove", "set", "add"):
            wanted = changed(tree, path, act)
            if same(wanted, tree) or (name == "toml" and _is_table_of_an_array(tree, path)):
                continue

            edited = editing.edit(text, name, wanted)

            assert same(formats.parse(edited.text, name).tree, wanted), (path, act)
            assert not edited.comments_lost, (path, act)
            if "&" not in text and (act == "add" or (act == "set" and _is_short(tree, path, text))):
                assert len(known - set(edited.text.splitlines())) <= 1, (path, act)


def _at(tree, path):
    for step in path:
        tree = tree[step]
    return tree


def _is_short(tree, path, text):
    """Whether a value is written in one line."""
    value = _at(tree, path)
    written = not isinstance(value, str) or ("\n" not in value and value in text)
    return written and not isinstance(value, (dict, list))


def _is_table_of_an_array(tree, path):
    """Text in the place of a table of an array of tables: TOML writes such a list otherwise."""
    return isinstance(path[-1], int) and isinstance(_at(tree, path), dict)

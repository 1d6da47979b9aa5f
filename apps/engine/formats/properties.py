"""Java properties, as ``java.util.Properties`` reads and writes them; keys stay flat."""

from collections.abc import Iterator

import javaproperties

from apps.engine.formats.flat import flatten
from apps.engine.formats.parsed import Parsed, Place, Positions, refuse
from apps.engine.paths import Path
from apps.engine.values import Tree, escape


def parse(text: str) -> Parsed:
    """Read keys and texts: ``a.b.c`` stays one key."""
    tree: dict[str, Tree] = {}
    places: dict[str, Place] = {"": (1, 1)}
    line = 1
    try:
        for element in javaproperties.parse(text):
            if isinstance(element, javaproperties.KeyValue):
                if element.key in tree:
                    refuse(f"The key '{element.key}' stands here twice.", (line, 1))
                tree[element.key] = element.value
                places[f"/{escape(element.key)}"] = (line, 1)
            line += element.source.count("\n")
    except javaproperties.InvalidUEscapeError:
        refuse("A \\u escape needs four hexadecimal digits.", (line, 1))
    return Parsed(tree, Positions(lambda: places))


def render(tree: Tree) -> str:
    """The document flattened with ``.`` and ``[i]``, in ASCII with ``\\u`` escapes."""
    named = flatten(tree, _join, ".properties")
    return "".join(f"{javaproperties.join_key_value(*pair)}\n" for pair in named.items())


def _join(path: Path) -> str:
    return "".join(_pieces(path))


def _pieces(path: Path) -> Iterator[str]:
    for index, step in enumerate(path):
        yield f"[{step}]" if isinstance(step, int) else (f".{step}" if index else step)

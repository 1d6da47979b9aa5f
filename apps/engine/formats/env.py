"""dotenv: ``NAME=value`` lines, read by python-dotenv without any interpolation."""

import io
import re

from dotenv.parser import parse_stream

from apps.engine.formats.flat import flatten
from apps.engine.formats.parsed import Parsed, Place, Positions, refuse, refuse_unrepresentable
from apps.engine.paths import Path
from apps.engine.values import Tree, escape

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE = re.compile(r"[A-Za-z0-9_./:@%+,-]*")


def parse(text: str) -> Parsed:
    """Read names and texts; ``export`` and quotes as shells know them."""
    tree: dict[str, Tree] = {}
    places: dict[str, Place] = {"": (1, 1)}
    for binding in parse_stream(io.StringIO(text, newline="")):
        before = binding.original.string[
            : len(binding.original.string) - len(binding.original.string.lstrip())
        ]
        place = (binding.original.line + before.count("\n"), 1)
        if binding.error:
            refuse("This line is not NAME=value.", place)
        if binding.key is None:
            continue
        if binding.key in tree:
            refuse(f"The key '{binding.key}' stands here twice.", place)
        if binding.value is None:
            refuse(f"'{binding.key}' has no value: write {binding.key}=", place)
        tree[binding.key] = binding.value
        places[f"/{escape(binding.key)}"] = place
    return Parsed(tree, Positions(lambda: places))


def render(tree: Tree) -> str:
    """The document flattened with ``__``, quoted so that dotenv readers and shells agree.

    Raises :class:`UnrepresentableError` for keys that are no variable names.
    """
    named = flatten(tree, _join, ".env")
    bad = {
        f"/{escape(name)}": "This is no variable name."
        for name in named
        if not _NAME.fullmatch(name)
    }
    bad |= {
        f"/{escape(name)}": "There is no carriage return in this format."
        for name, value in named.items()
        if "\r" in value
    }
    if bad:
        refuse_unrepresentable(".env", bad)
    return "".join(f"{name}={_quoted(value)}\n" for name, value in named.items())


def _join(path: Path) -> str:
    return "__".join(str(step) for step in path)


def _quoted(value: str) -> str:
    if _BARE.fullmatch(value):
        return value
    if "'" not in value and "\\" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

"""Walking over a configuration."""

from collections.abc import Iterator
from typing import Any

from configsvc_client.keys import Path
from configsvc_client.numbers import Number, dumps

SECRET = "$secret"  # noqa: S105 - the member that names one


def leaves(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The path and value of each scalar and each empty object or list, in the document's order."""
    if isinstance(tree, dict) and tree:
        for key, child in tree.items():
            yield from leaves(child, (*path, key))
    elif isinstance(tree, list) and tree:
        for index, child in enumerate(tree):
            yield from leaves(child, (*path, index))
    else:
        yield path, tree


def secret_name(value: Any) -> str | None:
    """The name of the secret that ``value`` refers to, unrevealed."""
    is_reference = isinstance(value, dict) and list(value) == [SECRET]
    return str(value[SECRET]) if is_reference else None


def shown(path: Path) -> str:
    """A path as people write keys: ``settings.hosts[0]``, ``["a.b"]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif any(char in step for char in '.[]"\\') or not step:
            text += f"[{dumps(step)}]"
        else:
            text += f".{step}" if text else step
    return text or "(the whole document)"


def text_of(value: Any) -> str:
    """A scalar as text: digits as they were sent, ``true``, ``false``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.literal if isinstance(value, Number) else str(value)

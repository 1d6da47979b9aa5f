"""Walking over a configuration."""

import re
from collections.abc import Iterator
from typing import Any

from configsvc_client.keys import Path
from configsvc_client.numbers import Number, dumps

SECRET = "$secret"  # noqa: S105 - the member that names one
_IN_TEXT = re.compile(r"\$\{secret:([^}]*)\}")


def leaves(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The path and value of each scalar, each empty object or list, and each ``{"$secret": name}``,
    in the document's order.
    """
    if isinstance(tree, dict) and tree and list(tree) != [SECRET]:
        for key, child in tree.items():
            yield from leaves(child, (*path, key))
    elif isinstance(tree, list) and tree:
        for index, child in enumerate(tree):
            yield from leaves(child, (*path, index))
    else:
        yield path, tree


def secret_names(value: Any) -> list[str]:
    """The secrets that ``value`` refers to: ``{"$secret": name}``, or ``${secret:name}`` in a text.

    For documents whose secrets are not revealed; in others a text like that is just a text.
    """
    if isinstance(value, str):
        return _IN_TEXT.findall(value)
    is_reference = isinstance(value, dict) and list(value) == [SECRET]
    return [str(value[SECRET])] if is_reference else []


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

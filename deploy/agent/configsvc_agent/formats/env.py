"""dotenv: ``NAME=value`` lines, quoted so that dotenv readers and shells take the same text."""

import re
from typing import Any, Final

from configsvc_agent.formats.problems import refuse
from configsvc_agent.paths import leaves, secret_names, text_of
from configsvc_client.keys import Path

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_./:@%+,-]*")
_EXPANDED: Final = re.compile(r"[$`]")


def render(tree: Any, *, revealed: bool = False) -> str:
    """The document flattened with ``__``; a text of several lines stands between quotes as it is.

    Unless its secrets are ``revealed``, what refers to one is a comment line. Raises :class:`RenderError` for null, what is
    empty, keys that are no variable names, and texts that no quoting says to all readers.
    """
    found: dict[str, str] = {}
    bad: dict[Path, str] = {}
    if not isinstance(tree, dict):
        bad[()] = "The document is an object in this format."
    for path, value in leaves(tree) if tree else ():
        name = "__".join(map(str, path))
        secrets = [] if revealed else secret_names(value)
        why = _why_not(name, "" if secrets else value, found)
        if why is not None:
            bad[path] = why
        elif secrets:
            named = ", ".join(f"'{secret}'" for secret in secrets)
            found[name] = f"# {name}= the secret {named}, not revealed\n"
        else:
            found[name] = f"{name}={_quoted(text_of(value))}\n"
    refuse(".env", bad)
    return "".join(found.values())


def _why_not(name: str, value: Any, found: dict[str, str]) -> str | None:
    if value is None:
        return "There is no null in this format."
    if isinstance(value, (dict, list)):
        return "There is nothing empty in this format."
    if name in found:
        return f"Another key has the name {name} as well."
    if not _NAME.fullmatch(name):
        return f"{name!r} is no variable name."
    text = text_of(value)
    if "\r" in text:
        return "There is no carriage return in this format."
    if not _is_literal(text) and _EXPANDED.search(text):
        return "Shells expand $ and ` in a text that also holds a quote or a double backslash."
    return None


def _quoted(text: str) -> str:
    if _BARE.fullmatch(text):
        return text
    if _is_literal(text):
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_literal(text: str) -> bool:
    """Whether all readers take the text between single quotes as it is."""
    return "'" not in text and "\\\\" not in text and not text.endswith("\\")

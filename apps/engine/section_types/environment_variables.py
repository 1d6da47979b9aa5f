"""Environment variables: names and scalar values, as a process gets them.

Names are those of POSIX (letters, digits and ``_``, no digit first). Warned of are names that
differ in case alone (one variable on Windows, and in many readers), and values that Linux would
not pass on: a variable with its name and value has at most 128 KiB (``MAX_ARG_STRLEN``, execve(2)).
"""

import re
from typing import Final, NamedTuple

from apps.engine.section_types.section_type import Findings, SectionType
from apps.engine.values import Tree, canonical

LONGEST: Final = 131_072
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Variable(NamedTuple):
    """A variable as a process gets it; ``None`` where a secret stands."""

    name: str
    text: str | None


def list_variables(section: Tree) -> list[Variable]:
    """The variables of a section, by name."""
    if not isinstance(section, dict):
        return []
    return [Variable(name, _text(section[name])) for name in sorted(section)]


def _text(value: Tree) -> str | None:
    if isinstance(value, str):
        return value
    return None if isinstance(value, dict) else canonical(value)


def _examine(section: dict[str, Tree], findings: Findings) -> None:
    first: dict[str, str] = {}
    for name, value in section.items():
        if not _NAME.fullmatch(name):
            message = "A variable's name is letters, digits and _, and begins with no digit."
            findings.error((name,), "name", message)
        other = first.setdefault(name.upper(), name)
        if other != name:
            message = "Another variable has this name but for upper and lower case."
            findings.warn((name,), "same_name", message, (other,))
        if isinstance(value, str) and len(name) + 2 + len(value.encode()) > LONGEST:
            message = "Linux passes no variable on that has more than 128 KiB: use a file."
            findings.warn((name,), "too_long", message)


TYPE: Final = SectionType(
    name="environment_variables",
    label="Environment variables",
    description="Names and scalar values, as a process gets them; the .env format shows these.",
    schema={
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    },
    example={"LOG_LEVEL": "info", "TZ": "Europe/Berlin"},
    examine=_examine,
)

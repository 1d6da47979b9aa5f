"""Which templates a document extends, in forms: a box for each, and its parameters in a line."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from apps.engine import formats
from apps.engine.errors import DomainError
from apps.engine.values import compact, parse_canonical

_WRITTEN: Final = re.compile(r'\{"template":("[A-Za-z0-9._-]+"),"with":(.*)\}', re.DOTALL)
"""What the editor sends for a template with parameters."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A template to choose. ``value`` is what the form sends; ``given`` its parameters, as JSON;
    ``takes`` the names of those that it has.
    """

    slug: str
    value: str
    newest: int | None
    takes: str
    given: str
    used: bool


def spelled(entry: dict[str, Any]) -> str:
    """An entry of ``extends`` as a form's value: the name, or JSON where it has parameters."""
    return compact(entry) if entry.get("with") else entry["template"]


def read(sent: Iterable[str]) -> list[object]:
    """The entries that a form sent. Raises :class:`MalformedError` for what no editor sends."""
    return [_entry(each) if each.startswith("{") else {"template": each} for each in sent if each]


def _entry(text: str) -> object:
    """An entry as it was sent; where its parameters cannot be read, with their text."""
    try:
        return formats.parse(text, "json").tree
    except DomainError:
        written = _WRITTEN.fullmatch(text)
        if written is None:
            raise
        return {"template": json.loads(written.group(1)), "with": written.group(2)}


def choices(templates: Iterable[Any], extends: Sequence[dict[str, Any]]) -> list[Choice]:
    """What is extended, in order, and then the other templates."""
    known = {each.slug.lower(): each for each in templates}
    used = [_choice(each, known.get(each["template"].lower())) for each in extends]
    names = {each["template"].lower() for each in extends}
    others = [
        _choice({"template": each.slug}, each, used=False)
        for name, each in known.items()
        if name not in names
    ]
    return used + others


def _choice(entry: dict[str, Any], template: Any, *, used: bool = True) -> Choice:
    given = entry.get("with")
    written = given if isinstance(given, str) else compact(given) if given else ""
    return Choice(
        slug=entry["template"],
        value=spelled(entry),
        newest=template.newest if template else None,
        takes=", ".join(_names(template.takes)) if template else "",
        given=written,
        used=used,
    )


def _names(schema: str) -> list[str]:
    return sorted(parse_canonical(schema).get("properties", {}))

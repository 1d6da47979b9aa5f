"""Names in addresses, and the other short texts that people give things."""

import re
from collections.abc import Collection, Iterable

from apps.engine import values
from apps.engine.errors import InvalidError, Problem, invalid

FORMAT_SUFFIXES = (".json", ".yaml", ".yml", ".toml", ".xml", ".env", ".properties")
_SLUG = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")


def check_slug(slug: object, *, reserved: Collection[str] = ()) -> str:
    """``slug`` when it is a name after the contract, else :class:`InvalidError` (code ``slug``)."""
    if not isinstance(slug, str) or not _SLUG.fullmatch(slug):
        raise _invalid(
            "A name is 1 to 128 letters, digits, dots, hyphens and underscores, and starts and "
            "ends with a letter or digit."
        )
    lower = slug.lower()
    if lower in reserved:
        raise _invalid("This name is reserved.")
    if lower.endswith(FORMAT_SUFFIXES):
        raise _invalid("A name may not end in a format's suffix such as .json.")
    return slug


def check_text(name: str, given: object, longest: int) -> str:
    """``given`` when it is text of at most ``longest`` characters that a database can hold.

    Raises :class:`InvalidError` or :class:`MalformedError` about the member ``name``.
    """
    if not isinstance(given, str) or len(given) > longest:
        raise invalid(f"/{name}", "type", f"This is text of at most {longest} characters.")
    values.check({name: given})
    return given


def refuse_unknown(members: Iterable[str], known: Collection[str]) -> None:
    """Raise :class:`InvalidError` naming the first member that is not ``known``."""
    for name in members:
        if name not in known:
            raise invalid(f"/{values.escape(name)}", "unknown_member", "There is no such member.")


def _invalid(message: str) -> InvalidError:
    return InvalidError(message, [Problem("/slug", "slug", message)])

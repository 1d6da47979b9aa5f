"""Names in addresses: services, environments, templates, service accounts."""

import re
from collections.abc import Collection

from apps.engine.errors import InvalidError, Problem

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


def _invalid(message: str) -> InvalidError:
    return InvalidError(message, [Problem("/slug", "slug", message)])

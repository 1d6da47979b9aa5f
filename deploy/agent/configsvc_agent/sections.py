"""What a ``.env`` is made of: the sections of type environment variables, as the server takes them."""

from collections.abc import Iterator, Sequence
from typing import Any

from configsvc_agent.errors import RenderError
from configsvc_agent.paths import secret_names, shown


def env_sections_of(document: Any, keys: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Those of ``keys`` that are there, with what stands in them. Raises :class:`RenderError` for a
    section that is no object, or a secret as a whole.
    """
    for key in keys if isinstance(document, dict) else ():
        section = document.get(key, {})
        if not isinstance(section, dict) or secret_names(section):
            raise RenderError(f"Environment variables are made of an object: {shown((key,))}")
        if key in document:
            yield key, section


def dotenv_tree(document: Any, keys: Sequence[str] | None) -> Any:
    """The sections of ``keys``, merged: of two variables of one name the later section's holds. The whole
    document where the service has no such section. Raises :class:`RenderError`, likewise.
    """
    if not keys:
        return document
    merged: dict[str, Any] = {}
    for _key, section in env_sections_of(document, keys):
        merged |= section
    return merged

"""Which representation a request wants: by suffix, ``?format=`` or ``Accept``."""

from typing import Any

from apps.api.base import bad_member
from apps.engine import formats
from apps.engine.errors import UnrepresentableError

ACCEPTED = {
    "application/yaml": "yaml",
    "application/x-yaml": "yaml",
    "text/yaml": "yaml",
    "application/toml": "toml",
    "application/xml": "xml",
    "text/xml": "xml",
    "text/x-dotenv": "env",
    "text/x-java-properties": "properties",
}
JSON_TYPES = ("application/json", "*/*", "application/*", "application/problem+json")


def wanted_format(request: Any, suffix: str) -> str:
    """The file format that is asked for; ``""`` for the JSON envelope.

    Raises :class:`UnrepresentableError` (406) when ``Accept`` allows nothing that there is.
    """
    named = request.GET.get("format")
    if named:
        if named not in formats.FORMATS:
            raise bad_member("format", f"'format' is one of {', '.join(formats.FORMATS)}.")
        return str(named)
    if suffix:
        return suffix
    accept = request.headers.get("Accept", "*/*")
    best, best_quality = None, 0.0
    for part in accept.split(","):
        media_type, quality = _read(part)
        known = "" if media_type in JSON_TYPES else ACCEPTED.get(media_type)
        if known is None and media_type in ("text/html", "text/*"):
            known = ""
        if known is not None and quality > best_quality:
            best, best_quality = known, quality
    if best is None:
        raise UnrepresentableError(
            "None of the accepted media types is available.", code="not_acceptable"
        )
    return best


def _read(part: str) -> tuple[str, float]:
    media_type, *parameters = (piece.strip() for piece in part.split(";"))
    for parameter in parameters:
        name, _equals, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media_type.lower(), float(value)
            except ValueError:
                return media_type.lower(), 0.0
    return media_type.lower(), 1.0

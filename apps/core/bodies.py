"""How large the body of a request may be: larger where whole archives are brought in."""

from typing import Final

from django.conf import settings

IMPORTS: Final = ("/import", "/api/v1/import", "/admin/exchange/")
FORM_BYTES: Final = 65_536
"""What a form may hold beside the document or the file in it."""


def most_bytes(path: str) -> int:
    """How many bytes a body that is sent to ``path`` may have."""
    most: int = settings.MAX_IMPORT_BYTES if path in IMPORTS else settings.MAX_BODY_BYTES
    return most

"""What drf-spectacular must be told: our credentials, and that addresses are listed once."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # untyped base
    """``Authorization: Bearer csk_…``."""

    target_class = "apps.api.authentication.BearerAuthentication"
    name = "token"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, str]:
        """The scheme as OpenAPI writes it."""
        return {"type": "http", "scheme": "bearer"}


class BrowserScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # untyped base
    """The session cookie; writes need the CSRF token too."""

    target_class = "apps.api.authentication.BrowserAuthentication"
    name = "session"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, str]:
        """The scheme as OpenAPI writes it."""
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


def only_once(endpoints: list[Any]) -> list[Any]:
    """Leave out the same addresses under /api/v1."""
    return [each for each in endpoints if not each[0].startswith("/api/v1/")]

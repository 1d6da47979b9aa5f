"""What the environment of the process says: ``CONFIGSVC_…`` and the token."""

import os
from pathlib import Path
from typing import Final

from configsvc_client.errors import ConfigError

UNAUTHENTICATED: Final = 401


def variable(name: str) -> str | None:
    """The variable ``CONFIGSVC_name``; an empty one is none."""
    return os.environ.get(f"CONFIGSVC_{name}") or None


def read_token(given: str | None = None) -> str:
    """The token of this moment: ``given``, else that of ``CONFIGSVC_TOKEN_FILE``, which may be
    replaced while the program runs, else ``CONFIGSVC_TOKEN``.
    """
    token, path = given, variable("TOKEN_FILE")
    if token is None and path:
        try:
            token = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(UNAUTHENTICATED, f"The token file {path} cannot be read.") from error
    token = token or variable("TOKEN") or ""
    check_sendable("token", token)
    return token


def check_sendable(name: str, value: str) -> None:
    """Refuse what would break out of its header, without repeating it."""
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"The {name} has characters that cannot be sent.")

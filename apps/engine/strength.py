"""Whether a text is fit to be a key."""

from typing import Final

SHORTEST_KEY: Final = 32
PLACEHOLDERS: Final = ("changeme", "secret", "insecure", "password", "example", "default")
HOW_TO_MAKE_ONE: Final = (
    f"use at least {SHORTEST_KEY} random characters, for example from "
    "`python -c 'import secrets; print(secrets.token_urlsafe(48))'`."
)


def is_weak(key: str) -> bool:
    """Whether a key is short, of few different characters, or looks like a placeholder."""
    if len(key) < SHORTEST_KEY or len(set(key)) < SHORTEST_KEY // 3:
        return True
    return any(word in key.lower() for word in PLACEHOLDERS)

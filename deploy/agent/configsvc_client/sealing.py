"""Sealing the last good copy: AES-256-GCM, with a key of HKDF-SHA256 (RFC 5869) over a secret.

This alone, beside signatures, needs the package ``cryptography``.
"""

import base64
import json
import os
from collections.abc import Callable
from typing import Any, Final

from configsvc_client.errors import ConfigError

FORMAT: Final = 2
_LABEL: Final = b"configsvc last good copy"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_SALT_BYTES: Final = 16


class Seal:
    """Seals and opens by a ``secret``, which is asked for each time: a token that was replaced
    seals the next copy.

    ``secret`` gives at least 128 random bits. Raises :class:`ImportError` without ``cryptography``.
    """

    def __init__(self, secret: Callable[[], bytes]) -> None:
        import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401 - said now, not at the first copy

        self._secret = secret
        self._used = b""

    @property
    def is_outdated(self) -> bool:
        """Whether the secret is another than the one that sealed or opened last."""
        try:
            return self._used != self._secret()
        except ConfigError:  # the token's file is being replaced
            return False

    def seal(self, content: bytes, about: str) -> bytes:
        """``content`` sealed, bound to ``about``: it opens as that alone."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self._key(salt)).encrypt(nonce, content, about.encode())
        members: dict[str, Any] = {"format": FORMAT}
        members |= {"salt": _text(salt), "nonce": _text(nonce), "sealed": _text(sealed)}
        return json.dumps(members).encode()

    def open(self, sealed: bytes, about: str) -> bytes:
        """What was sealed. Raises :class:`ValueError` for all that does not open."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            members = json.loads(sealed)
            if members["format"] != FORMAT:
                raise ValueError("It is of another format.")
            salt, nonce, content = (
                base64.b64decode(members[name], validate=True)
                for name in ("salt", "nonce", "sealed")
            )
            return AESGCM(self._key(salt)).decrypt(nonce, content, about.encode())
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("It is no sealed copy.") from error
        except InvalidTag as error:
            raise ValueError("It was sealed by another key or token, or altered.") from error

    def _key(self, salt: bytes) -> bytes:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        self._used = self._secret()
        derivation = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=salt, info=_LABEL)
        return derivation.derive(self._used)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()

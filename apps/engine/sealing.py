"""Envelope encryption: each value under a data key of its own, that key under a key-encryption key.

AES-256-GCM (NIST SP 800-38D) and HKDF-SHA256 (RFC 5869), from ``cryptography``. A sealed value is
one byte for the form, a nonce of 96 bits, the ciphertext and a tag of 128 bits. The context, which
names what the value is, is authenticated with it (additional data): sealed bytes that were moved to
another place, altered or cut do not open. Randomness comes from the caller.
"""

import hashlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from apps.engine.errors import IntegrityError
from apps.engine.values import canonical

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
KEY_ID_LENGTH: Final = 16
_FORM: Final = b"\x01"


def context_of(**names: str | int) -> bytes:
    """What is authenticated with a value: names and what they name, in one order."""
    return canonical({name: str(value) for name, value in names.items()}).encode()


def seal(value: bytes, *, key: bytes, nonce: bytes, context: bytes) -> bytes:
    """``value`` sealed by ``key`` (32 bytes) for ``context``. A nonce (12 bytes) serves once."""
    return _FORM + nonce + AESGCM(key).encrypt(nonce, value, context)


def unseal(sealed: bytes, *, key: bytes, context: bytes) -> bytes:
    """The value. Raises :class:`IntegrityError` unless key and context are those it was sealed
    with and every byte is as it was.
    """
    nonce = sealed[1 : 1 + NONCE_BYTES]
    body = sealed[1 + NONCE_BYTES :]
    if sealed[:1] != _FORM or len(body) < TAG_BYTES:
        raise IntegrityError("A sealed value is damaged: it does not open.")
    try:
        return AESGCM(key).decrypt(nonce, body, context)
    except InvalidTag:
        raise IntegrityError("A sealed value is damaged or out of its place.") from None


def derive_key(text: str, purpose: str = "key-encryption key") -> bytes:
    """The key (32 bytes) that a key text stands for, for one purpose; the text is random itself."""
    return _derived(text, f"configsvc {purpose}".encode())


def key_id(text: str) -> str:
    """The public name of a key text: 16 hexadecimal digits that say nothing of the key."""
    return hashlib.sha256(_derived(text, b"configsvc key id")).hexdigest()[:KEY_ID_LENGTH]


def _derived(text: str, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose).derive(text.encode())

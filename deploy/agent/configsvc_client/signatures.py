"""Checking ``X-Config-Signature``: that no cache or proxy in between altered a configuration."""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configsvc_client.envelopes import is_about
from configsvc_client.errors import AwayError
from configsvc_client.wire import Reply

Keys = str | os.PathLike[str] | Mapping[str, Any]
"""A JSON Web Key Set (RFC 7517): a file of one, or its members."""

MAX_EPOCHS = 100


class Signatures:
    """The public keys that a program trusts, for the answers about one configuration. They come by
    another way than the answers. ``environment`` may be ``None``: then it is that of the first answer.

    Raises :class:`ValueError` for what is no set of Ed25519 keys, :class:`ImportError` where
    ``cryptography`` is missing, which nothing else here needs.
    """

    def __init__(self, keys: Keys, service: str, environment: str | None) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        given = keys if isinstance(keys, Mapping) else json.loads(Path(keys).read_text("utf-8"))
        try:
            found = [each for each in given["keys"] if each.get("crv") == "Ed25519"]
            self._keys = {
                each["kid"]: Ed25519PublicKey.from_public_bytes(_decode(each["x"]))
                for each in found
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("This is not a set of public keys (JWKS).") from error
        if not self._keys:
            raise ValueError("There is no Ed25519 key in this set.")
        self._service, self._environment = service, environment
        self._newest: dict[str, int] = {}  # version by epoch: a replay may lead back over several

    def check(self, reply: Reply, body: bytes, envelope: Mapping[str, Any]) -> None:
        """Raise :class:`AwayError` unless the answer is signed, about what was asked for, and not
        older than one before it in the same epoch.
        """
        from cryptography.exceptions import InvalidSignature

        epoch = reply.header("X-Config-Epoch")
        parts = dict(
            part.strip().partition("=")[::2]
            for part in reply.header("X-Config-Signature").split(";")
        )
        key = self._keys.get(parts.get("kid", ""))
        if key is None:
            raise AwayError("The answer is not signed by a key that is trusted.")
        named = [envelope["service"], envelope["environment"], str(envelope["version"])]
        digest = hashlib.sha256(body).hexdigest()
        revision = str(envelope["revision"])
        text = "\n".join([epoch, *named, revision, "envelope", digest])
        try:
            key.verify(_decode(parts.get("sig", "")), text.encode())
        except (InvalidSignature, ValueError) as error:
            raise AwayError("The answer's signature does not hold: it was altered.") from error
        if parts.get("revision") != revision:
            raise AwayError("The answer's signature is of another revision.")
        if not is_about(envelope, self._service, self._environment):
            raise AwayError("The answer is about another service or environment.")
        version = envelope["version"]
        if version < self._newest.get(epoch, version):
            raise AwayError("The answer is older than one before it: it was replayed.")
        self._environment = envelope["environment"]
        self._newest.pop(epoch, None)  # so that the one unused for longest comes first
        self._newest[epoch] = version
        if len(self._newest) > MAX_EPOCHS:
            del self._newest[next(iter(self._newest))]


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

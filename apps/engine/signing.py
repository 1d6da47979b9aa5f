"""Ed25519 signatures (RFC 8032), by ``cryptography``: of checkpoints and of fetched answers.

The private key is derived (HKDF-SHA256, RFC 5869) from a key text, which is random itself. A key's
id is the thumbprint of its public JWK (RFC 7638, RFC 8037), so an id cannot be given to another key.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from apps.engine.values import Tree, canonical

_PURPOSE = b"configsvc signature key"


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signs: its id and its public half are for everybody."""

    key_id: str
    public: str
    _private: Ed25519PrivateKey = field(repr=False)

    def sign(self, message: bytes) -> str:
        """The signature in base64url without padding (RFC 7515)."""
        return encode(self._private.sign(message))


def signer(text: str) -> Signer:
    """The signer that a key text stands for; the same text gives the same one."""
    seed = HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(text.encode())
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = encode(private.public_key().public_bytes_raw())
    return Signer(key_id(public), public, private)


def key_id(public: str) -> str:
    """The thumbprint of a public key in base64url."""
    members = canonical({"crv": "Ed25519", "kty": "OKP", "x": public})
    return encode(hashlib.sha256(members.encode()).digest())


def jwk(public: str) -> dict[str, Tree]:
    """The public key as a JSON Web Key (RFC 8037)."""
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": "EdDSA",
        "kid": key_id(public),
        "x": public,
    }


def encode(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def answer_header(sign_with: Signer, *, names: Sequence[str], revision: int, body: bytes) -> str:
    """``X-Config-Signature`` of an answer: ``kid=K; revision=R; sig=BASE64URL``.

    Signed is the UTF-8 text of epoch, service, environment, version (``names``), revision, format
    and the body's SHA-256 in lower-case hex, before content coding, joined by newlines.
    """
    epoch, service, environment, version, form = names
    digest = hashlib.sha256(body).hexdigest()
    text = "\n".join([epoch, service, environment, version, str(revision), form, digest])
    return f"kid={sign_with.key_id}; revision={revision}; sig={sign_with.sign(text.encode())}"


def checkpoint_line(
    sign_with: Signer, *, epoch: str, revision: int, digest: str, at: str
) -> dict[str, Tree]:
    """A checkpoint: the signed statement that at ``revision`` the ledger's hash was ``digest``."""
    members: dict[str, Tree] = {
        "kind": "configsvc-checkpoint",
        "epoch": epoch,
        "revision": revision,
        "hash": digest,
        "at": at,
    }
    signature = sign_with.sign(canonical(members).encode())
    return {**members, "kid": sign_with.key_id, "signature": signature}

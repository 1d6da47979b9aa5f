"""Values that are random and used by those who read them alone: passwords, keys, key pairs."""

import base64
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from apps.core.models import Connection
from apps.engine import passwords
from apps.engine.values import Tree
from apps.vault.rotators.base import Option, Rotator, RotatorError, Task

RSA_EXPONENT = 65_537
SHAPE = (
    Option("length", "Length", "number", 32, least=passwords.SHORTEST, most=passwords.LONGEST),
    Option(
        "classes",
        "Characters",
        "choices",
        ["lower", "upper", "digits"],
        choices=tuple(passwords.CLASSES),
    ),
    Option("exclude", "Without these characters", "text", "", most=100),
)
MEMBER = Option("member", "Only this member of the value (an object)", "text", "", most=100)


def new_password(options: Mapping[str, Any]) -> str:
    """A random password of the shape that the options say."""
    return passwords.password(
        length=options["length"],
        classes=options["classes"],
        excluded=options["exclude"],
        below=secrets.randbelow,
    )


def check_shape(options: Mapping[str, Any]) -> None:
    """Raise :class:`InvalidError` for a shape that no password has."""
    passwords.alphabets(options["classes"], options["exclude"])


def _put(task: Task, made: str) -> Tree:
    """The new value: the text alone, or in its member of an object that stays otherwise."""
    member = task.options["member"]
    if not member:
        if isinstance(task.current, dict):
            raise RotatorError("The current value is an object: name the member to replace.")
        return made
    if not isinstance(task.current, dict):
        raise RotatorError("The current value is not an object, so it has no member to replace.")
    return {**task.current, member: made}


class Password(Rotator):
    """A random password of a given shape."""

    name = "password"
    title = "Random password"
    options = (*SHAPE, MEMBER)

    def check(self, options: Mapping[str, Any], connection: Connection | None) -> None:
        """See :class:`Rotator`."""
        check_shape(options)

    def create(self, task: Task) -> Tree:
        """See :class:`Rotator`."""
        return _put(task, new_password(task.options))


class Key(Rotator):
    """Random bytes, written as text."""

    name = "key"
    title = "Random key"
    options = (
        Option("bytes", "Bytes", "number", 32, least=16, most=512),
        Option(
            "encoding", "Written as", "choice", "base64", choices=("base64", "base64url", "hex")
        ),
        MEMBER,
    )

    def create(self, task: Task) -> Tree:
        """See :class:`Rotator`."""
        raw = secrets.token_bytes(task.options["bytes"])
        write: dict[str, Callable[[], str]] = {
            "base64": lambda: base64.b64encode(raw).decode(),
            "base64url": lambda: base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
            "hex": raw.hex,
        }
        return _put(task, write[task.options["encoding"]]())


class RsaKeyPair(Rotator):
    """An RSA key pair (PKCS#8 and SubjectPublicKeyInfo, PEM)."""

    name = "rsa"
    title = "RSA key pair"
    options = (Option("bits", "Bits", "choice", 3072, choices=(2048, 3072, 4096)),)

    def create(self, task: Task) -> Tree:
        """See :class:`Rotator`."""
        bits = task.options["bits"]
        return _pair(rsa.generate_private_key(public_exponent=RSA_EXPONENT, key_size=bits))


class Ed25519KeyPair(Rotator):
    """An Ed25519 key pair (RFC 8410; PKCS#8 and SubjectPublicKeyInfo, PEM)."""

    name = "ed25519"
    title = "Ed25519 key pair"

    def create(self, task: Task) -> Tree:
        """See :class:`Rotator`."""
        return _pair(ed25519.Ed25519PrivateKey.generate())


def _pair(key: PrivateKeyTypes) -> Tree:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"private_key": private.decode(), "public_key": public.decode()}

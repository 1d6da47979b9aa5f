"""TLS settings that make sense.

Versions before 1.2 are refused (RFC 8996), and ciphers that RFC 9325 says must not be used. A
certificate and its key come together. A key is a file's path or a secret; its text stands nowhere.
"""

import re
from typing import Any, Final

from apps.engine.paths import Path
from apps.engine.section_types.section_type import Findings
from apps.engine.values import Number, Tree

VERSIONS: Final = ("1.2", "1.3")
MAX_PATH: Final = 4_096
_VERSION: Final = re.compile(r"(?:TLS ?v?)?([0-9]\.[0-9])", re.IGNORECASE)
_BOUNDS: Final = (("min_version", "minimum"), ("max_version", "maximum"))
_VERIFYING: Final = ("verify", "verify_peer", "verify_hostname", "verify_certificate")
_TRUSTING: Final = ("insecure", "insecure_skip_verify", "skip_verify")
_PAIRS: Final = (
    ("certificate", "key"),
    ("certificate_file", "key_file"),
    ("cert", "key"),
    ("cert_file", "key_file"),
)
_WEAK: Final = re.compile(
    r"NULL|EXP|ANON|ADH|AECDH|RC4|RC2|(?<![A-Z])3?DES|IDEA|MD5", re.IGNORECASE
)
_FILE: Final = re.compile(r"(?:/|\./|\.\./|~/|[A-Za-z]:[\\/]|file:)[^\n\r]*")
_NAMED: Final = re.compile(r"[\w.-]+\.(?:pem|key|crt|p12|pfx|jks|der|txt)")


def is_file(text: str) -> bool:
    """Whether a text is a file's path and not what is in it."""
    return len(text) <= MAX_PATH and bool(_FILE.fullmatch(text) or _NAMED.fullmatch(text))


def check_tls(path: Path, tls: dict[str, Tree], findings: Findings) -> None:
    """Note what does not make sense in the TLS settings at ``path``."""
    _check_versions(path, tls, findings)
    _check_ciphers((*path, "ciphers"), tls.get("ciphers"), findings)
    for names, wrong in ((_VERIFYING, False), (_TRUSTING, True)):
        for name in names:
            if tls.get(name) is wrong:
                message = "Whoever is in between can read and change everything."
                findings.warn((*path, name), "unverified", message)
    _check_pairs(path, tls, findings)
    for name in ("key", "key_file"):
        value = tls.get(name)
        if isinstance(value, str) and not is_file(value):
            message = "A key is the path of a file, or a secret that is named here."
            findings.error((*path, name), "plain_key", message)


def _check_versions(path: Path, tls: dict[str, Tree], findings: Findings) -> None:
    known: list[list[tuple[str, str]]] = [[], []]
    for found, names in zip(known, _BOUNDS, strict=True):
        for name in names:
            version = _version(tls.get(name))
            if version in VERSIONS:
                found.append((name, version))
            elif version is not None:
                message = "TLS is 1.2 or 1.3: what is older is broken (RFC 8996)."
                findings.error((*path, name), "tls_version", message)
    for low, least in known[0]:
        for high, most in known[1]:
            if least > most:
                message = "The lowest version is above the highest."
                findings.error((*path, low), "order", message, (*path, high))


def _version(value: Tree) -> str | None:
    """The version that is named; "" for what is no version of TLS, ``None`` for nothing."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Number)):
        return None
    match = _VERSION.fullmatch(str(value))
    return match.group(1) if match else ""


def _check_ciphers(path: Path, ciphers: Tree, findings: Findings) -> None:
    """A list of names, or text as OpenSSL has it, where ``!`` and ``-`` take ciphers out."""
    if isinstance(ciphers, str):
        names = [(path, each) for each in re.split("[:, ]", ciphers)]
    else:
        items = ciphers if isinstance(ciphers, list) else []
        names = [((*path, at), each) for at, each in enumerate(items) if isinstance(each, str)]
        if isinstance(ciphers, list) and not ciphers:
            findings.error(path, "ciphers", "Without any cipher nobody can connect.")
    for place, name in names:
        if not name.startswith(("!", "-")) and _WEAK.search(name):
            message = "This cipher protects nothing any more (RFC 9325)."
            findings.error(place, "weak_cipher", message)


def _check_pairs(path: Path, tls: dict[str, Tree], findings: Findings) -> None:
    certificates = [name for name, _key in _PAIRS if name in tls]
    keys = [name for name in ("key", "key_file") if name in tls]
    others = [(*path, name) for name in dict.fromkeys(name for pair in _PAIRS for name in pair)]
    if certificates and not keys:
        message = "A certificate needs its key beside it."
        findings.error((*path, certificates[0]), "pair", message, *others)
    if keys and not certificates:
        findings.error((*path, keys[0]), "pair", "A key needs its certificate beside it.", *others)


_FILE_NAME: Final[dict[str, Any]] = {
    "type": "string",
    "description": "The path of a file, or a secret",
}
_VERSION_NAME: Final[dict[str, Any]] = {"type": ["string", "number"], "examples": list(VERSIONS)}
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "min_version": {**_VERSION_NAME, "description": "The lowest version that is spoken"},
        "max_version": {**_VERSION_NAME, "description": "The highest version that is spoken"},
        "ciphers": {"type": ["array", "string"], "items": {"type": "string"}},
        "verify": {
            "type": "boolean",
            "description": "Whether the other side's certificate is checked",
        },
        "certificate_file": _FILE_NAME,
        "key_file": _FILE_NAME,
        "ca_file": _FILE_NAME,
        "client_certificates": {"enum": ["none", "optional", "required"]},
    },
}

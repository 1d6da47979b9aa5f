"""Security settings: TLS, cross-origin rules, cookies, authentication, authorization and keys.

    tls: {min_version: "1.2", certificate_file: /run/secrets/tls.crt, key_file: /run/secrets/tls.key}
    cors: {origins: ["https://www.shop.example"], methods: [GET, POST], max_age: 600}
    cookies: {session: {secure: true, http_only: true, same_site: lax}}    or one of them, or ``cookie``
    authentication:
      session_lifetime: 8h
      jwt: {issuer: "https://id.shop.example", jwks_url: "https://id.shop.example/jwks", algorithms: [RS256]}
    authorization: {default: deny}
    keys: {signing: {$secret: signing-key}}

Wherever they stand in a section: issuers and addresses of keys are https (http is warned of, but for
this machine), algorithms are not ``none``, lifetimes are spans of time, keys and passwords are
secrets or paths of files. Other members are free: the section's own schema narrows them.
"""

from typing import Any, Final, NamedTuple

from apps.engine.endpoints import find_endpoint, is_local
from apps.engine.paths import Path
from apps.engine.section_types import cors, tls
from apps.engine.section_types.section_type import UNKNOWN, Findings, SectionType
from apps.engine.section_types.spans import SPAN, check_span, is_span
from apps.engine.values import Tree, canonical

_ADDRESSES: Final = (
    "issuer",
    "jwks_url",
    "jwks_uri",
    "token_url",
    "authorization_url",
    "discovery_url",
)
_ALGORITHMS: Final = ("algorithm", "algorithms", "alg")
_SECRETS: Final = frozenset(
    (
        "private_key",
        "signing_key",
        "encryption_key",
        "secret_key",
        "shared_secret",
        "client_secret",
        "hmac_key",
        "api_key",
        "password",
        "passphrase",
    )
)
_SHOWN: Final = 120


class Statement(NamedTuple):
    """A setting as it is shown: its place in the section, and its value in a line."""

    part: str
    name: str
    value: str


def list_statements(section: Tree) -> list[Statement]:
    """The settings of a section by part; lists and objects below the second level in one line."""
    found = []
    for part, tree in sorted(section.items()) if isinstance(section, dict) else ():
        inner = tree if isinstance(tree, dict) and "$secret" not in tree else {"": tree}
        found += [Statement(part, name, _line(value)) for name, value in sorted(inner.items())]
    return found


def _line(value: Tree) -> str:
    if isinstance(value, list):
        return ", ".join(map(_line, value))[:_SHOWN]
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_line(each)}" for name, each in sorted(value.items()))[:_SHOWN]
    return value[:_SHOWN] if isinstance(value, str) else canonical(value)


def _examine(section: dict[str, Tree], findings: Findings) -> None:
    for name, check in (("tls", tls.check_tls), ("cors", cors.check_cors)):
        if isinstance(section.get(name), dict):
            check((name,), section[name], findings)
    for name in ("cookie", "cookies"):
        _check_cookies((name,), section.get(name), findings)
    for name in ("keys", "key_files"):
        _check_keys((name,), section.get(name), findings)
    _examine_members((), section, findings)


def _check_cookies(path: Path, cookies: Tree, findings: Findings) -> None:
    """One cookie's settings, or those of several by name."""
    if not isinstance(cookies, dict):
        return
    _check_cookie(path, cookies, findings)
    for name, cookie in cookies.items():
        if isinstance(cookie, dict):
            _check_cookie((*path, name), cookie, findings)


def _check_cookie(path: Path, cookie: dict[str, Tree], findings: Findings) -> None:
    same_site, secure = cookie.get("same_site"), cookie.get("secure")
    if isinstance(same_site, str) and same_site.lower() not in ("strict", "lax", "none"):
        findings.error((*path, "same_site"), "same_site", "This is strict, lax or none.")
    elif isinstance(same_site, str) and same_site.lower() == "none" and secure in (None, False):
        message = "Browsers take a cookie of every site only when it is secure."
        findings.error((*path, "same_site"), "insecure_cookie", message, (*path, "secure"))
    name = path[-1] if isinstance(path[-1], str) else ""
    if name.startswith(("__Secure-", "__Host-")) and secure in (None, False):
        message = "Browsers take a cookie of this name only when it is secure."
        findings.error(path, "insecure_cookie", message)
    narrowed = "domain" in cookie or cookie.get("path") not in (None, "/", UNKNOWN)
    if name.startswith("__Host-") and narrowed:
        message = "Browsers take a cookie of this name only without a domain, with the path /."
        findings.error(path, "host_cookie", message)


def _check_keys(path: Path, keys: Tree, findings: Findings) -> None:
    for name, value in keys.items() if isinstance(keys, dict) else ():
        if isinstance(value, str) and not is_span(name):
            _check_secret((*path, name), value, findings)


def _check_secret(path: Path, value: str, findings: Findings) -> None:
    if value and not tls.is_file(value):
        message = "This is a key or a password: make it a secret, or name the file that holds it."
        findings.error(path, "plain_key", message)


def _examine_members(path: Path, tree: Tree, findings: Findings) -> None:
    """What holds for a member by its name, wherever it stands."""
    steps = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for name, value in steps:
        place = (*path, name)
        if isinstance(name, str):
            _check_member(place, name, value, findings)
        if isinstance(value, (dict, list)):
            _examine_members(place, value, findings)


def _check_member(path: Path, name: str, value: Tree, findings: Findings) -> None:
    if name in _ADDRESSES and isinstance(value, str):
        _check_address(path, value, findings)
    elif name in _ALGORITHMS:
        _check_algorithms(path, value, findings)
    elif name in _SECRETS and isinstance(value, str):
        _check_secret(path, value, findings)
    elif is_span(name):
        check_span(path, value, findings)


def _check_address(path: Path, text: str, findings: Findings) -> None:
    """An issuer is any text without a colon too (StringOrURI, RFC 7519)."""
    if path[-1] == "issuer" and ":" not in text and text:
        return
    found = find_endpoint(text)
    if found is None or found.scheme not in ("http", "https"):
        findings.error(path, "url", "This is no http(s) URL.")
    elif found.scheme == "http" and not is_local(found.host):
        message = "Over http anybody in between can put keys of his own there: use https."
        findings.warn(path, "plain_http", message)


def _check_algorithms(path: Path, value: Tree, findings: Findings) -> None:
    names = value if isinstance(value, list) else [value]
    for index, name in enumerate(names):
        if isinstance(name, str) and name.lower() == "none":
            place = (*path, index) if isinstance(value, list) else path
            message = "The algorithm none takes every token as signed."
            findings.error(place, "no_algorithm", message)


_COOKIE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "secure": {"type": "boolean", "description": "Sent over https alone"},
        "http_only": {"type": "boolean", "description": "Kept from scripts"},
        "same_site": {"type": "string", "examples": ["strict", "lax", "none"]},
        "path": {"type": "string"},
        "domain": {"type": "string"},
    },
}
_TOKENS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "issuer": {"type": "string", "description": "Who signs: an https URL"},
        "audience": {"type": ["string", "array"]},
        "jwks_url": {"type": "string", "description": "Where his keys are: an https URL"},
        "algorithms": {"type": "array", "items": {"examples": ["RS256", "ES256", "EdDSA"]}},
        "leeway": {**SPAN, "description": "How far clocks may be apart"},
    },
}
TYPE: Final = SectionType(
    name="security_settings",
    label="Security settings",
    description="Authentication, authorization, TLS, cross-origin rules, cookies and keys.",
    schema={
        "type": "object",
        "properties": {
            "tls": tls.SCHEMA,
            "cors": cors.SCHEMA,
            "cookie": _COOKIE,
            "cookies": {**_COOKIE, "additionalProperties": True},
            "authentication": {
                "type": "object",
                "properties": {
                    "session_lifetime": {**SPAN, "examples": ["8h"]},
                    "token_lifetime": {**SPAN, "examples": ["15m"]},
                    "jwt": _TOKENS,
                },
            },
            "authorization": {
                "type": "object",
                "properties": {"default": {"type": "string", "examples": ["deny", "allow"]}},
            },
            "keys": {"type": "object", "description": "By name: a secret, or the path of a file"},
        },
    },
    example={
        "tls": {"min_version": "1.2", "verify": True},
        "cors": {
            "origins": ["https://www.shop.example"],
            "methods": ["GET", "POST"],
            "max_age": 600,
        },
        "cookies": {"session": {"secure": True, "http_only": True, "same_site": "lax"}},
        "authentication": {"session_lifetime": "8h"},
    },
    examine=_examine,
)

"""Cross-origin rules that make sense to a browser (the Fetch standard, fetch.spec.whatwg.org).

Origins are scheme, host and port and nothing else, ``*``, or ``https://*.shop.example`` as many servers
take it. With credentials ``*`` means nothing but itself, so any origin with credentials is refused.
"""

from collections.abc import Iterator
from typing import Any, Final

from apps.engine.endpoints import find_endpoint, is_local
from apps.engine.paths import Path
from apps.engine.section_types.section_type import Findings
from apps.engine.values import Tree

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_OTHER: Final = (
    "* ACL BIND CHECKIN CHECKOUT COPY LABEL LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE ORDERPATCH "
    "PROPFIND PROPPATCH QUERY REBIND REPORT SEARCH UNBIND UNLINK UNLOCK UPDATE VERSION-CONTROL"
)
_ALLOWED: Final = frozenset((*METHODS, *_OTHER.split()))
_FORBIDDEN: Final = ("CONNECT", "TRACE", "TRACK")
_ORIGINS: Final = ("origins", "allowed_origins", "allow_origins")
_METHODS: Final = ("methods", "allowed_methods", "allow_methods")
_HEADERS: Final = ("headers", "allowed_headers", "allow_headers")
_CREDENTIALS: Final = ("credentials", "allow_credentials")


def check_cors(path: Path, cors: dict[str, Tree], findings: Findings) -> None:
    """Note what does not make sense in the cross-origin rules at ``path``."""
    for place, origin in _texts(path, cors, _ORIGINS):
        _check_origin(place, origin, findings)
    for place, method in _texts(path, cors, _METHODS):
        if method not in _ALLOWED:
            _refuse_method(place, method, findings)
    asked = [(*path, name) for name in _CREDENTIALS if cors.get(name) is True]
    if asked:
        _check_credentials(path, cors, asked[0], findings)
    for name in ("max_age", "max_age_seconds"):
        age = cors.get(name)
        if isinstance(age, int) and not isinstance(age, bool) and age < 0:
            findings.error((*path, name), "max_age", "An age is 0 seconds or more.")


def _texts(path: Path, tree: dict[str, Tree], names: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """The texts of the members ``names``, each text alone or in a list, with their places."""
    for name in names:
        value = tree.get(name)
        if isinstance(value, str):
            yield (*path, name), value
        for index, each in enumerate(value if isinstance(value, list) else ()):
            if isinstance(each, str):
                yield (*path, name, index), each


def _check_origin(path: Path, text: str, findings: Findings) -> None:
    if text == "*":
        return
    if text == "null":
        message = "The origin null is every sandboxed page and every local file."
        findings.warn(path, "null_origin", message)
        return
    found = find_endpoint(text.replace("://*.", "://any.", 1))
    if found is None or not found.scheme or found.login or found.rest:
        message = (
            "An origin is scheme://host, with a port where it needs one: no path, not even a /."
        )
        findings.error(path, "origin", message)
    elif found.scheme == "http" and not is_local(found.host):
        findings.warn(path, "plain_http", "Pages that come over http can be changed on their way.")


def _refuse_method(path: Path, method: str, findings: Findings) -> None:
    if method in _FORBIDDEN:
        message = "No browser sends this method."
    elif method.upper() in _ALLOWED:
        message = "Methods are written in capital letters: case counts."
    else:
        message = "This is no HTTP method."
    findings.error(path, "method", message)


def _check_credentials(path: Path, cors: dict[str, Tree], asked: Path, findings: Findings) -> None:
    for place, origin in _texts(path, cors, _ORIGINS):
        if origin == "*":
            message = "Any origin with credentials: name the origins, browsers refuse this."
            findings.error(place, "any_origin", message, asked)
    for place, name in _texts(path, cors, (*_METHODS, *_HEADERS)):
        if name == "*":
            message = "With credentials * stands for nothing but itself: name what is allowed."
            findings.warn(place, "any_name", message, asked)


_LIST: Final[dict[str, Any]] = {"type": ["array", "string"], "items": {"type": "string"}}
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "origins": {
            **_LIST,
            "description": "scheme://host of the pages that may call, or *",
            "examples": ["https://www.shop.example"],
        },
        "methods": {
            "type": ["array", "string"],
            "items": {"type": "string", "examples": list(METHODS)},
            "description": "What they may send",
        },
        "headers": {**_LIST, "description": "Headers that they may send"},
        "expose_headers": {**_LIST, "description": "Headers that they may read"},
        "credentials": {"type": "boolean", "description": "Whether cookies are sent along"},
        "max_age": {"type": "integer", "description": "Seconds that a browser may remember this"},
    },
}

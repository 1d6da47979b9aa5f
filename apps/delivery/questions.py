"""What a request asks, as a key by which its answer is kept: everything in it that decides an answer."""

import hashlib
import json
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from apps.delivery.memory import Key
from apps.delivery.requests import API_PREFIX
from apps.engine.errors import InvalidError
from apps.rollouts.assigning import check_unit, read_unit

BELOW: Final = ("/config/", f"{API_PREFIX}/config/")
TOGETHER: Final = ("/config", f"{API_PREFIX}/config")
PARAMETERS: Final = frozenset(
    {"environment", "format", "view", "key", "section", "version", "reveal", "service"}
)
"""What may be in the query of a question whose answer is kept, but for a unit, which is no part of its key."""
AUTHORIZATION: Final = 0
INSTANCE: Final = 1
TAG: Final = 5
UNIT: Final = 8
PATH: Final = 9
QUERY: Final = 10
SCHEME: Final = 11
DECIDING: Final = {
    b"authorization": AUTHORIZATION,
    b"x-config-instance": INSTANCE,
    b"host": 2,
    b"accept": 3,
    b"accept-encoding": 4,
    b"if-none-match": TAG,
    b"x-forwarded-proto": 6,
    b"content-type": 7,
    b"x-config-unit": UNIT,
}
"""The headers that decide an answer, by their place in the key; of the authorization the token's digest
stands there, and of an answer that is kept the variant in the place of the unit.
"""
BEYOND: Final = frozenset({b"cookie", b"content-length", b"transfer-encoding"})
"""With one of these a request is for Django; a body of no bytes is none."""
NO_BODY: Final = (b"content-length", b"0")
BYTES: Final = "configsvc.question"
"""Where the state of an ASGI scope says by which bytes a request is known when it comes again."""
ENDING: Final = frozenset({b"connection", b"expect", b"upgrade", b"keep-alive"})
"""With one of these headers a request does more than ask."""
STAYING: Final = (b"connection", b"keep-alive")
LONGEST_QUERY: Final = 2_000
LONGEST_WRITTEN: Final = 4_000
BEARER: Final = b"bearer"
REVEALING: Final = "reveal"
"""The parameter by which an answer may have the values of secrets."""


def key_of(scope: Any, token: bytes | None = None) -> Key | None:
    """All that decides the answer to a request; ``None`` for one that is never kept. ``token`` is the digest
    of the token by which it is asked, where no header says it.

    What else is in a request decides nothing: tests/delivery/test_hot_properties.py holds that against Django.
    """
    path: str = scope["path"]
    if scope["method"] != "GET" or not (path.startswith(BELOW) or path in TOGETHER):
        return None
    found: list[bytes | None] = [None] * len(DECIDING)
    for name, value in scope["headers"]:
        index = DECIDING.get(name)
        if index is not None:
            if found[index] is not None:
                return None
            found[index] = value
        elif name in BEYOND and (name, value) != NO_BODY:
            return None
    found[AUTHORIZATION] = token or _digest_of_token(found[AUTHORIZATION])
    if found[AUTHORIZATION] is None:
        return None
    query: bytes = scope["query_string"]
    if not found[UNIT]:
        found[UNIT], query = take_unit(query)
    return (*found, path, query, scope["scheme"])


def _digest_of_token(authorization: bytes | None) -> bytes | None:
    """As the token's row has it; of what is no token no answer is kept."""
    if authorization is None or not authorization.isascii():
        return None
    scheme, _space, token = authorization.partition(b" ")
    return hashlib.sha256(token.strip()).digest() if scheme.lower() == BEARER else None


def write_down(key: Key) -> str | None:
    """A question as JSON, without who asks it; ``None`` for one that is not to be asked ahead of anybody: an
    instance's, a unit's, one for the values of secrets, and a very long one.
    """
    query = _text(key[QUERY])
    if key[INSTANCE] is not None or key[UNIT] is not None or REVEALING in _names_in(query):
        return None
    headers = {name: _text(key[at]) for name, at in _NAMES if at and key[at] is not None}
    written = json.dumps([_text(key[PATH]), query, _text(key[SCHEME]), headers])
    return written if len(written) <= LONGEST_WRITTEN else None


def read_back(written: str) -> Any:
    """The ASGI scope (3.0, ``http``) of such a question. Raises :class:`ValueError` for what is none, or
    what would be written down otherwise.
    """
    try:
        scope = _scope_of(*json.loads(written))
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError("This is no question.") from error
    key = key_of(scope, token=BEARER)
    if key is None or write_down(key) != written:
        raise ValueError("This is another question than it says.")
    return scope


def _scope_of(path: str, query: str, scheme: str, headers: dict[str, str]) -> Any:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": scheme,
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": query.encode("latin-1"),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": None,
        "server": None,
    }


_NAMES: Final = [(name.decode(), at) for name, at in DECIDING.items()]


def _text(part: bytes | str | None) -> str:
    return part.decode("latin-1") if isinstance(part, bytes) else part or ""


def take_unit(query: bytes) -> tuple[bytes | None, bytes]:
    """The unit that a query names, and the query without it; a second one stays there."""
    if b"unit=" not in query or len(query) > LONGEST_QUERY:
        return None, query
    parts = query.split(b"&")
    for part in parts:
        name, _, value = part.partition(b"=")
        if name == b"unit":
            parts.remove(part)
            return unquote_to_bytes(value.replace(b"+", b" ")) or None, b"&".join(parts)
    return None, query


def is_plain(query: bytes) -> bool:
    """Whether a query without its unit asks for nothing but what is the same for as long as nothing happens."""
    if len(query) > LONGEST_QUERY:
        return False
    return _names_in(query.decode("latin-1")) <= PARAMETERS


def _names_in(query: str) -> set[str]:
    return {name for name, _value in parse_qsl(query, keep_blank_values=True)}


def without_tag(key: Key) -> Key:
    """The same question by somebody who knows no entity tag."""
    return (*key[:TAG], None, *key[TAG + 1 :])


def of_variant(key: Key, variant: str) -> Key:
    """The same question by whoever is in a variant; an empty one is none."""
    return (*key[:UNIT], variant, *key[UNIT + 1 :])


def of_units(key: Key) -> Key:
    """The question which variant a unit is in."""
    return of_variant(without_tag(key), "?")


def unit_of(key: Key) -> str | None:
    """The unit that is asked for; ``None`` for none, and for what is no unit."""
    header = key[UNIT]
    if not isinstance(header, bytes):
        return None
    try:
        return check_unit(read_unit(header.decode("latin-1"), None))
    except InvalidError:
        return None


def instance_of(key: Key) -> str:
    """The instance that asks; empty: it does not say."""
    header = key[INSTANCE]
    return header.decode("latin-1") if isinstance(header, bytes) else ""


def bytes_of(scope: Any) -> bytes | None:
    """By which bytes the request is known when it comes again; ``None``: it does more than ask."""
    found: bytes | None = scope.get("state", {}).get(BYTES)
    if found is None or scope["http_version"] != "1.1":
        return None
    for name, value in scope["headers"]:
        if name in ENDING and (name, value.lower()) != STAYING:
            return None
    return found

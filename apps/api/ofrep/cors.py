"""Pages of other origins that may evaluate flags (WHATWG Fetch, section 3.2), by setting.

They send a token: a cookie of this server is never taken from them.
"""

from typing import Any, Final

from django.conf import settings

from apps.delivery.http import Send

EXPOSED: Final = b"ETag, Retry-After"
_ALLOWED: Final = [
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"authorization, content-type, if-none-match, last-event-id"),
    (b"access-control-max-age", b"600"),
]


def is_preflight(method: str, headers: dict[str, str]) -> bool:
    """Whether a browser asks if a page of another origin may."""
    return (
        method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers
    )


def allowing(send: Send, headers: dict[str, str]) -> Send:
    """``send`` with the headers that let the page read the answer, where it is allowed to."""
    origin = headers.get("origin")
    allowed = settings.FLAG_ORIGINS
    if origin is None or not ("*" in allowed or origin in allowed):
        return send
    shown = b"*" if "*" in allowed else origin.encode("latin-1")
    more = [
        (b"access-control-allow-origin", shown),
        (b"access-control-expose-headers", EXPOSED),
    ]

    async def with_headers(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return with_headers


async def answer_preflight(send: Send) -> None:
    """204; whether the origin may is said by the headers that :func:`allowing` adds."""
    headers = [*_ALLOWED, (b"vary", b"Origin")]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})

"""Redis, where there is one: asked for what may be lost, so that it may be away."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings

logger = logging.getLogger(__name__)

SPARED_FOR: Final = 10.0
"""So many seconds after it was away it is left alone by those who can do without."""

_failed_at: float | None = None


def ask_redis(ask: Callable[[Any], Any], *, needed: bool = True) -> Any:
    """What ``ask`` gets from a client of Redis; ``None`` where there is none, or none that answers.

    One that is stuck is waited for, by each who asks and for up to a second; where it is not ``needed``
    that happens once in a while only. That it is away is logged once, until it is back.
    """
    global _failed_at  # noqa: PLW0603 - one for the process, as Redis is
    if not str(settings.CACHES["default"]["BACKEND"]).startswith("django_redis."):
        return None
    failed_at = _failed_at
    if not needed and failed_at is not None and time.monotonic() - failed_at < SPARED_FOR:
        return None
    from django_redis import get_redis_connection  # type: ignore[import-untyped] # it has no types
    from redis import RedisError  # slow to load, and for nothing where there is none

    try:
        found = ask(get_redis_connection())
    except RedisError as error:
        said = logger.warning if failed_at is None else logger.debug
        said("Redis is away (%s): nothing is remembered there, nor known from it.", error)
        _failed_at = time.monotonic()
        return None
    _failed_at = None
    return found

"""Redis, where there is one: asked for what may be lost, so that it may be away, stuck, slow or full."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings

logger = logging.getLogger(__name__)

SPARED_FOR: Final = 10.0
"""So many seconds after it failed at something it is not asked for that by those who can do without."""
IMPATIENT: Final = "impatient"
"""The cache's name for whoever does not wait long."""

_failed_at: dict[str, float] = {}


def ask_redis(ask: Callable[[Any], Any], *, purpose: str, needed: bool = True) -> Any:
    """What ``ask`` gets from a client of Redis; ``None`` where there is none, or none that answers.

    One that is stuck is waited for, for a second; where it is not ``needed`` for a quarter of that, and then
    by one caller in :data:`SPARED_FOR` seconds. That it fails at a ``purpose`` is logged once, until it does not.
    """
    if not str(settings.CACHES["default"]["BACKEND"]).startswith("django_redis."):
        return None
    failed_at = _failed_at.get(purpose)
    if failed_at is not None:
        if not needed and time.monotonic() - failed_at < SPARED_FOR:
            return None
        _failed_at[purpose] = time.monotonic()  # the others wait for what this one finds
    from django_redis import get_redis_connection  # type: ignore[import-untyped] # it has no types
    from redis import RedisError  # slow to load, and for nothing where there is none

    try:
        found = ask(get_redis_connection("default" if needed else IMPATIENT))
    except RedisError as error:
        said = logger.warning if failed_at is None else logger.debug
        said("Redis does not help to %s (%s).", purpose, error)
        _failed_at[purpose] = time.monotonic()
        return None
    if _failed_at.pop(purpose, None) is not None:
        logger.warning("Redis helps to %s again.", purpose)
    return found

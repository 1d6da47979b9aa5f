"""Where Redis is: one server, or those that Sentinels know of, for the cache and for the channel layer.

``redis://[USER:PASSWORD@]HOST:PORT/DB`` is one server. Behind Sentinel it is
``redis+sentinel://[USER:PASSWORD@]SENTINEL:PORT,SENTINEL:PORT/MASTER/DB``, with ``?sentinel_username=``
and ``sentinel_password=`` where the Sentinels ask for them. ``rediss`` in place of ``redis`` is by TLS.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from configsvc.env import UnsafeSettingError

SENTINEL_PORT = 26_379
SCHEMES = ("redis", "rediss", "unix")
SENTINEL_SCHEMES = ("redis+sentinel", "rediss+sentinel")
# one that is stuck is not waited for longer: an epoch is settled with the ledger locked
TIMEOUT_SECONDS = 1
TIMEOUTS = {"SOCKET_CONNECT_TIMEOUT": TIMEOUT_SECONDS, "SOCKET_TIMEOUT": TIMEOUT_SECONDS}
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
PREFIX = "configsvc"
FORM = (
    "REDIS_URL is redis://HOST:PORT/DB, or redis+sentinel://SENTINEL:PORT,SENTINEL:PORT/MASTER/DB, "
    "with the master's name in lower case."
)


IMPATIENT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Redis:
    """Django's settings for it."""

    cache: dict[str, Any]
    layer: dict[str, Any]

    @property
    def caches(self) -> dict[str, Any]:
        """The same cache for who waits, and for who would rather go without."""
        quick = dict.fromkeys(TIMEOUTS, IMPATIENT_SECONDS)
        options = {**self.cache["OPTIONS"], **quick}
        return {"default": self.cache, "impatient": {**self.cache, "OPTIONS": options}}


def read_redis_url(url: str) -> Redis:
    """Raises :class:`UnsafeSettingError` for what is no such URL, without showing its password."""
    scheme = url.partition("://")[0]
    if scheme in SCHEMES:
        _check_one(url)
        return Redis(
            {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": url,
                "OPTIONS": TIMEOUTS,
            },
            {"BACKEND": PUBSUB, "CONFIG": {"hosts": [url], "prefix": PREFIX}},
        )
    if scheme not in SENTINEL_SCHEMES:
        raise UnsafeSettingError(FORM)
    return _behind_sentinels(url, is_tls=scheme.startswith("rediss"))


def _check_one(url: str) -> None:
    """Refuse the URL of one server whose port or database is no number."""
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError:
        raise UnsafeSettingError(FORM) from None
    if parts.scheme != "unix" and not (parts.path.strip("/") or "0").isdigit():
        raise UnsafeSettingError(FORM)


def _behind_sentinels(url: str, *, is_tls: bool) -> Redis:
    place, _slash, rest = url.partition("://")[2].partition("/")
    path, _mark, asked = rest.partition("?")
    credentials, _at, addresses = place.rpartition("@")
    user, _colon, password = credentials.partition(":")
    master, _slash, database = path.strip("/").partition("/")
    sentinels = [_address(each) for each in addresses.split(",")]
    if not master or master != master.lower() or not (database or "0").isdigit():
        raise UnsafeSettingError(FORM)
    known = {
        "username": unquote(user) or None,
        "password": unquote(password) or None,
        "db": int(database or 0),
        "ssl": is_tls or None,
    }
    told = {name: value for name, value in known.items() if value is not None}
    query = parse_qs(asked)
    asking: dict[str, Any] = {
        name: query[f"sentinel_{name}"][-1]
        for name in ("username", "password")
        if f"sentinel_{name}" in query
    }
    asking |= {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}
    if is_tls:
        asking["ssl"] = True
    cache = {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": f"redis{'s' * is_tls}://{master}/{told['db']}",
        "OPTIONS": {
            **TIMEOUTS,
            "CLIENT_CLASS": "django_redis.client.SentinelClient",
            "CONNECTION_POOL_CLASS": "redis.sentinel.SentinelConnectionPool",
            "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
            "CONNECTION_POOL_KWARGS": {
                name: told[name] for name in ("username", "password") if name in told
            },
            "SENTINELS": sentinels,
            "SENTINEL_KWARGS": asking,
        },
    }
    host = {"sentinels": sentinels, "master_name": master, "sentinel_kwargs": asking, **told}
    return Redis(cache, {"BACKEND": PUBSUB, "CONFIG": {"hosts": [host], "prefix": PREFIX}})


def _address(text: str) -> tuple[str, int]:
    """A host and its port; one of IPv6 stands in brackets."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port or SENTINEL_PORT
    except ValueError:
        raise UnsafeSettingError(FORM) from None
    if not host:
        raise UnsafeSettingError(FORM)
    return host, port

"""Redis may be away, and stuck: nobody is kept from anything by it."""

import logging

import pytest
from redis import ConnectionError as GoneError

from apps.core import reaching_redis


@pytest.fixture
def redis(settings, monkeypatch):
    """Stands for Redis: how it answers, and how often it was asked."""
    settings.CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "-"}}
    monkeypatch.setattr(reaching_redis, "_failed_at", None)
    made = Redis()
    monkeypatch.setattr("django_redis.get_redis_connection", lambda: made)
    return made


class Redis:
    def __init__(self):
        self.asked, self.is_away = 0, False

    def get(self):
        self.asked += 1
        if self.is_away:
            raise GoneError("refused")
        return b"found"


def test_none__is_asked_for_nothing(settings, monkeypatch):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

    assert reaching_redis.ask_redis(pytest.fail) is None


def test_away__who_can_do_without_spares_it__who_needs_it_asks(redis, monkeypatch):
    redis.is_away = True
    answers = [reaching_redis.ask_redis(Redis.get, needed=False) for _each in range(5)]
    assert (answers, redis.asked) == ([None] * 5, 1)

    reaching_redis.ask_redis(Redis.get)
    assert redis.asked == 2

    monkeypatch.setattr(reaching_redis, "SPARED_FOR", 0.0)
    redis.is_away = False
    assert reaching_redis.ask_redis(Redis.get, needed=False) == b"found"

    monkeypatch.setattr(reaching_redis, "SPARED_FOR", 10.0)
    assert reaching_redis.ask_redis(Redis.get, needed=False) == b"found"


def test_away__is_logged_once_until_it_is_back(redis, caplog):
    def warnings():
        return [each for each in caplog.records if each.levelno == logging.WARNING]

    redis.is_away = True
    reaching_redis.ask_redis(Redis.get)
    reaching_redis.ask_redis(Redis.get)
    assert len(warnings()) == 1

    redis.is_away = False
    reaching_redis.ask_redis(Redis.get)
    redis.is_away = True
    reaching_redis.ask_redis(Redis.get)
    assert len(warnings()) == 2

"""Redis may be away, and stuck: nobody is kept from anything by it."""

import logging

import pytest
from redis import ConnectionError as GoneError
from redis import ResponseError

from apps.core import reaching_redis


@pytest.fixture
def redis(settings, monkeypatch):
    """Stands for Redis: how it answers, and how often it was asked."""
    settings.CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "-"}}
    monkeypatch.setattr(reaching_redis, "_failed_at", {})
    made = Redis()
    monkeypatch.setattr("django_redis.get_redis_connection", made.named)
    return made


class Redis:
    def __init__(self):
        self.asked, self.is_away, self.name = 0, False, ""

    def named(self, name):
        self.name = name
        return self

    def get(self):
        self.asked += 1
        if self.is_away:
            raise GoneError("refused")
        return b"found"


def test_none__is_asked_for_nothing(settings, monkeypatch):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

    assert reaching_redis.ask_redis(pytest.fail, purpose="try") is None


def test_away__who_can_do_without_spares_it__who_needs_it_asks(redis, monkeypatch):
    redis.is_away = True
    answers = [
        reaching_redis.ask_redis(Redis.get, purpose="try", needed=False) for _each in range(5)
    ]
    assert (answers, redis.asked) == ([None] * 5, 1)

    reaching_redis.ask_redis(Redis.get, purpose="try")
    assert redis.asked == 2

    monkeypatch.setattr(reaching_redis, "SPARED_FOR", 0.0)
    redis.is_away = False
    assert reaching_redis.ask_redis(Redis.get, purpose="try", needed=False) == b"found"

    monkeypatch.setattr(reaching_redis, "SPARED_FOR", 10.0)
    assert reaching_redis.ask_redis(Redis.get, purpose="try", needed=False) == b"found"


def test_away__is_logged_once_until_it_is_back(redis, caplog):
    def warnings():
        return [each for each in caplog.records if each.levelno == logging.WARNING]

    redis.is_away = True
    reaching_redis.ask_redis(Redis.get, purpose="try")
    reaching_redis.ask_redis(Redis.get, purpose="try")
    assert len(warnings()) == 1

    redis.is_away = False
    reaching_redis.ask_redis(Redis.get, purpose="try")
    redis.is_away = True
    reaching_redis.ask_redis(Redis.get, purpose="try")
    assert [each.message[:5] for each in warnings()] == ["Redis"] * 3
    assert warnings()[1].message == "Redis helps to try again."


def test_not_needed__is_asked_by_who_does_not_wait_long(redis):
    reaching_redis.ask_redis(Redis.get, purpose="try", needed=False)
    assert redis.name == reaching_redis.IMPATIENT

    reaching_redis.ask_redis(Redis.get, purpose="try")
    assert redis.name == "default"


def test_full__is_still_read_and_said_once(redis, caplog):
    """What fails at one purpose may serve another, and what serves one says nothing of another."""

    def refuse(_client):
        raise ResponseError("OOM command not allowed")

    for _again in range(3):
        reaching_redis.ask_redis(refuse, purpose="keep", needed=False)
        assert reaching_redis.ask_redis(Redis.get, purpose="share", needed=False) == b"found"

    assert [each.levelname for each in caplog.records] == ["WARNING"]
    assert "keep" in caplog.text


def test_spared_long_enough__one_asks_and_the_others_go_without(redis, monkeypatch):
    redis.is_away = True
    reaching_redis.ask_redis(Redis.get, purpose="try", needed=False)
    monkeypatch.setitem(reaching_redis._failed_at, "try", -1_000.0)
    others = []

    def stuck(client):
        others.append(reaching_redis.ask_redis(Redis.get, purpose="try", needed=False))
        return client.get()

    reaching_redis.ask_redis(stuck, purpose="try", needed=False)

    assert (others, redis.asked) == ([None], 2)

"""What a database must keep to, so that an acknowledged publish is not lost with the power."""

import sqlite3

import pytest
from django.db import connection, connections
from django.db.backends.sqlite3.base import DatabaseWrapper

from apps.core import safety


@pytest.fixture
def sqlite_file(settings, tmp_path, django_db_blocker):
    """A database file, opened as the server opens its own, in place of the tests' database."""
    original = connections["default"]
    given = {**original.settings_dict, **settings.SQLITE, "NAME": tmp_path / "file.sqlite3"}
    connections["default"] = opened = DatabaseWrapper(given)
    with django_db_blocker.unblock():
        yield opened
        opened.close()
    connections["default"] = original


def reasons(word):
    return [each for each in safety.list_unsafe() if word in each]


def test_sqlite__as_the_server_opens_it__is_safe(sqlite_file):
    assert reasons("SQLite") == []


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "DELETE"),
        ("journal_mode", "OFF"),
        ("journal_mode", "WAL"),
        ("synchronous", "NORMAL"),
        ("cache_spill", "ON"),
        ("recursive_triggers", "OFF"),
    ],
)
def test_sqlite__setting_that_loses_publishes__is_refused_by_name(sqlite_file, pragma, value):
    with sqlite_file.cursor() as cursor:
        cursor.execute(f"PRAGMA {pragma}={value}")

    found = reasons("SQLite")

    wal_is_safe = sqlite3.sqlite_version_info >= (3, 51, 3)
    assert len(found) == (0 if value == "WAL" and wal_is_safe else 1)
    assert all(f"SQLite {pragma} is" in each for each in found)


@pytest.mark.postgresql
@pytest.mark.each_database
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("value", "is_refused"),
    [
        ("on", False),
        ("remote_apply", False),
        ("off", True),
        ("local", True),
        ("remote_write", True),
    ],
)
def test_postgres__synchronous_commit__is_on_or_stricter(value, is_refused):
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL synchronous_commit TO {value}")

    assert len(reasons(f"synchronous_commit is {value}")) == is_refused

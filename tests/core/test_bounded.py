"""Statements that PostgreSQL does not answer: how long they are waited for, and what comes after."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection

from apps.core.bounded import BoundedConnection
from apps.core.reaching import takes_connections

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

SLEEPS = 2


def ask(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


def process():
    """The number of the server's process, and the connection back to the pool."""
    try:
        return ask("SELECT pg_backend_pid()")
    finally:
        connection.close()


@pytest.fixture
def others():
    """The processes of connections that are idle in the pool."""
    together = threading.Barrier(3)

    def take():
        try:
            number = ask("SELECT pg_backend_pid()")
            together.wait()
            return number
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as threads:
        return {each.result() for each in [threads.submit(take) for _each in range(3)]}


def test_statement__without_an_answer__is_given_up_with_all_that_lead_there(monkeypatch, others):
    monkeypatch.setattr(BoundedConnection, "bound", 0.3)

    with pytest.raises(OperationalError, match="said nothing"):
        ask(f"SELECT pg_sleep({SLEEPS})")
    connection.close()

    assert process() not in others


def test_statement__of_a_command__is_waited_for():
    assert BoundedConnection.bound > SLEEPS
    assert ask("SELECT 1 FROM pg_sleep(0.5)") == 1


def test_answer__that_comes_slowly__is_waited_for(monkeypatch):
    monkeypatch.setattr(BoundedConnection, "bound", 1.5)
    rows = "SELECT pg_sleep(0.01), repeat('x', 9000) FROM generate_series(1, 200)"

    with connection.cursor() as cursor:
        cursor.execute(rows)
        assert len(cursor.fetchall()) == 200


def test_takes_connections__full_or_gone__tells_one_from_the_other(monkeypatch):
    with connection.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS full_up")
        cursor.execute("CREATE ROLE full_up LOGIN PASSWORD 'x' CONNECTION LIMIT 0")
    try:
        assert takes_connections() is True
        monkeypatch.setitem(connection.settings_dict, "USER", "full_up")
        monkeypatch.setitem(connection.settings_dict, "PASSWORD", "x")
        assert takes_connections() is True
        monkeypatch.setitem(connection.settings_dict, "PORT", "1")
        monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        assert takes_connections() is False
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP ROLE full_up")

"""The same Idempotency-Key twice at once: the second request is told that the first is running."""

import contextlib
import sqlite3
import threading

import psycopg
import pytest

from tests.serving import installation, until

pytestmark = pytest.mark.servers


@contextlib.contextmanager
def writes_held_up(made):
    """Whoever publishes waits until the end of this."""
    if made.is_postgres:
        with psycopg.connect(made.environment["DATABASE_URL"]) as held:
            held.execute("SELECT * FROM registry_composition FOR UPDATE")
            yield
        return
    file = made.folder / "configsvc.sqlite3"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as held:
        held.execute("BEGIN IMMEDIATE")
        yield


def test_idempotency_key__first_request_still_runs__is_409_and_then_its_answer():
    """On PostgreSQL the second request comes to another server."""
    body = {"environment": "production", "config": {"a": 1}}
    with installation() as made:
        servers = [made.start()] + ([made.start()] if made.is_postgres else [])
        keyed = {"Idempotency-Key": "once"}
        with servers[0].client(made.raw) as one, servers[-1].client(made.raw) as other:
            one.post("/services", json={"slug": "shop"}).raise_for_status()
            answers = []

            def ask(client):
                answers.append(client.post("/config/shop", json=body, headers=keyed))

            asking = [threading.Thread(target=ask, args=(client,)) for client in (one, other)]
            with writes_held_up(made):
                for each in asking:
                    each.start()
                until(lambda: answers)  # whichever came second: the first is held up
            for each in asking:
                each.join(60)
            third = other.post("/config/shop", json=body, headers=keyed)

    second, first = answers
    assert (second.status_code, second.json()["code"]) == (409, "running")
    assert first.status_code == 201
    assert (third.status_code, third.content) == (201, first.content)

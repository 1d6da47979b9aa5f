"""The same Idempotency-Key twice at once: the second request is told that the first is running."""

import contextlib
import sqlite3
import threading
import time

import psycopg
import pytest

from tests.serving import installation

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
            first = threading.Thread(
                target=lambda: answers.append(one.post("/config/shop", json=body, headers=keyed))
            )
            with writes_held_up(made):
                first.start()
                time.sleep(0.5)
                second = other.post("/config/shop", json=body, headers=keyed)
            first.join(30)
            third = other.post("/config/shop", json=body, headers=keyed)

    assert (second.status_code, second.json()["code"]) == (409, "running")
    assert answers[0].status_code == 201
    assert (third.status_code, third.content) == (201, answers[0].content)

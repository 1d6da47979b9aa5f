"""``manage.py audit``, beside a server and on the real databases."""

import json
import sqlite3

import pytest

from tests.serving import installation

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def made():
    with installation() as made:
        server = made.start()
        with server.client(made.raw) as client:
            client.post("/services", json={"slug": "shop"})
            for number in range(20):
                body = {"environment": "production", "config": {"n": number}}
                body["on_stale"] = "overwrite"
                assert client.post("/config/shop", json=body).status_code == 201
        made.checkpoints = made.folder / "checkpoints.jsonl"
        made.run("audit", "checkpoint", "--file", str(made.checkpoints))
        yield made


def run(made, statement):
    """Change the database behind the program's back, its triggers aside."""
    table, name = "audit_auditevent", "audit_auditevent_no_update"
    if made.is_postgres:
        import psycopg

        with psycopg.connect(made.environment["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            connection.execute(statement)
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        return
    with sqlite3.connect(made.folder / "configsvc.sqlite3") as connection:
        (create,) = connection.execute(
            "SELECT sql FROM sqlite_master WHERE name = ?", [name]
        ).fetchone()
        connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
        connection.execute(create)


def verify(made, *arguments):
    done = made.run("audit", "verify", *arguments, check=False)
    return done.returncode, done.stdout + done.stderr


def test_verify__beside_a_running_server__holds(made):
    status, said = verify(made)

    assert (status, "Every link holds" in said) == (0, True), said


def test_verify__checkpoint_and_a_changed_row__names_the_revision(made):
    (line,) = made.checkpoints.read_text().splitlines()
    mark = json.loads(line)
    number = mark["revision"] - 3

    run(made, f"UPDATE audit_auditevent SET actor = actor || 'x' WHERE number = {number}")  # noqa: S608
    status, said = verify(made)
    run(
        made,
        "UPDATE audit_auditevent SET actor = substr(actor, 1, length(actor) - 1) "  # noqa: S608
        f"WHERE number = {number}",
    )

    assert (status, f"Revision {number} does not hold" in said) == (1, True), said
    assert verify(made, "--checkpoint", str(made.checkpoints))[0] == 0


def cut(made, number):
    """Take the last events away, set the head back and forget the checkpoints in the database."""
    tables = ("audit_auditevent", "audit_checkpoint")
    last = "SELECT hash FROM audit_auditevent WHERE number = (SELECT max(number) FROM audit_auditevent)"
    at = last.replace("hash", "at")
    statements = [
        f"DELETE FROM audit_auditevent WHERE number > {number}",  # noqa: S608 - as above
        f"UPDATE audit_head SET number = {number}, hash = ({last}), at = ({at})",  # noqa: S608
        "DELETE FROM audit_checkpoint",
    ]
    if made.is_postgres:
        import psycopg

        with psycopg.connect(made.environment["DATABASE_URL"], autocommit=True) as connection:
            for verb, done in (("DISABLE", statements), ("ENABLE", [])):
                for table in tables:
                    connection.execute(f"ALTER TABLE {table} {verb} TRIGGER USER")
                for statement in done:
                    connection.execute(statement)
        return
    with sqlite3.connect(made.folder / "configsvc.sqlite3") as connection:
        for table in tables:
            connection.execute(f"DROP TRIGGER {table}_no_delete")
        for statement in statements:
            connection.execute(statement)


@pytest.mark.servers(database=pytest.long_form)
def test_verify__ledger_cut_with_its_table_of_checkpoints__does_not_hold_by_the_servers_file():
    with installation() as made:
        kept = made.folder / "checkpoints.jsonl"
        made.run("audit", "checkpoint", "--file", str(kept))
        revision = json.loads(kept.read_text())["revision"]
        held = verify(made)

        cut(made, revision - 1)
        after = verify(made)
        kept.unlink()

        assert (
            held[0],
            "with 1 checkpoint (1 of checkpoints.jsonl, 1 of the database)" in held[1],
        ) == (0, True), held
        assert (after[0], f"Revision {revision} does not hold" in after[1]) == (1, True), after
        assert "it was cut" in after[1]
        assert "no checkpoint" in verify(made)[1]


def test_verify__checkpoint_of_another_ledger__does_not_hold(made):
    other = made.folder / "other.jsonl"
    mark = json.loads(made.checkpoints.read_text().splitlines()[-1])
    other.write_text(json.dumps({**mark, "hash": "0" * 64}) + "\n")

    assert verify(made, "--checkpoint", str(other))[0] == 1
    assert verify(made, "--checkpoint", str(made.folder / "none.jsonl"))[0] == 2

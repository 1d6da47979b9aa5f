"""The rotator of PostgreSQL roles against a real server that demands SCRAM and logs everything."""

import ipaddress
import json
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from apps.audit.models import AuditEvent
from apps.core import clock, runner
from apps.engine.errors import ConflictError, InvalidError
from apps.vault import schedules, services
from apps.vault.connections import ConnectionData, delete_connection, save_connection
from tests.real_services import postgres
from tests.vault.conftest import due

pytestmark = [pytest.mark.django_db, pytest.mark.servers]

ADMIN_WORD, FIRST_WORD = "admin word 1", "canary-first-word"
LINES = "host all rotator,app_a,app_b 127.0.0.1/32 scram-sha-256\n"


@pytest.fixture(scope="module")
def server():
    """A server whose every statement is in ``log()``, with two roles and one that may change them."""
    with postgres("logging_collector=on", "log_statement=all", "log_connections=on") as url:
        with psycopg.connect(url, autocommit=True) as opened:
            ask = opened.execute
            ask(f"CREATE ROLE rotator LOGIN CREATEROLE PASSWORD '{ADMIN_WORD}'")
            major = opened.info.server_version // 10_000
            for role in ("app_a", "app_b"):
                ask(f"CREATE ROLE {role} LOGIN PASSWORD '{FIRST_WORD}'")
                if major >= 16:
                    ask(f"GRANT {role} TO rotator WITH ADMIN OPTION")
            file = ask("SHOW hba_file").fetchone()[0]
            before = ask("SELECT pg_read_file(%s)", [file]).fetchone()[0]
            write(opened, file, LINES + before)
            folder = Path(ask("SHOW data_directory").fetchone()[0]) / "log"
        parts = urlsplit(url)
        made = Server()
        made.port, made.folder = parts.port, folder
        yield made


def write(opened, file, text):
    """Let the server write its own file, whoever it runs as; then wait until it has read it."""
    opened.execute("CREATE TEMP TABLE lines (number serial, line text)")
    for line in text.splitlines():
        opened.execute("INSERT INTO lines (line) VALUES (%s)", [line.replace("\t", " ")])
    copy = sql.SQL("COPY (SELECT line FROM lines ORDER BY number) TO {}")
    opened.execute(copy.format(sql.Literal(file)))
    opened.execute("SELECT pg_reload_conf()")
    time.sleep(0.5)


class Server:
    port = 0
    folder = Path()

    def log(self):
        return "".join(path.read_text() for path in self.folder.iterdir())

    def logs_in(self, role, password):
        try:
            psycopg.connect(
                host="127.0.0.1", port=self.port, user=role, password=password, dbname="postgres"
            ).close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture
def both(server, settings, system, make_secret):
    """The connection ``shop-db``, and a secret whose value is of the role ``app_a``."""
    settings.PRIVATE_TARGETS = [ipaddress.ip_network("127.0.0.0/8")]
    data = ConnectionData(
        slug="shop-db",
        kind="postgres",
        address=f"postgres://127.0.0.1:{server.port}/postgres",
        login="rotator",
        tls="disable",
        roles=["app_a", "app_b"],
        credential=make_secret(slug="rotator-word", value=ADMIN_WORD),
    )
    connection = save_connection(actor=system, data=data)
    rotation = {
        "rotator": "postgres",
        "connection": "shop-db",
        "roles": ["app_a", "app_b"],
        "keep_hours": 3,
    }
    with psycopg.connect(f"host=127.0.0.1 port={server.port} user=configsvc dbname=postgres") as c:
        c.execute(f"ALTER ROLE app_a PASSWORD '{FIRST_WORD}'")
    value = {"username": "app_a", "password": FIRST_WORD}
    return connection, make_secret(slug="app", value=value, rotation=rotation), data


def test_postgres__two_in_turn__nobody_is_locked_out_until_the_time_is_over(
    both, server, rotate, value_of, system
):
    _connection, secret, _data = both
    begins = clock.now()
    run = rotate(secret)

    assert run.state == "done", run.error
    new, old = value_of(secret), value_of(secret, "previous")
    assert (new["username"], old["username"]) == ("app_b", "app_a")
    assert (new["host"], new["port"], new["database"]) == ("127.0.0.1", server.port, "postgres")
    assert server.logs_in("app_b", new["password"])
    assert server.logs_in("app_a", old["password"])
    assert not server.logs_in("app_b", FIRST_WORD)
    with pytest.raises(ConflictError, match="valid until"):
        schedules.begin_rotation(actor=system, secret=secret)

    ends = due(schedules.DESTROY).get().due_at
    runner.run_due(now=ends)
    assert ends > begins
    assert not server.logs_in("app_a", old["password"])
    assert server.logs_in("app_b", new["password"])

    run = rotate(secret)
    assert run.state == "done", run.error
    assert value_of(secret)["username"] == "app_a"
    assert server.logs_in("app_a", value_of(secret)["password"])
    assert server.logs_in("app_b", new["password"])
    log = server.log()
    assert "ALTER ROLE" in log
    assert "SCRAM-SHA-256$" in log
    for value in (new, value_of(secret)):
        assert value["password"] not in log


def test_postgres__forced_before_the_time_is_over__the_end_of_the_first_does_not_lock_out(
    both, server, rotate, value_of
):
    _connection, secret, _data = both
    rotate(secret)
    rotate(secret, force=True)
    now = value_of(secret)
    runner.run_due(now=clock.now().replace(year=2100))

    assert now["username"] == "app_a"
    assert server.logs_in("app_a", now["password"])


def end_of(secret, number=1):
    """What the ledger says of the end of a version."""
    rows = AuditEvent.objects.filter(action="secret.destroyed", target=f"secret:{secret}")
    found = [json.loads(each.data) for each in rows]
    return [each.get("retired") for each in found if each["version"] == number]


def test_postgres__rotation_changed_or_taken_away__the_value_before_ends_where_it_was_used(
    both, server, rotate, value_of, system
):
    _connection, secret, _data = both
    rotate(secret)
    old = value_of(secret, "previous")
    services.update_secret(actor=system, secret=secret, changes={"rotation": None})

    runner.run_due(now=clock.now() + timedelta(hours=4))

    assert not server.logs_in("app_a", old["password"])
    assert end_of(secret) == [True]


def test_postgres__connection_deleted_before_the_end__is_destroyed_and_not_said_to_be_retired(
    both, rotate, system
):
    connection, secret, _data = both
    rotate(secret)
    services.update_secret(actor=system, secret=secret, changes={"rotation": None})
    delete_connection(actor=system, connection=connection)

    runner.run_due(now=clock.now() + timedelta(hours=4))

    assert end_of(secret) == [False]


def test_postgres__value_before_destroyed_by_hand__is_taken_back_first(
    both, server, rotate, value_of, system
):
    _connection, secret, _data = both
    rotate(secret)
    old = value_of(secret, "previous")
    with pytest.raises(InvalidError, match="Version 1 is still accepted"):
        services.delete_secret(actor=system, secret=secret)

    done = services.destroy_version(actor=system, version=secret.versions.get(number=1))
    assert not done
    assert server.logs_in("app_a", old["password"])
    runner.run_due()

    assert not server.logs_in("app_a", old["password"])
    assert end_of(secret) == [True]
    services.delete_secret(actor=system, secret=secret)


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("value", ["only text", {"username": "postgres", "password": "x"}])
def test_postgres__current_value_of_no_role__is_not_guessed(make_secret, rotate, value):
    rotation = {"rotator": "postgres", "connection": "shop-db", "roles": ["app_a", "app_b"]}
    run = rotate(make_secret(slug="other", value=value, rotation=rotation))

    assert run.state == "failed"
    assert "'username'" in run.error


def test_postgres__wrong_credential__fails_and_shows_no_value(
    both, make_secret, rotate, value_of, system
):
    from dataclasses import replace

    connection, secret, data = both
    wrong = make_secret(slug="wrong-word", value="canary-wrong-word")
    save_connection(actor=system, data=replace(data, credential=wrong), connection=connection)
    run = rotate(secret)

    assert run.state == "failed"
    assert "OperationalError" in run.error
    assert "canary" not in run.error
    assert value_of(secret)["username"] == "app_a"


def test_postgres__server_that_trusts_everybody__proves_nothing_and_fails(both, rotate, system):
    from dataclasses import replace

    connection, secret, data = both
    trusted = replace(data, login="configsvc")  # the line of pg_hba says trust for it
    save_connection(actor=system, data=trusted, connection=connection)
    run = rotate(secret)

    assert run.state == "failed"
    assert "OperationalError" in run.error


def test_postgres__tls_demanded_of_a_server_without__fails(both, rotate, system):
    from dataclasses import replace

    connection, secret, data = both
    for tls in ("verify-full", "require"):
        save_connection(actor=system, data=replace(data, tls=tls), connection=connection)
        assert rotate(secret).state == "failed"


@pytest.mark.parametrize("roles", [["app_a", "app_a"], ["app_a", "rotator"], ["app_a"], []])
def test_postgres__roles_that_the_connection_does_not_allow__are_refused(both, system, roles):

    _connection, secret, _data = both
    rotation = {"rotator": "postgres", "connection": "shop-db", "roles": roles}
    with pytest.raises(InvalidError) as refused:
        services.update_secret(actor=system, secret=secret, changes={"rotation": rotation})

    assert refused.value.problems[0].pointer == "/rotation/roles"

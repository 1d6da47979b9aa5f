"""An epoch ends with its database: copied, put back from an older copy, or failed over."""

import json
import os
import threading

import pytest
from django_redis import get_redis_connection


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    if "REDIS_URL" in os.environ:
        get_redis_connection().delete("configsvc:epochs")
    return tmp_path


def position():
    from apps.audit.models import Head

    return Head.objects.values_list("epoch", "number").get()


def events(action="installation.epoch_begun"):
    from apps.audit.models import AuditEvent

    return [json.loads(each.data) for each in AuditEvent.objects.filter(action=action)]


def note(system, times=1):
    from apps.audit.services import Event, append
    from apps.core.transactions import writing

    for _each in range(times):
        with writing():
            append([Event("group.created", "group:g", {})], actor=system)


@pytest.mark.django_db
def test_settle__the_same_database__keeps_the_epoch(system):
    from apps.audit import epochs

    note(system)
    before = position()
    epochs.remember()

    assert epochs.settle(actor=system) is None
    note(system)
    assert epochs.settle(actor=system) is None

    assert position() == (before[0], before[1] + 1)


@pytest.mark.django_db
def test_settle__another_database__begins_an_epoch_once_and_says_why(system):
    from apps.audit import epochs
    from apps.audit.models import Head

    note(system)
    before = position()
    epochs.settle(actor=system)
    Head.objects.update(identity="that of the database it was copied from")

    epoch = epochs.settle(actor=system)

    assert epoch not in (None, before[0])
    assert position() == (epoch, before[1] + 1)
    [said] = events()
    assert (said["epoch"], said["was"]) == (epoch, f"{before[0]}-{before[1]}")
    assert "another one" in said["why"]
    assert epochs.settle(actor=system) is None


@pytest.mark.django_db
def test_epoch__that_begins__counts_the_access_generation_from_where_it_never_was(system):
    from apps.access.rights import generation
    from apps.audit import epochs
    from apps.core.transactions import writing

    before = generation()
    numbers = set()
    for _each in range(5):
        with writing():
            epochs.renew()
        numbers.add(generation())

    assert len(numbers) == 5
    assert min(abs(number - before) for number in numbers) > 1_000_000


@pytest.mark.django_db
def test_settle__before_what_is_remembered__begins_an_epoch(system):
    from apps.audit import epochs
    from apps.core.transactions import undone

    note(system)
    epochs.settle(actor=system)
    with undone():  # what the older copy does not have
        note(system, 3)
        epochs.remember()
        reached = position()[1]

    epoch = epochs.settle(actor=system)

    assert position()[0] == epoch
    assert f"revision {reached}" in events()[0]["why"]
    assert epochs.settle(actor=system) is None


@pytest.mark.postgresql
@pytest.mark.django_db
def test_settle__before_what_redis_remembers__begins_an_epoch(system, folder):
    from apps.audit import epochs
    from apps.core.transactions import undone

    with undone():
        note(system, 2)
        epochs.remember()
    epochs.remember()  # of a node that is behind: it takes nothing back
    (folder / "epochs.json").unlink()  # a node that has just been made

    assert epochs.settle(actor=system) is not None
    assert "revision 2" in events()[0]["why"]


@pytest.mark.django_db
def test_settle__another_history_of_the_same_length__begins_an_epoch(system):
    from apps.audit import epochs
    from apps.core.transactions import undone

    epochs.settle(actor=system)
    with undone():
        note(system)
        epochs.remember()
    note(system, 5)

    assert epochs.settle(actor=system) is not None
    assert "another history" in events()[0]["why"]


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {"revision": "x"}}'])
def test_memory__that_cannot_be_read__is_none(system, folder, text):
    from apps.audit import epochs

    note(system)
    (folder / "epochs.json").write_text(text)

    assert epochs.settle(actor=system) is None
    epochs.remember()
    assert json.loads((folder / "epochs.json").read_text())[position()[0]]["revision"] == 1


@pytest.mark.django_db
def test_identity__of_a_database_begun_before_it_was_kept__is_taken_up(system):
    from apps.audit import epochs
    from apps.audit.models import Head

    assert Head.objects.get().identity == ""
    assert epochs.settle(actor=system) is None
    assert Head.objects.get().identity == epochs.find_identity()


@pytest.mark.django_db(transaction=True)
def test_settle__by_several_at_once__begins_one_epoch(system):
    from django.db import connection

    from apps.audit import epochs
    from apps.audit.models import Head

    Head.objects.update(identity="another")
    found, start = [], threading.Barrier(4)

    def node():
        start.wait()
        found.append(epochs.settle(actor=system))
        connection.close()

    nodes = [threading.Thread(target=node) for _each in range(4)]
    for each in nodes:
        each.start()
    for each in nodes:
        each.join()

    [epoch] = [each for each in found if each]
    assert position()[0] == epoch
    assert len(events()) == 1


@pytest.mark.postgresql
@pytest.mark.django_db
def test_identity__where_postgresql_does_not_tell__is_left_to_what_is_remembered(system, caplog):
    from django.db import connection

    from apps.audit import epochs
    from apps.audit.models import Head

    epochs.settle(actor=system)
    known = Head.objects.get().identity
    with connection.cursor() as cursor:
        cursor.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        cursor.execute("CREATE ROLE somebody")
        cursor.execute("GRANT SELECT, UPDATE, INSERT ON ALL TABLES IN SCHEMA public TO somebody")
        cursor.execute("SET LOCAL ROLE somebody")

    assert epochs.find_identity() is None
    assert epochs.settle(actor=system) is None
    assert "GRANT EXECUTE" in caplog.text
    assert Head.objects.get().identity == known

"""The encrypted last good copy: what opens it, what does not, and numbers in it."""

import json

import pytest

from configsvc_client import numbers
from configsvc_client.copies import Copy, Kept
from configsvc_client.events import Position
from configsvc_client.remote import Answer
from configsvc_client.sealing import Seal
from configsvc_client.state import Snapshot, State

KEPT = Kept(
    {
        "service": "checkout",
        "environment": "production",
        "version": 3,
        "revision": 9,
        "config": {"password": "hunter2-in-plain", "rate": numbers.Number("0.10")},
    },
    '"e1-3"',
    "e1",
)


def copy(folder, secret=b"a" * 32, **options):
    return Copy(
        folder, "checkout", "production", seal=Seal(lambda: secret), loads=numbers.loads, **options
    )


def test_seal__written_and_read__gives_it_back_and_shows_nothing_on_disk(tmp_path):
    copy(tmp_path).write(KEPT)

    [file] = tmp_path.iterdir()
    assert b"hunter2" not in file.read_bytes()
    assert b"password" not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    read = copy(tmp_path).read()
    assert read == KEPT
    assert numbers.dumps(read.envelope["config"]["rate"]) == "0.10"


def test_seal__another_key__does_not_open_and_says_why(tmp_path, caplog):
    copy(tmp_path).write(KEPT)

    assert copy(tmp_path, b"b" * 32).read() is None
    assert "another key or token" in caplog.text


@pytest.mark.parametrize("name", ["salt", "nonce", "sealed", "format"])
def test_seal__altered_or_cut__does_not_open(tmp_path, name):
    kept = copy(tmp_path)
    kept.write(KEPT)
    members = json.loads(kept.path.read_text())
    members[name] = "AAAA" + str(members[name])[4:]
    kept.path.write_text(json.dumps(members))

    assert kept.read() is None


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"format":2}', "\xff"])
def test_seal__what_is_no_copy__is_none(tmp_path, text):
    kept = copy(tmp_path)
    kept.path.write_text(text, encoding="latin-1")

    assert kept.read() is None


def test_seal__moved_to_another_variant__does_not_open(tmp_path):
    plain, revealed = copy(tmp_path), copy(tmp_path, variant="+revealed")
    revealed.write(KEPT)
    plain.path.write_bytes(revealed.path.read_bytes())

    assert plain.read() is None


def test_seal__twice_the_same__differs(tmp_path):
    kept = copy(tmp_path)
    kept.write(KEPT)
    first = kept.path.read_bytes()
    kept.write(KEPT)

    assert kept.path.read_bytes() != first


def test_seal__secret_replaced__is_outdated_until_written_anew(tmp_path):
    secrets = [b"a" * 32]
    kept = Copy(tmp_path, "checkout", "production", seal=Seal(lambda: secrets[0]))
    kept.write(KEPT)
    assert not kept.is_outdated

    secrets[0] = b"b" * 32
    assert kept.is_outdated
    kept.write(KEPT)

    assert not kept.is_outdated
    assert copy(tmp_path, b"b" * 32).read() is not None


def test_state__token_replaced__keeps_the_same_copy_sealed_anew(tmp_path):
    secrets = [b"a" * 32]
    kept = Copy(tmp_path, "checkout", "production", seal=Seal(lambda: secrets[0]))
    kept.write(KEPT)
    state = State(Snapshot.of_kept(KEPT), kept)

    secrets[0] = b"b" * 32
    state.take(Answer(None, KEPT.etag, Position("e1", 9), stale=False))

    assert copy(tmp_path, b"b" * 32).read() is not None


@pytest.mark.parametrize(
    "text",
    ["-0", "0.10", "1e3", "1.00000000000000000001", "-0.0", '{"a":[1,2.50,{"b":null}],"c":{}}'],
)
def test_numbers__read_and_written__keep_their_digits(text):
    assert numbers.dumps(numbers.loads(text)) == text
    assert numbers.loads(text) == json.loads(text)

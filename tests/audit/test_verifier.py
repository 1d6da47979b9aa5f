"""The ledger's verifier: every altered ledger is told from the true one."""

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from apps.audit import verifier
from apps.engine import signing

PROGRAM = Path(verifier.__file__)
SIGNER = signing.signer("a key text for tests, " * 2)
OTHER = signing.signer("another key text, " * 3)


def ledger(events=120, seed=1):
    """A true ledger: acts of one to four events."""
    chance = random.Random(seed)
    rows, previous, number, second = [], verifier.GENESIS, 0, 0
    while number < events:
        size = chance.randrange(1, 5)
        second += 1
        actor = chance.choice(["user:ada", "service-account:app", "user:zoë"])
        for place in range(size):
            row = {
                "number": number + 1 + place,
                "revision": number + size,
                "at": f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000001Z",
                "actor": actor,
                "action": chance.choice(["configuration.publish", "grant.given"]),
                "target": f"configuration:shop@{chance.randrange(3)}",
                "data": json.dumps({"n": chance.randrange(99)}, separators=(",", ":")),
                "previous": previous,
            }
            previous = row["hash"] = digest(row)
            rows.append(row)
        number += size
    return rows


def digest(row):
    event = {name: row[name] for name in verifier.FIELDS[:7]}
    members = {"event": event, "previous": row["previous"]}
    text = json.dumps(members, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def rechain(rows, start):
    """Hash everything again from ``start``, as somebody who owns the database could."""
    previous = rows[start - 1]["hash"] if start else verifier.GENESIS
    for row in rows[start:]:
        row["previous"] = previous
        previous = row["hash"] = digest(row)


def checkpoint(rows, index, signer=SIGNER):
    row = rows[index]
    return signing.checkpoint_line(
        signer,
        epoch="e1",
        revision=row["revision"],
        digest=row["hash"],
        at="2026-01-02T00:00:00.000000Z",
    )


def edit(rows, chance):
    row, name = chance.choice(rows), chance.choice(verifier.FIELDS)
    value = row[name]
    row[name] = (
        value + 1 if isinstance(value, int) else value[:-1] + ("b" if value[-1:] != "b" else "c")
    )


def edit_data(rows, chance):
    row = chance.choice(rows)
    row["data"] = json.dumps({"n": chance.randrange(100, 999)}, separators=(",", ":"))


def edit_and_hash_one(rows, chance):
    row = chance.choice(rows[:-1])
    row["actor"] += "x"
    row["hash"] = digest(row)


def delete(rows, chance):
    del rows[chance.randrange(len(rows) - 1)]


def insert(rows, chance):
    rows.insert(chance.randrange(len(rows)), dict(chance.choice(rows)))


def swap(rows, chance):
    one, other = chance.sample(range(len(rows)), 2)
    rows[one], rows[other] = rows[other], rows[one]


def renumber_after_delete(rows, chance):
    at = chance.randrange(len(rows) - 1)
    del rows[at]
    for row in rows[at:]:
        row["number"] -= 1
        row["revision"] -= 1


def truncate(rows, chance):
    del rows[chance.randrange(1, 60) :]


def replace_all(rows, _chance):
    rows[:] = ledger(len(rows), seed=2)


def edit_and_rechain(rows, chance):
    at = chance.randrange(60)
    rows[at]["target"] += "x"
    rechain(rows, at)


def delete_first_and_rechain(rows, _chance):
    size = rows[0]["revision"]
    del rows[:size]
    for row in rows:
        row["number"] -= size
        row["revision"] -= size
    rechain(rows, 0)


ALTERATIONS = [
    edit,
    edit_data,
    edit_and_hash_one,
    delete,
    insert,
    swap,
    renumber_after_delete,
    truncate,
    replace_all,
    edit_and_rechain,
    delete_first_and_rechain,
]


@pytest.fixture
def files(tmp_path):
    """Writes a ledger and its checkpoints, and verifies them."""
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps({"keys": [signing.jwk(SIGNER.public)]}))

    def verify(rows, lines=()):
        source, marks = tmp_path / "ledger.jsonl", tmp_path / "checkpoints.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        marks.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return verifier.verify(str(source), marks if lines else None, keys)

    return verify


def last_of_act(rows, at):
    return next(i for i in range(at, len(rows)) if rows[i]["number"] == rows[i]["revision"])


def test_verify__true_ledger__holds_with_its_checkpoints(files):
    rows = ledger()
    marks = [checkpoint(rows, last_of_act(rows, at)) for at in (0, 60, 100)]

    found = files(rows, marks)

    assert (found.ok, found.events, found.checkpoints) == (True, len(rows), 3)
    assert files([], []).ok


def test_verify__altered_ledgers__are_all_found(files):
    chance = random.Random(3)
    true = ledger()
    marks = [checkpoint(true, last_of_act(true, 100))]
    survived = []
    for number in range(10_000 if pytest.long_form else 330):
        alter = ALTERATIONS[number % len(ALTERATIONS)]
        rows = [dict(row) for row in true]
        alter(rows, chance)
        if rows == true:
            continue
        found = files(rows, marks)
        if found.ok:
            survived.append((alter.__name__, number))
        assert found.ok or (found.reason and found.revision > 0), (alter.__name__, found)

    assert survived == []


@pytest.mark.parametrize("member", ["actor", "hash"])
def test_verify__a_member_put_before_the_true_one__is_found(tmp_path, member):
    """Python reads the last of two, others the first: the file would say two things."""
    lines = [json.dumps(row) for row in ledger(20)]
    lines[9] = lines[9].replace("{", '{"' + member + '": "user:mallory", ', 1)
    path = tmp_path / "ledger.jsonl"
    path.write_text("\n".join(lines) + "\n")

    with pytest.raises(verifier.BrokenError):
        list(verifier.JsonLines(path).rows())


@pytest.mark.parametrize("alter", [truncate, replace_all, edit_and_rechain])
def test_verify__all_hashed_again__is_found_by_a_checkpoint_alone(files, alter):
    rows = ledger()
    mark = checkpoint(rows, last_of_act(rows, 100))
    alter(rows, random.Random(5))
    if alter is truncate:  # at the end of an act, so that every link holds
        end = max(i for i in range(len(rows)) if rows[i]["number"] == rows[i]["revision"])
        del rows[end + 1 :]

    assert files(rows).ok
    assert not files(rows, [mark]).ok


@pytest.mark.parametrize("member", ["revision", "hash", "epoch", "at", "signature", "kid"])
def test_verify__altered_checkpoint__does_not_hold(files, member):
    rows = ledger()
    mark = checkpoint(rows, last_of_act(rows, 60))
    value = mark[member]
    mark[member] = (
        value + 1
        if isinstance(value, int)
        else "A" + value[1:]
        if value[0] != "A"
        else "B" + value[1:]
    )

    assert not files(rows, [mark]).ok


def test_verify__checkpoint_by_another_key__does_not_hold(files):
    rows = ledger()

    assert not files(rows, [checkpoint(rows, last_of_act(rows, 60), OTHER)]).ok


def test_program__run_alone__says_what_it_found_and_needs_no_django(tmp_path):
    source = tmp_path / "ledger.jsonl"
    rows = ledger(20)
    rows[7]["data"] = "{}"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))

    done = subprocess.run(
        [sys.executable, "-I", str(PROGRAM), str(source)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    missing = subprocess.run(
        [sys.executable, "-I", str(PROGRAM), str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, missing.returncode) == (1, 2)
    assert f"revision {rows[7]['revision']} does not hold" in done.stdout
    assert "django" not in PROGRAM.read_text().lower().replace("django's", "")


@pytest.mark.parametrize("text", ["[]", "{", "\xff", "null", '{"number":1}', "[" * 100_000])
def test_verify__file_that_is_no_ledger__does_not_hold(tmp_path, text):
    source = tmp_path / "ledger.jsonl"
    source.write_bytes(text.encode("latin-1") + b"\n")

    assert not verifier.verify(str(source)).ok

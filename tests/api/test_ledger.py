"""The ledger over REST: filters, downloads that verify, checkpoints, verification."""

import csv
import io
import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.django_db

HERE = "environment=production"


@pytest.fixture
def auditor(make_api, operator, shop):
    for number, key in enumerate(("a", "a", "b")):
        body = {"config": {key: {"c": number}}, "on_stale": "overwrite"}
        assert operator.post(f"/config/shop?{HERE}", body).status_code == 201
    api = make_api("auditor")
    api.publisher = operator
    return api


def found(auditor, query):
    return json.loads(auditor.get(f"/audit?{query}").content)["results"]


def body_of(answer):
    return b"".join(answer.streaming_content)


def test_filters__actor_action_target_key_and_time__narrow_together(auditor):
    name = f"service-account:{auditor.publisher.account.slug}"
    published = found(auditor, "action=configuration.*&target=configuration:shop@production")

    assert [row["data"]["version"] for row in published] == [3, 2, 1]
    assert [row["data"]["version"] for row in found(auditor, "key=a")] == [3, 2, 1]
    assert [row["data"]["version"] for row in found(auditor, "key=b.c")] == [3]
    assert found(auditor, "key=") == found(auditor, "")
    assert found(auditor, "key=nothing") == []
    assert {row["actor"] for row in found(auditor, f"actor={name}")} == {name}
    since = published[1]["at"]
    assert [
        row["data"]["version"]
        for row in found(auditor, f"action=configuration.*&since={since}&until={since}")
    ] == [2]


def test_export__as_json_lines__verifies_by_the_downloaded_verifier(auditor, tmp_path):
    answer = auditor.get("/audit/export?format=jsonl")
    lines = body_of(answer)
    (tmp_path / "ledger.jsonl").write_bytes(lines)
    (tmp_path / "verifier.py").write_bytes(auditor.get("/audit/verifier").content)

    def verify():
        program = [sys.executable, "-I", str(tmp_path / "verifier.py")]
        return subprocess.run(
            [*program, str(tmp_path / "ledger.jsonl")], capture_output=True, text=True, check=False
        )

    assert answer["X-Event-Count"] == str(len(lines.splitlines()))
    assert json.loads(lines.splitlines()[-1])["action"] == "ledger.exported"
    assert verify().returncode == 0, verify().stderr
    (tmp_path / "ledger.jsonl").write_bytes(lines.replace(b"configuration.publish", b"other", 1))
    assert verify().returncode == 1


def test_export__filtered__holds_what_matches_and_is_an_event(auditor):
    lines = body_of(auditor.get("/audit/export?action=configuration.*&key=b")).splitlines()

    assert [json.loads(line)["action"] for line in lines] == ["configuration.publish"]
    (event,) = found(auditor, "action=ledger.exported")
    assert event["data"].pop("salt")
    assert event["data"] == {"format": "jsonl", "action": "configuration.*", "key": "b"}


def test_export__as_csv__runs_no_formula_in_a_spreadsheet(auditor, system):
    from apps.audit.exporting import harmless
    from apps.audit.services import Event, append

    append([Event("test.formula", '=HYPERLINK("http://x")', {})], actor=system)
    append([Event("test.formula", "  +1", {})], actor=system)

    text = body_of(auditor.get("/audit/export?format=csv&action=test.*")).decode()

    names, *rows = csv.reader(io.StringIO(text, newline=""))
    assert names[:6] == ["number", "revision", "at", "actor", "action", "target"]
    assert [row[5] for row in rows] == ['\'=HYPERLINK("http://x")', "'  +1"]
    assert [harmless(cell)[0] for cell in ("=1", "+1", "-1", "@x", "\tx", "\r=1", "\uff1d1")] == [
        "'"
    ] * 7
    assert harmless("user:ada") == "user:ada"


def test_export__unknown_format__is_400_and_no_event(auditor):
    assert auditor.get("/audit/export?format=xml").status_code == 400
    assert found(auditor, "action=ledger.exported") == []


def test_verification__asked_for__is_done_by_a_job_with_its_result(auditor, system):
    from apps.audit.checkpoints import write_checkpoint
    from apps.core.models import Job

    write_checkpoint(actor=system)

    first = auditor.post("/audit/verification", {})
    second = auditor.post("/audit/verification", {})

    assert (first.status_code, json.loads(first.content)) == (202, {"started": True})
    assert json.loads(second.content) == {"started": False}
    assert auditor.get("/audit/verification")["X-Verification"] == "Waiting"
    assert Job.objects.get(kind="audit.verify_now").finished_at is None
    (line,) = auditor.get("/audit/checkpoints?format=jsonl").content.splitlines()
    (row,) = json.loads(auditor.get("/audit/checkpoints").content)["results"]
    assert json.loads(line) == row

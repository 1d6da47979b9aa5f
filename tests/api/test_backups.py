"""Backups over REST and GraphQL: lists, runs by the job runner, and what becomes of a crash."""

import datetime
import uuid
from pathlib import Path

import pytest

from apps.core import clock, jobs, runner
from tests.api.graphql_client import as_rest, data, nodes
from tests.backups.archives import NOON, put_archive

pytestmark = pytest.mark.django_db

DAY = datetime.timedelta(days=1)
MINUTE = datetime.timedelta(minutes=1)


@pytest.fixture
def folder(settings, tmp_path):
    settings.BACKUP_FOLDER = tmp_path / "kept"
    settings.BACKUP_WORK = tmp_path / "work"
    return settings.BACKUP_FOLDER


@pytest.fixture
def three(folder):
    """A full archive, its segment and a later full one, oldest first."""
    first, header = put_archive(folder)
    segment, _header = put_archive(folder, NOON + MINUTE, after=header)
    last, _header = put_archive(folder, NOON + DAY)
    return [first, segment, last]


def acts(operator, action):
    found = operator.get(f"/audit?action={action}").json()["results"]
    return [(each["actor"], each["target"], each["data"]) for each in found]


def run_of(operator, answer):
    assert answer.status_code == 202, answer.content
    return operator.get(answer["Location"]).json()


def test_list__of_three_archives__is_newest_first_with_pages(operator, three):
    page = operator.get("/backups?page_size=2").json()
    rest = operator.get(page["next"]).json()

    names = [each["name"] for each in [*page["results"], *rest["results"]]]
    assert names == three[::-1]
    assert rest["next"] is None
    first = rest["results"][0]
    assert (first["kind"], first["revision"], first["problem"]) == ("full", 0, None)
    assert first["created_at"] == "2026-11-20T12:00:00.000000Z"


def test_archive__a_segment__says_what_restoring_it_needs(operator, three):
    assert operator.get(f"/backups/{three[1]}").json()["needs"] == three[:2]
    graph = data(operator, f'{{ backup(name: "{three[1]}") {{ needs archive {{ name }} }} }}')
    assert graph["backup"] == {"needs": three[:2], "archive": {"name": three[1]}}


@pytest.mark.parametrize("name", ["none.configsvc", "..%2F..%2Fetc%2Fpasswd", ".chain.json", "x"])
def test_archive__that_is_none__is_not_there(operator, three, name):
    assert operator.get(f"/backups/{name}").status_code == 404
    assert operator.post(f"/backups/{name}/verify", {}).status_code == 404
    assert operator.get("/backups/runs").json()["results"] == []


def test_folder__that_cannot_be_read__is_unavailable_everywhere(operator, three, monkeypatch):
    def refuse(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)

    answers = [
        operator.get("/backups"),
        operator.get(f"/backups/{three[0]}"),
        operator.post("/backups/prune", {"dry_run": True}),
        operator.post(f"/backups/{three[0]}/verify", {}),
    ]

    assert [each.status_code for each in answers] == [503] * 4
    assert "Permission denied" in answers[0].json()["detail"]


def test_archive__that_cannot_be_read__is_listed_with_why(operator, three, folder, monkeypatch):
    opened = Path.open

    def refuse(path, *arguments, **more):
        if path.name == three[1]:
            raise OSError(5, "Input/output error")
        return opened(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", refuse)

    found = operator.get("/backups").json()["results"]

    assert {each["name"] for each in found} == set(three)
    assert [each["problem"] for each in found if each["name"] == three[1]] == [
        "The folder of backups failed: Input/output error."
    ]


def test_verify__asked_for__is_done_by_a_job_and_in_the_ledger(operator, three):
    asked = operator.post(f"/backups/{three[1]}/verify", {})
    waiting = run_of(operator, asked)
    again = operator.post(f"/backups/{three[1]}/verify", {})

    runner.run_due()

    assert asked.json() == again.json() == {"run": waiting}
    assert (waiting["state"], waiting["progress"]["step"]) == ("waiting", "Waiting")
    done = run_of(operator, asked)
    assert (done["state"], done["problem"], done["revision"]) == ("done", None, 0)
    assert waiting["asked_at"] <= done["started_at"] <= done["ended_at"]
    [(actor, target, told)] = acts(operator, "backup.verified")
    assert (actor, target) == (done["author"], f"backup:{three[1]}")
    assert told["problem"] == ""
    assert operator.get(f"/backups/{three[1]}").json()["verified_at"] == done["ended_at"]


def test_verify__of_a_damaged_archive__fails_with_the_problem_in_the_list(operator, three, folder):
    path = folder / three[2]
    operator.get("/backups")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    asked = operator.post(f"/backups/{three[2]}/verify", {})

    runner.run_due()

    done = run_of(operator, asked)
    assert done["state"] == "failed"
    assert "damaged" in done["problem"]
    shown = operator.get("/backups").json()["results"][0]
    assert (shown["problem"], shown["verified_at"]) == (done["problem"], None)
    assert acts(operator, "backup.verified")[0][2]["problem"] == done["problem"]


def test_ask__twice_with_one_idempotency_key__is_one_run(operator, three):
    first = operator.post("/backups/prune", {}, Idempotency_Key="a")
    runner.run_due()
    second = operator.post("/backups/prune", {}, Idempotency_Key="a")
    third = operator.post("/backups/prune", {})

    assert second["Idempotent-Replay"] == "true"
    assert (first["Location"], first.json()) == (second["Location"], second.json())
    assert third["Location"] != first["Location"]


def test_prune__dry_run_and_for_good__takes_what_the_preview_said(
    operator, three, folder, settings
):
    settings.BACKUP_KEEP = "1d"
    for day in range(2, 5):
        put_archive(folder, NOON + day * DAY)

    preview = operator.post("/backups/prune", {"dry_run": True}).json()
    before = sorted(each.name for each in folder.iterdir())
    asked = operator.post("/backups/prune", {})
    runner.run_due()

    gone = [each["name"] for each in preview["deleted"]]
    assert (len(before), len(gone), preview["keep"]) == (6, 5, "1d")
    assert [each["because"] for each in preview["kept"]] == [["newest", "daily"]]
    assert sorted([*gone, *(each.name for each in folder.iterdir())]) == before
    done = run_of(operator, asked)
    assert (done["state"], done["bytes"]) == ("done", preview["bytes"])
    [(_actor, target, told)] = acts(operator, "backup.pruned")
    assert (target, told["archives"]) == ("backup:backups", gone)


def test_prune__the_newest_was_found_damaged__keeps_the_one_before(
    operator, three, folder, settings
):
    settings.BACKUP_KEEP = "1d"
    latest, _header = put_archive(folder, NOON + DAY + MINUTE)
    operator.get("/backups")
    (folder / latest).write_bytes((folder / latest).read_bytes()[:-1] + b"!")
    operator.post(f"/backups/{latest}/verify", {})
    runner.run_due()

    preview = operator.post("/backups/prune", {"dry_run": True}).json()
    operator.post("/backups/prune", {})
    runner.run_due()

    assert [each["name"] for each in preview["kept"]] == [three[2]]
    left = {each.name for each in folder.iterdir() if each.name.endswith(".configsvc")}
    assert left == {three[2], latest}


def test_drill__beside_a_stray_file__tries_the_newest_archive(operator, three, folder, monkeypatch):
    (folder / "zzz.configsvc").write_bytes(b"not an archive")
    monkeypatch.setattr("apps.backups.runs.drill", lambda _name, *_others: "")
    asked = operator.post("/backups/drill", {})

    runner.run_due()

    run = run_of(operator, asked)
    assert (run["state"], run["archive"]) == ("done", three[2])


def test_prune__whose_process_dies_in_between__goes_on_with_what_was_told(
    operator, three, folder, settings, monkeypatch
):
    settings.BACKUP_KEEP = "1d"
    asked = operator.post("/backups/prune", {})
    unlink = Path.unlink

    def dies(path, **more):
        if path.name == three[0]:
            raise OSError("power cut")
        unlink(path, **more)

    monkeypatch.setattr(Path, "unlink", dies)
    runner.run_due()
    half = run_of(operator, asked)
    monkeypatch.setattr(Path, "unlink", unlink)
    put_archive(folder, NOON + 9 * DAY)
    runner.run_due(now=clock.now() + MINUTE)

    assert half["state"] == "running"
    assert run_of(operator, asked)["state"] == "done"
    assert len(acts(operator, "backup.pruned")) == 1
    left = {each.name for each in folder.iterdir()}
    assert three[2] in left
    assert len(left) == 2


def test_run__whose_processes_die__is_ended_after_the_last_attempt(operator, three):
    asked = operator.post(f"/backups/{three[0]}/verify", {})
    for attempt in range(3):
        held = jobs.claim("dies", now=clock.now() + attempt * 2 * MINUTE)
        assert held.job.kind == "backup.run"

    runner.run_due(now=clock.now() + 8 * MINUTE)

    done = run_of(operator, asked)
    assert (done["state"], done["problem"]) == ("failed", "Its process ended without an answer.")
    assert jobs.list_jobs("failed").get().outcome == "failed"


def test_run__whose_worker_died_once__is_taken_up(operator, three):
    asked = operator.post(f"/backups/{three[0]}/verify", {})
    jobs.claim("dies")

    runner.run_due(now=clock.now() + 2 * MINUTE)

    assert run_of(operator, asked)["state"] == "done"
    assert len(acts(operator, "backup.verified")) == 1


def test_create__whose_process_died_behind_its_archive__takes_that_and_makes_no_other(
    operator, folder
):
    asked = operator.post("/backups", {})
    jobs.claim("dies")
    made = uuid.UUID(asked.json()["run"]["id"]).hex
    name, _header = put_archive(folder, made=made)

    runner.run_due(now=clock.now() + 2 * MINUTE)

    done = run_of(operator, asked)
    assert (done["state"], done["archive"]) == ("done", name)
    assert done["bytes"] == (folder / name).stat().st_size
    assert [each.name for each in folder.iterdir()] == [name]
    [(actor, target, told)] = acts(operator, "backup.created")
    assert (actor, target, told["rows"]) == (done["author"], f"backup:{name}", 0)


def test_run__whose_job_is_gone__is_ended_by_who_asks_next(operator, three):
    from apps.core.models import Job

    asked = operator.post("/backups/prune", {})
    Job.objects.all().delete()

    again = operator.post("/backups/prune", {})

    assert again["Location"] != asked["Location"]
    lost = run_of(operator, asked)
    assert (lost["state"], lost["problem"]) == ("failed", "Its job is gone.")


def test_drill__without_any_archive__fails_and_says_so(operator, folder):
    asked = operator.post("/backups/drill", {})

    runner.run_due()

    assert run_of(operator, asked)["problem"] == "There is no backup yet."


def test_drill__newest_cannot_be_read__is_the_one_that_is_tried(
    operator, three, folder, monkeypatch
):
    latest = three[2].replace("2026", "2027")
    (folder / latest).write_bytes(b"not an archive")
    # the command that a drill runs knows the folder from its environment, not from here
    monkeypatch.setattr("apps.backups.runs.drill", lambda name, *_others: f"{name}: damaged")
    asked = operator.post("/backups/drill", {})

    runner.run_due()

    run = run_of(operator, asked)
    assert (run["state"], run["archive"], run["revision"]) == ("failed", latest, None)
    assert run["problem"] == f"{latest}: damaged"


def test_schedule__when_it_is_due__asks_for_runs_in_its_own_name(operator, folder):
    from apps.core.models import Job

    jobs.put_recurring()

    for kind in ("full", "drill", "prune", "prune"):
        pk = Job.objects.get(kind=f"backup.{kind}", finished_at=None).pk
        runner.run(jobs.claim("test", pk=pk))

    found = [(each["kind"], each["author"], each["state"]) for each in runs(operator)]
    waiting = [(kind, "system:backups", "waiting") for kind in ("prune", "drill", "create")]
    assert found == waiting


def runs(operator):
    return operator.get("/backups/runs").json()["results"]


def test_graph__queries_and_mutations__say_what_rest_says(operator, three, settings):
    settings.BACKUP_KEEP = "1d"
    members = "name kind createdAt epoch revision bytes verifiedAt drilledAt problem"
    of_run = (
        "id kind state archive author askedAt startedAt endedAt "
        "progress { step done total } revision bytes problem"
    )
    made = data(operator, f'mutation {{ verifyBackup(name: "{three[0]}") {{ {of_run} }} }}')
    plan = data(
        operator,
        "mutation { pruneBackups(dryRun: true) { run { id } keep dryRun "
        "kept { name because } deleted { name bytes } } }",
    )["pruneBackups"]
    started = data(
        operator,
        "mutation { a: createBackup { id } b: drillBackup { id } c: pruneBackups { run { id } } }",
    )

    listed = nodes(operator, f"{{ backups {{ edges {{ node {{ {members} }} }} }} }}")
    assert as_rest(listed) == operator.get("/backups").json()["results"]
    told = nodes(operator, f"{{ backupRuns {{ edges {{ node {{ {of_run} }} }} }} }}")
    assert as_rest(told) == runs(operator)
    ids = {made["verifyBackup"]["id"], started["a"]["id"], started["b"]["id"]}
    assert {each["id"] for each in told} == ids | {started["c"]["run"]["id"]}
    one = data(operator, f'{{ backupRun(id: "{made["verifyBackup"]["id"]}") {{ {of_run} }} }}')
    assert (
        as_rest(one["backupRun"]) == operator.get(f"/backups/runs/{one['backupRun']['id']}").json()
    )
    rest = operator.post("/backups/prune", {"dry_run": True}).json()
    del rest["bytes"]
    assert as_rest(plan) == {**rest, "run": None}
    nothing = f'{{ backup(name: "x") {{ needs }} backupRun(id: "{uuid.uuid4()}") {{ id }} }}'
    assert data(operator, nothing) == {"backup": None, "backupRun": None}


def test_redaction__with_backups_of_before_and_after__lists_those_that_hold_it(
    operator, folder, settings
):
    operator.post("/services", {"slug": "shop"})
    epoch = operator.get("/readyz").json()["epoch"]

    def publish(document):
        body = {"environment": "production", "config": document, "on_stale": "overwrite"}
        return operator.post("/config/shop", body).json()["revision"]

    before = publish({"a": 1})
    leaked = publish({"a": 1, "pin": "canary-1234-of-a-secret"})
    clean = publish({"a": 2})
    put_archive(folder, NOON, revision=before, epoch=epoch)
    held = [
        put_archive(folder, NOON + (1 + number) * DAY, revision=revision, epoch=epoch)[0]
        for number, revision in enumerate((leaked, clean))
    ]
    left, _header = put_archive(folder, NOON - DAY, revision=1, epoch="0ther")

    done = operator.post(
        "/config/shop/redact", {"environment": "production", "version": 2, "key": "pin"}
    ).json()
    put_archive(folder, NOON + 9 * DAY, revision=done["revision"], epoch=epoch)

    assert done["archives"] == [held[1], held[0], left]
    address = f"/backups?redaction={done['revision']}"
    listed = operator.get(address).json()["results"]
    assert [each["name"] for each in listed] == done["archives"]
    for name in done["archives"]:
        (folder / name).unlink()
    assert operator.get(address).json()["results"] == []
    assert len(operator.get("/backups").json()["results"]) == 2
    assert operator.get("/backups?redaction=no").status_code == 400


def test_rights__of_auditors_and_viewers__are_to_look_and_nothing(operator, make_api, three):
    asked = operator.post(f"/backups/{three[0]}/verify", {})
    auditor, viewer = make_api("auditor"), make_api("viewer")

    for path in ("/backups", f"/backups/{three[0]}", "/backups/runs", asked["Location"]):
        assert auditor.get(path).status_code == 200, path
        assert viewer.get(path).status_code == 403, path
    for path in ("/backups", "/backups/drill", "/backups/prune", f"/backups/{three[1]}/verify"):
        assert auditor.post(path, {}).status_code == 403, path
        assert auditor.post(path, {}, Idempotency_Key="k").status_code == 403, path
        assert viewer.post(path, {}).status_code == 403, path
    assert len(runs(operator)) == 1
    assert operator.get("/backups/runs/none").status_code == 404
    assert operator.post("/backups", {"full": True}).status_code == 400


def test_redaction__with_backups_of_a_ledger_that_was_left__lists_what_may_hold_it(
    operator, folder, system
):
    from apps.audit.services import Event, append
    from apps.backups.selectors import list_holding
    from apps.core.transactions import writing

    operator.post("/services", {"slug": "shop"})
    body = {"environment": "production", "on_stale": "overwrite"}
    leak = {"config": {"pin": "canary-1234-of-a-secret"}}
    leaked = operator.post("/config/shop", {**body, **leak}).json()["revision"]
    operator.post("/config/shop", {**body, "config": {}})
    with writing():
        was = {"was": f"be-fore-{leaked + 1}"}
        append([Event("installation.restored", "installation", was)], actor=system)
    names = {
        revision: put_archive(
            folder, NOON + revision * MINUTE, revision=leaked + revision, epoch="be-fore"
        )[0]
        for revision in (-1, 0, 1, 2)
    }

    done = operator.post(
        "/config/shop/redact", {"environment": "production", "version": 1, "key": "pin"}
    ).json()

    assert done["archives"] == [names[2], names[1], names[0]]
    assert list_holding(redaction=done["revision"] + 1) == []

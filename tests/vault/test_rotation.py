"""Rotation: the steps, what becomes of the values before and after, and what stands in its way."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from apps.audit.models import AuditEvent
from apps.core import clock, jobs, runner
from apps.core.models import Connection, Job, JobRun
from apps.engine.errors import ConflictError, InvalidError, UnavailableError
from apps.vault import destroying, schedules, services
from apps.vault.models import Rotation, RotationRun
from apps.vault.rotators.base import RotatorError
from tests.vault.conftest import destroyed, due, run_at_once, stages

pytestmark = pytest.mark.django_db

NOTING = {"rotator": "noting"}


def events(prefix="secret.rot"):
    rows = AuditEvent.objects.filter(action__startswith=prefix).order_by("number")
    return [each.action.removeprefix("secret.") for each in rows]


def test_rotation__all_goes_well__moves_the_pointers_step_by_step(
    make_secret, rotate, rotator, value_of
):
    secret = make_secret(rotation=NOTING)
    run = rotate(secret)

    assert rotator.done == ["create", "set", "test", "finish"]
    assert run.state == "done"
    assert value_of(secret) == "made-1"
    assert value_of(secret, "previous") == "first value"
    assert stages(secret) == {"current": 2, "previous": 1}
    assert events()[-3:] == ["rotation_begun", "rotation_prepared", "rotated"]


def test_rotation__while_it_runs__current_is_what_it_was(make_secret, rotate, rotator, value_of):
    secret = make_secret(rotation=NOTING)
    seen = []
    for step in ("create", "set", "test", "finish"):
        rotator.on[step] = lambda task: seen.append(
            (value_of(secret), task.current, task.pending, sorted(stages(secret)))
        )
    rotate(secret)

    assert seen[0] == ("first value", "first value", None, ["current"])
    assert seen[1:] == [("first value", "first value", "made-1", ["current", "pending"])] * 3


def test_rotation__test_fails__goes_back_to_set_and_tries_the_same_value(
    make_secret, rotate, rotator, value_of
):
    secret = make_secret(rotation=NOTING)
    tried = []

    def test(task):
        tried.append(task.pending)
        if len(tried) < 3:
            raise RotatorError("It does not log in yet.")

    rotator.on["test"] = test
    rotate(secret)

    assert rotator.done == ["create", "set", "test", "set", "test", "set", "test", "finish"]
    assert tried == ["made-1"] * 3
    assert value_of(secret) == "made-1"


@pytest.mark.parametrize("step", ["create", "set", "test", "finish"])
def test_rotation__a_step_fails_for_good__leaves_current_and_says_why(
    make_secret, rotate, rotator, value_of, step
):
    secret = make_secret(rotation=NOTING)

    def fail(_task):
        raise RotatorError("The other side is away.")

    rotator.on[step] = fail
    run = rotate(secret)

    assert (run.state, run.error) == ("failed", "The other side is away.")
    assert value_of(secret) == "first value"
    assert stages(secret) == {"current": 1}
    assert destroyed(secret) == ([] if step == "create" else [2])
    assert events()[-1] == "rotation_failed"
    assert jobs.list_jobs("failed").get().last_error == "The other side is away."


def test_rotation__an_attempt_failed_and_is_repeated__says_why(make_secret, rotator, system):
    from apps.vault.runs import status_of

    secret = make_secret(rotation=NOTING)

    def fail(_task):
        raise RotatorError("The other side is away.")

    rotator.on["set"] = fail
    schedules.begin_rotation(actor=system, secret=secret)
    runner.run_due()

    status = status_of(secret)
    assert (status.state, status.run.step) == ("running", "set")
    assert status.error == "The other side is away."


@pytest.mark.parametrize("step", ["create", "set", "test", "finish", "retire"])
def test_rotation__an_unforeseen_failure__shows_no_value(
    make_secret, rotate, rotator, caplog, monkeypatch, step
):
    ending = jobs.kind_of(schedules.DESTROY)
    monkeypatch.setitem(jobs._kinds, ending.name, replace(ending, max_attempts=2))
    secret = make_secret(value="canary-77f", rotation=NOTING)
    rotator.needs = "anything"
    place = Connection(slug="any", kind="webhook", credential=secret.pk, created_at=clock.now())
    place.save()
    Rotation.objects.update(connection=place)

    def fail(task, value="canary-77f"):
        raise ValueError(f"cannot use {value}")

    rotator.on[step] = fail
    rotator.retire = rotator.on.get("retire", lambda *_: None)
    run = rotate(secret)
    runner.run_due(now=clock.now() + timedelta(days=3))

    runs = JobRun.objects.values_list("error", flat=True)
    kept = [run.error, caplog.text, *runs, *AuditEvent.objects.values_list("data", flat=True)]
    assert any(text.startswith("ValueError: the server") for text in kept)
    assert "A rotator failed with ValueError" in caplog.text
    assert "def fail" in caplog.text or "raise ValueError" in caplog.text
    assert not any("canary-77f" in text for text in kept)
    assert destroyed(secret) == ([1] if step == "retire" else [2] if step != "create" else [])


def test_rotation__failed_for_good_and_retried__begins_again(
    make_secret, rotate, rotator, value_of
):
    secret = make_secret(rotation=NOTING)

    def fail(_task):
        raise RotatorError("Away.")

    rotator.on["set"] = fail
    run = rotate(secret)
    del rotator.on["set"]

    jobs.make_due(jobs.list_jobs("failed").get().pk)
    runner.run_due()

    run.refresh_from_db()
    assert (run.state, run.error) == ("done", "")
    assert value_of(secret) == "made-2"
    assert stages(secret) == {"current": 3, "previous": 1}


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", ["create", "set", "test", "finish"])
def test_rotation__process_dies_in_a_step__another_goes_on_with_the_same_value(
    make_secret, rotator, value_of, system, step
):
    secret = make_secret(rotation=NOTING)
    dying = [True]

    def die(_task):
        if dying:
            dying.clear()
            raise Killed

    rotator.on[step] = die
    run = schedules.begin_rotation(actor=system, secret=secret)
    with pytest.raises(Killed):
        runner.run_due()
    between = value_of(secret)
    runner.run_due(now=clock.now() + timedelta(hours=1))

    run.refresh_from_db()
    assert between == "first value"
    assert run.state == "done"
    assert value_of(secret) == ("made-2" if step == "create" else "made-1")
    assert stages(secret) == {"current": 2, "previous": 1}
    assert rotator.done.count(step) == 2


@pytest.mark.parametrize("step", ["create", "set", "test", "finish"])
def test_rotation__somebody_writes_meanwhile__fails_cleanly_and_keeps_what_he_wrote(
    make_secret, rotate, rotator, value_of, system, step
):
    secret = make_secret(rotation=NOTING)
    rotator.on[step] = lambda _task: services.write_secret(
        actor=system, secret=secret, value="by hand"
    )
    run = rotate(secret)

    assert run.state == "failed"
    assert "meanwhile" in run.error
    assert value_of(secret) == "by hand"
    assert "pending" not in stages(secret)
    assert rotator.done.count(step) == 1


def test_rotation__process_dies_after_it_was_overtaken__does_not_begin_again(
    make_secret, rotator, value_of, system
):
    secret = make_secret(rotation=NOTING)
    rotator.on["set"] = lambda _task: services.write_secret(
        actor=system, secret=secret, value="by hand"
    )
    schedules.begin_rotation(actor=system, secret=secret)
    held = jobs.claim("dying", pk=due(schedules.ROTATE).get().pk)
    jobs.kind_of(held.job.kind).run(held)
    del rotator.on["set"]
    runner.run_due(now=clock.now() + timedelta(hours=1))

    assert value_of(secret) == "by hand"
    assert rotator.made == 1
    assert RotationRun.objects.get().state == "failed"


def test_rotation__secret_deleted_meanwhile__ends_and_leaves_no_key(
    make_secret, rotate, rotator, system
):
    secret = make_secret(rotation=NOTING)
    rotator.on["set"] = lambda _task: services.delete_secret(actor=system, secret=secret)
    run = rotate(secret)

    assert (run.state, run.error) == ("failed", "The secret was deleted.")
    assert destroyed(secret) == [1, 2]
    assert not Rotation.objects.exists()


def test_previous__after_its_time__is_destroyed_for_good(make_secret, rotate, rotator, value_of):
    secret = make_secret(rotation={**NOTING, "keep_hours": 5})
    rotate(secret)
    ends = due(schedules.DESTROY).get().due_at

    runner.run_due(now=ends - timedelta(seconds=1))
    before = destroyed(secret)
    runner.run_due(now=ends + timedelta(seconds=1))

    assert timedelta(hours=4) < ends - clock.now() <= timedelta(hours=5)
    assert before == []
    assert destroyed(secret) == [1]
    assert value_of(secret) == "made-1"
    assert stages(secret) == {"current": 2}
    assert events("secret.destroyed") == ["destroyed"]


def test_rotation__values_written_by_hand_before__are_destroyed_for_good_too(
    make_secret, rotate, rotator, system, value_of
):
    secret = make_secret(rotation={**NOTING, "keep_hours": 3})
    services.write_secret(actor=system, secret=secret, value="second value")
    assert destroyed(secret) == []
    rotate(secret)
    assert (stages(secret), destroyed(secret)) == ({"current": 3, "previous": 2}, [])

    runner.run_due(now=clock.now() + timedelta(hours=4))

    assert destroyed(secret) == [1, 2]
    assert value_of(secret) == "made-1"
    assert events("secret.destroyed") == ["destroyed", "destroyed"]


def test_write__with_a_rotation__ends_what_no_stage_names_any_more(make_secret, rotator, system):
    secret = make_secret(rotation={**NOTING, "keep_hours": 3})
    for value in ("second value", "third value"):
        services.write_secret(actor=system, secret=secret, value=value)

    runner.run_due(now=clock.now() + timedelta(hours=4))

    assert (stages(secret), destroyed(secret)) == ({"current": 3, "previous": 2}, [1])


def test_write__without_a_rotation__keeps_what_was_written_before(make_secret, system):
    secret = make_secret()
    for value in ("second value", "third value"):
        services.write_secret(actor=system, secret=secret, value=value)

    runner.run_due(now=clock.now() + timedelta(days=400))

    assert destroyed(secret) == []


def test_previous__time_over_while_the_next_rotation_runs__waits_for_it(
    make_secret, rotate, rotator
):
    secret = make_secret(rotation={**NOTING, "keep_hours": 5})
    rotate(secret)
    seen = []

    def end_the_first(_task):
        run_at_once(due(schedules.DESTROY).get().pk)
        seen.append(destroyed(secret))

    rotator.on["set"] = end_the_first
    rotate(secret)

    assert seen == [[]]
    assert destroyed(secret) == [1]


def test_schedule__due__rotates_and_is_due_again_a_period_later(
    make_secret, rotator, value_of, monkeypatch
):
    secret = make_secret(rotation={**NOTING, "every_days": 30})
    now = clock.now()
    first = due(schedules.DUE).get().due_at

    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=30, minutes=1))
    runner.run_due(now=now + timedelta(days=30, minutes=1))

    assert abs(first - now - timedelta(days=30)) < timedelta(minutes=1)
    assert value_of(secret) == "made-1"
    following = due(schedules.DUE).get().due_at
    assert abs(following - first - timedelta(days=30)) < timedelta(minutes=5)


def test_schedule__process_dies_after_it_began__does_not_rotate_twice(
    make_secret, rotator, monkeypatch
):
    make_secret(rotation={**NOTING, "every_days": 1, "keep_hours": 1})
    now = clock.now() + timedelta(days=1, minutes=1)
    monkeypatch.setattr(clock, "now", lambda: now)
    held = jobs.claim("dead process", now=now, pk=due(schedules.DUE).get().pk)
    jobs.kind_of(held.job.kind).run(held)
    run_at_once(due(schedules.ROTATE).get().pk)

    runner.run_due(now=now + timedelta(minutes=30))

    assert RotationRun.objects.count() == 1
    assert rotator.made == 1


def test_schedule__could_not_begin__is_due_again_a_period_later(make_secret, rotator, monkeypatch):
    make_secret(rotation={**NOTING, "every_days": 30})
    Rotation.objects.update(rotator="one of a later release")
    now = clock.now() + timedelta(days=30, minutes=1)
    monkeypatch.setattr(clock, "now", lambda: now)
    runner.run_due(now=now + timedelta(days=1))

    assert jobs.list_jobs("failed").get().kind == schedules.DUE
    assert due(schedules.DUE).get().due_at > now + timedelta(days=29)


def test_schedule__taken_away__nothing_is_due(make_secret, rotator, system):
    secret = make_secret(rotation={**NOTING, "every_days": 30})
    services.update_secret(actor=system, secret=secret, changes={"rotation": None})

    assert not due(schedules.DUE).exists()
    with pytest.raises(InvalidError):
        schedules.begin_rotation(actor=system, secret=secret)


def test_begin__one_runs_already__is_refused(make_secret, rotator, system):
    secret = make_secret(rotation=NOTING)
    schedules.begin_rotation(actor=system, secret=secret)

    with pytest.raises(ConflictError) as refused:
        schedules.begin_rotation(actor=system, secret=secret)
    with pytest.raises(ConflictError):
        services.update_secret(actor=system, secret=secret, changes={"rotation": None})
    assert refused.value.code == "rotating"


def test_begin__rotator_with_two_in_turn__waits_for_the_value_before_unless_forced(
    make_secret, rotate, rotator, value_of
):
    rotator.alternates = True
    secret = make_secret(rotation=NOTING)
    rotate(secret)

    with pytest.raises(ConflictError) as refused:
        rotate(secret)
    assert refused.value.code == "previous_in_use"
    assert rotate(secret, force=True).state == "done"
    assert value_of(secret) == "made-2"


def test_begin__value_written_by_hand_in_between__still_waits_for_the_value_before(
    make_secret, rotate, rotator, system
):
    rotator.alternates = True
    secret = make_secret(rotation=NOTING)
    rotate(secret)
    services.write_secret(actor=system, secret=secret, value="by hand")
    assert stages(secret) == {"current": 3, "previous": 2}

    with pytest.raises(ConflictError) as refused:
        rotate(secret)

    assert refused.value.code == "previous_in_use"
    assert rotate(secret, force=True).state == "done"


def test_retry__of_an_old_failure__does_not_take_the_value_before_from_its_users(
    make_secret, rotate, rotator, value_of
):
    """Else "Run now" at a failed job would do what beginning a rotation refuses."""
    rotator.alternates = True
    secret = make_secret(rotation=NOTING)
    rotator.on["set"] = failing
    assert rotate(secret).state == "failed"
    old = Job.objects.filter(kind=schedules.ROTATE).latest("pk")
    rotator.on.clear()
    assert rotate(secret).state == "done"
    live = value_of(secret)

    jobs.make_due(old.pk)
    runner.run_due(now=clock.now() + timedelta(minutes=5))

    assert value_of(secret) == live
    assert stages(secret) == {"current": 3, "previous": 1}


def failing(_task):
    raise RotatorError("It cannot be set.")


def test_schedule__value_before_is_being_ended__waits_for_it_and_is_not_skipped(
    make_secret, rotate, rotator, system
):
    rotator.alternates = True
    secret = make_secret(rotation={**NOTING, "every_days": 10})
    rotate(secret)
    job = Job.objects.get(kind=schedules.DESTROY)
    Job.objects.filter(pk=job.pk).update(lease_owner=uuid.uuid4(), lease_until=clock.now() + DAY)
    due_job = Job.objects.get(kind=schedules.DUE, finished_at=None)
    jobs.put(schedules.DUE, secret.pk.hex, due_at=clock.now(), subject="x")

    runner.run_due(now=clock.now())

    due_job.refresh_from_db()
    waits = due_job.due_at - clock.now()
    assert timedelta(0) < waits <= timedelta(minutes=1), waits
    assert JobRun.objects.filter(job=due_job).count() <= 2


DAY = timedelta(days=1)


def test_previous__whose_rotation_was_taken_away__is_destroyed_all_the_same(
    make_secret, rotate, rotator, system
):
    secret = make_secret(rotation=NOTING)
    rotate(secret)
    services.update_secret(actor=system, secret=secret, changes={"rotation": None})

    runner.run_due(now=clock.now() + timedelta(days=40))

    assert destroyed(secret) == [1]


def test_destroy__the_pending_version__is_refused(make_secret, rotate, rotator, system):
    secret = make_secret(rotation=NOTING)
    refused = []

    def destroy(_task):
        pending = secret.versions.get(stages__stage="pending")
        with pytest.raises(InvalidError):
            services.destroy_version(actor=system, version=pending)
        refused.append(pending.number)

    rotator.on["set"] = destroy

    assert rotate(secret).state == "done"
    assert refused == [2]


def test_previous__its_place_out_of_reach_for_a_day__is_taken_back_afterwards(
    make_secret, rotate, rotator, monkeypatch
):
    secret = make_secret(rotation={**NOTING, "keep_hours": 5})
    rotate(secret)
    monkeypatch.setattr(destroying, "_retire", unreachable)
    for _ in range(100):  # a day of quarters of an hour
        run_at_once(due(schedules.DESTROY).get().pk)

    assert destroyed(secret) == []
    monkeypatch.undo()
    run_at_once(due(schedules.DESTROY).get().pk)
    assert destroyed(secret) == [1]


def unreachable(*_given):
    raise UnavailableError("It is out of reach.")

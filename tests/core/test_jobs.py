"""Jobs: once when all goes well, again after a failure or a crash, and one row of each pending."""

import threading
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection, transaction

from apps.core import clock, jobs, runner
from apps.core.models import Job, JobRun
from apps.engine.errors import ConflictError, UnavailableError

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def kind():
    """Registers a kind that does ``act`` and notes its keys in the list that it gives back."""
    known = dict(jobs._kinds)

    done = []

    def register(act=lambda held: None, name="test.note", **more):
        def run(held):
            again_at = act(held)
            done.append(held.job.key)
            return again_at

        jobs.register(jobs.Kind(name, "Note it", run, **more))
        return done

    yield register
    jobs._kinds.clear()
    jobs._kinds.update(known)


def put(key, *, after=timedelta(0), **more):
    with transaction.atomic():
        jobs.put("test.note", key, due_at=clock.now() + after, **more)


def later(**span):
    return clock.now() + timedelta(**span)


def test_run_due__due_and_not_due__does_the_first_alone(kind):
    done = kind()
    put("now", argument={"n": 1})
    put("tomorrow", after=timedelta(days=1))

    runner.run_due()

    assert done == ["now"]
    assert [job.key for job in jobs.list_jobs("due")] == ["tomorrow"]
    past = jobs.list_jobs("past").get()
    assert (past.key, past.outcome, past.argument) == ("now", "done", '{"n":1}')
    run = JobRun.objects.get()
    assert (run.outcome, run.attempt, run.process) == ("done", 1, runner.process_name())
    assert run.ended_at is not None


def test_put__same_kind_and_key__moves_the_one_row(kind):
    kind()
    put("a", after=HOUR)
    put("a", after=2 * HOUR, argument={"n": 2})

    job = Job.objects.get()
    assert job.due_at > clock.now() + HOUR
    assert job.argument == '{"n":2}'


def test_put__while_it_runs__is_done_again_afterwards(kind):
    done = kind(lambda _held: None if done else put("a"))
    put("a")
    runner.run_due()

    assert done == ["a", "a"]
    assert Job.objects.filter(outcome="done").count() == 2


def test_failure__is_tried_again_with_growing_pauses_and_ends(kind):
    ended = []

    def break_down(_held):
        raise UnavailableError("The other side is away.")

    kind(
        break_down, max_attempts=4, give_up=lambda held, error: ended.append((held.job.key, error))
    )
    put("a")
    runner.run_due(now=later(days=1))

    assert JobRun.objects.filter(outcome="failed").count() == 4
    assert ended == [("a", "The other side is away.")]
    job = jobs.list_jobs("failed").get()
    assert (job.outcome, job.last_error) == ("failed", "The other side is away.")


def test_pauses__of_one_failing_job__double_with_jitter(kind):
    def break_down(_held):
        raise UnavailableError("away")

    kind(break_down, max_attempts=12)
    put("a")
    pauses = []
    for _ in range(11):
        held = jobs.claim("test", pk=Job.objects.get().pk)
        runner.run(held)
        pauses.append((Job.objects.get().due_at - clock.now()).total_seconds())

    for number, pause in enumerate(pauses):
        longest = min(900, 5 * 2**number)
        assert longest / 2 - 1 <= pause <= longest, number


def test_unforeseen_failure__keeps_no_text_that_may_hold_a_value(kind, caplog):
    def break_down(_held):
        raise ValueError("canary-51c")

    kind(break_down)
    put("a")
    runner.run_due()

    assert "canary-51c" not in Job.objects.get().last_error + JobRun.objects.get().error
    assert Job.objects.get().last_error.startswith("ValueError")


def test_crash__lease_runs_out_and_another_does_it_again(kind):
    done = kind()
    put("a")
    dead = jobs.claim("dead process")

    assert runner.run_due() == 0
    assert runner.run_due(now=later(hours=1)) == 1

    assert done == ["a"]
    outcomes = list(JobRun.objects.order_by("attempt").values_list("process", "outcome"))
    assert outcomes == [("dead process", "lost"), (runner.process_name(), "done")]
    jobs.fail(dead, "too late: the lease is another's")
    jobs.finish(dead, again_at=clock.now())
    assert [job.outcome for job in Job.objects.all()] == ["done"]


def test_crash__at_each_attempt__ends_and_is_told(kind):
    ended = []
    kind(max_attempts=2, give_up=lambda _held, error: ended.append(error))
    put("a")
    for _ in range(2):
        assert jobs.claim("dead process", now=later(hours=1)) is not None
        Job.objects.update(lease_until=clock.now())

    runner.run_due(now=later(hours=1))

    assert Job.objects.get().outcome == "failed"
    assert ended == ["Its process ended without an answer."]


def test_lease__kept_by_its_holder__is_nobody_elses(kind, settings):
    settings.JOB_LEASE = timedelta(hours=3)
    kind()
    put("a")
    held = jobs.claim("one")
    settings.JOB_LEASE = timedelta(hours=9)
    jobs.extend([held.owner])

    assert jobs.claim("two", now=later(hours=8)) is None
    assert jobs.claim("two", now=later(hours=10)) is not None


def test_later__gives_it_back_without_an_attempt(kind):
    at = clock.now() + HOUR

    def wait(_held):
        raise jobs.LaterError(at)

    kind(wait)
    put("a")
    runner.run_due()

    job = Job.objects.get()
    assert (job.due_at, job.attempts, job.lease_owner, job.outcome) == (at, 0, None, "")


def test_recurring__has_one_row_pending_also_after_it_failed_for_good(kind):
    def break_down(_held):
        raise UnavailableError("away")

    kind(break_down, every=HOUR, max_attempts=1)
    jobs.put_recurring()
    jobs.put_recurring()
    pending = Job.objects.filter(kind="test.note", finished_at__isnull=True)
    assert pending.count() == 1

    runner.run(jobs.claim("test", pk=pending.get().pk))

    assert Job.objects.filter(kind="test.note", outcome="failed").count() == 1
    assert abs(pending.get().due_at - clock.now() - HOUR) < timedelta(minutes=1)


def test_recurring__interval_that_was_made_shorter__holds_from_now_on(kind):
    kind(lambda _held: None, every=24 * HOUR, delay=HOUR)
    jobs.put_recurring()
    runner.run(jobs.claim("test", pk=jobs.list_jobs("due").get(kind="test.note").pk))
    kind(lambda _held: None, every=HOUR, delay=HOUR)

    jobs.put_recurring()

    due = jobs.list_jobs("due").get(kind="test.note")
    assert abs(due.due_at - clock.now() - HOUR) < timedelta(minutes=1)


def test_again_at__given_by_the_handler__is_the_next_row(kind):
    at = clock.now() + HOUR
    kind(lambda _held: at)
    put("a", subject="the thing", argument={"n": 1})
    runner.run_due()

    following = jobs.list_jobs("due").get()
    assert (following.due_at, following.subject, following.argument) == (at, "the thing", '{"n":1}')


def test_make_due__failed_for_good__runs_again_with_all_attempts(kind):
    broken = [True]

    def act(_held):
        if broken:
            raise UnavailableError("away")

    done = kind(act, max_attempts=1)
    put("a")
    runner.run_due()
    pk = Job.objects.get().pk
    broken.clear()

    jobs.make_due(pk)
    runner.run_due()

    assert done == ["a"]
    with pytest.raises(ConflictError):
        jobs.make_due(pk)


def test_prune__old_rows__go_and_the_others_stay(kind):
    kind()
    for key in ("old", "new"):
        put(key)
    runner.run_due()
    Job.objects.filter(key="old").update(finished_at=clock.now() - timedelta(days=91))
    jobs.put(jobs.PRUNE, "", due_at=clock.now())
    runner.run_due()

    assert sorted(Job.objects.filter(kind="test.note").values_list("key", flat=True)) == ["new"]
    assert JobRun.objects.filter(job__kind="test.note").count() == 1


@pytest.mark.django_db(transaction=True)
def test_claim__many_threads_at_once__each_job_is_done_by_one(kind):
    """On SQLite one thread: several do not share the in-memory database of the tests."""
    workers = 1 if connection.vendor == "sqlite" else 6
    count = Counter()
    lock = threading.Lock()

    def note(held):
        with lock:
            count[held.job.key] += 1

    kind(note)
    for number in range(60):
        put(str(number))
    if workers == 1:
        runner.run_due()
    threads = [threading.Thread(target=_work) for _ in range(workers if workers > 1 else 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert set(count.values()) == {1}
    assert len(count) == 60


def _work():
    runner.run_due()
    connection.close()


def test_put__another_process_was_faster__moves_its_row(kind, monkeypatch):
    kind()
    create = Job.objects.create

    def late(**members):
        monkeypatch.undo()
        put("same", after=HOUR)
        return create(**members)

    monkeypatch.setattr(Job.objects, "create", late)
    put("same", argument={"n": 2})

    (job,) = Job.objects.all()
    assert job.argument == '{"n":2}'
    assert job.due_at <= clock.now()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_stop__while_all_threads_are_at_work__waits_for_all_of_them_together(kind):
    begun, go_on = threading.Semaphore(0), threading.Event()

    def act(_held):
        begun.release()
        go_on.wait()

    done = kind(act)
    for key in ("one", "two"):
        put(key)
    working = runner.Runner(threads=2)
    working.start()
    for _ in range(2):
        begun.acquire()

    began = time.monotonic()
    working.stop(3.0)
    took = time.monotonic() - began
    go_on.set()
    working.stop(60.0)

    assert 3.0 <= took < 9.0
    assert sorted(done) == ["one", "two"]

"""2,000 rotations with a kill or a failure at each step: exactly one current, always readable.

A rotation speaks to the database in some sixty statements. Each of them in turn is where the
process dies, or where the database fails; then the job is done again as another process would.
"""

import itertools
import random
import time
from datetime import timedelta

import pytest
from django.db import OperationalError, connection

from apps.core import clock, jobs, runner
from apps.vault.models import RotationRun, SecretStage, WrappedKey
from apps.vault.schedules import begin_rotation
from tests.serving import installation

pytestmark = pytest.mark.django_db(transaction=True)

ROTATIONS = 2_000
KILLS = 40
SAVEPOINTS = ("SAVEPOINT", "RELEASE", "ROLLBACK")


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours handles it."""


class Failing:
    """Lets so many statements through, then raises at one."""

    def __init__(self, left, error):
        self.left, self.error, self.reached = left, error, False

    def __call__(self, execute, sql, params, many, context):
        if not sql.startswith(SAVEPOINTS):
            self.left -= 1
            if self.left == 0:
                self.reached = True
                raise self.error("at this statement")
        return execute(sql, params, many, context)


def run_until_done(failing):
    """Do the due jobs with one fault in the way, and again as others would; whether it was met."""
    try:
        with connection.execute_wrapper(failing):
            held = jobs.claim("dying")
            if held is not None:
                runner.run(held)
    except (Killed, OperationalError):
        pass
    return failing.reached


@pytest.mark.parametrize(("first", "error"), [(1, Killed), (2, OperationalError)])
def test_rotations__a_fault_at_each_statement__exactly_one_current_always_readable(
    make_secret, value_of, system, first, error
):
    """In the short form each fault is at every other statement (PostgreSQL: every fourth), one
    between those of the other.
    """
    step = 1 if pytest.long_form else 4 if connection.vendor == "postgresql" else 2
    secret = make_secret(rotation={"rotator": "password", "keep_hours": 0})
    wanted = ROTATIONS // 2 if pytest.long_form else 1
    values, faults = {"first value"}, 0
    for number in itertools.cycle(range(first, 500, step)):
        begin_rotation(actor=system, secret=secret)
        met = run_until_done(Failing(number, error))
        faults += met
        check_readable(secret, value_of)
        runner.run_due(now=clock.now() + timedelta(hours=2))
        check_readable(secret, value_of)

        assert RotationRun.objects.latest("started_at").state == "done"
        current = value_of(secret)
        assert current not in values
        values.add(current)
        if not met and len(values) > wanted:
            break
        if pytest.long_form and len(values) > wanted:
            break

    assert faults >= 40 // step
    assert WrappedKey.objects.count() == 1
    assert set(SecretStage.objects.values_list("stage", flat=True)) == {"current"}


def check_readable(secret, value_of):
    assert SecretStage.objects.filter(secret=secret, stage="current").count() == 1
    assert value_of(secret)


@pytest.mark.servers
@pytest.mark.django_db(transaction=False)
def test_rotations__workers_killed_at_random_moments__exactly_one_current_always_readable():
    kills = KILLS if pytest.long_form else 1
    chance = random.Random(20261126)
    with installation() as made:
        made.environment |= {
            "CONFIGSVC_JOBS_IN_SERVER": "false",
            "CONFIGSVC_JOB_LEASE_SECONDS": "1",
        }
        server = made.start()
        address = "/secrets/shop/pair"
        query = "?environment=production"
        with server.client(made.raw) as client:
            client.post("/services", json={"slug": "shop"})
            body = {
                "service": "shop",
                "environment": "production",
                "name": "pair",
                "value": "first value",
                "rotation": {
                    "rotator": "rsa",
                    "bits": 4096 if pytest.long_form else 2048,
                    "keep_hours": 1,
                },
            }
            assert client.post("/secrets", json=body).status_code == 201
            seen = {"first value"}
            for _ in range(kills):
                assert client.post(f"{address}/rotate{query}", json={}).status_code == 202
                worker = made.work()
                time.sleep(chance.uniform(0.0, 2.5))
                assert reveal(client, address, query)
                worker.kill()
                worker.wait()
                assert reveal(client, address, query)
                worker = made.work()
                await_state(client, address + query, "done")
                worker.terminate()
                worker.wait(30)
                value = str(reveal(client, address, query))
                assert value not in seen
                seen.add(value)
            versions = client.get(f"{address}/versions{query}").json()["results"]

        stages = [stage for each in versions for stage in each["stages"]]
        assert sorted(stages) == ["current", "previous"]
        assert versions[0]["stages"] == ["current"]
        made.manage("audit", "verify")


def reveal(client, address, query):
    answer = client.post(f"{address}/reveal{query}", json={})
    assert answer.status_code == 200, answer.text
    return answer.json()["value"]


def await_state(client, address, state):
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        status = client.get(address).json()["rotation_status"]
        if status["state"] == state:
            return
        time.sleep(0.1)
    raise AssertionError(status)

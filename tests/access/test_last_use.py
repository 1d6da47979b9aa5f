"""When a token was last used is known to the minute, and written no more often than that."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from apps.access import services
from apps.access.models import Token
from apps.access.selectors import authenticate_token
from apps.core import clock

pytestmark = pytest.mark.django_db

STEP = timedelta(seconds=7)
MINUTES = 5


@pytest.fixture
def moment(monkeypatch):
    """Time that passes when the test says so."""
    state = {"now": clock.now()}
    monkeypatch.setattr(clock, "now", lambda: state["now"])
    return state


def last_use(api):
    return Token.objects.get(account=api.account).last_used_at


def test_last_use__of_a_token_in_steady_use__is_written_once_a_minute(make_api, moment):
    robot = make_api("viewer")
    began = moment["now"]

    written = []
    with CaptureQueriesContext(
        connection,
    ) as asked:
        while moment["now"] - began < MINUTES * clock.MINUTE:
            assert robot.get("/services").status_code == 200
            written.append(last_use(robot))
            moment["now"] += STEP

    times = sorted(set(written))
    statements = [each["sql"] for each in asked if 'UPDATE "access_token"' in each["sql"]]
    assert len(statements) == len(times) == MINUTES
    assert all(later - earlier >= clock.MINUTE for earlier, later in itertools.pairwise(times))
    assert moment["now"] - times[-1] < clock.MINUTE + STEP


def test_last_use__that_cannot_be_written_now__fails_no_request_and_is_written_by_the_next(
    make_api, moment, monkeypatch
):
    robot = make_api("viewer")
    before = last_use(robot)
    moment["now"] += timedelta(minutes=2)

    def locked(_rows, **_values):
        raise OperationalError("database is locked")

    with monkeypatch.context() as broken:
        broken.setattr(QuerySet, "update", locked)
        assert robot.get("/services").status_code == 200
    assert last_use(robot) == before
    assert robot.get("/services").status_code == 200

    assert last_use(robot) == moment["now"]


def test_last_use__noted_by_another_process_meanwhile__is_not_written_again(make_api, moment):
    robot = make_api("viewer")
    stale = authenticate_token(robot.raw, now=moment["now"])
    services.note_use(stale)
    first = last_use(robot)

    services._noted.clear()  # as in another process, which has read the token before that
    moment["now"] += timedelta(seconds=59)
    services.note_use(replace(stale, last_used_at=None))
    assert last_use(robot) == first

    services._noted.clear()
    moment["now"] += timedelta(seconds=1)
    services.note_use(replace(stale, last_used_at=None))
    assert last_use(robot) == moment["now"]

"""Many who ask for the same at once are given one run."""

import threading

import pytest
from django.db import connection

from apps.core.models import Job

pytestmark = pytest.mark.django_db(transaction=True)


def test_ask_run__by_many_at_once__is_one_run_with_one_job(system):
    from apps.backups.models import Run
    from apps.backups.runs import JOB, ask_run

    found, together = [], threading.Barrier(6)

    def ask():
        try:
            together.wait()
            found.append(ask_run(actor=system, kind="prune").pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(found) == 6
    assert {Run.objects.get().pk} == set(found)
    assert Job.objects.filter(kind=JOB).count() == 1

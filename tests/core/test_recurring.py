"""The recurring jobs of the product do what they are for."""

from datetime import timedelta

import pytest

from apps.access import services
from apps.core import clock, jobs, runner

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.servers
def test_recurring__a_day_later__ended_grants_are_gone_and_the_ledger_is_verified(
    system, shop, make_api, settings, tmp_path, monkeypatch
):
    from apps.access.models import Grant
    from apps.audit.models import Checkpoint
    from apps.core.models import JobRun

    settings.CHECKPOINT_FILE = tmp_path / "checkpoints.jsonl"
    now = clock.now()
    account = make_api().account
    to = f"service-account:{account.slug}"
    services.grant(actor=system, to=to, role="viewer", expires_at=now + timedelta(minutes=1))
    jobs.put_recurring()

    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=1))
    runner.run_due(now=now + timedelta(days=1))

    assert not Grant.objects.filter(user=account.user).exists()
    assert Checkpoint.objects.count() == 1
    assert len((tmp_path / "checkpoints.jsonl").read_text().splitlines()) == 1
    done = {run.job.kind: run.outcome for run in JobRun.objects.select_related("job")}
    assert done["access.end_grants"] == done["audit.checkpoint"] == "done"
    assert "audit.verify" in done

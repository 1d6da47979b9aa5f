"""The keys that checkpoints are signed by."""

import pytest

from apps.audit import checkpoints
from apps.audit.models import AuditEvent, PublicKey
from apps.audit.services import lock_ledger
from apps.core import clock

pytestmark = pytest.mark.django_db


def test_register_key__another_server_added_it_while_one_waited__adds_no_event(system, monkeypatch):
    signer = checkpoints.current_signer()

    def wait():
        lock_ledger()
        PublicKey.objects.create(key_id=signer.key_id, public=signer.public, created_at=clock.now())

    monkeypatch.setattr(checkpoints, "lock_ledger", wait)
    checkpoints.register_key(actor=system)

    assert not AuditEvent.objects.filter(action="signature_key.added").exists()
    assert PublicKey.objects.count() == 1

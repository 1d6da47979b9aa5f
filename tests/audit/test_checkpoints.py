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


def test_write_checkpoint__file_with_a_line_that_was_cut__ends_it_and_verifies(system, tmp_path):
    from apps.audit import verifier

    file = tmp_path / "checkpoints.jsonl"
    checkpoints.write_checkpoint(actor=system, file=file)
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"kind":"configsvc-ch')

    assert list(verifier.read_lines(file, finished=True)) == list(
        verifier.read_lines(_copy(file, whole))
    )
    checkpoints.write_checkpoint(actor=system, file=file)

    assert file.read_bytes().startswith(whole)
    assert len(list(verifier.read_lines(file))) == 2


def _copy(file, content):
    copy = file.with_name("whole.jsonl")
    copy.write_bytes(content)
    return copy

"""Signed checkpoints go to a webhook, in order, until it has taken them."""

import base64
import ipaddress
import json
from datetime import timedelta

import pytest

from apps.audit.checkpoints import SEND, write_checkpoint
from apps.core import clock, jobs, runner
from apps.vault import checkpoint_webhook
from apps.vault.connections import ConnectionData, save_connection
from tests.receivers import make_certificate
from tests.vault.test_rotators import KEY, verified
from tests.vault.webhook_receiver import receiving_lines

pytestmark = pytest.mark.django_db


@pytest.fixture
def hook(tmp_path, settings, make_secret, system):
    """A receiver, which the settings name as the place for checkpoints."""
    settings.PRIVATE_TARGETS = [ipaddress.ip_network("127.0.0.0/8")]
    settings.CHECKPOINT_WEBHOOK = "witness"
    jobs.register(checkpoint_webhook.kind())
    certificate, authorities = make_certificate(tmp_path, "127.0.0.1")
    with receiving_lines(certificate) as receiver:
        credential = make_secret(slug="hook-key", value="whsec_" + base64.b64encode(KEY).decode())
        receiver.data = ConnectionData(
            slug="Witness",
            kind="webhook",
            address=f"https://127.0.0.1:{receiver.port}/take",
            authorities=authorities,
            credential=credential,
        )
        save_connection(actor=system, data=receiver.data)
        yield receiver
    del jobs._kinds[SEND]


def run_due():
    runner.run_due(now=clock.now() + timedelta(seconds=1))


def test_checkpoint__written__is_at_the_webhook_signed(hook, system):
    made = write_checkpoint(actor=system)

    run_due()

    [(headers, body)] = hook.calls
    assert body.decode() == made.line
    assert verified(headers, body)
    [shown] = checkpoint_webhook.list_checkpoint_sinks()
    assert (shown.number, shown.lag, shown.error) == (made.revision, 0, "")


def test_checkpoint__webhook_that_fails__gets_all_in_order_when_it_is_back(hook, system):
    hook.status = 503
    first = write_checkpoint(actor=system)
    run_due()
    made = [first, write_checkpoint(actor=system), write_checkpoint(actor=system)]
    [shown] = checkpoint_webhook.list_checkpoint_sinks()
    assert (shown.lag, shown.error) == (3, "The webhook answered with 503.")

    hook.calls.clear()
    hook.status = 204
    runner.run_due(now=clock.now() + timedelta(minutes=40))

    assert [body.decode() for _headers, body in hook.calls] == [each.line for each in made]
    [shown] = checkpoint_webhook.list_checkpoint_sinks()
    assert (shown.lag, shown.error) == (0, "")


def test_checkpoint__sent_again__has_the_same_id(hook, system):
    hook.status = 500
    write_checkpoint(actor=system)

    runner.run_due(now=clock.now() + timedelta(minutes=40))

    assert len(hook.calls) > 1
    assert len({headers["webhook-id"] for headers, _body in hook.calls}) == 1


def test_checkpoint__connection_that_is_not_there__is_said(hook, system, settings):
    settings.CHECKPOINT_WEBHOOK = "nowhere"
    write_checkpoint(actor=system)

    run_due()

    assert hook.calls == []
    [shown] = checkpoint_webhook.list_checkpoint_sinks()
    assert "There is no webhook among the connections" in shown.error
    assert json.loads(write_checkpoint(actor=system).line)["kind"] == "configsvc-checkpoint"

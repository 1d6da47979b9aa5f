"""Sending signed checkpoints of the ledger to a webhook, out of this installation's reach.

The job lives here since only this layer may use Connections. It sends what the cursor has not
passed, in order and at least once, from the newest checkpoint that was there when it began.
"""

from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings

from apps.audit.checkpoints import SEND
from apps.audit.models import Checkpoint, SinkCursor
from apps.audit.sending import SinkStatus
from apps.core import clock, outgoing
from apps.core.jobs import Claim, Kind
from apps.core.models import Connection
from apps.engine.errors import DomainError, NotFoundError, UnavailableError
from apps.vault.connections import list_connections
from apps.vault.rotating import open_credential
from apps.vault.rotators.webhook import GOOD, sign

CURSOR = "checkpoint-webhook"
BATCH = 100
MAX_ATTEMPTS = 30
MAX_ERROR = 500


def kind() -> Kind:
    """The job's kind: put with each checkpoint, and looked at hourly in any case."""
    return Kind(
        SEND,
        "Send checkpoints to the webhook",
        send,
        every=timedelta(hours=1),
        max_attempts=MAX_ATTEMPTS,
    )


def send(_claim: Claim) -> None:
    """Send what was not sent; the job. Raises a :class:`DomainError` where that fails."""
    cursor, _made = SinkCursor.objects.get_or_create(name=CURSOR, defaults={"number": _start()})
    try:
        while rows := _waiting(cursor):
            connection = _find_connection()
            credential = open_credential(connection)
            for row in rows:
                _call(connection, credential, row)
                cursor.number, cursor.delivered_at = row.pk, clock.now()
                cursor.failed_at, cursor.last_error = None, ""
                cursor.save()
    except DomainError as error:
        cursor.failed_at, cursor.last_error = clock.now(), error.detail[:MAX_ERROR]
        cursor.save()
        raise


def _start() -> int:
    """All before the newest are passed over."""
    newest = Checkpoint.objects.first()
    return newest.pk - 1 if newest else 0


def _waiting(cursor: SinkCursor) -> Sequence[Checkpoint]:
    return list(Checkpoint.objects.filter(pk__gt=cursor.number).order_by("pk")[:BATCH])


def _find_connection() -> Connection:
    name = settings.CHECKPOINT_WEBHOOK
    found = list_connections().filter(slug__lower=name.lower(), kind="webhook").first()
    if found is None:
        raise NotFoundError(f"There is no webhook among the connections that is called '{name}'.")
    return found


def _call(connection: Connection, credential: object, row: Checkpoint) -> None:
    if not isinstance(credential, str):
        raise UnavailableError("The connection's credential must be a text.")
    body = row.line.encode()
    answer = outgoing.post(
        connection.address,
        authorities=connection.authorities,
        body=body,
        headers=sign(credential, message_id=f"checkpoint-{row.pk}", at=clock.now(), body=body),
    )
    if answer.status not in GOOD:
        raise UnavailableError(f"The webhook answered with {answer.status}.")


def list_checkpoint_sinks() -> list[SinkStatus]:
    """How far the webhook is, as the ledger's sinks are shown; nothing where none is set.

    ``number`` is the revision of the last checkpoint that it took, ``lag`` counts checkpoints.
    """
    if not settings.CHECKPOINT_WEBHOOK:
        return []
    cursor = SinkCursor.objects.filter(name=CURSOR).first() or SinkCursor(number=_start())
    last = Checkpoint.objects.filter(pk__lte=cursor.number).first()
    return [
        SinkStatus(
            name=f"checkpoints to {settings.CHECKPOINT_WEBHOOK}",
            required=False,
            number=last.revision if last and cursor.delivered_at else 0,
            lag=Checkpoint.objects.filter(pk__gt=cursor.number).count(),
            delivered_at=cursor.delivered_at,
            failed_at=cursor.failed_at,
            error=cursor.last_error,
        )
    ]

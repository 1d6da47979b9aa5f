"""A service of yours that knows how the secret is changed: called at each step, signed.

Calls follow the Standard Webhooks specification (standardwebhooks.com, 1.0.0): ``webhook-id`` is
the same for each repetition of a step, ``webhook-timestamp`` in seconds, and ``webhook-signature`` is
``v1,`` and the base64 of HMAC-SHA256 over id, timestamp and body, joined by dots. The key is the
connection's credential; ``whsec_`` and base64 stand for bytes, any other text for itself.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.core import clock, outgoing
from apps.core.models import Connection
from apps.engine import formats
from apps.engine.errors import DomainError
from apps.engine.values import Tree, canonical
from apps.vault.rotators.base import Option, Rotator, RotatorError, Task
from apps.vault.rotators.generated import SHAPE, check_shape, new_password

KEY_PREFIX = "whsec_"
GOOD = range(200, 300)


def sign(key: str, *, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of a call. Raises :class:`RotatorError` for a key that is not base64."""
    raw = key.encode()
    if key.startswith(KEY_PREFIX):
        try:
            raw = base64.b64decode(key.removeprefix(KEY_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise RotatorError("The connection's credential is not whsec_ and base64.") from None
    seconds = str(int(at.timestamp()))
    signed = b".".join((message_id.encode(), seconds.encode(), body))
    digest = base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{digest}",
    }


class SignedWebhook(Rotator):
    """Each step is a call: ``{"step","rotation","secret"}``, with ``value`` from ``set`` on."""

    name = "webhook"
    title = "Signed webhook"
    needs = "webhook"
    options = (
        Option("create", "Who makes the value", "choice", "server", choices=("server", "webhook")),
        *SHAPE,
    )

    def check(self, options: Mapping[str, Any], connection: Connection | None) -> None:
        """See :class:`Rotator`."""
        check_shape(options)

    def create(self, task: Task) -> Tree:
        """See :class:`Rotator`."""
        if task.options["create"] == "server":
            return new_password(task.options)
        answer = _call(task, "create")
        try:
            found = formats.parse(answer.body, "json").tree
        except DomainError:
            found = None
        if not isinstance(found, dict) or not isinstance(found.get("value"), (str, dict)):
            raise RotatorError('The webhook did not answer "create" with {"value": …}.')
        return found["value"]

    def set(self, task: Task) -> None:
        """See :class:`Rotator`."""
        _call(task, "set", value=task.pending)

    def test(self, task: Task) -> None:
        """See :class:`Rotator`."""
        _call(task, "test", value=task.pending)

    def finish(self, task: Task) -> None:
        """See :class:`Rotator`."""
        _call(task, "finish")

    def retire(self, task: Task, value: Tree) -> None:
        """See :class:`Rotator`."""
        _call(task, "retire", value=value)


def _call(task: Task, step: str, **more: Tree) -> outgoing.Answer:
    if task.connection is None:
        raise RotatorError("The rotation has no connection any more.")
    message: dict[str, Tree] = {"step": step, "rotation": task.key, "secret": task.secret, **more}
    body = canonical(message).encode()
    headers = sign(
        task.text_credential(), message_id=f"{task.key}-{step}", at=clock.now(), body=body
    )
    answer = outgoing.post(
        task.connection.address,
        authorities=task.connection.authorities,
        body=body,
        headers=headers,
    )
    if answer.status not in GOOD:
        raise RotatorError(f'The webhook answered "{step}" with {answer.status}.')
    return answer

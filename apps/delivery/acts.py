"""What the ledger's acts did to configurations, in the shape that is pushed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from channels.db import database_sync_to_async

from apps.audit import selectors as ledger
from apps.audit.models import AuditEvent
from apps.engine.values import parse_canonical
from apps.registry.models import Configuration

PREFIX = "configuration."
IDLE_ACTS = ("login", "logout", "refused.", "backup.", "secret.disclosed", "secret.revealed")
"""Events that change nothing of what anybody is served."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One configuration's change, in the shape that the contract pushes, and where it was."""

    message: dict[str, Any]
    service_id: int
    environment_id: int

    @property
    def spot(self) -> tuple[int, int]:
        """Its service's and its environment's number."""
        return self.service_id, self.environment_id


@dataclass(frozen=True, slots=True)
class Act:
    """The changes of one revision: they go out together. ``frames`` keeps what several watchers are
    told of it alike, by the indexes of its notices. ``spreads``: it may have changed what is served
    of others than those that they are of.
    """

    revision: int
    notices: tuple[Notice, ...]
    spreads: bool = False
    frames: dict[tuple[int, ...], Any] = field(default_factory=dict, compare=False, repr=False)


@database_sync_to_async
def read_page(epoch: str, after: int, until: int, size: int) -> tuple[list[Act], int]:
    """Of the first acts after revision ``after`` up to ``until``, about ``size``, those that changed configurations
    or may have changed what is served of them; and the revision up to which they are.

    An act is never cut: it belongs to a page whole, however many events it has.
    """
    if until - after > size:
        until = ledger.revision_of(after + size)
    acts = [act for act in _acts(epoch, after, until) if act.notices or act.spreads]
    return acts, until


def _acts(epoch: str, after: int, until: int) -> Iterator[Act]:
    notices: list[Notice] = []
    spreads = False
    for event in ledger.events_since(after, until=until):
        if event.action.startswith(PREFIX):
            data = parse_canonical(event.data)
            notices.append(_notice(epoch, event, data))
            spreads |= "outdated" in data
        elif not event.action.startswith(IDLE_ACTS):
            spreads = True
        if event.number == event.revision:
            yield Act(event.revision, tuple(notices), spreads)
            notices, spreads = [], False


_places: dict[tuple[str, str, str], tuple[int, int]] = {}
"""By epoch, service and environment: within an epoch names never change and are never used again."""


def _notice(epoch: str, event: AuditEvent, data: dict[str, Any]) -> Notice:
    service, environment = data["service"], data["environment"]
    place = (epoch, service, environment)
    if place not in _places:
        found = Configuration.objects.get(service__slug=service, environment__slug=environment)
        _places[place] = (found.service_id, found.environment_id)
    message = {
        "type": "changed",
        "epoch": epoch,
        "revision": event.revision,
        "service": service,
        "environment": environment,
        "version": data["version"],
        "checksum": data["checksum"],
        "keys": data["keys"],
        "cause": data["cause"],
    }
    return Notice(message, *_places[place])

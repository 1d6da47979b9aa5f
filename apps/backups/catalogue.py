"""The archives that there are, and which of them belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import IO, Any

from django.conf import settings

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.backups.reading import Header, read_archive_header
from apps.backups.stores import FolderStore, Store, check_name
from apps.core import clock
from apps.core.actor import Actor
from apps.engine.errors import NOTHING_HERE, DomainError, NotFoundError


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive as a list shows it. ``header`` is ``None``, and ``problem`` says why, for a file whose
    header cannot be read.
    """

    name: str
    size: int
    header: Header | None
    problem: str = ""

    @property
    def created_at(self) -> datetime | None:
        """When it was made."""
        return clock.read_rfc3339(self.header.created_at) if self.header else None


def store() -> Store:
    """Where the settings say that archives are kept."""
    return FolderStore(settings.BACKUP_FOLDER)


def list_archives(*, actor: Actor) -> list[Archive]:
    """All archives, the newest first. Needs ``manage`` of everything."""
    policy.require_free(actor, "manage", EVERYWHERE)
    return read_catalogue(store())


def read_catalogue(place: Store) -> list[Archive]:
    """The archives of a store, the newest first."""
    found = []
    for each in place.list():
        try:
            with place.open(each.name) as file:
                header, _line = read_archive_header(file)
            found.append(Archive(each.name, each.size, header))
        except DomainError as error:
            found.append(Archive(each.name, each.size, None, error.detail))
    return sorted(found, key=lambda each: (each.created_at is None, each.name), reverse=True)


def chain_of(archives: Sequence[Archive], name: str) -> list[Archive]:
    """A full archive and the segments up to the one of that name, in their order.

    What is missing in between is said when the chain is checked. Raises :class:`NotFoundError`.
    """
    check_name(name)
    by_id = {each.header.id: each for each in archives if each.header}
    wanted = next((each for each in archives if each.name == name), None)
    if wanted is None:
        raise NotFoundError(NOTHING_HERE)
    if wanted.header is None:
        return [wanted]
    chain = [wanted]
    while (head := chain[0].header) and head.kind == "segment":
        before = by_id.get(head.previous)
        if before is None or len(chain) > len(archives):
            break
        chain.insert(0, before)
    return chain


def openers(place: Store, chain: Sequence[Archive]) -> list[Any]:
    """Functions that open each archive of a chain anew."""
    return [partial(place.open, each.name) for each in chain]


Opened = IO[bytes]

"""The archives that there are, and which of them belong together."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from django.conf import settings

from apps.backups.reading import Header, name_of, read_archive_header
from apps.backups.s3 import Credentials, S3Store
from apps.backups.stores import FolderStore, Store, Stored, check_name, is_plain
from apps.core import clock
from apps.core.outgoing import read_s3
from apps.engine.errors import NOTHING_HERE, DomainError, NotFoundError, invalid
from apps.vault.connections import list_connections
from apps.vault.rotating import open_credential

MOST_KNOWN: Final = 20_000
AHEAD: Final = timedelta(days=1)
"""By so much the clock of whoever made an archive may be ahead of ours."""
NOT_PLAIN: Final = "It is opened under no name but one of plain ASCII letters: rename it."


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


_known: dict[tuple[str, int], Archive] = {}


def store() -> Store:
    """Where the settings say that archives are kept: the folder, or the storage of a Connection.

    Raises :class:`NotFoundError` where there is no such Connection.
    """
    name = settings.BACKUP_CONNECTION
    if not name:
        return FolderStore(settings.BACKUP_FOLDER)
    found = list_connections().filter(slug__lower=name.lower(), kind="s3").first()
    if found is None:
        raise NotFoundError(
            f"There is no S3 storage among the connections that is called '{name}'."
        )
    key = str(open_credential(found))
    credentials = Credentials(found.login, key, found.authorities)
    return S3Store(read_s3(found.address), credentials, settings.BACKUP_WORK)


def store_at(address: str) -> Store:
    """S3-compatible storage by its address, for whoever has lost the database that names it.

    The access key is in the settings, and the file of the certificates that it is verified by, where
    they are not public ones. Raises :class:`InvalidError` when they are not.
    """
    login, key = settings.BACKUP_ACCESS_KEY, settings.BACKUP_SECRET_KEY
    if not login or not key:
        names = "CONFIGSVC_BACKUP_ACCESS_KEY and CONFIGSVC_BACKUP_SECRET_KEY"
        raise invalid("", "credentials", f"Set {names} in the environment.")
    return S3Store(
        read_s3(address), Credentials(login, key, _read_authorities()), settings.BACKUP_WORK
    )


def _read_authorities() -> str:
    path = settings.BACKUP_AUTHORITIES
    try:
        return Path(path).read_text() if path else ""
    except (OSError, UnicodeDecodeError) as error:
        told = f"CONFIGSVC_BACKUP_AUTHORITIES cannot be read: {type(error).__name__}."
        raise invalid("", "authorities", told) from None


def read_catalogue(place: Store) -> list[Archive]:
    """The archives of a store, the newest first; those that cannot be read before them.

    A header that was read once is not read again in this process while its file keeps name and size:
    lists show it, and checks read all of it anew.
    """
    stored = place.list()
    found = [_known.get((each.name, each.size)) or _read(place, each) for each in stored]
    if len(_known) > MOST_KNOWN:
        _known.clear()
    _known.update({(each.name, each.size): each for each in found if is_named_after(each)})
    return sorted(found, key=_order, reverse=True)


def _order(each: Archive) -> tuple[bool, bool, str, int, str]:
    """By what the header says: people give files other names, and copy them. One of a clock that went
    ahead comes behind all others: for years it would pass for the newest.
    """
    header = each.header
    if header is None:
        return True, True, "", 0, each.name
    made = clock.read_rfc3339(header.created_at)
    return False, made <= clock.now() + AHEAD, clock.rfc3339(made), header.number, each.name


def _read(place: Store, stored: Stored) -> Archive:
    if not is_plain(stored.name):
        return Archive(stored.name, stored.size, None, NOT_PLAIN)
    try:
        header, _line = read_archive_header(io.BytesIO(place.start(stored.name)))
        return Archive(stored.name, stored.size, header)
    except DomainError as error:
        return Archive(stored.name, stored.size, None, error.detail)


def is_named_after(each: Archive) -> bool:
    """Whether the name is the one that it was made with, which no other archive has."""
    return each.header is not None and each.name == name_of(each.header)


def get_archive(place: Store, name: str) -> Archive:
    """One by its name. Raises :class:`NotFoundError`."""
    check_name(name)
    found = next((each for each in read_catalogue(place) if each.name == name), None)
    if found is None:
        raise NotFoundError(NOTHING_HERE)
    return found


def chain_of(archives: Sequence[Archive], name: str) -> list[Archive]:
    """A full archive and the segments up to the one of that name, in their order.

    What is missing in between is said when the chain is checked. Raises :class:`NotFoundError`.
    """
    check_name(name)
    # of copies that people made, the one that kept its name
    by_id = {each.header.id: each for each in sorted(archives, key=is_named_after) if each.header}
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

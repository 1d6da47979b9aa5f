"""Whole archives of an empty ledger, made in a moment: for what is about archives, not about rows."""

import datetime
import uuid

from apps.backups import archiving
from apps.backups.reading import Header, context_of
from apps.core import clock
from apps.engine.archives import Writer
from apps.engine.chain import GENESIS
from apps.engine.values import canonical
from apps.vault.providers import key_provider

NOON = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)


def put_archive(
    folder,
    at=NOON,
    *,
    after=None,
    revision=0,
    epoch="aaaa",
    lines=(),
    writer=Writer,
    manifest=True,
    made=None,
    migrations=(),
):
    """A full archive in ``folder``, or a segment ``after`` a header; gives its name and header.

    ``made`` is the id that it is to have, ``lines`` are its stream before the manifest, which ``writer`` writes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archive = made or uuid.uuid4().hex
    key_id, wrapped = key_provider().wrap(b"k" * 32, context_of(archive))
    header = Header(
        id=archive,
        kind="segment" if after else "full",
        base=after.base if after else archive,
        previous=after.id if after else "",
        number=after.number + 1 if after else 0,
        created_at=clock.rfc3339(at),
        epoch=epoch,
        revision=revision,
        program=archiving.PROGRAM,
        vendor="sqlite",
        key_id=key_id,
        wrapped=wrapped.hex(),
    )
    stamp = header.created_at.replace("-", "").replace(":", "")
    name = f"{stamp}-{header.kind}-{archive[:8]}.configsvc"
    told = {"epoch": epoch, "revision": revision, "hash": GENESIS, "migrations": list(migrations)}
    told |= {"sequences": {}, "rows": {}, "digests": {}, "last": {}}
    with (folder / name).open("wb") as file:
        writing = writer(file, archiving.members_of(header), b"k" * 32)
        for line in [*lines, *([canonical({"manifest": told})] if manifest else [])]:
            writing.write(line)
        writing.finish()
    return name, header

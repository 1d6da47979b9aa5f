"""Changing the key-encryption key: wrap all data keys again, then forget the old key."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet

from apps.audit.services import Event, append, lock_ledger
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import sealing
from apps.engine.errors import GoneError, IntegrityError, InvalidError
from apps.engine.values import Tree
from apps.vault.models import KnownKey, WrappedKey
from apps.vault.providers import key_provider, read_key_file
from apps.vault.versions import context_of, unwrap
from apps.vault.wrapping import last_key_change

KEY_TEXT_BYTES = 48


def make_key(*, actor: Actor) -> str:
    """Put a new key before the others in the key file; gives its id.

    Raises :class:`InvalidError` when another provider wraps.
    """
    if settings.KEY_PROVIDER["wraps"] != "file":
        raise InvalidError("The current key is not in a file here: change it where it comes from.")
    path = _key_file()
    text = secrets.token_urlsafe(KEY_TEXT_BYTES)
    key_id = sealing.key_id(text)
    with writing():
        lock_ledger()  # another who makes one has written the file, or reads it afterwards
        texts = read_key_file(path) if path.exists() else []
        append([Event("key.added", f"key:{key_id}", {})], actor=actor)
        _write(path, [text, *texts])  # last: without its event there is no key
    return key_id


def rewrap_all(*, actor: Actor, batch: int) -> Iterator[tuple[int, int]]:
    """Wrap every data key by the current key, ``batch`` at a time.

    Yields how many were done and how many are left, batch by batch. What was done stays done
    when it is stopped. When it ends no key is wrapped by another, and none will be by what was
    wrapped before. A damaged one is passed over: at the end :class:`IntegrityError` tells how
    many there are, and the ledger which. Raises :class:`SealedError` without one of the keys.
    """
    total = 0
    damaged: list[WrappedKey] = []
    ended = False
    while not ended:
        current = key_provider().current()  # it may move meanwhile
        done = _rewrap_batch(current, batch, damaged)
        total += done
        left = _others(current, damaged).count()
        yield done, left
        ended = not left and _end(current, total, damaged, actor)
    if damaged:
        raise IntegrityError(
            f"{len(damaged)} secret version(s) do not open and keep their old key; the ledger "
            "names them (secret.integrity). All others are wrapped by the current key."
        )


def _others(current: str, damaged: list[WrappedKey]) -> QuerySet[WrappedKey]:
    rows = WrappedKey.objects.exclude(key_id=current)
    return rows.exclude(pk__in=[each.pk for each in damaged])


def _end(current: str, total: int, damaged: list[WrappedKey], actor: Actor) -> bool:
    """Write down that all are wrapped by ``current``, unless another was written meanwhile."""
    with writing():
        lock_ledger()
        if _others(current, damaged).exists():
            return False
        told: dict[str, Tree] = {"wrapped": total, "damaged": len(damaged)}
        broken = [_damaged(each) for each in damaged]
        append([*broken, Event("key.rotated", f"key:{current}", told)], actor=actor)
    return True


def _damaged(row: WrappedKey) -> Event:
    version = row.version
    return Event("secret.integrity", f"secret:{version.secret}", {"version": version.number})


def _rewrap_batch(current: str, batch: int, damaged: list[WrappedKey]) -> int:
    """How many were wrapped again; those that do not open are added to ``damaged``.

    The key service is asked while no lock is held: what changed meanwhile is left as it is.
    """
    as_of = last_key_change()
    rows = _others(current, damaged).select_related("version__secret").order_by("pk")[:batch]
    again = []
    for row in rows:
        context = context_of(row.version.secret, row.version_id)
        try:
            key = unwrap(row, context)
        except GoneError:
            continue
        except IntegrityError:
            damaged.append(row)
            continue
        again.append((row, *key_provider().wrap(key, context)))
    with writing():
        lock_ledger()
        if last_key_change() != as_of:
            return 0  # one of these keys may be forgotten by now
        done = 0
        for row, key_id, wrapped in again:
            same = WrappedKey.objects.filter(pk=row.pk, key_id=row.key_id)
            KnownKey.objects.get_or_create(key_id=key_id)
            done += same.update(key_id=key_id, wrapped=wrapped)
    return done


def forget_unused(*, actor: Actor) -> list[str]:
    """Take the keys out of the key file that wrap nothing; the current one stays.

    Where another provider wraps none is current, and a file without any key left is removed.
    """
    path = _key_file()
    with writing():
        lock_ledger()  # whoever wrapped by an older key has committed, or wraps again
        texts = read_key_file(path) if path.exists() else []
        used = set(WrappedKey.objects.order_by().values_list("key_id", flat=True).distinct())
        kept = [text for text in texts if sealing.key_id(text) in used]
        if settings.KEY_PROVIDER["wraps"] == "file" and texts and texts[0] not in kept:
            kept.insert(0, texts[0])
        gone = [sealing.key_id(text) for text in texts if text not in kept]
        if gone:
            append([Event("key.removed", f"key:{key_id}", {}) for key_id in gone], actor=actor)
            _write(path, kept)
    return gone


def _key_file() -> Path:
    return Path(str(settings.KEY_PROVIDER["file"]))


def _write(path: Path, texts: list[str]) -> None:
    if not texts:
        path.unlink()
        return
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if os.geteuid() == 0:  # root's command, another's server
            owner = (path if path.exists() else path.parent).stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.write("\n".join(texts) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else a crash may bring the older file back, without the new key
    finally:
        os.close(folder)

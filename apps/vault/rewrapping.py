"""Changing the key-encryption key: wrap all data keys again, then forget the old key."""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db.models import Count, QuerySet

from apps.audit.services import Event, append, lock_ledger
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import sealing
from apps.engine.errors import DestroyedError, IntegrityError, InvalidError, SealedError
from apps.engine.values import Tree
from apps.vault.models import KnownKey, WrappedKey
from apps.vault.providers import key_provider, read_key_file
from apps.vault.versions import context_of, unwrap
from apps.vault.wrapping import last_key_change

KEY_TEXT_BYTES = 48


def make_key(*, actor: Actor) -> str:
    """Put a new key before the others in the key file; gives its id.

    Raises :class:`InvalidError` when another provider wraps, and for a file that is not text.
    """
    if settings.KEY_PROVIDER["wraps"] != "file":
        raise InvalidError("The current key is not in a file here: change it where it comes from.")
    path = _key_file()
    text = secrets.token_urlsafe(KEY_TEXT_BYTES)
    key_id = sealing.key_id(text)
    with writing():
        lock_ledger()  # another who makes one has written the file, or reads it afterwards
        texts = _texts(path)
        append([Event("key.added", f"key:{key_id}", {})], actor=actor)
        _write(path, [text, *texts])  # last: without its event there is no key
    return key_id


@dataclass
class _Passed:
    """What is not wrapped again: damaged rows, and all rows of the keys that are not here."""

    damaged: list[WrappedKey] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)

    def count_missing(self) -> dict[str, int]:
        """How many versions each of the missing keys wraps."""
        rows = WrappedKey.objects.filter(key_id__in=self.missing).order_by("key_id")
        return dict(rows.values_list("key_id").annotate(Count("pk")))

    def tell(self) -> None:
        """Raise :class:`IntegrityError`, or :class:`SealedError`, for what was passed over."""
        said = [
            f"{count} versions are wrapped by key {key_id}, which is not here."
            for key_id, count in self.count_missing().items()
        ]
        if self.damaged:
            said.append(
                f"{len(self.damaged)} secret version(s) do not open and keep their old key; the "
                "ledger names them (secret.integrity)."
            )
        if said:
            error = IntegrityError if self.damaged else SealedError
            raise error(" ".join([*said, "All others are wrapped by the current key."]))


def rewrap_all(*, actor: Actor, batch: int) -> Iterator[tuple[int, int]]:
    """Wrap every data key by the current key, ``batch`` at a time.

    Yields how many were done and how many are left, batch by batch. What was done stays done
    when it is stopped. When it ends no key is wrapped by another, and none will be by what was
    wrapped before. Passed over are those that are damaged, which the ledger names, and those of
    a key that is not here: at the end :class:`IntegrityError` or :class:`SealedError` tells how
    many. Raises :class:`SealedError` at once when the keys cannot be asked for.
    """
    total = 0
    passed = _Passed()
    ended = False
    while not ended:
        current = key_provider().current()  # it may move meanwhile
        done = _rewrap_batch(current, batch, passed)
        total += done
        left = _others(current, passed).count()
        yield done, left
        ended = not left and _end(current, total, passed, actor)
    passed.tell()


def _others(current: str, passed: _Passed) -> QuerySet[WrappedKey]:
    rows = WrappedKey.objects.exclude(key_id=current).exclude(key_id__in=passed.missing)
    return rows.exclude(pk__in=[each.pk for each in passed.damaged])


def _end(current: str, total: int, passed: _Passed, actor: Actor) -> bool:
    """Write down that all are wrapped by ``current``, unless another was written meanwhile."""
    with writing():
        lock_ledger()
        if _others(current, passed).exists():
            return False
        missing = sum(passed.count_missing().values())
        told: dict[str, Tree] = {
            "wrapped": total,
            "damaged": len(passed.damaged),
            "missing": missing,
        }
        broken = [_damaged(each) for each in passed.damaged]
        append([*broken, Event("key.rotated", f"key:{current}", told)], actor=actor)
    return True


def _damaged(row: WrappedKey) -> Event:
    version = row.version
    return Event("secret.integrity", f"secret:{version.secret}", {"version": version.number})


def _rewrap_batch(current: str, batch: int, passed: _Passed) -> int:
    """How many were wrapped again; those that do not open are added to ``passed``.

    The key service is asked while no lock is held: what changed meanwhile is left as it is.
    """
    as_of = last_key_change()
    rows = _others(current, passed).select_related("version__secret").order_by("pk")[:batch]
    again = []
    for row in rows:
        context = context_of(row.version.secret, row.version_id)
        key = _find_key(row, context, passed)
        if key is not None:
            again.append((row, *key_provider().wrap(key, context)))
    with writing():
        rows = _others(current, passed).filter(pk__in=[row.pk for row, *_rest in again])
        there = dict(rows.select_for_update().order_by("pk").values_list("pk", "key_id"))
        lock_ledger()  # after the rows, as whoever destroys one does
        if last_key_change() != as_of:
            return 0  # one of these keys may be forgotten by now
        done = 0
        for row, key_id, wrapped in again:
            if there.get(row.pk) == row.key_id:
                KnownKey.objects.get_or_create(key_id=key_id)
                same = WrappedKey.objects.filter(pk=row.pk)
                done += same.update(key_id=key_id, wrapped=wrapped)
    return done


def _find_key(row: WrappedKey, context: bytes, passed: _Passed) -> bytes | None:
    """The data key, or nothing for a row that is passed over."""
    if row.key_id in passed.missing:
        return None
    try:
        return unwrap(row, context)
    except DestroyedError:
        return None
    except IntegrityError:
        passed.damaged.append(row)
        return None
    except SealedError:
        if key_provider().holds(row.key_id):  # itself raises where nobody answers
            raise
        passed.missing.add(row.key_id)
        return None


def forget_unused(*, actor: Actor) -> list[str]:
    """Take the keys out of the key file that wrap nothing; the current one stays.

    Where another provider wraps none is current, and a file without any key left is removed.
    """
    path = _key_file()
    with writing():
        lock_ledger()  # whoever wrapped by an older key has committed, or wraps again
        texts = _texts(path)
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


def _texts(path: Path) -> list[str]:
    try:
        return read_key_file(path) if path.exists() else []
    except ValueError:
        raise InvalidError(
            f"The key file {path} is not text in UTF-8; it was left as it is. Bring back a copy."
        ) from None


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

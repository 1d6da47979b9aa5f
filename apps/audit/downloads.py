"""What auditors take away: the ledger, its checkpoints, all of it as one archive.

The caller has asked the right. Taking the ledger is an act, and written before the first byte.
"""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from apps.audit import exporting
from apps.audit.checkpoints import public_keys
from apps.audit.models import Checkpoint
from apps.audit.selectors import EventFilters, batches, list_events
from apps.audit.services import Event, append
from apps.audit.shortening import View
from apps.audit.verification import program_text
from apps.core import clock
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine.errors import TooManyAttemptsError, invalid
from apps.engine.values import Tree

MEDIA_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}
README = """The ledger of a configsvc installation.

    python3 verifier.py ledger.jsonl --checkpoint checkpoints.jsonl --keys keys.json

Exit status 0: every link holds. Compare with checkpoints and keys that you took away earlier: the
ones in this archive come from the same hands as the ledger. Signatures need: pip install cryptography
"""


@dataclass(frozen=True, slots=True)
class Export:
    """An export that was written to the ledger: chunks of text, and how many events they hold."""

    name: str
    media_type: str
    count: int
    chunks: Iterator[str]


Chunk = TypeVar("Chunk", str, bytes)

MOST_AT_ONCE = 4
"""How many downloads a process sends at once: each holds a thread for as long as its reader takes."""
_places = threading.BoundedSemaphore(MOST_AT_ONCE)


@contextmanager
def _one_of_few() -> Iterator[None]:
    if not _places.acquire(blocking=False):
        raise TooManyAttemptsError(
            f"{MOST_AT_ONCE} downloads of the ledger are being sent: try again when one has ended.",
            retry_after=10,
        )
    try:
        yield
    finally:
        _places.release()


class _Held(Generic[Chunk], Iterator[Chunk]):
    """Chunks with what is held until they are read to the end, or closed."""

    def __init__(self, chunks: Iterator[Chunk], held: ExitStack) -> None:
        self._chunks: Iterator[Chunk] = chunks
        self._held = held

    def __next__(self) -> Chunk:
        try:
            return next(self._chunks)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go, as the end does, and being forgotten unread."""
        self._held.close()

    __del__ = close


def export(*, actor: Actor, filters: EventFilters, form: str, view: View) -> Export:
    """The events that match, oldest first, as ``jsonl`` or ``csv``, up to the export's own event,
    as ``view`` shows them.

    Raises :class:`InvalidError` for another format, and :class:`TooManyAttemptsError` beside
    ``MOST_AT_ONCE`` others.
    """
    with ExitStack() as held:
        held.enter_context(_one_of_few())
        taken = _export(actor, filters, form, view)
        return replace(taken, chunks=_Held(taken.chunks, held.pop_all()))


def _export(actor: Actor, filters: EventFilters, form: str, view: View) -> Export:
    if form not in MEDIA_TYPES:
        raise invalid("/format", "format", "'format' is jsonl or csv.")
    revision = _record(actor, filters, form)
    rows = list_events(replace(filters, ascending=True)).filter(number__lte=revision)
    lines = exporting.json_lines if form == "jsonl" else exporting.csv_lines
    count = rows.count()
    if filters.key:  # some may name it in what is not shown
        count = sum(view(each) is not None for batch in batches(rows) for each in batch)
    return Export(f"ledger.{form}", MEDIA_TYPES[form], count, lines(rows, view))


def _record(actor: Actor, filters: EventFilters, form: str) -> int:
    data: dict[str, Tree] = {"format": form}
    for name in ("actor", "action", "target", "key"):
        if getattr(filters, name):
            data[name] = getattr(filters, name)[:300]
    for name in ("since", "until"):
        moment = getattr(filters, name)
        if moment is not None:
            data[name] = clock.rfc3339(moment)
    with writing():
        return append([Event("ledger.exported", "ledger", data)], actor=actor).revision


def checkpoint_lines() -> str:
    """Every checkpoint, oldest first, as JSON lines that the verifier takes."""
    lines = Checkpoint.objects.order_by("pk").values_list("line", flat=True)
    return "".join(f"{line}\n" for line in lines)


def keys_text() -> str:
    """The public keys as a JWKS (RFC 7517)."""
    return json.dumps(public_keys(), indent=2) + "\n"


class _Pipe(io.RawIOBase):
    """A file that hands on what is written to it; a ZIP archive needs no more."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, part: bytes) -> int:  # type: ignore[override] # zipfile writes bytes
        self.parts.append(bytes(part))
        return len(part)

    def take(self) -> bytes:
        """What came since the last time."""
        taken = b"".join(self.parts)
        self.parts.clear()
        return taken


def bundle(*, actor: Actor, view: View) -> Iterator[bytes]:
    """A ZIP archive of the ledger as ``view`` shows it, checkpoints, keys and verifier, made while it is sent."""
    with ExitStack() as held:
        held.enter_context(_one_of_few())
        checkpoints = checkpoint_lines()  # before the ledger's end is chosen: none is beyond it
        taken = _export(actor, EventFilters(), "jsonl", view)
        return _Held(_zipped(taken, checkpoints), held.pop_all())


def _zipped(taken: Export, checkpoints: str) -> Iterator[bytes]:
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        texts = {
            "README.txt": README,
            "verifier.py": program_text(),
            "keys.json": keys_text(),
            "checkpoints.jsonl": checkpoints,
        }
        for name, text in texts.items():
            archive.writestr(name, text)
        with archive.open(taken.name, "w", force_zip64=True) as member:
            for chunk in taken.chunks:
                member.write(chunk.encode())
                yield pipe.take()
    yield pipe.take()

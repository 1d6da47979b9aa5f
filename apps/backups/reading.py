"""Reading archives: that they are whole, and their rows."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

from apps.backups.stores import SUFFIX
from apps.backups.tables import Column
from apps.backups.writing import Digest
from apps.core import clock
from apps.engine.archives import read_header, read_lines
from apps.engine.chain import GENESIS, event_hash
from apps.engine.errors import IntegrityError, MalformedError, SealedError
from apps.engine.values import Tree
from apps.vault.providers import NO_KEY, key_provider

KINDS: Final = ("full", "segment")
MOST: Final = 2**63
"""Above the last number that a database counts to."""
LEDGER: Final = "audit_auditevent"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
CONTEXT: Final = b"configsvc archive "
NO_KEY_OF_IT: Final = (
    "The key that wrapped the archive's is not here: put back keys/ of its data folder, or what"
    " its key provider needs."
)


@dataclass(frozen=True, slots=True)
class Header:
    """What an archive says of itself without its key; see ``archives``.

    ``base`` is the full archive that a segment follows, ``previous`` the archive before it, and
    ``number`` its place behind the full one.
    """

    id: str
    kind: str
    base: str
    previous: str
    number: int
    created_at: str
    epoch: str
    revision: int
    program: str
    vendor: str
    key_id: str
    wrapped: str

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> "Header":
        """From what was read. Raises :class:`MalformedError` for members of another shape."""
        try:
            found = cls(**{name: members[name] for name in cls.__slots__})
        except (KeyError, TypeError) as error:
            raise MalformedError("The archive's header is damaged.", code="damaged") from error
        if not found._is_plain():
            raise MalformedError("The archive's header is damaged.", code="damaged")
        return found

    def _is_plain(self) -> bool:
        """Lists show it before anything vouches for it, so each member is what it should be."""
        texts = [
            getattr(self, name) for name in self.__slots__ if name not in ("number", "revision")
        ]
        if (
            not all(type(each) is int and 0 <= each < MOST for each in (self.number, self.revision))
            or not all(isinstance(each, str) and each.isprintable() for each in texts)
            or self.kind not in KINDS
        ):
            return False
        try:
            clock.read_rfc3339(self.created_at)
        except ValueError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class TableHead:
    """What stands before a table's rows."""

    name: str
    columns: tuple[Column, ...]
    after: int


def read_archive_header(file: IO[bytes]) -> tuple[Header, bytes]:
    """The header, and the bytes that vouch for it."""
    members, line = read_header(file)
    return Header.of(members), line


def name_of(header: Header) -> str:
    """The name that an archive is made with. It sorts by time: ``20261127T091500.123456Z-full-…``."""
    stamp = header.created_at.replace("-", "").replace(":", "")
    return f"{stamp}-{header.kind}-{header.id[:8]}{SUFFIX}"


def context_of(archive: str) -> bytes:
    """What the wrapped key of an archive is bound to."""
    return CONTEXT + archive.encode()


def open_key(header: Header) -> bytes:
    """The data key of an archive. Raises :class:`SealedError` without the key that wrapped it, and
    :class:`IntegrityError` for a wrapped key of another archive.
    """
    try:
        wrapped = bytes.fromhex(header.wrapped)
    except ValueError as error:
        raise IntegrityError("The archive's key is damaged.") from error
    try:
        return key_provider().unwrap(header.key_id, wrapped, context_of(header.id))
    except SealedError as error:
        if error.detail != NO_KEY:
            raise
        raise SealedError(NO_KEY_OF_IT) from error


Sink = Callable[[TableHead, Iterator[str]], None]


def read_archive(
    file: IO[bytes], sink: Sink, told: Callable[[int], None] = lambda _bytes: None
) -> tuple[Header, dict[str, Any]]:
    """Give each table's rows to ``sink``, and return the header and the manifest.

    Raises :class:`MalformedError`, :class:`SealedError` or :class:`IntegrityError` for what is not
    a whole archive of ours: what was given before that came from one piece after the other that was.
    """
    header, line = read_archive_header(file)
    lines = read_lines(file, line, open_key(header), told)
    manifest: dict[str, Any] | None = None
    for text in lines:
        members = _control(text)
        if "manifest" in members:
            manifest = members["manifest"]
            break
        _read_table(members, lines, sink)
    if not isinstance(manifest, dict) or next(lines, None) is not None:
        raise IntegrityError("The archive is not whole: its manifest is missing.")
    if (manifest.get("epoch"), manifest.get("revision")) != (header.epoch, header.revision):
        raise IntegrityError("The archive's header and manifest are of two archives.")
    return header, manifest


class LedgerCheck:
    """A sink that passes over all rows, and holds every event of the ledger against its predecessor,
    over all archives of a chain.
    """

    def __init__(self) -> None:
        self._number, self._hash = 0, GENESIS

    def take(self, head: TableHead, lines: Iterator[str]) -> None:
        """See :data:`Sink`. Raises :class:`IntegrityError` for a link that does not hold."""
        names = [each.name for each in head.columns]
        for line in lines:
            if head.name == LEDGER:
                self._follow(dict(zip(names, json.loads(line), strict=True)))

    def _follow(self, event: dict[str, Any]) -> None:
        digest = event.pop("hash")
        previous = event.pop("previous")
        self._number += 1
        if (
            event["number"] != self._number
            or previous != self._hash
            or event_hash(previous, event) != digest
        ):
            raise IntegrityError(f"The ledger in the archive does not hold at {self._number}.")
        self._hash = digest

    def require_end(self, manifest: Mapping[str, Any]) -> None:
        """Raise :class:`IntegrityError` unless the ledger ends where the manifest says."""
        if (manifest.get("revision"), manifest.get("hash")) != (self._number, self._hash):
            raise IntegrityError("The ledger in the archive is not whole.")


def _read_table(members: Mapping[str, Tree], lines: Iterator[str], sink: Sink) -> None:
    columns = members.get("columns")
    name, after = members.get("table"), members.get("after")
    head = _table_head(name, columns, after)
    digest = Digest()
    end: dict[str, Any] = {}

    def rows() -> Iterator[str]:
        for line in lines:
            if line.startswith("{"):
                end.update(_control(line))
                return
            digest.add(line)
            yield line

    given = rows()
    sink(head, given)
    if next(given, None) is not None:
        raise IntegrityError("Not all rows of a table were read.")
    if end != {"end": name, "rows": digest.rows, "digest": str(digest)}:
        raise IntegrityError(f"The rows of {name} are not those that were written.")


def _table_head(name: Tree, columns: Tree, after: Tree) -> TableHead:
    """Names become parts of statements, so they are plain ones."""
    pairs = columns if isinstance(columns, list) else []
    plain = [each for each in pairs if isinstance(each, list) and len(each) == 2]  # noqa: PLR2004 - name and kind
    texts = [name, *(each[0] for each in plain)]
    if (
        not pairs
        or len(plain) != len(pairs)
        or not isinstance(after, int)
        or not all(isinstance(each, str) and _NAME.fullmatch(each) for each in texts)
    ):
        raise IntegrityError("The archive holds what is no table.")
    return TableHead(str(name), tuple(Column(str(n), str(kind)) for n, kind in plain), after)


def _control(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise IntegrityError("The archive holds what is no row.") from error
    if not isinstance(found, dict):
        raise IntegrityError("The archive holds rows of no table.")
    return found


def require_chain(headers: Sequence[Header]) -> None:
    """Raise :class:`IntegrityError` unless the archives are a full one and its segments in order."""
    full = headers[0]
    if full.kind != "full":
        told = f"The archive before the segment {full.number} is missing: only a full one stands alone."
        raise IntegrityError(told, code="incomplete")
    for number, each in enumerate(headers[1:], start=1):
        before = headers[number - 1]
        if (each.kind, each.base, each.previous, each.number) != (
            "segment",
            full.id,
            before.id,
            number,
        ):
            raise IntegrityError(f"The segment {number} is missing.", code="incomplete")
        if each.epoch != full.epoch or each.revision < before.revision:
            raise IntegrityError(f"The segment {number} is of another time.", code="incomplete")

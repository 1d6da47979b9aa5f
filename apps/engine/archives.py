"""The form of a backup: a header that anybody may read, and parts that only its key opens.

    configsvc-archive 1\n
    {"id":…}\n                   the header, canonical JSON, at most 64 KiB
    length, ciphertext           sealed pieces, each of at most 1 MiB before sealing; length: 4 bytes,
    …                            big-endian

The pieces are a stream, deflated (RFC 1951, in zlib's form, RFC 1950), sealed after the STREAM
construction (Hoang, Reyhanitabar, Rogaway and Vizár, "Online authenticated-encryption and its
nonce-reuse misuse-resistance", 2015): AES-256-GCM under a data key that seals this archive alone, the
nonce being 7 zero bytes, the piece's number (4 bytes) and whether it is the last. Each piece
authenticates the header too. So pieces that are altered, missing, swapped or of another archive do
not open, and nothing is inflated that was not sealed by a holder of the key.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from apps.engine.errors import DomainError, IntegrityError, MalformedError
from apps.engine.values import canonical, parse_canonical

MAGIC: Final = b"configsvc-archive "
FORMAT: Final = 1
MAX_HEADER: Final = 65_536
MAX_START: Final = MAX_HEADER + 64
"""What holds an archive's header in any case."""
PIECE: Final = 1_048_576
MAX_LINE: Final = 64 * 1_048_576
"""The longest line of the stream: a row with its document."""
LEVEL: Final = 3
_TAG: Final = 16
_LENGTH: Final = 4


class Writer:
    """Writes one archive to ``file``: lines of the stream, then :meth:`finish`.

    ``key`` is 32 random bytes that seal nothing else. ``written`` counts the file's bytes.
    """

    def __init__(self, file: IO[bytes], header: Mapping[str, Any], key: bytes) -> None:
        self._file, self._sealing = file, AESGCM(key)
        line = canonical(dict(header)).encode()
        if len(line) > MAX_HEADER:
            raise ValueError("The header is too long.")
        self._header = hashlib.sha256(line).digest()
        self._deflate = zlib.compressobj(LEVEL)
        self._waiting = bytearray()
        self._number = 0
        self.written = file.write(MAGIC + b"%d\n" % FORMAT + line + b"\n")

    def write(self, line: str) -> None:
        """Add a line, without its end."""
        self._waiting += self._deflate.compress(line.encode() + b"\n")
        while len(self._waiting) > PIECE:
            self._seal(bytes(self._waiting[:PIECE]), last=False)
            del self._waiting[:PIECE]

    def finish(self) -> None:
        """Seal what is left as the last piece."""
        self._waiting += self._deflate.flush()
        while len(self._waiting) > PIECE:
            self._seal(bytes(self._waiting[:PIECE]), last=False)
            del self._waiting[:PIECE]
        self._seal(bytes(self._waiting), last=True)

    def _seal(self, piece: bytes, *, last: bool) -> None:
        sealed = self._sealing.encrypt(_nonce(self._number, last=last), piece, self._header)
        self.written += self._file.write(len(sealed).to_bytes(_LENGTH, "big") + sealed)
        self._number += 1


def read_header(file: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """The header of an archive, and its bytes; ``file`` stands behind it then.

    Raises :class:`MalformedError` for a file of another kind or a newer form. Nothing vouches for
    what it says before the pieces are opened.
    """
    start = file.readline(len(MAGIC) + 12)
    number = start.removeprefix(MAGIC).strip()
    if not start.startswith(MAGIC) or not number.isdigit() or int(number) < 1:
        raise MalformedError("This is no archive of configsvc.", code="foreign")
    if int(number) > FORMAT:
        raise MalformedError("This archive is of a newer configsvc than this one.", code="newer")
    line = file.readline(MAX_HEADER + 1)
    try:
        header = parse_canonical(line.decode())
    except (ValueError, RecursionError, DomainError) as error:
        raise MalformedError("The archive's header is damaged.", code="damaged") from error
    if not line.endswith(b"\n") or not isinstance(header, dict):
        raise MalformedError("The archive's header is damaged.", code="damaged")
    return header, line[:-1]


def read_lines(
    file: IO[bytes], header: bytes, key: bytes, told: Callable[[int], None] = lambda _count: None
) -> Iterator[str]:
    """The lines of the stream of an archive whose ``header`` was read from ``file``.

    ``told`` hears how many bytes were read after each piece. Raises :class:`IntegrityError` for what
    is damaged, cut or not sealed by ``key`` for this header; lines before that were sealed.
    """
    opening = AESGCM(key)
    context = hashlib.sha256(header).digest()
    inflate, rest, number, last = zlib.decompressobj(), b"", 0, False
    while not last:
        piece, last, read = _open(file, opening, context, number)
        number += 1
        told(read)
        while piece or inflate.unconsumed_tail:
            rest += _inflated(inflate, piece or inflate.unconsumed_tail)
            piece = b""
            *lines, rest = rest.split(b"\n")
            if len(rest) > MAX_LINE:
                raise IntegrityError("A line of the archive is too long.")
            yield from map(_text, lines)
    if rest or not inflate.eof or file.read(1):
        raise IntegrityError("The archive goes on behind its end, or is cut.")


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise IntegrityError("The archive's stream holds what is no text.") from error


def _inflated(inflate: Any, piece: bytes) -> bytes:
    try:
        found: bytes = inflate.decompress(piece, PIECE)
    except zlib.error as error:
        raise IntegrityError("The archive's stream is damaged.") from error
    return found


def _open(file: IO[bytes], opening: AESGCM, context: bytes, number: int) -> tuple[bytes, bool, int]:
    """The next piece, whether it is the last, and the bytes that it took."""
    prefix = file.read(_LENGTH)
    length = int.from_bytes(prefix, "big")
    if len(prefix) < _LENGTH or not _TAG <= length <= PIECE + _TAG:
        raise IntegrityError("The archive is cut, or damaged: a piece is missing.")
    sealed = file.read(length)
    if len(sealed) < length:
        raise IntegrityError("The archive is cut: its last piece is missing.")
    for last in (False, True):
        try:
            return opening.decrypt(_nonce(number, last=last), sealed, context), last, length + 4
        except InvalidTag:
            continue
    raise IntegrityError("A piece of the archive is damaged, or of another archive.")


def _nonce(number: int, *, last: bool) -> bytes:
    return bytes(7) + number.to_bytes(4, "big") + bytes([last])

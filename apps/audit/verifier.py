"""The ledger's verifier: one file, run by itself, that trusts nothing of the server's code.

    python3 verifier.py SOURCE [--checkpoint FILE] [--own FILE] [--keys FILE] [--json]

SOURCE is a ledger as JSON lines (``GET /audit/export?format=jsonl``), an SQLite database file, a
``postgresql://`` URL, or ``-``: then the first line of standard input names it, so that a password
shows in no list of processes. Python's standard library is enough for the first two; PostgreSQL
needs ``psycopg``, signatures need ``cryptography``.

Exit status 0: every link holds, and so does every checkpoint. 1: not; the first revision that does
not is named. 2: there was nothing to judge (a file that is not there, a missing library).

Each event's hash is SHA-256 over canonical JSON (members sorted by code point, no white space,
UTF-8) of ``{"event": {actor, action, at, data, number, revision, target}, "previous": HASH}``, where
``data`` is the stored text and ``previous`` the hash of the event before, 64 zeros for the first.
Numbers are 1, 2, 3 …; the events of one act share their time and their ``revision``, the last of
their numbers; times grow from act to act. That alone finds every change that was not followed by
hashing all later events again. Who could do that is found out by checkpoints that were signed
before, and kept where he could not reach them: they fix a revision's hash. In a download for
somebody from whom key rules hide something, lines with ``"shortened": true`` lack a part of their
``data``: their place in the chain is checked, their words are not, and the result counts them. ``--own`` names the file
that the server itself appends them to; it is compared as those in the database are.
"""

import argparse
import base64
import hashlib
import json
import re
import sqlite3
import sys
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

GENESIS = "0" * 64
BATCH = 2_000
PROGRESS_EVERY = 200_000
FIELDS = ("number", "revision", "at", "actor", "action", "target", "data", "previous", "hash")
SHORTENED = "shortened"
CHECKPOINT_FIELDS = ("kind", "epoch", "revision", "hash", "at", "kid", "signature")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
POSTGRES = ("postgres://", "postgresql://")

Row = Mapping[str, Any]


class NothingToJudgeError(Exception):
    """The ledger or what is needed to check it cannot be read; the message says why."""


class BrokenError(Exception):
    """The ledger does not hold, from ``revision`` on."""

    def __init__(self, revision: int, reason: str) -> None:
        super().__init__(reason)
        self.revision, self.reason = revision, reason


@dataclass
class Result:
    """What a verification found. ``revision`` is the last one, or the first that does not hold."""

    ok: bool = True
    revision: int = 0
    reason: str = ""
    events: int = 0
    checkpoints: int = 0
    compared: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seen: list["Checkpoint"] = field(default_factory=list)

    def members(self) -> dict[str, Any]:
        """The result as JSON members."""
        return {name: value for name, value in vars(self).items() if name != "seen"}

    def __str__(self) -> str:
        if not self.ok:
            return f"revision {self.revision} does not hold: {self.reason}"
        notes = "".join(f"; {note}" for note in self.notes)
        return f"every link holds up to revision {self.revision}, with {self.held()}{notes}"

    def held(self) -> str:
        """How many checkpoints were compared, and from where they were."""
        if not self.checkpoints:
            return "no checkpoint"
        count = "1 checkpoint" if self.checkpoints == 1 else f"{self.checkpoints} checkpoints"
        return f"{count} ({', '.join(self.compared)})"


def canonical(tree: Any) -> bytes:
    """The canonical bytes. Raises ``ValueError`` for text that has no UTF-8 form."""
    text = json.dumps(tree, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


class Chain:
    """The state of a walk along the ledger: a few variables, however long it is."""

    def __init__(self) -> None:
        self.number, self.hash, self.at = 0, GENESIS, ""
        self.act_ends, self.act_at, self.act_of = 0, "", ""
        self.shortened = 0

    def take(self, row: Row) -> None:
        """Go on to the next event. Raises :class:`BrokenError` when it does not follow."""
        expected = self.number + 1
        reason = self._fault(row, expected)
        if reason:
            stored = row.get("revision")
            known = type(stored) is int and stored >= expected
            raise BrokenError(stored if known else max(expected, self.act_ends), reason)  # type: ignore[arg-type] # known says so
        self.number, self.hash, self.at = expected, row["hash"], row["at"]
        self.act_ends, self.act_at, self.act_of = row["revision"], row["at"], row["actor"]

    def _fault(self, row: Row, expected: int) -> str:
        shortened = row.get(SHORTENED) is True
        if set(row) != {*FIELDS, *([SHORTENED] if shortened else [])}:
            return f"event {expected} has not exactly the members of an event"
        for name in FIELDS:
            kind = int if name in ("number", "revision") else str
            if type(row[name]) is not kind:
                return f"event {expected}: its {name} is of a wrong kind"
        if row["number"] != expected:
            return f"event {expected} is missing or out of its place: {row['number']} stands there"
        if row["previous"] != self.hash:
            return f"event {expected} does not follow its predecessor's hash"
        if not HASH.fullmatch(row["hash"]) or not (shortened or row["hash"] == _hash(row)):
            return f"event {expected} is not what was hashed"
        self.shortened += shortened
        return self._fault_of_act(row, expected)

    def _fault_of_act(self, row: Row, expected: int) -> str:
        if not TIME.fullmatch(row["at"]):
            return f"event {expected}: its time is not one"
        if expected <= self.act_ends:
            same = (row["revision"], row["at"], row["actor"])
            if same != (self.act_ends, self.act_at, self.act_of):
                return f"event {expected} does not belong to the act that it stands in"
        elif row["revision"] < expected:
            return f"event {expected} has a revision before itself"
        elif row["at"] <= self.at:
            return f"event {expected} is not later than the act before it"
        return ""

    def finish(self) -> None:
        """Raise :class:`BrokenError` when the last act is cut short."""
        if self.act_ends != self.number:
            raise BrokenError(self.act_ends, f"the act ends after event {self.number} already")


def _hash(row: Row) -> str:
    event = {name: row[name] for name in FIELDS[:7]}
    try:
        return hashlib.sha256(canonical({"event": event, "previous": row["previous"]})).hexdigest()
    except ValueError:
        return ""


# Checkpoints


@dataclass(frozen=True)
class Checkpoint:
    """A signed statement: in this epoch, at this revision, the ledger's hash was this."""

    epoch: str
    revision: int
    hash: str
    at: str

    def message(self) -> bytes:
        """The bytes that were signed."""
        return canonical({"kind": "configsvc-checkpoint", **asdict(self)})


def read_checkpoint(line: Any, keys: Mapping[str, bytes]) -> Checkpoint:
    """A checkpoint whose signature holds by one of ``keys``. Raises :class:`BrokenError`."""
    if not isinstance(line, dict) or set(line) != set(CHECKPOINT_FIELDS):
        raise BrokenError(0, "a checkpoint has not the members of one")
    revision = line["revision"]
    texts = all(isinstance(line[name], str) for name in CHECKPOINT_FIELDS if name != "revision")
    if not texts or type(revision) is not int or line["kind"] != "configsvc-checkpoint":
        raise BrokenError(0, "a checkpoint's members are of a wrong kind")
    if line["kid"] not in keys:
        raise BrokenError(revision, f"the checkpoint is signed by an unknown key {line['kid']}")
    found = Checkpoint(line["epoch"], revision, line["hash"], line["at"])
    if not _signed(found, line["signature"], keys[line["kid"]]):
        raise BrokenError(revision, "the checkpoint's signature does not hold")
    return found


def _signed(checkpoint: Checkpoint, signature: str, public: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise NothingToJudgeError("Signatures need: pip install cryptography") from error
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
        key.verify(decode(signature), checkpoint.message())
    except (InvalidSignature, ValueError):
        return False
    return True


def decode(text: str) -> bytes:
    """Bytes from base64url without padding (RFC 7515). Raises ``ValueError``."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text, re.ASCII):
        raise ValueError("Not base64url.")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def thumbprint(x: str) -> str:
    """The id of a public key: its JWK thumbprint (RFC 7638, RFC 8037)."""
    digest = hashlib.sha256(canonical({"crv": "Ed25519", "kty": "OKP", "x": x})).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def read_keys(texts: Iterable[str]) -> dict[str, bytes]:
    """Public keys (base64url) by their ids, which follow from the keys."""
    return {thumbprint(text): decode(text) for text in texts}


def read_jwks(path: Path) -> dict[str, bytes]:
    """The Ed25519 keys of a JSON Web Key Set (RFC 7517)."""
    try:
        found = json.loads(path.read_text("utf-8"))["keys"]
        return read_keys(each["x"] for each in found if each.get("crv") == "Ed25519")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NothingToJudgeError(f"{path}: not a set of public keys") from error


def _members_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises :class:`ValueError` where a member comes twice: of two, other readers of the
    file may take the one that was not hashed.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a member comes twice")
    return found


def read_lines(path: Path, *, finished: bool = False) -> Iterator[Any]:
    """JSON lines. Raises :class:`BrokenError` at one that is none.

    ``finished``: a last line without its end is passed over, as a power cut leaves it.
    """
    try:
        with path.open("rb") as file:
            for count, line in enumerate(file, start=1):
                if not line.strip() or (finished and not line.endswith(b"\n")):
                    continue
                try:
                    yield json.loads(line.decode("utf-8"), object_pairs_hook=_members_once)
                except (ValueError, RecursionError) as error:
                    raise BrokenError(0, f"{path.name}, line {count}: not JSON") from error
    except OSError as error:
        raise NothingToJudgeError(f"{path}: {error.strerror}") from error


# Where ledgers are


class JsonLines:
    """A downloaded ledger: no head row, no keys and no checkpoints of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> Iterator[Row]:
        """The events in the order of the file."""
        for line in read_lines(self.path):
            yield line if isinstance(line, dict) else {}

    def own_keys(self) -> dict[str, bytes]:
        """A file names no keys."""
        return {}

    def own_checkpoints(self) -> list[Any]:
        """A file holds none."""
        return []

    def finish(self, _chain: Chain) -> str:
        """Nothing but a checkpoint says where a file should end."""
        return ""


class Tables:
    """A database, read in short statements, so that the server goes on meanwhile.

    ``query`` runs one statement; ``time`` is SQL that writes the column ``at`` in RFC 3339.
    """

    def __init__(self, query: Callable[[str], list[tuple[Any, ...]]], time: str) -> None:
        self.query, self.time = query, time

    def rows(self, after: int = 0) -> Iterator[Row]:
        """The events by number."""
        columns = ", ".join(self.time if name == "at" else name for name in FIELDS)
        while True:
            batch = self.query(
                f"SELECT {columns} FROM audit_auditevent WHERE number > {after} "  # noqa: S608 - names and a number of our own
                f"ORDER BY number LIMIT {BATCH}"
            )
            for values in batch:
                yield dict(zip(FIELDS, values, strict=True))
            if not batch:
                return
            after = batch[-1][0]

    def own_keys(self) -> dict[str, bytes]:
        """The public keys that the server has signed by."""
        try:
            return read_keys(row[0] for row in self.query("SELECT public FROM audit_publickey"))
        except (ValueError, TypeError) as error:
            raise BrokenError(0, "a public key in the database is none") from error

    def own_checkpoints(self) -> list[Any]:
        """Those that the server keeps itself."""
        texts = self.query("SELECT line FROM audit_checkpoint ORDER BY id")
        try:
            return [json.loads(row[0]) for row in texts]
        except (ValueError, TypeError, RecursionError) as error:
            raise BrokenError(0, "a checkpoint in the database is none") from error

    def finish(self, chain: Chain) -> str:
        """Hold the head row and the number of rows against the walk; gives the epoch.

        Both are read by one statement, so as of one moment. Acts that were committed since the
        walk are walked first.
        """
        while True:
            heads = self.query(
                f"SELECT number, {self.time}, hash, epoch, "  # noqa: S608 - as above
                "(SELECT count(*) FROM audit_auditevent) FROM audit_head"
            )
            before = chain.number
            for row in self.rows(after=before):
                chain.take(row)
            if chain.number == before:
                break
        expected = (chain.number, chain.hash, chain.number)
        found = [(number, digest, count) for number, _at, digest, _epoch, count in heads]
        if found != [expected] or (chain.number and heads[0][1] != chain.at):
            raise BrokenError(chain.number + 1, "the head row does not name the ledger's end")
        return str(heads[0][3])


def open_sqlite(path: Path) -> Tables:
    """An SQLite file, which is only read."""
    if not path.is_file():
        raise NothingToJudgeError(f"{path}: there is no such file")
    place = urllib.parse.quote(str(path.absolute()))
    connection = sqlite3.connect(f"file:{place}?mode=ro", uri=True, timeout=60)
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    time = "replace(at, ' ', 'T') || CASE instr(at, '.') WHEN 0 THEN '.000000Z' ELSE 'Z' END"
    return Tables(lambda sql: connection.execute(sql).fetchall(), time)


def open_postgres(url: str) -> Tables:
    """A PostgreSQL database, by a session that cannot write."""
    try:
        import psycopg
    except ImportError as error:
        raise NothingToJudgeError("PostgreSQL needs: pip install psycopg[binary]") from error
    try:
        connection = psycopg.connect(url, autocommit=True)
        connection.execute("SET default_transaction_read_only = on")
    except psycopg.Error as error:
        raise NothingToJudgeError(f"The database cannot be reached: {error}") from error

    def query(sql: str) -> list[tuple[Any, ...]]:
        try:
            return connection.execute(sql.encode()).fetchall()
        except psycopg.Error as error:
            raise NothingToJudgeError(f"The database cannot be read: {error}") from error

    time = """to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    return Tables(query, time)


def open_ledger(source: str) -> JsonLines | Tables:
    """The ledger that ``source`` names."""
    if source.startswith(POSTGRES):
        return open_postgres(source)
    path = Path(source)
    try:
        with path.open("rb") as file:
            is_sqlite = file.read(16) == b"SQLite format 3\0"
    except OSError as error:
        raise NothingToJudgeError(f"{path}: {error.strerror}") from error
    return open_sqlite(path) if is_sqlite else JsonLines(path)


# The verification


@dataclass(frozen=True)
class Files:
    """Checkpoints that were given, those that the server wrote, and the trusted public keys."""

    given: Path | None
    own: Path | None
    keys: Path | None


def verify(
    source: str,
    checkpoints: Path | None = None,
    keys: Path | None = None,
    progress: Callable[[int], object] = lambda _count: None,
    own: Path | None = None,
) -> Result:
    """Walk the ledger once, in constant memory, and say whether it holds.

    ``checkpoints`` is a file of JSON lines, ``own`` the one that the server writes. Their signatures are checked by the public keys in
    ``keys`` (a JWKS), and by those of the database when none is given. Raises
    :class:`NothingToJudgeError`.
    """
    result, chain = Result(), Chain()
    try:
        _walk(open_ledger(source), chain, result, Files(checkpoints, own, keys), progress)
        result.revision = chain.number
    except BrokenError as error:
        result.ok, result.revision, result.reason = False, error.revision, error.reason
    except sqlite3.Error as error:
        raise NothingToJudgeError(f"The database cannot be read: {error}") from error
    result.events = chain.number
    return result


def _walk(
    ledger: JsonLines | Tables,
    chain: Chain,
    result: Result,
    files: Files,
    progress: Callable[[int], object],
) -> None:
    waiting = _read_checkpoints(ledger, files, result)
    for row in ledger.rows():
        chain.take(row)
        _compare(chain, waiting.pop(chain.number, []))
        if chain.number % PROGRESS_EVERY == 0:
            progress(chain.number)
    chain.finish()
    epoch = ledger.finish(chain)
    if chain.shortened:
        count = chain.shortened
        result.notes.append(f"{count} events are shortened: linked, and not hashed again")
    for revision in sorted(waiting):
        if revision > chain.number:
            reason = f"the ledger ends at {chain.number}, before a checkpoint: it was cut"
            raise BrokenError(revision, reason)
        _compare(chain, waiting[revision])
    if epoch and any(each.epoch != epoch for each in result.seen):
        result.notes.append(f"some checkpoints are of an epoch before the present one, {epoch}")


def _read_checkpoints(
    ledger: JsonLines | Tables, files: Files, result: Result
) -> dict[int, list[Checkpoint]]:
    known = read_jwks(files.keys) if files.keys else ledger.own_keys()
    given = list(read_lines(files.given)) if files.given else []
    if given and not known:
        raise NothingToJudgeError("Give --keys FILE, the public keys that you trust.")
    own = list(read_lines(files.own, finished=True)) if files.own else []
    tables = ledger.own_checkpoints()
    if files.keys:
        count = len(own) + len(tables)
        own, tables = _trusted(own, known), _trusted(tables, known)
        count -= len(own) + len(tables)
        if count:
            result.notes.append(f"{count} of the server's own are by keys that were not given")
    names = [each.name if each else "" for each in (files.given, files.own)]
    for lines, place in zip((given, own, tables), (*names, "the database"), strict=True):
        result.seen += [read_checkpoint(line, known) for line in lines]
        if lines:
            result.compared.append(f"{len(lines)} of {place}")
    result.checkpoints = len(set(result.seen))
    waiting: dict[int, list[Checkpoint]] = {}
    for each in result.seen:
        waiting.setdefault(each.revision, []).append(each)
    return waiting


def _trusted(lines: list[Any], known: Mapping[str, bytes]) -> list[Any]:
    return [line for line in lines if isinstance(line, dict) and line.get("kid") in known]


def _compare(chain: Chain, checkpoints: Iterable[Checkpoint]) -> None:
    for each in checkpoints:
        if (each.revision, each.revision, each.hash) != (chain.number, chain.act_ends, chain.hash):
            reason = f"the ledger is not the one of the checkpoint of {each.at}"
            raise BrokenError(each.revision, reason)


def main(arguments: list[str] | None = None) -> int:
    """The program; gives the exit status."""
    parser = argparse.ArgumentParser(description="Verify a ledger of configsvc.")
    parser.add_argument("source", help="JSON lines, an SQLite file, postgresql://…, or -")
    parser.add_argument("--checkpoint", type=Path, help="checkpoints, as JSON lines")
    parser.add_argument("--own", type=Path, help="the file of checkpoints that the server writes")
    parser.add_argument("--keys", type=Path, help="the public keys that you trust, as a JWKS")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    asked = parser.parse_args(arguments)
    source = sys.stdin.readline().strip() if asked.source == "-" else asked.source

    def progress(count: int) -> None:
        sys.stderr.write(f"{count} events hold so far\n")

    try:
        found = verify(source, asked.checkpoint, asked.keys, progress, asked.own)
    except NothingToJudgeError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write((json.dumps(found.members()) if asked.json else str(found)) + "\n")
    return 0 if found.ok else 1


if __name__ == "__main__":
    here = Path(__file__).resolve().parent  # where it lies among others, they are no libraries
    sys.path[:] = [each for each in sys.path if not each or Path(each).resolve() != here]
    sys.exit(main())

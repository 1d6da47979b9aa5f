"""The tables of an installation, and their rows in a form that is the same on every database.

A row is a list of values in the order of its columns. Times are RFC 3339 in UTC with six decimals, days
ISO 8601, bytes base64, ids of 128 bits 32 hexadecimal digits, JSON canonical text. So two databases
that hold the same rows give the same lines, and the same digests.
"""

import base64
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from django.apps import apps
from django.db import models

from apps.core import clock
from apps.core.appendonly import AppendOnlyModel
from apps.engine.values import canonical, parse_canonical

Row = Sequence[Any]
LEFT_OUT: Final = frozenset(
    {
        "django_session",
        "delivery_streamticket",
        "delivery_hotquestion",
        "core_jobrun",
        "backups_run",
    }
)
"""What a restored installation begins without: log-ins of browsers, tickets of 30 s, what was asked
often, attempts, and what is about the archives themselves."""
_KINDS: Final[tuple[tuple[type[Any], str], ...]] = (
    (models.DateTimeField, "time"),
    (models.DateField, "day"),
    (models.BooleanField, "flag"),
    (models.UUIDField, "id"),
    (models.BinaryField, "bytes"),
    (models.JSONField, "json"),
    (models.FloatField, "float"),
    (models.IntegerField, "int"),
    (models.AutoField, "int"),
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column by its name, and what kind of value it holds."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table and the column that is its key. ``grows``: its rows are never changed."""

    name: str
    key: str
    columns: tuple[Column, ...]
    grows: bool = False

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [each.name for each in self.columns]


def list_tables() -> list[Table]:
    """All tables that a backup holds, by name."""
    found = {}
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta  # noqa: SLF001 - the documented model API
        if meta.proxy or not meta.managed or meta.db_table in LEFT_OUT:
            continue
        columns = tuple(
            Column(str(field.column), _kind_of(field)) for field in meta.concrete_fields
        )
        grows = issubclass(model, AppendOnlyModel) or hasattr(model, "history_id")
        key = str(meta.pk.column)
        found[meta.db_table] = Table(meta.db_table, key, columns, grows)
    return [found[name] for name in sorted(found)]


def _kind_of(field: Any) -> str:
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    return next((kind for type_, kind in _KINDS if isinstance(field, type_)), "text")


def dumped(table: Table) -> Callable[[Row], str]:
    """A function that writes a row, as the database's driver gives it, as a line."""
    writers = [_WRITERS.get(each.kind) for each in table.columns]

    def dump(row: Row) -> str:
        values = [
            value if write is None or value is None else write(value)
            for value, write in zip(row, writers, strict=True)
        ]
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"))

    return dump


def loaded(columns: Sequence[Column], vendor: str) -> Callable[[str], list[Any]]:
    """A function that reads a line as the row that the driver of a database takes."""
    readers = [_READERS[vendor].get(each.kind) for each in columns]

    def load(line: str) -> list[Any]:
        return [
            value if read is None or value is None else read(value)
            for value, read in zip(json.loads(line), readers, strict=True)
        ]

    return load


def _time(value: Any) -> str:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return clock.rfc3339(value.astimezone(UTC))


def _day(value: Any) -> str:
    return value if isinstance(value, str) else value.isoformat()


def _id(value: Any) -> str:
    return value.hex if isinstance(value, uuid.UUID) else str(value).replace("-", "")


def _json(value: Any) -> str:
    return canonical(parse_canonical(value) if isinstance(value, str) else value)


_WRITERS: Final[dict[str, Callable[[Any], Any]]] = {
    "time": _time,
    "day": _day,
    "flag": bool,
    "id": _id,
    "bytes": lambda value: base64.b64encode(bytes(value)).decode(),
    "json": _json,
    "float": float,
    "int": int,
    "text": str,
}


def _sqlite_time(value: str) -> str:
    """As Django's SQLite backend writes it: without an offset, and without decimals that are 0."""
    return str(clock.read_rfc3339(value).replace(tzinfo=None))


_READERS: Final[dict[str, dict[str, Callable[[Any], Any]]]] = {
    "sqlite": {
        "time": _sqlite_time,
        "flag": int,
        "bytes": base64.b64decode,
    },
    "postgresql": {
        "time": clock.read_rfc3339,
        "day": date.fromisoformat,
        "id": uuid.UUID,
        "bytes": base64.b64decode,
    },
}

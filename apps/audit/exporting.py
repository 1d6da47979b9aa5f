"""The ledger as text: JSON lines that the verifier reads, and CSV for spreadsheets."""

import csv
import io
import json
from collections.abc import Iterable, Iterator

from django.db.models import QuerySet

from apps.audit.models import AuditEvent
from apps.audit.selectors import batches
from apps.audit.shortening import Shown, View
from apps.core import clock
from apps.engine import chain
from apps.engine.values import Tree, canonical

COLUMNS = ("number", "revision", "at", "actor", "action", "target", "data", "previous", "hash")
SHORTENED = "shortened"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20")


def chained_fields(event: AuditEvent) -> dict[str, Tree]:
    """The fields that the hash covers: all but ``hash`` and ``previous``, which it takes apart."""
    return {
        "number": event.number,
        "revision": event.revision,
        "at": clock.rfc3339(event.at),
        "actor": event.actor,
        "action": event.action,
        "target": event.target,
        "data": event.data,
    }


def fields_of(event: AuditEvent) -> dict[str, Tree]:
    """All that an event consists of; ``data`` as the text that was hashed."""
    return {**chained_fields(event), "previous": event.previous, "hash": event.hash}


def json_line(event: AuditEvent) -> str:
    """An event as one line of JSON, with the end of the line."""
    return canonical(fields_of(event)) + "\n"


def ascii_line(event: AuditEvent) -> str:
    """The same in ASCII alone and without the end of the line, for syslog."""
    return json.dumps(fields_of(event), sort_keys=True, separators=(",", ":"))


def shown_fields(shown: Shown) -> dict[str, Tree]:
    """The same of an event as somebody sees it; where it is shortened it says so."""
    fields = fields_of(shown.event)
    return {**fields, "data": shown.data, SHORTENED: True} if shown.shortened else fields


def json_lines(events: QuerySet[AuditEvent], view: View) -> Iterator[str]:
    """Events as JSON lines, in chunks of some hundred."""
    for batch in batches(events):
        shown = (each for each in map(view, batch) if each is not None)
        yield "".join(canonical(shown_fields(each)) + "\n" for each in shown)


def csv_lines(events: QuerySet[AuditEvent], view: View) -> Iterator[str]:
    """Events as CSV (RFC 4180) with a line of names, in chunks.

    A cell that a spreadsheet would run as a formula gets an apostrophe before it (OWASP, "CSV
    Injection"), so what is to be verified is downloaded as JSON lines.
    """
    yield _rows([(*COLUMNS, SHORTENED)])
    for batch in batches(events):
        shown = (shown_fields(each) for each in map(view, batch) if each is not None)
        cells = ([str(each.get(name, "")) for name in (*COLUMNS, SHORTENED)] for each in shown)
        yield _rows([[harmless(cell) for cell in row] for row in cells])


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula, also after it left out blanks before it."""
    return "'" + cell if cell.lstrip(" \u00a0").startswith(FORMULA_STARTS) else cell


def _rows(rows: Iterable[Iterable[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue()


def hash_of(event: AuditEvent, previous: str) -> str:
    """The hash of an event that stands behind ``previous``."""
    return chain.event_hash(previous, chained_fields(event))

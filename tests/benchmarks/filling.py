"""Run inside an installation by ``manage.py shell``: many versions of one configuration, each with its
own event in the ledger, chained as the product chains them.
"""

import json
import uuid
from datetime import timedelta

from django.db import connection, transaction

from apps.audit.models import AuditEvent, Head
from apps.configs.models import Live, Version
from apps.core import clock
from apps.engine.chain import event_hash

BATCH = 5_000
EVENT = ("number", "revision", "at", "actor", "action", "target", "data", "previous", "hash")


def fill(count):
    """Add ``count`` versions behind the newest one of the only configuration."""
    first = Version.objects.order_by("-number").first()
    fields = list(Version._meta.concrete_fields)
    columns = [f.column for f in fields]
    like = {f.column: getattr(first, f.attname) for f in fields}
    head = Head.objects.get()
    number, previous, at = head.number, head.hash, head.at
    for start in range(0, count, BATCH):
        events, versions = [], []
        for offset in range(start, min(count, start + BATCH)):
            number += 1
            at += timedelta(microseconds=1_000)
            version = first.number + offset + 1
            event = {
                "number": number,
                "revision": number,
                "at": clock.rfc3339(at),
                "actor": "user:ada",
                "action": "configuration.publish",
                "target": "configuration:long@production",
                "data": json.dumps({"version": version}, separators=(",", ":")),
            }
            digest = event_hash(previous, event)
            events.append([*{**event, "at": stored(at)}.values(), previous, digest])
            previous = digest
            made = {"id": identifier(), "number": version, "revision": number}
            versions.append([*{**like, **made, "published_at": stored(at)}.values()])
        with transaction.atomic():
            insert(AuditEvent._meta.db_table, EVENT, events)
            insert(Version._meta.db_table, columns, versions)
    Head.objects.update(number=number, hash=previous, at=at)
    Live.objects.update(version=Version.objects.order_by("-number").first())


def stored(moment):
    """As the database keeps a time."""
    return moment if connection.vendor == "postgresql" else str(moment.replace(tzinfo=None))


def identifier():
    made = uuid.uuid4()
    return made if connection.vendor == "postgresql" else made.hex


def insert(table, columns, rows):
    names = ", ".join(f'"{name}"' for name in columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        marks = ", ".join("?" * len(columns))
        rows = [[each.hex if isinstance(each, uuid.UUID) else each for each in row] for row in rows]
        cursor.cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608 - our own names

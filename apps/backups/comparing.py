"""What a restore would change, before it does."""

from django.db import DatabaseError

from apps.audit.models import AuditEvent, Head
from apps.backups.restoring import Checked


def compare_with_now(checked: Checked) -> list[str]:
    """Lines for people: what the archive is, what the database is, and what would be lost."""
    header, last = checked.headers[-1], checked.last
    lines = [
        f"Archive   {header.created_at}, revision {header.epoch}-{header.revision},"
        f" {sum(last['rows'].values())} rows",
    ]
    try:
        head = Head.objects.get()
    except (Head.DoesNotExist, DatabaseError):
        return [*lines, "Database  empty, or not to be read"]
    lines.append(f"Database  revision {head.epoch}-{head.number}")
    if head.epoch != header.epoch:
        return [*lines, "The two have other epochs: all of the database is replaced."]
    later = AuditEvent.objects.filter(number__gt=header.revision)
    counts: dict[str, int] = {}
    for action in later.values_list("action", flat=True):
        counts[action] = counts.get(action, 0) + 1
    lines.append(f"Lost      {sum(counts.values())} events since:")
    lines += [f"          {count} {action}" for action, count in sorted(counts.items())]
    return lines

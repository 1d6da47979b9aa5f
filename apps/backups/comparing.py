"""What a restore would change, before it does."""

from django.db import DatabaseError

from apps.audit.models import AuditEvent, Head
from apps.backups.restoring import Checked
from apps.backups.withdrawals import Present


def compare_with_now(checked: Checked, present: Present | str) -> list[str]:
    """Lines for people: what the archive is, what the database is, what would be lost, and what
    becomes of rights.
    """
    header, last = checked.headers[-1], checked.last
    lines = [
        f"Archive   {header.created_at}, revision {header.epoch}-{header.revision},"
        f" {sum(last['rows'].values())} rows",
    ]
    try:
        head = Head.objects.get()
    except (Head.DoesNotExist, DatabaseError):
        return [*lines, "Database  empty, or not to be read", *_rights(present)]
    lines.append(f"Database  revision {head.epoch}-{head.number}")
    if isinstance(present, str):
        return [*lines, "Lost      all of the database: it is another one", *_rights(present)]
    later = AuditEvent.objects.filter(number__gt=header.revision)
    counts: dict[str, int] = {}
    for action in later.values_list("action", flat=True):
        counts[action] = counts.get(action, 0) + 1
    lines.append(f"Lost      {sum(counts.values())} events since:")
    lines += [f"          {count} {action}" for action, count in sorted(counts.items())]
    return lines + _rights(present)


def _rights(present: Present | str) -> list[str]:
    if isinstance(present, str):
        return [
            f"Rights    held until somebody confirms them, for {present}:",
            "          which were withdrawn after the backup is not known",
        ]
    lines = ["Withdrawn since, and kept so:" if present.later else "Withdrawn since: nothing"]
    lines += [f"          {each}" for each in present.later]
    if present.is_held:
        lines.append("Rights    held until somebody confirms them, as they are now")
    return lines

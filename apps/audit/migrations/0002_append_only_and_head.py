"""The ledger's triggers, and the one row that says where it ends."""

import secrets
from datetime import datetime, timezone

from django.db import migrations

from apps.core.appendonly import AppendOnly


def create_head(apps, schema_editor):
    apps.get_model("audit", "Head").objects.get_or_create(
        pk=1,
        defaults={
            "number": 0,
            "at": datetime(1970, 1, 1, tzinfo=timezone.utc),
            "hash": "0" * 64,
            "epoch": secrets.token_hex(4),
        },
    )


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        AppendOnly("AuditEvent"),
        migrations.RunPython(create_head, migrations.RunPython.noop),
    ]

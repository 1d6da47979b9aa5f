"""Key rules follow references: a new one moves the access generation."""

from django.db import migrations

from apps.access import generation


def make(_apps, schema_editor):
    generation.create_triggers(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0009_idempotency_key_rights"),
        ("registry", "0004_dependency"),
    ]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]

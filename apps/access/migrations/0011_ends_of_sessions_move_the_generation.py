"""The end of a session moves the access generation, by log-out or because a second factor is gone."""

from django.db import migrations

from apps.access import generation


def make(_apps, schema_editor):
    generation.create_triggers(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0010_references_move_the_generation"),
        ("core", "0003_sessions_since"),
        ("sessions", "0001_initial"),
    ]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]

"""Changes of key rules, and of grants themselves, raise the access generation too."""

from django.db import migrations

from apps.access import generation


def create(apps, schema_editor):
    generation.create_triggers(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("access", "0004_key_rules")]

    operations = [migrations.RunPython(create, create)]

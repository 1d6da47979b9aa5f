"""Changes of services and environments raise the access generation too."""

from django.db import migrations

from apps.access import generation


def create(apps, schema_editor):
    generation.create_triggers(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0002_access_generation"),
        ("registry", "0002_first_environments"),
    ]

    operations = [migrations.RunPython(create, create)]

"""Changes of roles of one's own raise the access generation too."""

from django.db import migrations

from apps.access import generation


def create(apps, schema_editor):
    generation.create_triggers(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("access", "0007_own_roles")]

    operations = [migrations.RunPython(create, create)]

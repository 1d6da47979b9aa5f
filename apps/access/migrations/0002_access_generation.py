"""The generation's row and the triggers that raise it."""

from django.db import migrations

from apps.access import generation


def create(apps, schema_editor):
    apps.get_model("access", "AccessGeneration").objects.get_or_create(pk=1)
    generation.create_triggers(schema_editor.connection)


def drop(apps, schema_editor):
    generation.drop_triggers(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("core", "0001_initial"),
    ]

    operations = [migrations.RunPython(create, drop)]

"""The composition lock's row, and the three environments of a new installation."""

from datetime import datetime, timezone

from django.db import migrations

FIRST = (("development", 10), ("staging", 20), ("production", 30))


def create_rows(apps, schema_editor):
    apps.get_model("registry", "Composition").objects.get_or_create(pk=1)
    environment = apps.get_model("registry", "Environment")
    for slug, rank in FIRST:
        environment.objects.get_or_create(
            slug=slug,
            defaults={
                "name": slug.capitalize(),
                "rank": rank,
                "is_default": slug == "development",
                "created_at": datetime.now(timezone.utc),
            },
        )


class Migration(migrations.Migration):
    dependencies = [("registry", "0001_initial")]

    operations = [migrations.RunPython(create_rows, migrations.RunPython.noop)]

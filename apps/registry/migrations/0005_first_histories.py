"""What the environments of a new installation were at first, as the first rows of their histories."""

from django.db import migrations

FIRST = (("development", 10), ("staging", 20), ("production", 30))


def create_rows(apps, schema_editor):
    environments = apps.get_model("registry", "Environment").objects
    history = apps.get_model("registry", "HistoricalEnvironment").objects
    for slug, rank in FIRST:
        row = environments.filter(slug=slug).first()
        if row is None or history.filter(id=row.pk, history_type="+").exists():
            continue
        history.create(
            id=row.pk,
            slug=slug,
            name=slug.capitalize(),
            rank=rank,
            is_default=slug == "development",
            created_at=row.created_at,
            history_date=row.created_at,
            history_type="+",
            history_change_reason="system:installation",
        )


class Migration(migrations.Migration):
    dependencies = [("registry", "0004_dependency")]

    operations = [migrations.RunPython(create_rows, migrations.RunPython.noop)]

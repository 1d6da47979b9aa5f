"""Which key-encryption keys there have been: an id that is none of theirs was altered."""

from django.db import migrations, models

from apps.core.appendonly import AppendOnly


class Migration(migrations.Migration):

    dependencies = [("vault", "0002_rotation")]

    operations = [
        migrations.CreateModel(
            name="KnownKey",
            fields=[
                ("key_id", models.CharField(max_length=100, primary_key=True, serialize=False)),
            ],
            options={"default_permissions": ()},
        ),
        AppendOnly("KnownKey"),
    ]
